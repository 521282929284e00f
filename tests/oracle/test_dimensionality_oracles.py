"""Dimensionality against brute force over all tuples of rows, published constants and plain linear algebra."""

import itertools

import numpy as np
import pytest

from empathy_geometry.dimensionality.hard_threshold import hard_threshold_rank
from empathy_geometry.dimensionality.participation import corrected_participation, mean_share, naive_participation
from empathy_geometry.dimensionality.ranks import components_for, entropy_rank, fractional_components_for
from empathy_geometry.dimensionality.rarefaction import check_sizes, rarefaction
from empathy_geometry.dimensionality.spectrum import second_moment_spectrum

ROWS = np.random.default_rng(0).standard_t(4, size=(7, 5)) * [3, 2, 1, 1, 0.5] + [2, 0, 0, 0, 0]


def test_uncentred_ratio_is_that_of_means_over_pairs_of_rows():
    pairs = list(itertools.permutations(ROWS, 2))
    numerator = np.mean([(x @ x) * (y @ y) for x, y in pairs])
    denominator = np.mean([(x @ y) ** 2 for x, y in pairs])
    assert corrected_participation(ROWS @ ROWS.T, center=False) == pytest.approx(numerator / denominator)
    assert mean_share(ROWS @ ROWS.T) == pytest.approx(
        np.mean([x @ y for x, y in pairs]) / np.mean([x @ x for x in ROWS])
    )


def test_centred_ratio_is_that_of_means_over_four_different_rows():
    """Differences of rows have twice the covariance and no mean: E[(a - b).(c - d)]^2 = 4 tr Sigma^2."""
    fours = list(itertools.permutations(ROWS, 4))
    numerator = np.mean([((a - b) @ (a - b)) * ((c - d) @ (c - d)) for a, b, c, d in fours])
    denominator = np.mean([((a - b) @ (c - d)) ** 2 for a, b, c, d in fours])
    assert corrected_participation(ROWS @ ROWS.T, center=True) == pytest.approx(numerator / denominator)


def test_naive_ratio_and_spectrum_are_those_of_the_covariance():
    for center in (False, True):
        x = ROWS - ROWS.mean(axis=0) if center else ROWS
        values = np.linalg.eigvalsh(x.T @ x / (6 if center else 7))[::-1]
        assert naive_participation(ROWS @ ROWS.T, center=center) == pytest.approx(values.sum() ** 2 / (values**2).sum())
        spectrum = second_moment_spectrum(ROWS @ ROWS.T, center=center)
        assert len(spectrum) == (6 if center else 7)
        assert spectrum[:5] == pytest.approx(values)
        assert spectrum[5:] == pytest.approx(0, abs=1e-12)


# Gavish & Donoho (2014), table IV: the threshold in medians of the singular values.
@pytest.mark.parametrize(("beta", "omega"), [(0.05, 1.5194), (0.1, 1.6089), (0.5, 2.1711), (1.0, 2.8582)])
def test_hard_threshold_is_the_published_one(beta, omega):
    n, d = (int(100 * beta), 100) if beta < 1 else (100, 100)
    for shape in ((n, d), (d, n)):
        singular = np.ones(min(shape))
        for factor, expected in ((0.999, 0), (1.001, 2)):
            singular[:2] = factor * omega
            assert hard_threshold_rank(singular, *shape) == expected


def test_counts_of_plain_spectra():
    assert components_for(np.array([9.0, 1.0])) == 1  # exactly 90 %
    assert components_for(np.array([8.9, 1.1])) == 2
    assert components_for(np.ones(20), 0.5) == 10
    assert components_for(np.ones(4), 1.0) == 4
    assert fractional_components_for(np.ones(20), 0.52) == pytest.approx(10.4)
    assert fractional_components_for(np.array([4.0, 1.0]), 0.4) == pytest.approx(0.5)
    # Singular values 2, 1, 1: shares 1/2, 1/4, 1/4, entropy 1.5 bits.
    assert entropy_rank(np.array([4.0, 1.0, 1.0, 0.0])) == pytest.approx(2**1.5)
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        components_for(np.ones(4), 0.0)


@pytest.mark.parametrize("center", [False, True])
def test_rarefaction_averages_random_subsets(center):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((40, 30)) + np.eye(30)[0]
    found = rarefaction(x, [10, 40], center=center, n_draws=400, seed=0)
    assert found.at(40)["participation_ratio"] == pytest.approx(corrected_participation(x @ x.T, center=center))
    drawn = [x[rng.permutation(40)[:10]] for _ in range(400)]
    naive = [naive_participation(part @ part.T, center=center) for part in drawn]
    k90 = [components_for(second_moment_spectrum(part @ part.T, center=center)) for part in drawn]
    ratio = [corrected_participation(part @ part.T, center=center) for part in drawn]
    assert found.at(10)["participation_ratio_naive"] == pytest.approx(np.mean(naive), rel=0.01)
    assert found.at(10)["k90"] == pytest.approx(np.mean(k90), rel=0.02)
    assert found.at(10)["participation_ratio"] == pytest.approx(np.median(ratio), rel=0.15)
    assert check_sizes([9, 6, 9], 40) == (6, 9)
    for bad in ([5], [41], []):
        with pytest.raises(ValueError, match="from 6 to 40"):
            check_sizes(bad, 40)
