import warnings

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from planted import pairs
from sklearn.linear_model import LogisticRegression

from empathy_geometry.evaluation.fold_geometry import FoldGeometry
from empathy_geometry.geometry.batched_logistic import batched_logistic
from empathy_geometry.geometry.newton_logistic import logistic_of_one, newton_logistic, newton_multinomial


@pytest.mark.parametrize("C", [1e-3, 1.0, 1e4])
def test_gradient_vanishes_at_the_solution(C):
    X, y, _ = pairs(20, 50)
    rows = FoldGeometry.from_rows(torch.tensor(X), torch.tensor(X[:1]), scale=True).train
    onehot = torch.tensor(np.stack([y, y[::-1]]), dtype=torch.float64)[:, None]
    weights, intercepts = batched_logistic(rows, onehot, C=C, tolerance=1e-10)
    residual = torch.sigmoid(weights @ rows.T + intercepts[..., None]) - onehot
    assert (residual @ rows + weights / C).abs().max() < 1e-6 * (weights / C).abs().max()
    assert residual.sum(dim=2).abs().max() < 1e-6


def test_a_label_vector_does_not_depend_on_its_neighbours():
    X, y, _ = pairs(20, 50)
    rows = FoldGeometry.from_rows(torch.tensor(X), torch.tensor(X[:1]), scale=True).train
    rng = np.random.default_rng(0)
    onehot = torch.tensor(np.stack([rng.permutation(y) for _ in range(9)]), dtype=torch.float64)[:, None]
    together = batched_logistic(rows, onehot, C=1.0, tolerance=1e-2)[0]
    alone = torch.cat([batched_logistic(rows, one[None], C=1.0, tolerance=1e-2)[0] for one in onehot])
    assert torch.allclose(together, alone, atol=1e-12)


def test_giving_up_says_what_to_try():
    X, y, _ = pairs(10, 30)
    rows = FoldGeometry.from_rows(torch.tensor(X), torch.tensor(X[:1]), scale=True).train
    with pytest.raises(RuntimeError, match="smaller C"):
        batched_logistic(rows, torch.tensor(y, dtype=torch.float64)[None, None], C=1.0, tolerance=1e-12, max_iter=3)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(4, 40),
    rank=st.integers(1, 12),
    C=st.sampled_from([1e-3, 1.0, 100.0, 1e5]),
    scale=st.sampled_from([1e-3, 1.0, 30.0]),
    seed=st.integers(0, 10**6),
)
def test_newton_is_scikit_learn(n, rank, C, scale, seed):
    rng = np.random.default_rng(seed)
    rows, y = scale * rng.normal(size=(n, rank)), np.arange(n) % 2
    found = newton_logistic(torch.as_tensor(rows), torch.as_tensor(y, dtype=torch.float64), C=C, tolerance=1e-10)
    assume(found is not None)  # else the caller goes on with conjugate gradients; always None would fail here
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs may stop early; ours must be at least as low
        theirs = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-10, max_iter=1000).fit(rows, y)

    def objective(weights, intercept):
        scores = rows @ weights + intercept
        return C * np.logaddexp(0, np.where(y == 1, -scores, scores)).sum() + 0.5 * weights @ weights

    ours = objective(found[0].numpy(), float(found[1]))
    assert ours <= objective(theirs.coef_[0], theirs.intercept_[0]) * (1 + 1e-7) + 1e-12
    # Convex with a unit ridge in these units, so that equal objectives mean equal weights.
    gradient = C * (1 / (1 + np.exp(-(rows @ found[0].numpy() + float(found[1])))) - y) @ rows + found[0].numpy()
    assert np.abs(gradient).max() <= 1e-5 * max(1.0, C * np.abs(rows).sum())


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(9, 40),
    rank=st.integers(1, 8),
    k=st.integers(3, 4),
    C=st.sampled_from([1e-2, 1.0, 100.0]),
    seed=st.integers(0, 10**6),
)
def test_newton_of_several_classes_is_the_same_minimum(n, rank, k, C, seed):
    rng = np.random.default_rng(seed)
    rows, y = rng.normal(size=(n, rank)), np.arange(n) % k
    onehot = (y[None] == np.arange(k)[:, None]).astype(float)
    found = newton_multinomial(torch.as_tensor(rows), torch.as_tensor(onehot), C=C, tolerance=1e-10)
    assert found is not None
    scores = found[0].numpy() @ rows.T + found[1].numpy()[:, None]
    probability = np.exp(scores - scores.max(axis=0))
    residual = probability / probability.sum(axis=0) - onehot
    assert np.abs(C * residual @ rows + found[0].numpy()).max() <= 1e-6 * max(1.0, C)
    assert np.abs(residual.sum(axis=1)).max() <= 1e-6
    assert abs(float(found[1].sum())) <= 1e-6


def test_classes_that_few_columns_tell_apart_under_a_weak_penalty_are_solved():
    """Conjugate gradients alone gave up here, and a baseline of covariates with them."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    rows = rng.normal(size=(60, 6)) * [1, 1, 1, 1, 1e-2, 1e-3]
    rows[:, 0] += 30 * (y == 1)
    rows -= rows.mean(axis=0)
    rows = rows @ np.linalg.svd(rows, full_matrices=False)[2].T
    onehot = torch.as_tensor((y[None] == np.arange(3)[:, None]).astype(float))
    for C in (100.0, 1e5):
        weights, intercepts = logistic_of_one(torch.as_tensor(rows), onehot, C=C)
        scores = weights.numpy() @ rows.T + intercepts.numpy()[:, None]
        probability = np.exp(scores - scores.max(axis=0))
        residual = probability / probability.sum(axis=0) - onehot.numpy()
        assert np.abs(residual @ rows + weights.numpy() / C).max() <= 1e-5
