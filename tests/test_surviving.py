"""The share of an AUROC that survives, and an interval over scenarios."""

import numpy as np
import pytest

from empathy_geometry.evaluation.metrics import auroc
from empathy_geometry.evaluation.surviving import surviving_share


def scored(n_groups=30, seed=0, inflation=1.0):
    rng = np.random.default_rng(seed)
    y, groups = np.tile([False, True], n_groups), np.repeat(np.arange(n_groups), 2)
    before = rng.normal(size=2 * n_groups) + 2.0 * y
    return before, before + 1.5 * rng.normal(size=2 * n_groups), y, groups


def copied(x):
    return np.repeat(x, 4)


def test_interval_is_over_scenarios_so_copies_of_rows_add_nothing():
    before, after, y, groups = scored()
    once = surviving_share(before, after, y, groups, level=0.95, seed=0, inflation=1.0)
    many = surviving_share(*map(copied, (before, after, y, groups)), level=0.95, seed=0, inflation=1.0)
    assert many.value == pytest.approx(once.value)
    assert (many.low, many.high) == pytest.approx((once.low, once.high))
    assert once.low < once.value < once.high
    assert (many.n, many.n_groups) == (240, 30)


def test_interval_is_the_jackknifes():
    before, after, y, groups = scored()

    def area(s, kept):
        return np.mean(s[kept & y][:, None] > s[kept & ~y][None, :])

    def share(kept):
        return (area(after, kept) - 0.5) / (area(before, kept) - 0.5)

    found = surviving_share(before, after, y, groups, level=0.95, seed=0, inflation=1.0)
    left_out = np.array([share(groups != g) for g in range(30)])
    error = np.sqrt(29 / 30 * ((left_out - left_out.mean()) ** 2).sum())
    assert found.value == pytest.approx(share(groups >= 0))
    assert 2.04 * error < (found.high - found.low) / 2 < 2.6 * error  # Student's quantile with at most 29 df


def test_nothing_survives_of_scores_that_know_nothing():
    before, _, y, groups = scored()
    gone = surviving_share(
        before, np.random.default_rng(1).normal(size=60), y, groups, level=0.95, seed=0, inflation=1.0
    )
    assert gone.low < 0 < gone.high < 0.9
    assert surviving_share(before, -before, y, groups, level=0.95, seed=0, inflation=1.0).value == pytest.approx(-1)
    noise = np.random.default_rng(2).normal(size=60)
    assert surviving_share(noise, before, y, groups, level=0.95, seed=0, inflation=1.0) is None


def test_inflation_widens_the_interval_and_raises_what_counts_as_read():
    before, after, y, groups = scored()
    plain, inflated = (surviving_share(before, after, y, groups, level=0.95, seed=0, inflation=f) for f in (1.0, 1.69))
    assert inflated.value == plain.value
    assert inflated.high - inflated.low == pytest.approx(1.3 * (plain.high - plain.low))
    rng = np.random.default_rng(4)
    weak = rng.normal(size=60) + 0.75 * y
    low = [auroc(weak, y, groups=groups, inflation=f).low for f in (1.0, 4.0)]
    assert low[0] > 0.5 > low[1]
    assert surviving_share(weak, after, y, groups, level=0.95, seed=0, inflation=1.0) is not None
    assert surviving_share(weak, after, y, groups, level=0.95, seed=0, inflation=4.0) is None
