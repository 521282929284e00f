"""Independent implementations of what dimensionality, similarity and erasure compute."""

import numpy as np
import pytest
import torch
from concept_erasure import LeaceEraser
from scipy.linalg import subspace_angles
from scipy.stats import kstest
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LinearRegression

from empathy_geometry.dimensionality import participation_ratio, rarefaction
from empathy_geometry.dimensionality.participation import corrected_participation, naive_participation
from empathy_geometry.evaluation.erasers import ResidualProbe, leace
from empathy_geometry.foundation.whitening import shrinkage_of, whitened
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.similarity import mahalanobis_cosine, principal_angles, random_cosine


@pytest.mark.parametrize("seed", range(3))
def test_participation_ratio_equals_the_package_of_chun_et_al(seed):
    package = pytest.importorskip("dimensionality")
    x = np.random.default_rng(seed).standard_t(5, (25, 40)) * np.linspace(0.1, 3, 40) + 1
    theirs = package.participation_ratio(x, return_all=True)
    assert corrected_participation(x @ x.T, center=True) == pytest.approx(theirs["row"])
    assert naive_participation(x @ x.T, center=True) == pytest.approx(theirs["naive"])


@pytest.mark.parametrize("center", [False, True])
def test_corrected_moments_equal_brute_force_over_different_rows(center):
    x = np.random.default_rng(0).standard_normal((7, 5)) + 1
    n = len(x)
    numerator = denominator = 0.0
    if center:
        for i in range(n):
            for j in range(n):
                for k in range(n):
                    for m in range(n):
                        if len({i, j, k, m}) == 4:
                            a, b = x[i] - x[j], x[k] - x[m]
                            numerator += (a @ a) * (b @ b) / 4
                            denominator += (a @ b) ** 2 / 4
    else:
        for i in range(n):
            for j in range(n):
                if i != j:
                    numerator += (x[i] @ x[i]) * (x[j] @ x[j])
                    denominator += (x[i] @ x[j]) ** 2
    assert corrected_participation(x @ x.T, center=center) == pytest.approx(numerator / denominator)


def test_k90_and_naive_ratio_equal_scikit_learns_pca():
    x = np.random.default_rng(0).standard_normal((40, 60)) * np.linspace(0.1, 2, 60)
    variances = PCA().fit(x).explained_variance_
    wanted = int(np.searchsorted(np.cumsum(variances) / variances.sum(), 0.9) + 1)
    assert rarefaction(x, [40], center=True).k90[0] == wanted
    naive = participation_ratio(x, corrected=False, center=True)
    assert float(naive) == pytest.approx(variances.sum() ** 2 / (variances**2).sum())


def test_whitening_equals_scikit_learns_shrunk_covariance():
    rng = np.random.default_rng(0)
    x, z = rng.standard_normal((6, 15)), rng.standard_normal((9, 15)) * np.linspace(0.3, 2, 15)
    oracle = LedoitWolf(assume_centered=True).fit(z)
    both = np.vstack([x, z])
    shrinkage = shrinkage_of(z @ z.T, 15)
    assert shrinkage == pytest.approx(oracle.shrinkage_)
    rows = np.arange(6)
    found = whitened(both @ both.T, rows, rows, 6 + np.arange(9), shrinkage, 15)
    assert found == pytest.approx(x @ oracle.precision_ @ x.T)


def test_mahalanobis_cosine_equals_its_formula():
    rng = np.random.default_rng(0)
    x, (a, b) = rng.standard_normal((50, 7)), rng.standard_normal((2, 7))
    s = np.cov(x.T)
    assert float(mahalanobis_cosine(a, b, x, groups=None)) == pytest.approx(
        a @ s @ b / np.sqrt((a @ s @ a) * (b @ s @ b))
    )


def test_principal_angles_equal_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((3, 20)), rng.standard_normal((2, 20))
    found = principal_angles(torch.as_tensor(a), torch.as_tensor(b), n_draws=9)
    assert sorted(found.angles) == pytest.approx(sorted(subspace_angles(a.T, b.T)), abs=1e-5)


def test_isotropic_p_values_are_uniform():
    rng, law = np.random.default_rng(0), random_cosine(30)
    x, y = rng.standard_normal((2, 500, 30))
    cosines = (x * y).sum(axis=1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    assert kstest([law.pvalue(c) for c in cosines], "uniform").pvalue > 0.01


def test_leace_equals_concept_erasure_where_no_reduction_is_needed():
    rng = np.random.default_rng(0)
    x, z = rng.standard_normal((200, 8)), np.arange(200) % 2
    x[:, :3] += z[:, None]
    oracle = LeaceEraser.fit(torch.as_tensor(x), torch.as_tensor(z, dtype=torch.float64), constrain_cov_trace=False)
    assert leace(x, z.astype(float))(x) == pytest.approx(oracle(torch.as_tensor(x)).numpy(), abs=1e-8)


@pytest.mark.parametrize("d", [8, 300])
def test_no_linear_probe_learns_from_erased_rows_and_did_before(d):
    rng = np.random.default_rng(0)
    z, x = np.arange(80) % 2, rng.standard_normal((80, d))
    x[:, 0] += 3 * z
    for probe in (LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5), Probe("ridge")):
        before = probe.fit(x, z).decision_function(x)
        erased = leace(x, z.astype(float))(x)
        after = probe.fit(erased, z).decision_function(erased)
        assert before.std() > 0.1
        assert after.std() < 1e-6 * before.std()


def test_residuals_equal_those_of_linear_regression():
    rng = np.random.default_rng(0)
    x, c = rng.standard_normal((50, 4)), rng.standard_normal((50, 2))
    model = ResidualProbe(Probe("ridge"), 2, penalty=0.0).fit(np.column_stack([x, c]), np.arange(50) % 2)
    oracle = LinearRegression().fit(c, x)
    mine = model._residuals(np.column_stack([x, c]))
    assert mine - mine.mean(axis=0) == pytest.approx(x - oracle.predict(c), abs=1e-10)
