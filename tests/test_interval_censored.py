"""Interval-censored crossings: against scipy, a direct optimiser, a published estimate and a planted distribution."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import CensoredData, ecdf

import empathy_geometry as eg
from empathy_geometry.steering.interval_censored import crossing_intervals, median_crossing

INF = float("inf")
GRID = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0])


def sweep_of(coherence, alphas=GRID):
    """What the functions read of a sweep."""
    return SimpleNamespace(alphas=np.asarray(alphas), coherence=np.asarray(coherence), units="class_gap")


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_exact_and_right_censored_values_give_kaplan_meier(seed):
    rng = np.random.default_rng(seed)
    crossed, end = rng.integers(1, 9, size=20).astype(float), rng.integers(3, 12, size=20).astype(float)
    seen = crossed <= end
    found = median_crossing(np.where(seen, [crossed, crossed], [end, np.full(20, INF)]).T)
    expected = ecdf(CensoredData(crossed[seen], right=end[~seen])).sf
    at = np.unique(crossed[seen])
    mass = {high: m for (low, high), m in zip(found.cells, found.masses, strict=True) if low == high}
    survival = 1 - np.cumsum([mass.get(x, 0.0) for x in at])
    np.testing.assert_allclose(survival, expected.evaluate(at), atol=1e-3)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_no_optimiser_finds_a_likelier_distribution(seed):
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 6, size=12).astype(float)
    high = np.where(rng.random(12) < 0.25, INF, low + rng.integers(1, 5, size=12))
    found = median_crossing(np.stack([low, high], axis=1))
    # Over all cells of the grid, not only those that the theory says can carry mass.
    edges = np.unique(np.append(np.concatenate([low, high]), 0.0))
    inside = (edges[:-1] >= low[:, None]) & (edges[1:] <= high[:, None])

    def loss(z):
        p = np.exp(z - z.max())
        return -np.log(inside @ (p / p.sum()) + 1e-300).mean()

    best = min(minimize(loss, rng.normal(size=len(edges) - 1), method="BFGS").fun for _ in range(2))
    contains = (found.cells[:, 0] >= low[:, None]) & (found.cells[:, 1] <= high[:, None])
    ours = -np.log(contains @ found.masses).mean()
    assert ours <= best + 1e-4
    assert found.masses.min() >= 0
    assert found.masses.sum() == pytest.approx(1)


def test_a_published_estimate_is_reproduced():
    """Breast retraction after radiotherapy, Finkelstein & Wolfe (1985), Biometrics 41; 46 women, months."""
    censored = [45, 46, 46, 17, 15, 22, 46, 46, 46, 46, 46, 37, 40, 46, 38, 37, 18, 24, 36, 24, 32, 33, 37, 34, 36]
    between = [(6, 10), (0, 7), (7, 16), (7, 14), (37, 44), (0, 8), (4, 11), (11, 15), (25, 37), (26, 40), (27, 34)]
    between += [(36, 44), (36, 48), (17, 25), (11, 18), (5, 12), (0, 5), (5, 11), (19, 35), (17, 25), (19, 26)]
    assert len(censored) + len(between) == 46
    found = median_crossing([*((c, INF) for c in censored), *between])
    kept = found.masses > 1e-3
    cells = [(4, 5), (6, 7), (7, 8), (11, 12), (24, 25), (33, 34), (38, 40), (46, 48)]
    assert [tuple(c) for c in found.cells[kept]] == cells
    masses = [0.0463, 0.0334, 0.0887, 0.0708, 0.0926, 0.0818, 0.1209, 0.4656]
    np.testing.assert_allclose(found.masses[kept], masses, atol=1e-4)


def planted(n, seed, *, median=1.2, spread=0.4):
    """Prompts that break at log-normal strengths; coherence falls linearly through 0.7 there."""
    at = median * np.exp(spread * np.random.default_rng(seed).standard_normal(n))
    return at, np.clip(1 - 0.3 * GRID[:, None] / at, 0, 1)


def test_a_planted_distribution_is_recovered():
    at, coherence = planted(4000, 1)
    found = eg.steering.crossings(sweep_of(coherence))
    # Of the distribution only its values at the grid are identified.
    np.testing.assert_allclose(found.survival(GRID), [(at > a).mean() for a in GRID], atol=1e-9)
    assert found.median.value == pytest.approx(1.2, abs=0.05)
    assert found.n_censored == (at > 3).sum()


def test_the_medians_interval_covers_about_as_often_as_it_says():
    truth = eg.steering.crossings(sweep_of(planted(200_000, 99)[1])).median.value
    medians = [eg.steering.crossings(sweep_of(planted(15, s)[1])).median for s in range(200)]
    # A sign test of 15 has few levels and the grid is coarse: above 95 %, and yet no wider than the sample allows.
    assert np.mean([m.low <= truth <= m.high for m in medians]) >= 0.93
    assert np.mean([m.high / m.low for m in medians]) < 2.2


def test_four_prompts_cannot_bound_a_median_at_95_percent_and_five_can():
    four, five = (eg.steering.crossings(sweep_of(planted(n, 3)[1])).median for n in (4, 5))
    assert (four.low, four.high) == (0.0, INF)
    assert str(four).endswith("[0.000, open)")
    assert five.low < five.value < five.high < INF
    assert eg.steering.crossings(sweep_of(planted(4, 3)[1]), level=0.8).median.high < INF


def test_a_median_that_few_prompts_leave_open_above_says_so():
    at = np.array([0.6, 0.8, 1.0, 1.2, 1.4, 9.0, 9.0, 9.0, 9.0])
    found = eg.steering.crossings(np.clip(1 - 0.3 * GRID[:, None] / at, 0, 1), alphas=GRID).median
    assert found.censored is None
    assert found.high == INF
    assert found.to_dict()["high"] is None


def test_the_median_ignores_a_few_fragile_prompts_and_the_mean_does_not():
    coherence = np.full((6, 9), 0.9)
    coherence[5] = 0.1
    broken = coherence.copy()
    broken[1:, :3] = 0.0
    sound, some = sweep_of(coherence), sweep_of(broken)
    assert eg.steering_range(some).value < 1 < 2 < eg.steering_range(sound).value
    typical = [eg.steering_range(s, method="turnbull").value for s in (some, sound)]
    assert typical[0] > 2
    assert typical[1] > 2


def test_a_median_beyond_the_grid_is_censored():
    coherence = np.full((6, 5), 0.9)
    coherence[2:, 0] = 0.2
    found = eg.steering.crossings(sweep_of(coherence))
    assert (found.median.value, found.median.censored, found.n_censored) == (3.0, "right", 4)
    assert str(found).startswith("median crossing >= 3.000")
    assert "beyond" in str(found)
    assert np.isnan(found.survival([4.0])).all()
    range_ = eg.steering_range(sweep_of(coherence), method="turnbull")
    assert range_.censored == "right"
    assert "Turnbull" in range_.method
    assert found.to_dict()["cells"][-1][1] is None
    assert found.to_frame()["censored"].sum() == 4


def test_a_prompt_that_recovers_is_decided_by_the_rule():
    column = np.array([1.0, 0.9, 0.5, 0.8, 0.3, 0.1])[:, None]
    assert crossing_intervals(GRID, column).tolist() == [[0.5, 1.0]]
    assert crossing_intervals(GRID, column, rule="wide").tolist() == [[0.5, 2.0]]
    late = np.array([1.0, 0.9, 0.5, 0.5, 0.5, 0.9])[:, None]
    assert crossing_intervals(GRID, late, rule="wide").tolist() == [[0.5, INF]]
    unsteered_fails = np.array([0.6, 0.9, 0.9, 0.5, 0.5, 0.5])[:, None]
    assert crossing_intervals(GRID, unsteered_fails).tolist() == [[0.0, 0.0]]


def test_both_signs_are_read_from_one_sweep():
    alphas = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    coherence = np.array([0.1, 0.2, 1.0, 0.9, 0.9])[:, None].repeat(3, axis=1)
    found = {sign: eg.steering.crossings(sweep_of(coherence, alphas), sign=sign).median for sign in (1, -1)}
    assert found[1].censored == "right"
    assert found[-1].value == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("intervals", "message"),
    [
        ([[2.0, 1.0]], "0 <= low <= high"),
        ([[-1.0, 1.0]], "0 <= low <= high"),
        ([[float("nan"), 1.0]], "0 <= low <= high"),
        ([1.0, 2.0], r"must be \[n, 2\]"),
    ],
)
def test_bad_intervals_are_named(intervals, message):
    with pytest.raises(ValueError, match=message):
        median_crossing(intervals)


def test_options_are_checked():
    with pytest.raises(ValueError, match="method must be one of 'isotonic', 'turnbull'"):
        eg.steering_range(sweep_of(np.ones((6, 2))), method="weibull")
    with pytest.raises(ValueError, match="rule must be one of"):
        crossing_intervals(GRID, np.ones((6, 2)), rule="last")
