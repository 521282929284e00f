import numpy as np
import pytest
from planted import constant_groups, pairs

from empathy_geometry.texts.splits import Fold, check_folds, grouped_folds


@pytest.mark.parametrize("data", [pairs(), constant_groups()])
def test_groups_stay_together_and_classes_spread(data):
    _, y, groups = data
    folds = grouped_folds(y, groups=groups, n_splits=4, seed=3)
    assert sorted(np.concatenate([f.test for f in folds])) == list(range(len(y)))
    for fold in folds:
        assert not set(groups[fold.train]) & set(groups[fold.test])
        assert abs(y[fold.test].mean() - y.mean()) < 0.21
    assert check_folds(folds, y, groups=groups) == folds


def test_seed_decides():
    _, y, groups = pairs()
    again = grouped_folds(y, groups=groups, seed=1)
    assert all((a.test == b.test).all() for a, b in zip(grouped_folds(y, groups=groups, seed=1), again, strict=True))
    assert any(
        len(a.test) != len(b.test) or (a.test != b.test).any()
        for a, b in zip(grouped_folds(y, groups=groups, seed=2), again, strict=True)
    )


def test_ungrouped_rows_are_their_own_groups():
    assert len(grouped_folds([0, 1] * 5, groups=None)) == 5


@pytest.mark.parametrize(
    ("y", "groups", "n_splits", "message"),
    [
        ([0, 1] * 2, ["a", "a", "b", "b"], 5, "n_splits=2"),
        ([0, 1] * 2, ["a", "a", "b", "b"], 1, "at least 2"),
        ([0, 1, 1, 1], ["a", "b", "c", "d"], 2, "two groups"),
        ([0, 1], ["a"], 2, "one entry for each"),
    ],
)
def test_impossible_folds_are_refused(y, groups, n_splits, message):
    with pytest.raises(ValueError, match=message):
        grouped_folds(y, groups=groups, n_splits=n_splits)


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ([], "empty"),
        ([Fold(np.array([2, 3]), np.array([0, 1]))], "exactly once"),
        (
            [Fold(np.array([1, 3]), np.array([0, 2])), Fold(np.array([0, 2]), np.array([1, 3]))],
            "training and test at once",
        ),
    ],
)
def test_bad_folds_are_refused(folds, message):
    with pytest.raises(ValueError, match=message):
        check_folds(folds, [0, 1, 0, 1], groups=["a", "a", "b", "b"])


def test_folds_whose_training_lacks_a_class_are_refused():
    folds = [Fold(np.array([2, 3]), np.array([0, 1])), Fold(np.array([0, 1]), np.array([2, 3]))]
    with pytest.raises(ValueError, match="lacks class"):
        check_folds(folds, [0, 0, 1, 1], groups=["a", "b", "c", "d"])
