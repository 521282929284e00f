"""What rotation, scaling and the order of rows must not change in dimensionality and similarity."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from empathy_geometry.dimensionality import dimensionality, participation_ratio
from empathy_geometry.dimensionality.participation import corrected_participation, naive_participation
from empathy_geometry.dimensionality.ranks import components_for, entropy_rank
from empathy_geometry.dimensionality.spectrum import second_moment_spectrum
from empathy_geometry.similarity import crossnobis, disattenuated_cosine, mahalanobis_cosine

seeds = st.integers(0, 10_000)


def sample(seed, n=20, d=12):
    rng = np.random.default_rng(seed)
    x = rng.standard_t(4, (n, d)) * rng.uniform(0.2, 3, d) + rng.standard_normal(d)
    return x, np.linalg.qr(rng.standard_normal((d, d)))[0], rng


@settings(max_examples=25, deadline=None)
@given(seed=seeds, center=st.booleans(), scale=st.floats(1e-3, 1e3))
def test_dimensionality_ignores_rotation_scale_and_order(seed, center, scale):
    x, rotation, rng = sample(seed)
    moved = scale * x[rng.permutation(len(x))] @ rotation
    for statistic in (corrected_participation, naive_participation):
        assert statistic(moved @ moved.T, center=center) == pytest.approx(statistic(x @ x.T, center=center), rel=1e-6)
    a, b = (second_moment_spectrum(m @ m.T, center=center) for m in (x, moved))
    assert entropy_rank(a) == pytest.approx(entropy_rank(b), rel=1e-6)
    assert components_for(a, 0.87) == components_for(b, 0.87)


@settings(max_examples=8, deadline=None)
@given(seed=seeds)
def test_the_whole_result_ignores_rotation(seed):
    x, rotation, rng = sample(seed)
    z = rng.standard_normal((15, 12))
    plain = dimensionality(x, null_differences=z, n_resamples=10, seed=seed)
    turned = dimensionality(x @ rotation, null_differences=z @ rotation, n_resamples=10, seed=seed)
    assert plain.to_frame()["value"].to_numpy() == pytest.approx(turned.to_frame()["value"].to_numpy(), rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_bounds_and_order_of_the_estimators(seed):
    x, _, _ = sample(seed)
    spectrum = second_moment_spectrum(x @ x.T, center=False)
    naive = naive_participation(x @ x.T, center=False)
    assert 1 <= naive <= entropy_rank(spectrum) + 1e-9 <= min(x.shape) + 1e-9
    assert components_for(spectrum, 0.5) <= components_for(spectrum, 0.9) <= min(x.shape)
    e = participation_ratio(x, n_resamples=10)
    assert e.low is None or e.low <= e.value <= e.high


@settings(max_examples=15, deadline=None)
@given(seed=seeds, scale=st.floats(1e-2, 1e2))
def test_disattenuated_cosine_ignores_rotation_scale_and_order_and_is_symmetric(seed, scale):
    x, rotation, rng = sample(seed, n=16)
    a, b = x + 1, x[::-1] * 0.5 + rng.standard_normal(x.shape) + 1
    names, order = np.arange(16), rng.permutation(16)
    first = disattenuated_cosine(a, b, groups_a=names, groups_b=names)
    second = disattenuated_cosine(
        scale * b[order] @ rotation, a @ rotation / scale, groups_a=names[order], groups_b=names
    )
    assert first.cosine == pytest.approx(second.cosine, abs=1e-9)
    assert (first.value is None) == (second.value is None)
    if first.value is not None:
        assert first.value.value == pytest.approx(second.value.value, rel=1e-5)
        assert first.reliability_a.value == pytest.approx(second.reliability_b.value)


@settings(max_examples=15, deadline=None)
@given(seed=seeds, scale=st.floats(1e-2, 1e2))
def test_mahalanobis_cosine_ignores_any_invertible_map_and_crossnobis_rotation_and_scale(seed, scale):
    x, rotation, rng = sample(seed, n=40, d=6)
    w = rng.standard_normal((2, 6))
    stretch = rotation * rng.uniform(0.5, 2, 6)
    moved = w @ np.linalg.inv(stretch).T
    plain = mahalanobis_cosine(w[0], w[1], x, groups=None)
    assert -1 <= plain.low <= plain.value <= plain.high <= 1
    assert float(mahalanobis_cosine(moved[0], moved[1], x @ stretch, groups=None)) == pytest.approx(float(plain))
    y = np.arange(40) % 2
    distance = float(crossnobis(x, y, groups=None))
    assert float(crossnobis(scale * x @ rotation, y, groups=None)) == pytest.approx(distance, rel=1e-5, abs=1e-7)
    assert float(crossnobis(x, 1 - y, groups=None)) == pytest.approx(distance, rel=1e-5, abs=1e-7)
