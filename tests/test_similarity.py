import json

import numpy as np
import pytest
import torch
from scipy.stats import t as student
from sklearn.covariance import ledoit_wolf_shrinkage

from empathy_geometry import ConceptDirection, Probe
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.similarity import (
    CosineWarning,
    cosine,
    crossnobis,
    disattenuated_cosine,
    disattenuated_cosine_of,
    mahalanobis_cosine,
    principal_angles,
    random_cosine,
)
from empathy_geometry.similarity.disattenuated import distinct_products


def scenarios(true, n, seed, *, size=1.0, d=40):
    """Concepts a and b at a planted cosine and neutral texts, all in each of n scenarios."""
    rng = np.random.default_rng(seed)
    e = np.eye(d)
    topic = 2 * rng.standard_normal((n, d))
    a, b, neutral = (topic + rng.standard_normal((n, d)) for _ in range(3))
    return a + size * e[0], b + size * (true * e[0] + np.sqrt(1 - true**2) * e[1]), neutral, np.arange(n)


@pytest.mark.parametrize("true", [0.0, 0.5, 0.9])
def test_disattenuated_cosine_is_unbiased_and_covers(true):
    values, covered, plain = [], [], []
    for seed in range(40):
        a, b, neutral, names = scenarios(true, 60, seed, size=2.0)
        c = disattenuated_cosine(a - neutral, b - neutral, groups_a=names, groups_b=names)
        values.append(float(c.value))
        covered.append(c.value.low <= true <= c.value.high)
        plain.append(c.cosine)
    assert np.mean(values) == pytest.approx(true, abs=0.08)
    assert np.mean(covered) >= 0.85
    if true == 0:
        assert np.mean(plain) > 0.1


def test_a_shared_baseline_given_apart_is_taken_out_too():
    rng = np.random.default_rng(0)
    cosines, clean = [], []
    for _ in range(60):
        a, b, zero = rng.standard_normal((3, 30, 40))
        a, b = a + np.eye(40)[0], b + np.eye(40)[1]
        c = disattenuated_cosine(
            a, b, groups_a=np.arange(30), groups_b=np.arange(30, 60), baseline=zero, groups_baseline=np.arange(60, 90)
        )
        cosines.append(c.cosine)
        clean.append(c.disjoint.value)
    assert np.mean(cosines) > 0.25
    assert abs(np.mean(clean)) < 0.05


def test_distinct_products_is_the_mean_over_disjoint_halves():
    rng = np.random.default_rng(0)
    x, groups, classes = rng.standard_normal((6, 3)), np.arange(6) // 2, np.array([0, 1] * 3)
    found = distinct_products(x @ x.T, classes, groups, 2)
    pairs = [x[i] @ x[j] for i in (0, 2, 4) for j in (1, 3, 5) if groups[i] != groups[j]]
    assert found[0, 1] == pytest.approx(np.mean(pairs))


def test_a_direction_of_noise_is_reported_not_hidden():
    rng = np.random.default_rng(2)
    for _ in range(20):
        a, b = rng.standard_normal((2, 30, 40))
        c = disattenuated_cosine(a, b + 1, groups_a=np.arange(30), groups_b=np.arange(30))
        if c.value is None:
            assert "not distinguishable from noise" in c.notes[0]
            assert "not defined" in str(c)
            json.dumps(c.to_dict(), allow_nan=False)
            return
    pytest.fail("half of all directions of noise have a negative reliability, none came")


def test_an_estimate_above_one_is_not_cut():
    for seed in range(60):
        a, b, neutral, names = scenarios(1.0, 20, seed, size=0.8)
        c = disattenuated_cosine(a - neutral, b - neutral, groups_a=names, groups_b=names)
        if c.exceeds_one:
            assert abs(c.value.value) > 1
            assert any("outside [-1, 1]" in note for note in c.notes)
            return
    pytest.fail("no estimate exceeded one")


def test_disattenuated_cosine_from_activations():
    a, b, neutral, names = scenarios(0.5, 80, 0, size=3.0)
    values = torch.as_tensor(np.concatenate([a, b, neutral])[:, None], dtype=torch.float32)
    acts = Activations(values, (0,), np.repeat(["a", "b", "n"], 80), np.tile(names, 3))
    c = disattenuated_cosine_of(acts, positive_a="a", positive_b="b", negative="n", layer=0)
    assert float(c.value) == pytest.approx(0.5, abs=0.15)
    assert len(c.to_frame()) == 4


def test_mahalanobis_cosine_is_the_correlation_of_projections():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((80, 5)) * [5, 1, 1, 1, 1], rng.standard_normal((2, 5))
    e = mahalanobis_cosine(w[0], w[1], x, groups=None)
    assert float(e) == pytest.approx(np.corrcoef(x @ w[0], x @ w[1])[0, 1])
    assert e.low < e.value < e.high
    within = mahalanobis_cosine(w[0], w[1], x, groups=None, labels=np.arange(80) % 2)
    assert float(within) != pytest.approx(float(e))


