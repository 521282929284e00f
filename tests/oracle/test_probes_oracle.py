"""Probes, the batched solvers and the geometry of a fold against scikit-learn on the raw rows."""

import numpy as np
import pytest
import torch
from planted import pairs, triplets
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from empathy_geometry.evaluation.fold_geometry import FoldGeometry
from empathy_geometry.geometry.probes import PROBE_KINDS, Probe

ORACLES = {
    "logistic": (Probe("logistic", C=0.5), LogisticRegression(C=0.5, solver="newton-cholesky", tol=1e-10)),
    "ridge": (Probe("ridge", alpha=3.0), RidgeClassifier(alpha=3.0)),
    "lda": (Probe("lda", shrinkage=0.4), LinearDiscriminantAnalysis("lsqr", shrinkage=0.4)),
}


@pytest.mark.parametrize("d", [6, 60])
@pytest.mark.parametrize("data", [pairs, triplets])
@pytest.mark.parametrize("kind", sorted(ORACLES))
def test_decision_function_equals_sklearns(kind, data, d):
    X, y, _ = data(14, d, strength=1.0)
    probe, estimator = ORACLES[kind]
    expected = make_pipeline(StandardScaler(), estimator).fit(X, y).decision_function(X)
    found = probe.fit(X, y).decision_function(X)
    if found.ndim == 2:  # softmax and discriminants are defined up to a shift per row
        found, expected = found - found.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True)
    assert np.allclose(found, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("kind", PROBE_KINDS)
def test_direction_is_the_gradient_in_raw_space(kind):
    X, y, _ = pairs(14, 9, strength=1.0)
    X = X * np.logspace(-2, 2, 9) + 5
    probe = Probe(kind).fit(X, y)
    step = 1e-3 * np.eye(9)
    gradient = (probe.decision_function(X[:1] + step) - probe.decision_function(X[:1])) / 1e-3
    assert np.allclose(probe.directions().numpy()[0], gradient, rtol=1e-4, atol=1e-6 * np.abs(gradient).max())


@pytest.mark.parametrize("shape", [(30, 8), (20, 90)])
def test_shrinkage_is_ledoit_and_wolfs(shape):
    rows = np.random.default_rng(0).normal(size=shape) @ np.diag(np.linspace(1, 3, shape[1]))
    geometry = FoldGeometry.from_rows(torch.tensor(rows), torch.tensor(rows[:2]), scale=False)
    assert geometry.shrinkage == pytest.approx(ledoit_wolf_shrinkage(rows))


@pytest.mark.parametrize("shape", [(30, 8), (20, 90)])
def test_axes_keep_all_inner_products(shape):
    rows = torch.tensor(np.random.default_rng(1).normal(size=shape))
    geometry = FoldGeometry.from_rows(rows[4:], rows[:4], scale=True)
    scaled = StandardScaler().fit(rows[4:].numpy())
    z, t = scaled.transform(rows[4:].numpy()), scaled.transform(rows[:4].numpy())
    assert np.allclose(geometry.train @ geometry.train.T, z @ z.T, atol=1e-9)
    assert np.allclose(geometry.test @ geometry.train.T, t @ z.T, atol=1e-9)
    assert np.allclose(geometry.train.T @ geometry.train, np.diag(geometry.variances), atol=1e-9)
