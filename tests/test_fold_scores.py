import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from empathy_geometry.evaluation.fold_scores import decision_values, standardise
from empathy_geometry.geometry.probes import Probe


def test_unit_and_offset_of_a_fold_cancel():
    rng = np.random.default_rng(0)
    test, train = rng.normal(size=6), rng.normal(size=20)
    assert np.allclose(standardise(5 * test + 3, 5 * train + 3), standardise(test, train))


def test_one_unit_for_all_classes():
    train = np.array([[0.0, 0.0], [2.0, 20.0]])
    assert np.allclose(standardise(train, train) * np.sqrt(50.5), [[-1, -10], [1, 10]])


def test_constant_training_scores_give_zero():
    assert (standardise(np.array([1.0, 2.0]), np.full(5, 0.3)) == 0).all()


def test_raw_pooling_is_biased_and_standardised_pooling_is_not():
    raw, pooled = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        y = rng.permutation(np.repeat([0, 1], 10))
        X = rng.normal(size=(20, 5))
        one, other = np.zeros(20), np.zeros(20)
        for i in range(20):  # leaving one out, the training mean always points the other way
            keep = np.arange(20) != i
            fitted = Probe("ridge", alpha=100.0).fit(X[keep], y[keep])
            test, train = fitted.decision_function(X[~keep]), fitted.decision_function(X[keep])
            one[i], other[i] = test[0], standardise(test, train)[0]
        raw.append(roc_auc_score(y, one))
        pooled.append(roc_auc_score(y, other))
    assert np.mean(raw) < 0.3
    assert np.mean(pooled) == pytest.approx(0.5, abs=0.06)


def test_estimators_without_scores_are_refused():
    with pytest.raises(TypeError, match="neither decision_function nor predict_proba"):
        decision_values(object(), np.zeros((1, 1)))
