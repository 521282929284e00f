import numpy as np
import pytest
import torch
from statsmodels.stats.multitest import multipletests

from empathy_geometry.evaluation.clusters import purity
from empathy_geometry.evaluation.nulls import (
    empirical_pvalue,
    holm,
    label_null,
    max_t,
    shuffled_labels,
)
from empathy_geometry.geometry.random_vectors import random_directions


def test_shuffled_labels_keep_the_design():
    y, groups = np.tile(["warm", "cold"], 6), np.repeat(np.arange(6), 2)
    drawn = shuffled_labels(y, groups=groups, n=20, seed=0)
    assert drawn.shape == (20, 12)
    assert all(set(row[groups == g]) == {"warm", "cold"} for row in drawn for g in range(6))


def test_isotropic_directions_have_the_theoretical_cosine():
    directions = random_directions(4000, d_model=50, seed=0)
    cosines = directions[:2000] @ directions[2000:].T
    assert cosines.std().item() == pytest.approx(1 / np.sqrt(50), rel=0.02)
    assert torch.allclose(directions.norm(dim=1), torch.ones(4000))


def test_covariance_matched_directions_have_the_covariance():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(300, 4)) @ np.diag([3.0, 1.0, 0.5, 0.1]) + 10
    drawn = random_directions(20_000, like=rows, kind="covariance", norm=None, seed=0).numpy()
    assert np.allclose(np.cov(drawn.T), np.cov(rows.T), atol=0.15)
    assert np.abs(drawn.mean(axis=0)).max() < 0.1
    matched = random_directions(3, like=rows, kind="covariance", norm=7.0, seed=0)
    assert torch.allclose(matched.norm(dim=1), torch.full((3,), 7.0))


def test_width_comes_from_like():
    assert random_directions(2, like=np.ones((3, 5)), seed=0).shape == (2, 5)


@pytest.mark.parametrize("seed", range(4))
def test_holm_equals_statsmodels(seed):
    p = np.random.default_rng(seed).random(9) ** 3
    assert np.allclose(holm(p), multipletests(p, method="holm")[1])


def test_max_t_controls_the_family_wise_error():
    rng = np.random.default_rng(2)
    mix = np.linalg.cholesky(0.7 + 0.3 * np.eye(8))
    hits = 0
    for _ in range(300):
        draws = mix @ rng.normal(size=(8, 200))
        hits += max_t(draws[:, 0], draws[:, 1:]).min() <= 0.05
    assert 0.02 < hits / 300 < 0.085


def test_step_down_finds_more():
    null = np.random.default_rng(3).normal(size=(3, 999))
    observed = [6.0, 2.4, 2.3]
    single, stepped = max_t(observed, null, step_down=False), max_t(observed, null)
    assert stepped[0] == single[0]
    assert stepped[2] < single[2]


def test_label_null_of_a_purity():
    rng = np.random.default_rng(4)
    y, groups = np.tile([0, 1], 20), np.repeat(np.arange(20), 2)
    told = label_null(lambda labels: float(purity(y, labels)), y, groups=groups, n_permutations=199, seed=0)
    clusters = rng.integers(0, 4, 40)
    untold = label_null(lambda labels: float(purity(clusters, labels)), y, groups=groups, n_permutations=199, seed=0)
    assert told.pvalue == 1 / 200
    assert untold.pvalue > 0.05
    assert untold.null_distribution.mean() > 0.55  # not 0.5: majorities of small clusters
    assert "within groups" in str(told)


def test_pvalue_counts_ties_as_reached():
    assert empirical_pvalue(1.0, [1.0, 1.0 - 1e-12, 0.0]) == 0.75


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random_directions(1, seed=0), "d_model is missing"),
        (lambda: random_directions(1, d_model=3, kind="covariance", seed=0), "needs like="),
        (lambda: random_directions(1, like=np.ones((3, 2)), kind="covariance", seed=0), "does not vary"),
        (lambda: random_directions(0, d_model=3, seed=0), "at least 1"),
        (lambda: random_directions(1, d_model=3, norm=0.0, seed=0), "positive"),
        (lambda: holm([0.5, 1.2]), r"\[0, 1\]"),
        (lambda: max_t([1.0], [[0.0], [1.0]]), "one row per statistic"),
        (lambda: shuffled_labels([0, 1], groups=None, n=0, seed=0), "at least 1"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("seed", [None, 1.0, True, "7", np.random.default_rng(0)])
def test_a_seed_is_a_whole_number(seed):
    """Nothing else can be recorded and used again."""
    with pytest.raises(TypeError, match=r"seed must be a whole number.*seed=0"):
        random_directions(1, d_model=3, seed=seed)


def test_one_shuffle_is_enough_and_none_is_refused():
    assert shuffled_labels(["p", "n", "p", "n"], groups=["a", "a", "b", "b"], n=1, seed=0).shape == (1, 4)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        shuffled_labels(["p", "n", "p", "n"], groups=["a", "a", "b", "b"], n=0, seed=0)