def test_mahalanobis_cosine_shrinks_to_the_plain_cosine():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((80, 5)) * [5, 1, 1, 1, 1], rng.standard_normal((2, 5))
    directions = [ConceptDirection(torch.as_tensor(v, dtype=torch.float32)) for v in w]
    e = mahalanobis_cosine(*directions, x, groups=None, shrinkage=1.0)
    assert float(e) == pytest.approx(cosine(*directions), abs=1e-5)


@pytest.mark.parametrize("d", [10, 150])
def test_crossnobis_is_centred_on_zero_without_and_near_the_truth_with_a_difference(d):
    null, real = [], []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        x, y, g = rng.standard_normal((80, d)), np.arange(80) % 2, np.arange(80) // 2
        null.append(float(crossnobis(x, y, groups=g)))
        x[y == 1, 0] += 3
        real.append(float(crossnobis(x, y, groups=g)))
    assert abs(np.mean(null)) < 3 * np.std(null) / 5
    assert np.min(null) < 0
    assert np.mean(real) == pytest.approx(9, rel=0.35)


def test_principal_angles_p_is_small_for_kin_and_uniform_for_strangers():
    rng = np.random.default_rng(0)
    a = torch.as_tensor(rng.standard_normal((3, 60)))
    kin = principal_angles(a, a + 0.1 * torch.as_tensor(rng.standard_normal((3, 60))), n_draws=199)
    assert kin.pvalue == pytest.approx(1 / 200)
    strangers = [principal_angles(a, torch.as_tensor(rng.standard_normal((3, 60))), n_draws=99) for _ in range(40)]
    assert 0.3 < np.mean([s.pvalue for s in strangers]) < 0.7
    assert strangers[0].null_distribution.mean() == pytest.approx(3 / 60, rel=0.1)
    assert "overlap" in str(kin)
    assert len(kin.to_frame()) == 3
    json.dumps(kin.to_dict())


def test_subspaces_meet_more_often_where_activations_vary():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((200, 60)) / np.arange(1, 61)
    a, b = (torch.as_tensor(rng.standard_normal((2, 200)) @ rows) for _ in range(2))
    assert principal_angles(a, b, rows=rows).pvalue > 0.05 > principal_angles(a, b).pvalue


def test_random_cosine_laws():
    law = random_cosine(400)
    assert law.isotropic_sd == 0.05
    assert law.isotropic_95 == pytest.approx(1.96 * 0.05, rel=0.02)
    assert law.pvalue(law.isotropic_95) == pytest.approx(0.05)
    rng = np.random.default_rng(0)
    spectrum = np.arange(1, 401) ** -1.0
    measured = random_cosine(rows=rng.standard_normal((800, 400)) * np.sqrt(spectrum))
    true = spectrum.sum() ** 2 / (spectrum**2).sum()
    assert measured.participation_ratio == pytest.approx(true, rel=0.15)
    assert measured.cosines.std() == pytest.approx(measured.sd, rel=0.15)
    assert measured.sd > 3 * law.isotropic_sd
    json.dumps(measured.to_dict())
    assert "isotropic" in str(measured)
    assert len(measured.to_frame()) == 2


def test_cosine_warns_for_zero_sum_probes():
    rng = np.random.default_rng(0)
    probe = Probe("ridge").fit(rng.standard_normal((60, 8)), np.arange(60) % 3)
    a, b = (ConceptDirection.from_probe(probe, positive=k) for k in (0, 1))
    with pytest.warns(CosineWarning, match="zero"):
        cosine(a, b)


