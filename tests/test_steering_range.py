"""The crossing is recovered where it is, and a bound is given where there is none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.steering.range import crossing, steering_range

GRID = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0])


def planted(at: float, *, n_prompts: int = 12, noise: float = 0.02, seed: int = 0) -> np.ndarray:
    """Coherence that falls linearly and passes 0.7 at `at`."""
    clean = np.clip(1 - 0.3 * GRID / at, 0, 1)
    return np.clip(clean[:, None] + noise * np.random.default_rng(seed).standard_normal((len(GRID), n_prompts)), 0, 1)


@settings(max_examples=40, deadline=None)
@given(at=st.floats(0.3, 2.5), seed=st.integers(0, 100))
def test_a_planted_crossing_is_recovered(at, seed):
    estimate = crossing(GRID, planted(at, seed=seed), n_resamples=50)
    assert estimate.censored is None
    assert abs(estimate.value - at) < 0.15 * max(at, 1)


def test_the_interval_covers_the_planted_crossing_about_as_often_as_it_says():
    """Prompts differ in where they break; the interval must cover the crossing of the population's mean curve."""

    def prompts(n: int, seed: int) -> np.ndarray:
        at = np.random.default_rng(seed).normal(1.0, 0.25, size=n).clip(0.3)
        return np.clip(1 - 0.3 * GRID[:, None] / at, 0, 1)

    truth = crossing(GRID, prompts(100_000, 999).mean(axis=1)[:, None]).value
    estimates = [crossing(GRID, prompts(12, seed), n_resamples=300, seed=seed) for seed in range(100)]
    covered = sum(e.low <= truth <= e.high for e in estimates)
    assert 85 <= covered <= 99


@pytest.mark.parametrize("n_prompts", [4, 8])
def test_the_interval_covers_with_few_prompts_that_break_all_at_once(n_prompts):
    """Each text is whole or broken: near the crossing all of few prompts may be whole, and look certain."""
    grid = np.linspace(0, 6, 15)

    def prompts(n: int, seed: int) -> np.ndarray:
        at = np.random.default_rng(seed).normal(2.0, 0.7, size=n)
        return 1 / (1 + np.exp(np.clip((grid[:, None] - at) / 0.02, -50, 50)))

    truth = crossing(grid, prompts(100_000, 999).mean(axis=1)[:, None]).value
    estimates = [crossing(grid, prompts(n_prompts, seed), n_resamples=100) for seed in range(300)]
    # Inverting the t-test without pseudo-prompts covers 0.82 with four.
    assert np.mean([e.low <= truth <= e.high for e in estimates]) >= 0.92
    assert np.mean([e.high - e.low for e in estimates if e.high < 6]) < 3.2


def test_a_crossing_beyond_the_grid_leaves_no_closed_interval_that_misses_it():
    grid, truth = np.linspace(0, 3.9, 14), 4.0
    closed = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        at = truth + 0.6 * rng.normal(size=8)
        logits = (grid[:, None] - at) / 0.6 - np.log(7 / 3)
        e = crossing(grid, np.clip(1 / (1 + np.exp(logits)) + 0.03 * rng.normal(size=(14, 8)), 0, 1))
        if e.censored is None and np.isfinite(e.high):
            closed.append(e.low <= truth <= e.high)
    assert closed.count(False) <= 3


def test_an_upper_end_is_open_where_resamples_of_prompts_never_cross():
    """Two of eight prompts decide whether the mean crosses; without them it does not."""
    y = np.ones((len(GRID), 8))
    y[2:, :3] = 0.0
    e = crossing(GRID, y)
    assert e.censored is None
    assert e.high == np.inf
    assert str(e).endswith("open)")
    assert Estimate.from_dict(e.to_dict()) == e
    y[2:] = 0.0
    assert crossing(GRID, y).high < 1


def test_plain_numbers_are_taken_and_say_what_is_missing():
    y = planted(1.2)
    assert steering_range(y, alphas=GRID).value == crossing(GRID, y).value
    assert steering_range(y.tolist(), alphas=(-GRID).tolist(), sign=-1).value == crossing(GRID, y).value
    with pytest.raises(TypeError, match="with alphas="):
        steering_range(y)
    with pytest.raises(ValueError, match=r"coherence must be \[3, n_prompts\]"):
        steering_range(y, alphas=[0.0, 1.0, 2.0])


def test_no_crossing_is_censored_and_says_so():
    estimate = crossing(GRID, np.full((len(GRID), 5), 0.95))
    assert (estimate.value, estimate.censored) == (3.0, "right")
    assert str(estimate).startswith(">= 3.000")
    assert estimate.high == np.inf


def test_a_lucky_grid_point_beyond_a_failing_one_does_not_count():
    y = np.array([1.0, 0.9, 0.2, 0.75, 0.1, 0.1, 0.1, 0.1])[:, None].repeat(4, axis=1)
    assert crossing(GRID, y).value < 0.75


@settings(max_examples=30, deadline=None)
@given(scale=st.floats(0.1, 10), seed=st.integers(0, 50))
def test_the_crossing_scales_with_the_grid(scale, seed):
    y = planted(1.2, seed=seed)
    a, b = crossing(GRID, y, n_resamples=20), crossing(scale * GRID, y, n_resamples=20)
    assert b.value == pytest.approx(scale * a.value)
    assert b.low == pytest.approx(scale * a.low)


@pytest.mark.parametrize(
    ("magnitudes", "coherence", "threshold", "message"),
    [
        ([0.0, 1.0], [[1.0], [0.5]], 1.5, "threshold must lie strictly between"),
        ([1.0, 2.0], [[1.0], [0.5]], 0.7, "must hold 0"),
        ([0.0], [[1.0]], 0.7, "must hold 0 and at least one alpha"),
        ([0.0, 1.0], [[1.0]], 0.7, r"coherence must be \[2, n_prompts\]"),
        ([0.0, 1.0], [[1.0], [float("nan")]], 0.7, "must be finite"),
    ],
)
def test_bad_grids_are_named(magnitudes, coherence, threshold, message):
    with pytest.raises(ValueError, match=message):
        crossing(magnitudes, coherence, threshold=threshold)
