import numpy as np
import pytest
import torch
from planted import pairs

from empathy_geometry.evaluation.fold_geometry import FoldGeometry
from empathy_geometry.geometry.batched_logistic import batched_logistic


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
