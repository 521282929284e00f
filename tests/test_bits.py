"""Bits against numerical integration and scikit-learn; null, ceiling, ties and intervals."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.neighbors import KernelDensity

import empathy_geometry as eg
from empathy_geometry.steering.bits import bits_of, mutual_information


def gaussian_channel(means):
    """Bits between equally likely inputs and output = mean + standard normal, by integration."""
    y = np.linspace(min(means) - 9, max(means) + 9, 20_001)
    density = norm.pdf(y[:, None], np.asarray(means)).mean(axis=1)
    entropy = -np.trapezoid(density * np.log2(np.maximum(density, 1e-300)), y)
    return entropy - 0.5 * np.log2(2 * np.pi * np.e)


def channel(step, *, n_alphas=6, n_prompts=16, seed=0):
    return step * np.arange(n_alphas)[:, None] + np.random.default_rng(seed).standard_normal((n_alphas, n_prompts))


def information(scores):
    return mutual_information(scores)


@pytest.mark.parametrize("step", [0.0, 0.5, 1.0, 2.0, 6.0])
@pytest.mark.parametrize(("n_prompts", "tolerance"), [(8, 0.11), (12, 0.09), (64, 0.05)])
def test_a_gaussian_channels_information_is_recovered(step, n_prompts, tolerance):
    truth = gaussian_channel(step * np.arange(6))
    found = [information(channel(step, n_prompts=n_prompts, seed=s)) for s in range(25)]
    assert np.mean(found) == pytest.approx(truth, abs=tolerance)


def test_without_information_it_is_close_to_zero_and_not_cut_off_there():
    found = np.array([information(channel(0.0, seed=s)) for s in range(120)])
    assert 0 < found.mean() < 0.06
    assert found.min() < 0


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), step=st.floats(0.5, 1.5))
def test_it_equals_scikit_learns_densities(seed, step):
    """Densities of scikit-learn, with the score's own column and without it, and the mean of the two in bits."""
    y = channel(step, seed=seed, n_prompts=10)
    y = (y - y.mean()) / y.std()
    bits = []
    for leave_out in (False, True):
        for column in range(10):
            kept = np.arange(10) != column if leave_out else np.ones(10, dtype=bool)
            # The width is that of all columns.
            densities = [KernelDensity(bandwidth=1.06 * 10**-0.2 * row.std(ddof=1)).fit(row[kept, None]) for row in y]
            f = np.exp([density.score_samples(y[:, [column]]) for density in densities])
            bits.append(np.log2(np.maximum(np.diag(f) / f.mean(axis=0), 0.01)).mean())
    assert information(y) == pytest.approx(np.mean(bits), abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), step=st.floats(0, 50), n_alphas=st.integers(2, 9), shift=st.floats(-5, 5))
def test_it_never_exceeds_its_ceiling_and_has_no_unit(seed, step, n_alphas, shift):
    y = channel(step, n_alphas=n_alphas, n_prompts=8, seed=seed)
    found = information(y)
    assert -0.8 < found <= np.log2(n_alphas)
    assert information(3.0 * y + shift) == pytest.approx(found, abs=1e-6)
    assert information(y[::-1]) == pytest.approx(found, abs=1e-6)


def test_alphas_that_changed_nothing_are_not_told_apart():
    """Greedy text is the same for small alphas; equal scores must not count as information."""
    assert information(np.zeros((4, 40))) == pytest.approx(0, abs=1e-9)
    half = np.zeros((4, 40))
    half[2:] = 10.0
    assert information(half) == pytest.approx(1.0, abs=1e-6)


def test_the_null_permutes_within_prompts_and_p_is_small_only_with_information():
    nothing = [bits_of(channel(0.0, n_prompts=8, seed=s), n_permutations=39, seed=s) for s in range(60)]
    assert np.mean([b.pvalue <= 0.05 for b in nothing]) <= 0.13
    assert 0.3 < np.mean([b.pvalue for b in nothing]) < 0.7
    something = bits_of(channel(1.0, seed=3), n_permutations=99)
    assert something.pvalue == 0.01
    assert something.null_mean < something.null_95 < something.value
    # Prompts that differ from each other carry no information on alpha, however large the differences.
    offsets = bits_of(channel(0.0, seed=4) + 100 * np.arange(16.0), n_permutations=99)
    assert offsets.pvalue > 0.05


