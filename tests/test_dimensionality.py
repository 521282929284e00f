import json
from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.stats import t as student

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.dimensionality import (
    dimensionality,
    dimensionality_of_activations,
    neutral_differences,
    participation_ratio,
    rarefaction,
)
from empathy_geometry.dimensionality.hard_threshold import marchenko_pastur_median
from empathy_geometry.dimensionality.parallel import isotropic_share, parallel_count
from empathy_geometry.dimensionality.participation import corrected_participation
from empathy_geometry.dimensionality.ranks import components_for
from empathy_geometry.dimensionality.replicable import replicable_components

SPECTRUM = 1 / np.arange(1, 2049)
TRUE_RATIO = SPECTRUM.sum() ** 2 / (SPECTRUM**2).sum()


def planted(n, seed, spectrum=SPECTRUM):
    return np.random.default_rng(seed).standard_normal((n, len(spectrum))) * np.sqrt(spectrum)


def concept(n, seed, *, rank=3, size=10.0, d=200):
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((d, rank)))[0].T
    return rng.standard_normal((n, d)) + size * rng.standard_normal((n, rank)) @ basis


def excess_in_rows(x, z, folds, reference_folds):
    """t of the first component, computed in rows: scaled by the reference rows of training, Welch's standard error."""
    along, floor = np.zeros(len(x)), np.zeros(len(z))
    for fold in np.unique(folds):
        size = np.sqrt((z[reference_folds != fold] ** 2).mean())
        first = np.linalg.svd(x[folds != fold])[2][0]
        along[folds == fold] = (x[folds == fold] @ first / size) ** 2
        floor[reference_folds == fold] = (z[reference_folds == fold] @ first / size) ** 2
    error = np.sqrt(along.var(ddof=1) / len(x) + floor.var(ddof=1) / len(z))
    return (along.mean() - floor.mean()) / error


@pytest.mark.parametrize(("n", "m"), [(12, 6), (6, 12)])
def test_a_component_counts_up_to_the_level_of_students_law_with_the_smaller_sets_degrees_of_freedom(n, m):
    rng = np.random.default_rng(3)
    x, z = rng.standard_normal((n, 40)), rng.standard_normal((m, 40))
    x[:, 0] *= 4
    folds = np.concatenate([np.arange(n) % 3, np.arange(m) % 3])
    t = excess_in_rows(x, z, folds[:n], folds[n:])
    level = student.cdf(t, min(n, m) - 1)
    assert 0.8 < level < 0.999
    both = np.vstack([x, z])
    counts = [
        replicable_components(both @ both.T, n, 40, shrinkage=1.0, level=lv, folds=folds)
        for lv in (level - 1e-3, level + 1e-3)
    ]
    assert counts[0] >= 1
    assert counts[1] == 0


@pytest.mark.parametrize(("n_pairs", "where", "n"), [(12, "scenarios", 12), (11, "pool", 12)])
def test_neutral_rows_are_paired_within_scenarios_from_twelve_on(n_pairs, where, n):
    # Row i is i: every difference tells which two rows it is of.
    groups = [f"g{i // 2 if i < 2 * n_pairs else i}" for i in range(24)]
    z, within = neutral_differences(np.arange(24.0)[:, None] ** 2 * np.ones(3), ["n"] * 24, groups, negative="n")
    assert (within, z.shape) == (where, (n, 3))
    if within == "scenarios":
        of_scenarios = {(2 * k + 1) ** 2 - (2 * k) ** 2 for k in range(12)}
        assert set(np.abs(z[:, 0])) == of_scenarios


@pytest.mark.parametrize("center", [False, True])
def test_corrected_ratio_recovers_a_planted_spectrum_where_the_naive_one_does_not(center):
    naive, corrected = [], []
    for seed in range(60):
        x = planted(50, seed)
        naive.append(float(participation_ratio(x, corrected=False, center=center)))
        corrected.append(float(participation_ratio(x, center=center)))
    assert np.mean(corrected) == pytest.approx(TRUE_RATIO, rel=0.10)
    assert np.mean(naive) < 0.60 * TRUE_RATIO


def test_the_mean_difference_is_a_dimension_only_when_uncentred():
    x = 0.1 * np.random.default_rng(0).standard_normal((60, 50)) + 5 * np.eye(50)[0]
    assert float(participation_ratio(x)) == pytest.approx(1.0, abs=0.1)
    assert float(participation_ratio(x, center=True)) > 30


def test_jackknife_interval_covers_and_the_bootstrap_does_not():
    covered, bootstrapped = [], []
    for seed in range(60):
        x = planted(40, seed)
        e = participation_ratio(x)
        covered.append(e.low <= TRUE_RATIO <= e.high)
        rng = np.random.default_rng(seed)
        draws = [float(participation_ratio(x[rng.integers(0, 40, 40)], n_resamples=2)) for _ in range(40)]
        low, high = np.quantile(draws, [0.025, 0.975])
        bootstrapped.append(low <= TRUE_RATIO <= high)
    assert np.mean(covered) >= 0.85
    assert np.mean(bootstrapped) < 0.3


