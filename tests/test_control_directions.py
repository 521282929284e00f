"""Controls are what their names say: each is told from the concept, from the other kinds and from its own draws."""

import numpy as np
import pytest
import torch

import empathy_geometry as eg
from empathy_geometry.geometry.control_directions import random_controls
from empathy_geometry.geometry.directions import RANDOM_KINDS

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


@pytest.mark.parametrize("kind", RANDOM_KINDS)
def test_random_directions_like_one_have_its_scales_and_are_drawn_anew_each(kind):
    acts, direction, _ = study()
    found = direction.random_like(6, kind=kind, activations=acts, seed=3)
    assert len(found) == 6
    for one in found:
        assert (one.layer, one.scales, one.site) == (direction.layer, direction.scales, direction.site)
        assert one.class_means == {}
        assert one.quality is None
        assert eg.SteeringHook(one).unit_length == pytest.approx(eg.SteeringHook(direction).unit_length)
    rows = np.stack([np.asarray(one) for one in found])
    assert np.abs(np.triu(rows @ rows.T, 1)).max() < 0.999
    again = direction.random_like(6, kind=kind, activations=acts, seed=3)
    assert np.array_equal(rows, np.stack([np.asarray(one) for one in again]))
    assert not np.allclose(
        rows, np.stack([np.asarray(one) for one in direction.random_like(6, kind=kind, activations=acts)])
    )


def test_each_kind_of_random_direction_is_what_it_says():
    acts, direction, differences = study()
    rows = {
        kind: np.stack([np.asarray(d, dtype=float) for d in direction.random_like(60, kind=kind, activations=acts)])
        for kind in RANDOM_KINDS
    }
    unit = np.asarray(direction, dtype=float)
    assert np.abs(rows["orthogonal"] @ unit).max() < 1e-6
    assert np.abs(rows["isotropic"] @ unit).max() > 0.1
    assert np.abs(rows["covariance"][:, 16:]).max() < 1e-5 < np.abs(rows["isotropic"][:, 16:]).max()
    # Shuffled ones lie in the span of the differences, and the concept that all scenarios share is cancelled.
    assert np.abs(rows["shuffled"][:, 16:]).max() < 1e-5
    assert np.abs(rows["shuffled"][:, 0]).max() < 1e-5 < np.abs(rows["covariance"][:, 0]).max()
    assert np.linalg.matrix_rank(differences) < D


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "gaussian"}, "kind must be one of 'isotropic', 'orthogonal', 'covariance', 'shuffled'"),
        ({"kind": "covariance"}, "needs activations="),
        ({"kind": "shuffled"}, "needs activations="),
    ],
)
def test_what_random_directions_lack_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        study()[1].random_like(2, **options)


def test_random_directions_of_other_activations_are_refused():
    acts, direction, _ = study()
    narrow = eg.Activations(acts.values[..., :5], acts.layers, acts.labels, acts.groups)
    with pytest.raises(ValueError, match="width 40, the activations 5"):
        direction.random_like(2, kind="covariance", activations=narrow)
    with pytest.raises(ValueError, match="n must be at least 1"):
        direction.random_like(0)
