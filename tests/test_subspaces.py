"""Subspaces: bases are orthonormal, angles are scipy's, what is removed is gone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA

import empathy_geometry as eg


def rows(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), rank=st.integers(1, 5))
def test_projection_and_removal_split_every_row(seed, rank):
    space = eg.Subspace.from_directions(rows(rank, 12, seed))
    x = rows(7, 12, seed + 1)
    kept, removed = space.project(x), space.remove(x)
    torch.testing.assert_close(kept + removed, x, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(space.project(kept), kept, atol=1e-5, rtol=1e-5)
    assert space.coordinates(removed).abs().max() < 1e-4


def test_pca_is_scikit_learns():
    x = rows(40, 10, 0) * torch.arange(1, 11)
    space, oracle = eg.Subspace.from_pca(x, rank=3), PCA(3).fit(x.numpy())
    cosines = np.abs((space.basis.numpy() * oracle.components_).sum(axis=1))
    np.testing.assert_allclose(cosines, 1, atol=1e-4)
    np.testing.assert_allclose(space.explained, oracle.explained_variance_ratio_, rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_angles_are_scipys_and_overlap_is_their_mean_squared_cosine(seed):
    a = eg.Subspace.from_directions(rows(3, 15, seed))
    b = eg.Subspace.from_directions(rows(5, 15, seed + 1))
    expected = np.sort(subspace_angles(a.basis.double().numpy().T, b.basis.double().numpy().T))
    np.testing.assert_allclose(a.principal_angles(b).numpy(), expected, atol=1e-5)
    overlap = float((a.basis @ b.basis.T).square().sum()) / 3
    assert a.overlap(b) == pytest.approx(overlap, abs=1e-5) == b.overlap(a)
    assert a.overlap(a) == pytest.approx(1, abs=1e-6)


def test_pairs_find_the_planted_plane_and_activations_give_the_same():
    plane = torch.linalg.qr(rows(20, 2, 3))[0].T
    n = 50
    topic = 5 * rows(n, 20, 4)
    positive = topic + 4 * rows(n, 2, 5) @ plane + 0.2 * rows(n, 20, 6)
    space = eg.Subspace.from_pairs(positive, topic, rank=2)
    assert space.overlap(eg.Subspace(plane)) > 0.98
    acts = eg.Activations(
        torch.stack([positive, topic], 1).reshape(2 * n, 1, 20), (0,), ["p", "n"] * n, np.repeat(np.arange(n), 2)
    )
    again = eg.Subspace.from_activations(acts, layer=0, positive="p", negative="n", rank=2)
    assert again.overlap(space) == pytest.approx(1, abs=1e-5)


def test_saving_keeps_everything(tmp_path):
    space = eg.Subspace.from_pca(rows(9, 6, 0), rank=2, layer=4)
    loaded = eg.Subspace.load(space.save(tmp_path / "s.safetensors"))
    assert torch.equal(loaded.basis, space.basis)
    assert (loaded.explained, loaded.layer, loaded.method) == (space.explained, 4, "pca")
    with pytest.raises(ValueError, match="not hold subspace"):
        eg.Subspace.load(eg.ConceptDirection(torch.ones(3)).save(tmp_path / "d.safetensors"))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="orthonormal"):
        eg.Subspace(torch.ones(2, 4))
    with pytest.raises(ValueError, match="rank must be from 1 to 3"):
        eg.Subspace.from_pca(rows(4, 8, 0), rank=7)
    with pytest.raises(ValueError, match="variance must lie"):
        eg.Subspace.from_pca(rows(4, 8, 0), variance=1.5)
    with pytest.raises(ValueError, match="do not vary"):
        eg.Subspace.from_pca(torch.ones(4, 8))
    with pytest.raises(ValueError, match="expected width 8"):
        eg.Subspace.from_pca(rows(4, 8, 0)).project(torch.ones(3))
    with pytest.raises(ValueError, match="share layer and model"):
        eg.Subspace.from_directions([eg.ConceptDirection(torch.ones(3), layer=k) for k in (1, 2)])


def test_gradients_flow_to_rows_and_not_into_the_estimate() -> None:
    """A direction or subspace is a finished estimate; what is projected on it keeps its gradient."""
    basis = torch.eye(3, requires_grad=True)
    subspace, direction = eg.Subspace(basis[:2]), eg.ConceptDirection(basis[0])
    assert not subspace.basis.requires_grad
    assert not direction.vector.requires_grad
    for function, expected in (
        (subspace.project, [1.0, 1.0, 0.0]),
        (subspace.remove, [0.0, 0.0, 1.0]),
        (subspace.coordinates, [1.0, 1.0, 0.0]),
        (direction.project, [1.0, 0.0, 0.0]),
    ):
        rows = torch.ones(3, requires_grad=True)
        function(rows).sum().backward()
        assert rows.grad is not None
        assert rows.grad.tolist() == expected