def test_k90_follows_n():
    assert components_for(SPECTRUM) == 902
    r = rarefaction(planted(250, 0), [10, 50, 250], n_draws=10)
    assert r.k90[0] == pytest.approx(8.5, abs=1)
    assert r.k90[1] == pytest.approx(38, abs=2)
    assert r.k90[2] == pytest.approx(153, abs=4)


def test_counts_find_a_planted_rank_without_and_with_a_null():
    x, z = concept(60, 0), np.random.default_rng(1).standard_normal((80, 200))
    alone = dimensionality(x)
    assert alone.parallel_analysis.value == alone.hard_threshold.value == 3
    assert 3 <= alone.replicable.value <= 4
    assert alone.null is None
    against = dimensionality(x, null_differences=z)
    assert 2 <= against.parallel_analysis.value <= 3
    assert 3 <= against.replicable.value <= 4
    assert against.null.n == 60
    assert against.null.parallel_analysis.value <= 1


def test_correlated_noise_is_no_concept_when_its_null_is_given():
    spectrum = 1 / np.arange(1, 301)
    counts = []
    for seed in range(6):
        x, z = planted(60, seed, spectrum), planted(60, 100 + seed, spectrum)
        d = dimensionality(x, null_differences=z, n_resamples=10)
        counts.append([d.parallel_analysis.value, d.replicable.value])
        assert dimensionality(x, n_resamples=10).replicable.value > 10
    assert (np.array(counts) > 0).mean() < 0.35


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_three_spikes_are_counted_beside_a_null_in_correlated_noise(seed):
    """The null is of the reference rows alone: mixed with the concept's rows, three spikes were read as 1.5."""
    rng, spectrum = np.random.default_rng(seed), 30 / np.arange(1, 201)
    basis = np.linalg.qr(rng.standard_normal((200, 3)))[0].T
    x = planted(60, seed, spectrum) + 8 * rng.standard_normal((60, 3)) @ basis
    found = dimensionality(x, null_differences=planted(80, 50 + seed, spectrum), n_resamples=10)
    assert found.parallel_analysis.value == 3
    assert found.parallel_analysis.low <= 3 <= found.parallel_analysis.high


def test_the_order_of_rows_changes_nothing():
    x, z = concept(40, 3, size=4.0), concept(30, 4, size=0.0)
    names = [f"s{k}" for k in range(40)]
    first = dimensionality(x, names=names, null_differences=z, n_resamples=10)
    rng = np.random.default_rng(9)
    order, other = rng.permutation(40), rng.permutation(30)
    again = dimensionality(x[order], names=np.array(names)[order], null_differences=z[other], n_resamples=10)
    for name in ("participation_ratio", "k90", "parallel_analysis", "hard_threshold", "replicable", "mean_share"):
        one, other = getattr(first, name), getattr(again, name)
        assert (other.value, other.low, other.high) == pytest.approx((one.value, one.low, one.high)), name


def test_labels_swapped_within_scenarios_leave_the_second_moment_but_not_the_mean():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 40)) + 2 * np.eye(40)[0]
    signs = rng.choice([-1, 1], 60)[:, None]
    real, swapped = dimensionality(x, seed=1), dimensionality(x * signs, seed=1)
    assert real.participation_ratio.value == pytest.approx(swapped.participation_ratio.value)
    assert real.k90.value == swapped.k90.value
    assert real.mean_share_pvalue == pytest.approx(0.001)
    assert real.mean_share.low > 0 > swapped.mean_share.low
    assert swapped.mean_share_pvalue > 0.05


def test_results_print_and_save():
    d = dimensionality(concept(40, 0), null_differences=concept(40, 1, size=0.0), seed=3)
    assert "participation ratio" in str(d)
    assert "null (n = 40)" in str(d)
    assert json.loads(json.dumps(d.to_dict(), allow_nan=False))["seed"] == 3
    assert d.to_frame().loc["k90", "null_value"] == d.null.k90.value
    assert list(d.rarefaction.to_frame()["n"]) == list(d.rarefaction.sizes)
    assert d.rarefaction.at(40)["k90"] == d.k90.value


def test_the_same_seed_gives_the_same_result():
    x = concept(40, 0)
    assert dimensionality(x, seed=5).to_dict() == dimensionality(x, seed=5).to_dict()


def test_orthogonal_rows_have_no_bounded_ratio():
    x = np.eye(20, 40) * np.linspace(1, 2, 20)[:, None]
    e = participation_ratio(x)
    assert np.isinf(e.value)
    assert e.low is None
    json.dumps(dimensionality(x).to_dict(), allow_nan=False)


