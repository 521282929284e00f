import numpy as np
import pytest
from scipy.stats import t as student

from empathy_geometry.foundation.jackknife import blocks_of, jackknife_interval


def test_delete_one_interval_of_a_mean_is_close_to_students():
    x = np.random.default_rng(0).standard_normal(40)
    low, high = jackknife_interval(x.mean(), [np.delete(x, i).mean() for i in range(40)], level=0.95)
    half = student.ppf(0.975, 39) * x.std(ddof=1) / np.sqrt(40)
    assert (high + low) / 2 == pytest.approx(x.mean())
    assert (high - low) / 2 == pytest.approx(half, rel=0.05)


def test_blocks_cover_each_row_once():
    blocks = blocks_of(23, 5, np.random.default_rng(0))
    left_out = np.concatenate([np.setdiff1d(np.arange(23), b) for b in blocks])
    assert sorted(left_out) == list(range(23))


def test_scales_respect_their_range():
    low, high = jackknife_interval(9.5, [9.0, 9.4, 9.8, 9.9], level=0.95, scale="logit", ceiling=10)
    assert 0 < low < 9.5 < high < 10
    assert jackknife_interval(1.0, [0.5, 2.0, 1.5], level=0.95, scale="log")[0] > 0


@pytest.mark.parametrize("replicates", [[1.0, np.inf], [1.0, np.nan], [1.0, -1.0]])
def test_undefined_replicates_give_no_interval(replicates):
    assert jackknife_interval(1.0, replicates, level=0.95, scale="log") is None