X = np.random.default_rng(0).standard_normal((20, 4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mahalanobis_cosine([1.0, 0], [0, 1.0], X, groups=None), "width of the rows, 4"),
        (lambda: mahalanobis_cosine(np.zeros(4), X[0], X, groups=None), "points nowhere"),
        (lambda: mahalanobis_cosine(X[0], X[1], X, groups=None, shrinkage=2), "shrinkage"),
        (lambda: mahalanobis_cosine(X[0], X[1], X[:4], groups=None), "at least 6 groups"),
        (lambda: mahalanobis_cosine(X[0], X[1], np.ones((20, 4)), groups=None), "constant"),
        (lambda: crossnobis(X, np.arange(20) % 2, groups=[0] * 20), "two groups of each class"),
        (lambda: crossnobis(X, np.zeros(20), groups=None), "both classes"),
        (lambda: crossnobis(np.ones((20, 4)), np.arange(20) % 2, groups=None), "do not vary within"),
        (lambda: disattenuated_cosine(X, X, groups_a=[0] * 20, groups_b=np.arange(20)), "at least two scenarios"),
        (lambda: disattenuated_cosine(X[:3], X[:3], groups_a=range(3), groups_b=range(3)), "at least 6 scenarios"),
        (lambda: disattenuated_cosine(X, X, groups_a=range(20), groups_b=range(20), baseline=X), "groups_baseline"),
        (lambda: random_cosine(), "give d_model"),
        (lambda: random_cosine(1), "at least 2"),
        (lambda: random_cosine(9).pvalue(2), r"must lie in \[-1, 1\]"),
        (lambda: random_cosine(rows=np.ones((9, 3))), "do not vary"),
        (lambda: principal_angles(torch.eye(4)[:2], torch.eye(4)[1:3], rows=X[:2]), "span fewer"),
    ],
)
def test_bad_input_is_explained(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_interval_of_a_mahalanobis_cosine_is_over_scenarios_so_copies_of_rows_add_nothing():
    rng = np.random.default_rng(3)
    x, w = rng.standard_normal((40, 5)) * [3, 1, 1, 1, 1], rng.standard_normal((2, 5))
    once = mahalanobis_cosine(w[0], w[1], x, groups=np.arange(40))
    many = mahalanobis_cosine(w[0], w[1], np.repeat(x, 5, axis=0), groups=np.repeat(np.arange(40), 5))
    assert (many.value, many.low, many.high) == pytest.approx((once.value, once.low, once.high))
    z = np.arctanh([np.corrcoef(np.delete(x, g, axis=0) @ w.T, rowvar=False)[0, 1] for g in range(40)])
    error = np.sqrt(39 / 40 * ((z - z.mean()) ** 2).sum())
    width = np.arctanh(once.high) - np.arctanh(once.low)
    assert 2.02 * error < width / 2 < 2.6 * error  # Student's quantile with at most 39 df
    assert np.arctanh(once.high) + np.arctanh(once.low) == pytest.approx(2 * np.arctanh(once.value))


def crossnobis_by_its_formula(x, y, groups, shrinkage):
    """Leave one group out: explicit covariances in d_model dimensions."""
    gaps, variances = [], []
    for g in range(6):
        train, test = groups != g, groups == g

        def noise(part):
            return np.concatenate([x[part & (y == k)] - x[part & (y == k)].mean(axis=0) for k in (0, 1)])

        def gap(part):
            return x[part & (y == 1)].mean(axis=0) - x[part & (y == 0)].mean(axis=0)

        z, s = noise(train), shrinkage(noise(train))
        sigma = (1 - s) * z.T @ z / len(z) + s * (z**2).mean() * np.eye(x.shape[1])
        w = np.linalg.solve(sigma, gap(train))
        w = w / (w @ gap(train))
        gaps.append(w @ gap(test))
        variances.append(((noise(test) @ w) ** 2).sum() / (test.sum() - 2))
    return np.mean(gaps) / np.mean(variances)


def test_crossnobis_equals_its_formula_with_the_variance_of_held_out_rows():
    rng = np.random.default_rng(4)
    d, groups, y = 30, np.repeat(np.arange(6), 8), np.tile([0, 1], 24)
    x = rng.standard_normal((48, d)) * np.linspace(4, 0.2, d) + 0.5 * rng.standard_normal((6, d))[groups]
    x[y == 1, :3] += 2
    # As many folds as groups: each is one group, whatever the seed.
    found = crossnobis(x, y, groups=groups, n_splits=6)
    expected = crossnobis_by_its_formula(x, y, groups, lambda z: ledoit_wolf_shrinkage(z, assume_centered=True))
    assert float(found) == pytest.approx(expected, rel=1e-6)
    assert found.low < expected < found.high
    with pytest.raises(ValueError, match="use fewer folds than 6"):  # one group left out has one row of a class
        crossnobis(x[:18:2], [0, 1, 1] * 3, groups=[0, 1, 2, 3, 4, 5, 0, 1, 2], n_splits=6)


def test_random_cosine_of_rows_is_that_of_draws_from_their_covariance():
    rng = np.random.default_rng(6)
    x = rng.standard_normal((50, 12)) * np.linspace(3, 0.3, 12) + 4
    law = random_cosine(rows=x, n_draws=4000)
    draws = rng.standard_normal((2, 4000, 50)) @ (x - x.mean(axis=0))
    cosines = (draws[0] * draws[1]).sum(axis=1) / np.linalg.norm(draws, axis=2).prod(axis=0)
    assert law.cosines.std() == pytest.approx(cosines.std(), rel=0.05)
    assert law.empirical_95 == pytest.approx(np.quantile(np.abs(cosines), 0.95), rel=0.06)
    assert law.pvalue(law.empirical_95) == pytest.approx(0.05, abs=1e-3)
    assert law.pvalue(-law.empirical_95) == law.pvalue(law.empirical_95)
    assert law.pvalue(1.0) == 1 / 4001
    assert law.sd == pytest.approx(1 / np.sqrt(law.participation_ratio))
    # A cosine of two directions in d dimensions has the law of a correlation of d + 1 pairs.
    t = 0.3 * np.sqrt((20 - 1) / (1 - 0.3**2))
    assert random_cosine(20).pvalue(0.3) == pytest.approx(2 * student.sf(t, 19))