def test_from_activations_takes_its_null_from_neutral_rows():
    rng = np.random.default_rng(0)
    values = torch.as_tensor(rng.standard_normal((120, 2, 60)), dtype=torch.float32)
    labels = np.array(["warm", "plain", "plain"] * 40)
    groups = np.repeat(np.arange(40), 3)
    values[labels == "warm", 1, 0] += 10
    acts = Activations(values, (0, 1), labels, groups)
    d = dimensionality_of_activations(acts, positive="warm", negative="plain", layer=1, seed=0)
    assert d.parallel_analysis.value == 1
    assert d.null.n == 40
    assert d.seed == 0
    z, where = neutral_differences(values[:, 0], labels, groups, negative="plain")
    assert z.shape == (40, 60)
    assert where == "scenarios"


def test_accepts_half_precision_tensors():
    x = torch.as_tensor(concept(30, 0)).to(torch.bfloat16)
    assert dimensionality(x).n == 30


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dimensionality(np.ones((5, 4))), "at least 12 rows"),
        (lambda: dimensionality(np.ones((20, 4))), "equal rows"),
        (lambda: dimensionality(np.full((20, 4), np.nan)), "finite"),
        (lambda: dimensionality(np.arange(20.0)[:, None]), "at least 2 features"),
        (lambda: dimensionality(concept(20, 0), null_differences=np.eye(20)), r"must be \[m, 200\]"),
        (lambda: dimensionality(concept(20, 0), level=1.5), "level"),
        (lambda: dimensionality(concept(20, 0), n_resamples=1), "n_resamples"),
        (lambda: rarefaction(concept(20, 0), [3]), "sizes must lie from 6 to 20"),
        (lambda: rarefaction(concept(20, 0)).at(7), "size must be one of"),
        (lambda: neutral_differences(np.eye(10), ["n"] * 10, np.arange(10), negative="n"), "at least 24"),
        (lambda: components_for(SPECTRUM, 1.5), "variance must lie"),
    ],
)
def test_bad_input_is_explained(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_marchenko_pastur_median_matches_a_simulated_spectrum():
    x = np.random.default_rng(0).standard_normal((400, 800))
    assert marchenko_pastur_median(0.5) == pytest.approx(np.median(np.linalg.eigvalsh(x @ x.T / 800)), rel=0.01)


@pytest.mark.parametrize(("n", "d"), [(30, 100), (60, 20)])
def test_bartlett_draws_match_plain_ones(n, d):
    rng = np.random.default_rng(0)
    lengths = rng.uniform(1, 2, n)
    tops = []
    for _ in range(300):
        x = rng.standard_normal((n, d))
        x *= (lengths / np.linalg.norm(x, axis=1))[:, None]
        tops.append(np.linalg.norm(x, 2) ** 2 / (lengths**2).sum())
    drawn = isotropic_share(lengths, d, quantile=0.5, n_draws=300, generator=rng)
    assert drawn == pytest.approx(np.median(tops), rel=0.03)


@pytest.mark.parametrize("rank", [4, 8])
def test_parallel_analysis_counts_no_noise_after_what_it_took_out(rank):
    """Noise of few rows gives its first component a larger share than noise of all rows: the share must grow."""
    n, d = 14, 40
    rng = np.random.default_rng(rank)
    share = isotropic_share(np.ones(n), d, quantile=0.95, n_draws=200, generator=rng)
    counts = []
    for _ in range(60):
        x = rng.standard_normal((n, d))
        # Each component is larger than all after it together, so that none hides the next.
        x[:, :rank] += 30 * 3.0 ** np.arange(rank) * np.linalg.qr(rng.standard_normal((n, n)))[0][:, :rank]
        counts.append(parallel_count(np.linalg.svd(x, compute_uv=False) ** 2 / n, share, d))
    assert np.mean(np.array(counts) == rank) > 0.8, counts


def test_the_second_component_is_tested_against_the_edge_of_one_row_and_one_dimension_less():
    n, d, share = 12, 30, 0.3

    def edge(rows, dimensions):
        return (rows**0.5 + dimensions**0.5) ** 2 / (rows * dimensions)

    rest = np.ones(n - 2)
    part = share * edge(n - 1, d - 1) / edge(n, d)  # of what is left after the first
    second = part / (1 - part) * rest.sum()
    for factor, count in ((1.01, 2), (0.99, 1)):
        assert parallel_count(np.array([100.0, factor * second, *rest]), share, d) == count


def test_the_centred_ratio_is_that_of_statistics_over_four_different_rows():
    x = np.random.default_rng(0).standard_t(3, size=(7, 4)) + 5
    fours = np.array(list(permutations(range(7), 4)))
    first, second = x[fours[:, 0]] - x[fours[:, 1]], x[fours[:, 2]] - x[fours[:, 3]]
    squared_trace = ((first**2).sum(1) * (second**2).sum(1)).mean()
    trace_of_square = ((first * second).sum(1) ** 2).mean()
    assert corrected_participation(x @ x.T, center=True) == pytest.approx(squared_trace / trace_of_square)