@pytest.mark.parametrize(("step", "n_prompts"), [(0.0, 8), (1.0, 8), (2.0, 8), (4.0, 8), (2.0, 16)])
def test_the_interval_covers_about_as_often_as_it_says(step, n_prompts):
    truth = gaussian_channel(step * np.arange(6.0))
    found = [bits_of(channel(step, n_prompts=n_prompts, seed=s), n_permutations=0, seed=s) for s in range(80)]
    assert np.mean([b.low <= truth <= b.high for b in found]) >= 0.9
    assert all(b.low <= b.value <= b.high <= b.ceiling for b in found)


def test_scores_that_spread_differently_are_no_less_told_apart():
    """Densities of one width for all alphas lose 0.1 bits here."""
    widths, y = np.array([0.3, 0.5, 0.8, 1.1, 1.5]), np.linspace(-12, 12, 40_001)
    density = norm.pdf(y[:, None], 0.0, widths)
    truth = np.trapezoid(
        (density * np.log2(density.clip(1e-300) / density.mean(axis=1).clip(1e-300)[:, None])).mean(axis=1), y
    )
    found = [information(widths[:, None] * channel(0.0, n_alphas=5, seed=s)) for s in range(60)]
    assert np.mean(found) == pytest.approx(truth, abs=0.06)


def test_one_stray_score_costs_little():
    y = channel(2.0, n_prompts=16)
    before = information(y)
    y[0, 0] = 8.0
    assert before - 0.25 < information(y) < before + 0.05


def test_at_the_ceiling_the_interval_still_says_what_so_few_prompts_cannot_exclude():
    found = bits_of(channel(6.0, n_prompts=8), n_permutations=9)
    assert found.value == pytest.approx(np.log2(6), abs=1e-4)
    assert found.high == found.ceiling == pytest.approx(np.log2(6))
    assert found.low < gaussian_channel(6.0 * np.arange(6)) < found.high
    more = bits_of(channel(12.0, n_prompts=60), n_permutations=9)
    assert found.low < more.low
    assert more.levels == pytest.approx(6)


def sweep_of(alphas, concept, coherence):
    """What the function reads of a sweep."""
    alphas = np.asarray(alphas, dtype=float)
    coherence = np.broadcast_to(np.asarray(coherence, dtype=float)[:, None], concept.shape)
    return SimpleNamespace(alphas=alphas, concept=concept, coherence=coherence, units="class_gap")


def test_only_coherent_alphas_count_and_zero_does_not():
    alphas = [-3, -2, -1, 0, 1, 2, 3]
    concept = 8.0 * np.asarray(alphas)[:, None] + np.random.default_rng(0).standard_normal((7, 12))
    concept[3] = 0.0
    found = eg.steering.bandwidth_in_bits(
        sweep_of(alphas, concept, [0.1, 0.8, 0.9, 1.0, 0.9, 0.4, 0.1]), n_permutations=49
    )
    assert found.alphas == (-2.0, -1.0, 1.0)
    assert found.value == pytest.approx(np.log2(3))
    assert isinstance(found, eg.Estimate)
    assert "bits of at most 1.585 (3 coherent alphas, 12 prompts)" in str(found)
    assert found.to_dict()["alphas"] == (-2.0, -1.0, 1.0)


def test_what_cannot_be_measured_is_refused():
    concept = channel(1.0, n_alphas=3, n_prompts=8)
    with pytest.raises(ValueError, match="at least two coherent alphas besides 0, got 1"):
        eg.steering.bandwidth_in_bits(sweep_of([0, 1, 2], concept, [1.0, 0.9, 0.1]))
    with pytest.raises(ValueError, match="at least 3 prompts, got 2"):
        bits_of(channel(1.0, n_prompts=2))
    with pytest.raises(ValueError, match="two alphas or more"):
        bits_of(np.ones((1, 9)))
