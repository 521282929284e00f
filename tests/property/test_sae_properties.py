"""Subspace agreement: within [0, 1], blind to bases, lengths and rotations, and equal to scipy's principal angles."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import subspace_angles
from scipy.stats import ortho_group

import empathy_geometry as eg
from empathy_geometry.sae.concept_halves import captured
from empathy_geometry.sae.sparse_probing import class_gaps, strongest
from empathy_geometry.sae.stability import feature_stability

cases = st.tuples(st.integers(3, 12), st.integers(1, 6), st.integers(1, 4), st.integers(0, 2**16))


def draw(case):
    d, k, r, seed = case
    rng = np.random.default_rng(seed)
    k, r = min(k, d), min(r, d)
    basis = np.linalg.qr(rng.standard_normal((d, r)))[0].T
    return rng, rng.standard_normal((k, d)), basis


@settings(max_examples=40, deadline=None)
@given(cases)
def test_agreement_is_the_mean_squared_cosine_of_principal_angles(case):
    _, directions, basis = draw(case)
    value = float(captured(directions, basis))
    assert -1e-12 <= value <= 1 + 1e-9
    expected = (np.cos(subspace_angles(directions.T, basis.T)) ** 2).mean()
    assert np.isclose(value, expected, atol=1e-8)
    span = eg.Subspace.from_directions(torch.as_tensor(directions))
    assert np.isclose(value, span.overlap(eg.Subspace.from_directions(torch.as_tensor(basis))), atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(cases)
def test_agreement_does_not_see_rotations_lengths_mixtures_or_repetitions(case):
    rng, directions, basis = draw(case)
    value = float(captured(directions, basis))
    turn = ortho_group.rvs(directions.shape[1], random_state=rng)
    assert np.isclose(captured(directions @ turn, basis @ turn), value, atol=1e-8)
    lengths = rng.uniform(0.1, 10, (len(directions), 1)) * rng.choice([-1, 1], (len(directions), 1))
    assert np.isclose(captured(directions * lengths, basis), value, atol=1e-8)
    assert np.isclose(captured(np.concatenate([directions, directions[:1] * 3]), basis), value, atol=1e-6)
    inside = np.concatenate([basis, directions])[: basis.shape[1]]
    assert np.isclose(captured(inside, basis), 1.0, atol=1e-8)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16))
def test_random_directions_capture_max_of_ranks_over_width(seed):
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((20, 3)))[0].T
    draws = captured(rng.standard_normal((600, 5, 20)), basis)
    assert abs(draws.mean() - 5 / 20) < 0.03


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**16))
def test_class_gaps_do_not_see_the_scale_of_a_feature_and_batch_alike(seed):
    rng = np.random.default_rng(seed)
    features = np.maximum(rng.standard_normal((30, 12)), 0)
    labels = np.stack([rng.permutation(np.arange(30) % 2 == 0) for _ in range(3)])
    gaps = class_gaps(features, labels)
    assert np.allclose(gaps[1], class_gaps(features, labels[1]))
    assert np.allclose(class_gaps(features * rng.uniform(0.01, 100, 12), labels), gaps, rtol=1e-4)
    assert np.allclose(class_gaps(features, ~labels), gaps)
    assert (np.diff(gaps[0][strongest(gaps[0], 12)]) <= 0).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**16))
def test_matching_undoes_a_permutation(seed):
    rng = np.random.default_rng(seed)
    decoder = torch.as_tensor(rng.standard_normal((15, 10)), dtype=torch.float32)
    order = rng.permutation(15)
    first = eg.sae.SparseAutoencoder(decoder, lambda x: x, lambda f: f)
    second = eg.sae.SparseAutoencoder(3 * decoder[torch.as_tensor(order)], lambda x: x, lambda f: f)
    found = feature_stability(first, second, seed=seed)
    assert np.isclose(found.mean, 1.0, atol=1e-5)
    assert all(order[b] == a for a, b in found.pairs)
    assert found.nulls["isotropic"][0] < 0.9
