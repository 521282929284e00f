"""Controls are what their names say: each is told from the concept, from the other kinds and from its own draws."""

import numpy as np
import pytest
import torch

import empathy_geometry as eg
from empathy_geometry.geometry.control_directions import random_controls

D, N = 40, 14


def study(seed=0):
    """A concept of equal strength in all scenarios, and noise in the features 1 to 15 only; the first is the largest.

    Strength and noise lie apart, so that a direction shows where it comes from.
    """
    rng = np.random.default_rng(seed)
    noise = np.zeros((2 * N, D))
    noise[:, 1:16] = rng.normal(size=(2 * N, 15))
    noise[:, 1] *= 3
    labels = np.array(["warm", "plain"] * N)
    values = noise + np.where(labels == "warm", 3.0, 0.0)[:, None] * np.eye(D)[0]
    acts = eg.Activations(torch.tensor(values[:, None], dtype=torch.float32), (4,), labels, np.repeat(np.arange(N), 2))
    direction = eg.ConceptDirection.from_activations(acts, positive="warm", negative="plain", layer=4)
    return acts, direction, values[::2] - values[1::2]


def controls(study_seed=0, **options):
    acts, direction, differences = study(study_seed)
    found = random_controls(direction, acts, positive="warm", negative="plain", layer=4, **options)
    return found, direction, differences


def of_kind(found, kind):
    return np.stack([d.vector.double().numpy() for name, d in found.items() if name.startswith(kind)])


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_labels_swap_the_classes_in_half_of_the_scenarios(seed):
    found, direction, differences = controls(seed, n_each=5, seed=seed)
    shuffled = of_kind(found, "shuffled labels")
    # The differences are independent, so the sign that each of them had can be solved for.
    signs = np.linalg.lstsq(differences.T, shuffled.T, rcond=None)[0].T
    assert np.allclose(differences.T @ signs.T, shuffled.T, atol=1e-5)
    assert np.allclose(np.abs(signs), np.abs(signs[:, :1]), rtol=1e-3)
    assert ((signs > 0).sum(axis=1) == N // 2).all()
    assert len({tuple(row > 0) for row in signs}) > 1
    # A concept that all scenarios show alike cancels.
    assert np.abs(shuffled[:, 0]).max() < 1e-5 < abs(float(direction.vector[0]))


def test_covariance_matched_directions_lie_where_activations_vary_and_isotropic_ones_anywhere():
    found, _, _ = controls(n_each=40)
    matched, isotropic = of_kind(found, "covariance-matched"), of_kind(found, "isotropic")
    assert np.abs(matched[:, 16:]).max() < 1e-5
    assert (matched[:, 1] ** 2).mean() > 0.2  # its share of the variance is 0.4, that of an isotropic one 1/40
    assert (isotropic**2).mean(axis=0) == pytest.approx(np.full(D, 1 / D), abs=0.03)


def test_controls_differ_from_each_other_and_follow_the_seed():
    found, direction, _ = controls(n_each=3)
    assert [name for name in found if name.endswith("1")] == [
        "isotropic 1",
        "covariance-matched 1",
        "shuffled labels 1",
    ]
    vectors = np.stack([d.vector.numpy() for d in found.values()])
    assert np.abs(np.triu(vectors @ vectors.T, 1)).max() < 0.999
    again, other = controls(n_each=3)[0], controls(n_each=3, seed=1)[0]
    for name in found:
        assert torch.equal(found[name].vector, again[name].vector)
        assert not torch.allclose(found[name].vector, other[name].vector, atol=1e-3)
        assert found[name].method == name.rsplit(" ", 1)[0]
        assert found[name].scales == direction.scales
        assert (found[name].layer, found[name].site) == (direction.layer, direction.site)
    assert controls(n_each=0)[0] == {}
