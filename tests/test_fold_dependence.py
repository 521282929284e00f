import numpy as np
import pytest
from planted import constant_groups, pairs, triplets

from empathy_geometry.evaluation.cross_validation import cross_validate
from empathy_geometry.evaluation.fold_dependence import left_out_scores, variance_inflation
from empathy_geometry.evaluation.metrics import auroc
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.texts.splits import grouped_folds


def refitted(probe, X, y, groups, fold, n_classes):
    """The same by fitting without each group, the scaling that of the whole training part."""
    Z = (X - X[fold.train].mean(0)) / X[fold.train].std(0)
    plain = Probe(**{**probe.get_params(), "scale": False})
    whole = plain.fit(Z[fold.train], y[fold.train])
    train = whole.decision_function(Z[fold.train])
    unit = np.sqrt(((train - train.mean(0)) ** 2).mean())
    scores = []
    for g in range(groups.max() + 1):
        keep = fold.train[groups[fold.train] != g]
        fitted = plain.fit(Z[keep], y[keep])
        scores.append((fitted.decision_function(Z[fold.test]) - fitted.decision_function(Z[keep]).mean(0)) / unit)
    return np.array(scores)


@pytest.mark.parametrize("d", [5, 60])
@pytest.mark.parametrize("data", [pairs, constant_groups, triplets])
@pytest.mark.parametrize(
    ("probe", "tolerance"),
    [
        (Probe("ridge"), 1e-9),
        (Probe("mean_difference"), 1e-9),
        (Probe("logistic", C=0.01), 0.15),
        (Probe("lda", shrinkage=0.5), 0.5),
    ],
    ids=str,
)
def test_left_out_scores_equal_refitting(probe, tolerance, data, d):
    X, y, groups = data(15, d=d)
    n_classes = len(np.unique(y))
    fold = grouped_folds(y, groups=groups)[0]
    found = left_out_scores(probe, X, y, groups, fold, n_classes)
    expected = refitted(probe, X, y, groups, fold, n_classes)
    absent = int(groups[fold.test][0])
    changed, should = found - found[absent], expected - expected[absent]
    assert np.abs(changed - should).max() <= tolerance * np.abs(should).max()
    assert np.corrcoef(changed.ravel(), should.ravel())[0, 1] > 0.9


def test_foreign_estimators_have_none():
    X, y, groups = pairs()
    assert left_out_scores(object(), X, y, groups, grouped_folds(y, groups=groups)[0], 2) is None


def test_independent_training_rows_need_no_inflation():
    rng = np.random.default_rng(0)
    y, groups = np.tile([0, 1], 20), np.repeat(np.arange(20), 2)
    scores = rng.normal(size=40)
    assert variance_inflation(scores, np.repeat(scores[None], 20, axis=0), y, groups) == 1.0


def test_noise_doubles_the_variance_in_many_dimensions():
    found = []
    for seed in range(20):
        X, y, groups = pairs(30, 200, seed=seed)
        found.append(cross_validate(Probe("ridge"), X, y, groups=groups, seed=seed).variance_inflation)
    assert 1.6 < np.mean(found) < 2.0


def test_many_rows_in_few_dimensions_with_a_signal_hardly_need_it():
    X, y, groups = pairs(150, 2, strength=1.5)
    assert cross_validate(Probe("ridge"), X, y, groups=groups).variance_inflation < 1.15


def test_noise_is_covered_where_the_given_scores_interval_fails():
    covered, naive = 0, 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        X, y, groups = rng.normal(size=(60, 60)), np.tile([0, 1], 30), np.repeat(np.arange(30), 2)
        found = cross_validate(Probe("mean_difference"), X, y, groups=groups, seed=seed)
        given = auroc(found.scores, y, groups=groups)
        covered += found.auroc.low <= 0.5 <= found.auroc.high
        naive += given.low <= 0.5 <= given.high
    assert covered / 150 > 0.92
    assert naive / 150 < 0.88
