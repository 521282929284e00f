import numpy as np
import pytest
from planted import pairs
from sklearn.dummy import DummyClassifier
from test_permutation import Foreign

from empathy_geometry.evaluation.control_task import selectivity
from empathy_geometry.evaluation.cross_validation import cross_validate
from empathy_geometry.geometry.probes import Probe


def test_a_probe_that_reads_types_is_not_selective():
    rng = np.random.default_rng(0)
    groups, types = np.repeat(np.arange(60), 2), rng.integers(0, 6, 120)
    X = 4 * np.eye(6)[types] + 0.3 * rng.normal(size=(120, 6))
    y = (types < 3).astype(int)  # the label is a function of the type
    typed = selectivity(Probe("logistic"), X, y, groups=groups, types=types, seed=0)
    assert typed.accuracy.value > 0.95
    assert typed.control_accuracies.mean() > 0.9
    assert abs(typed.selectivity.value) < 0.1
    X2, y2, groups2 = pairs(60, 6, strength=6.0)
    concept = selectivity(Probe("logistic"), X2, y2, groups=groups2, types=types, seed=0)
    assert concept.selectivity.low > 0.3
    assert "control (20 sets)" in str(concept)


def test_batched_equals_one_by_one():
    X, y, groups = pairs(15, strength=1.0)
    types = np.arange(30) % 7
    fast, slow = (
        selectivity(p, X, y, groups=groups, types=types, n_controls=4, seed=0) for p in (Probe("lda"), Foreign("lda"))
    )
    assert (fast.control_accuracies == slow.control_accuracies).all()
    assert fast.selectivity.value == slow.selectivity.value
    # How much training folds of somebody else's probe share is not known, so the most is taken.
    assert slow.selectivity.low <= fast.selectivity.low <= fast.selectivity.high <= slow.selectivity.high


def test_bad_input_is_refused():
    X, y, groups = pairs(10)
    with pytest.raises(ValueError, match="at least two types"):
        selectivity(Probe("ridge"), X, y, groups=groups, types=np.zeros(20), seed=0)
    with pytest.raises(ValueError, match="one layer"):
        selectivity(Probe("ridge"), X[:, None].repeat(2, axis=1), y, groups=groups, types=np.arange(20), seed=0)
    with pytest.raises(ValueError, match="n_controls"):
        selectivity(Probe("ridge"), X, y, groups=groups, types=np.arange(20), n_controls=0, seed=0)


def test_intervals_count_that_scenarios_train_each_others_probe():
    rng = np.random.default_rng(0)
    X, y, groups = rng.normal(size=(60, 80)), np.tile([0, 1], 30), np.repeat(np.arange(30), 2)
    X[1::2, 0] += 2
    found = selectivity(Probe("ridge"), X, y, groups=groups, types=groups % 10, seed=0)
    evaluation = cross_validate(Probe("ridge"), X, y, groups=groups)
    assert evaluation.variance_inflation > 1.1
    assert found.accuracy.low == pytest.approx(evaluation.accuracy.low)
    assert "shared training rows" in found.selectivity.method


class MajorityVote(DummyClassifier):
    """Predicts the more frequent class of the training rows, whatever the rows are."""

    def decision_function(self, X):
        return np.zeros(len(X))


def test_control_labels_are_as_frequent_as_the_classes():
    y, groups = np.arange(400) % 5 == 0, np.arange(400)
    X = np.random.default_rng(0).normal(size=(400, 2))
    found = selectivity(MajorityVote(), X, y.astype(int), groups=groups, types=groups // 2, seed=0)
    assert found.accuracy.value == pytest.approx(0.8)
    assert found.control_accuracies.mean() == pytest.approx(0.8, abs=0.02)
    assert abs(found.selectivity.value) < 0.02


def test_selectivity_is_over_all_control_sets_and_scenarios():
    X, y, groups = pairs(25, 6, strength=2.0)
    found = selectivity(Probe("ridge"), X, y, groups=groups, types=groups % 8, n_controls=9, seed=0)
    assert len(np.unique(found.control_accuracies)) > 2
    assert found.selectivity.value == pytest.approx(found.accuracy.value - found.control_accuracies.mean())
    assert found.selectivity.n_groups == 25
    more = selectivity(Probe("ridge"), X, y, groups=groups, types=groups % 8, n_controls=9, seed=1)
    assert not np.array_equal(more.control_accuracies, found.control_accuracies)


def test_copies_of_rows_do_not_narrow_the_interval():
    X, y, groups = pairs(25, 6, strength=1.0)
    types = np.arange(50) % 8

    def width(k):
        copy = lambda a: np.repeat(a, k, axis=0)  # noqa: E731
        found = selectivity(
            Probe("mean_difference"), copy(X), copy(y), groups=copy(groups), types=copy(types), n_controls=5, seed=0
        ).selectivity
        return found.high - found.low

    assert width(3) == pytest.approx(width(1), rel=0.02)


def test_the_interval_counts_shared_training_rows_and_scenarios():
    X, y, groups = pairs(12, 6, strength=2.0)
    types = np.arange(24) % 5
    found = [selectivity(p, X, y, groups=groups, types=types, seed=0) for p in (Probe("ridge"), Foreign("ridge"))]
    assert found[0].accuracy.value == found[1].accuracy.value
    own = cross_validate(Probe("ridge"), X, y, groups=groups, seed=0).variance_inflation
    widths = [f.selectivity.high - f.selectivity.low for f in found]
    assert widths[1] / widths[0] == pytest.approx((2 / own) ** 0.5)
