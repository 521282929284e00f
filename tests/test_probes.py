"""Probes are scikit-learn estimators; their directions are gradients; their solutions are scikit-learn's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

import empathy_geometry as eg
from empathy_geometry.geometry.probes import PROBE_KINDS


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("annotations_unchecked")
@parametrize_with_checks([eg.Probe(kind) for kind in PROBE_KINDS])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


ORACLES = {
    "ridge": (RidgeClassifier(alpha=2.0, tol=1e-12), {"alpha": 2.0}, 1e-8),
    "lda": (LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3), {"shrinkage": 0.3}, 1e-8),
    "logistic": (LogisticRegression(C=0.1, tol=1e-10, max_iter=100_000), {"C": 0.1}, 2e-3),
}


@settings(max_examples=12, deadline=None)
@given(
    kind=st.sampled_from(sorted(ORACLES)),
    shape=st.sampled_from([(60, 100), (200, 15), (90, 40)]),
    n_classes=st.integers(2, 3),
    seed=st.integers(0, 100),
)
def test_decisions_equal_scikit_learns(kind, shape, n_classes, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=shape) * rng.uniform(0.3, 3, shape[1]) + 2
    y = np.arange(shape[0]) % n_classes
    X[:, 0] += y
    oracle, parameters, tolerance = ORACLES[kind]
    ours = eg.Probe(kind, scale=False, **parameters).fit(X, y).decision_function(X)
    theirs = oracle.fit(X, y).decision_function(X)
    if n_classes > 2:  # a term common to all classes decides nothing
        ours, theirs = ours - ours.mean(1, keepdims=True), theirs - theirs.mean(1, keepdims=True)
    np.testing.assert_allclose(ours, theirs, atol=tolerance * np.abs(theirs).max())


@pytest.mark.parametrize("kind", PROBE_KINDS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_directions_are_the_gradient_of_the_decision_function_on_scaled_inputs(kind, n_classes):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 12)) * np.logspace(-2, 2, 12)
    y = np.arange(90) % n_classes
    X[:, 3] += y * X[:, 3].std()
    probe = eg.Probe(kind, scale=True).fit(X, y)
    base, step = X[:1], 1e-4 * X.std(axis=0)
    moved = probe.decision_function(base + np.diag(step)) - probe.decision_function(base)
    gradient = (moved.T / step).reshape(-1, 12)
    np.testing.assert_allclose(probe.directions().numpy(), gradient, rtol=1e-3, atol=1e-6 * np.abs(gradient).max())


def test_tensors_in_half_precision_are_read():
    X = torch.randn(40, 6, generator=torch.Generator().manual_seed(0)).bfloat16()
    y = torch.arange(40) % 2
    X[:, 0] += 4 * y
    assert eg.Probe("ridge").fit(X, y).score(X, y.numpy()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "svm"}, "kind must be one of"),
        ({"C": 0.0}, "C must be positive"),
        ({"kind": "lda", "shrinkage": 2.0}, r"shrinkage must be 'auto' or lie in \[0, 1\]"),
    ],
)
def test_bad_parameters_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        eg.Probe(**arguments).fit(np.eye(4), [0, 1, 0, 1])


def test_probes_without_a_probability_model_say_what_to_use():
    probe = eg.Probe("ridge").fit(np.eye(4), [0, 1, 0, 1])
    with pytest.raises(AttributeError):
        probe.predict_proba(np.eye(4))
    with pytest.raises(ValueError, match="1 class"):
        eg.Probe().fit(np.eye(4), [1, 1, 1, 1])
