import itertools
import math

import numpy as np
import pytest

from empathy_geometry.evaluation.label_permutations import label_permutations


def test_pairs_swap_within():
    drawn = label_permutations([0, 1] * 3, groups=[0, 0, 1, 1, 2, 2]).draw(400, generator=np.random.default_rng(0))
    seen, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(seen) == 8
    assert counts.min() > 25


def test_triplets_take_every_order():
    permutations = label_permutations(["a", "b", "c"], groups=["g"] * 3)
    drawn = permutations.draw(600, generator=np.random.default_rng(1))
    assert {tuple(row) for row in drawn} == set(itertools.permutations(range(3)))
    assert permutations.n_distinct == pytest.approx(6)


def test_constant_groups_exchange_between_those_of_equal_size():
    y = np.repeat([0, 1, 0, 1, 1], [2, 2, 3, 3, 3])
    groups = np.repeat(np.arange(5), [2, 2, 3, 3, 3])
    permutations = label_permutations(y, groups=groups)
    drawn = permutations.draw(300, generator=np.random.default_rng(2))
    assert permutations.scheme == "between"
    assert permutations.n_distinct == pytest.approx(2 * 3)
    assert len(np.unique(drawn, axis=0)) == 6
    for g in range(5):
        assert (drawn[:, groups == g] == drawn[:, groups == g][:, :1]).all()
    assert (drawn[:, :4].sum(axis=1) == 2).all()


def test_mixed_designs_do_both():
    y, groups = [0, 1, 0, 0, 1, 1], [0, 0, 1, 1, 2, 2]
    permutations = label_permutations(y, groups=groups)
    assert permutations.scheme == "within and between"
    assert permutations.n_distinct == pytest.approx(4)
    assert label_permutations(y, groups=groups, scheme="within").n_distinct == pytest.approx(2)


def test_ungrouped_rows_permute_freely():
    permutations = label_permutations([0, 0, 1, 1, 2], groups=None)
    assert permutations.n_distinct == pytest.approx(math.factorial(5) / 4)
    assert (np.sort(permutations.draw(50, generator=np.random.default_rng(3)), axis=1) == [0, 0, 1, 1, 2]).all()


def test_order_of_rows_does_not_matter():
    rng = np.random.default_rng(4)
    order = rng.permutation(12)
    y, groups = np.tile([0, 1, 1], 4), np.repeat(np.arange(4), 3)
    drawn = label_permutations(y[order], groups=groups[order]).draw(50, generator=np.random.default_rng(0))
    for g in range(4):
        assert (np.sort(drawn[:, groups[order] == g], axis=1) == [0, 1, 1]).all()


@pytest.mark.parametrize(
    ("y", "groups", "scheme", "message"),
    [
        ([0, 1, 0, 1], [0, 0, 1, 1], "between", "one class per group"),
        ([0, 0, 1, 1], [0, 0, 1, 1], "within", "no group has two classes"),
        ([0, 0, 1, 1, 1], [0, 0, 1, 1, 1], "auto", "differ in size"),
        ([0, 1], [0, 1], "sideways", "scheme must be one of"),
    ],
)
def test_designs_without_permutations_are_refused(y, groups, scheme, message):
    with pytest.raises(ValueError, match=message):
        label_permutations(y, groups=groups, scheme=scheme)
