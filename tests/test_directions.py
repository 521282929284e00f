"""Directions point where the truth was planted, know how reliable they are, and survive saving."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import ledoit_wolf_shrinkage

import empathy_geometry as eg
from empathy_geometry.geometry.direction_methods import METHODS, fit_vector
from empathy_geometry.geometry.directions import CosineWarning, cosine

D = 24


def planted(n: int = 60, gap: float = 4.0, seed: int = 0) -> tuple[eg.Activations, torch.Tensor]:
    """Pairs within scenarios that share a topic; the positive class is shifted by `gap` along a known direction."""
    g = torch.Generator().manual_seed(seed)
    truth = torch.nn.functional.normalize(torch.randn(D, generator=g), dim=0)
    topic = 3 * torch.randn(n, D, generator=g)
    positive = topic + gap * truth + torch.randn(n, D, generator=g)
    negative = topic + torch.randn(n, D, generator=g)
    values = torch.stack([positive, negative], dim=1).reshape(2 * n, 1, D)
    labels, groups = np.array(["warm", "plain"] * n), np.repeat(np.arange(n), 2)
    return eg.Activations(values, (5,), labels, groups), truth


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_a_planted_direction_and_signs_it(method):
    acts, truth = planted(gap=8.0)
    d = eg.ConceptDirection.from_activations(acts, positive="warm", negative="plain", layer=5, method=method)
    assert float(d.vector @ truth) > (0.6 if method in ("lda", "logistic", "ridge") else 0.95)
    assert float(torch.linalg.vector_norm(d.vector)) == pytest.approx(1, abs=1e-6)
    assert d.project(acts.layer(5))[::2].mean() > d.project(acts.layer(5))[1::2].mean()


def test_quality_and_scales_tell_a_concept_from_noise():
    acts, _ = planted(gap=4.0)
    real = eg.ConceptDirection.from_activations(acts, positive="warm", negative="plain", layer=5)
    noise_acts, _ = planted(gap=0.0)
    noise = eg.ConceptDirection.from_activations(noise_acts, positive="warm", negative="plain", layer=5)
    assert real.reliability > 0.8 > 0.4 > noise.reliability
    assert real.quality.opposed < 0.1 < 0.3 < noise.quality.opposed
    assert real.scales["class_gap"] == pytest.approx(4.0, rel=0.15)
    # The in-sample length of a noisy mean difference is far from zero; the cross-fitted gap is not.
    assert noise.norm > 0.5
    assert noise.scales.get("class_gap", 0.0) < 0.4


def test_from_mean_difference_equals_numpy_and_pairs_equal_it_when_balanced():
    acts, _ = planted()
    up, down = acts.where(label="warm").layer(5), acts.where(label="plain").layer(5)
    d = eg.ConceptDirection.from_mean_difference(up, down, layer=5)
    expected = up.double().mean(0) - down.double().mean(0)
    torch.testing.assert_close(d.norm * d.vector.double(), expected, atol=1e-5, rtol=1e-5)
    assert float(d.vector @ eg.ConceptDirection.from_pairs(up, down).vector) == pytest.approx(1, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100))
def test_mean_difference_follows_rotation_and_scale(seed, scale):
    acts, _ = planted(n=20, seed=seed)
    rotation = torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(seed)))[0]
    up, down = acts.where(label="warm").layer(5), acts.where(label="plain").layer(5)
    a = eg.ConceptDirection.from_mean_difference(up, down)
    b = eg.ConceptDirection.from_mean_difference(scale * up @ rotation, scale * down @ rotation)
    torch.testing.assert_close(b.vector, a.vector @ rotation, atol=1e-4, rtol=0)
    assert b.norm == pytest.approx(scale * a.norm, rel=1e-4)


def test_from_probe_is_the_gradient_of_the_decision_function_on_scaled_inputs():
    acts, _ = planted()
    X = acts.layer(5) * torch.logspace(-2, 2, D)
    probe = eg.Probe("logistic", scale=True).fit(X, acts.labels)
    d = eg.ConceptDirection.from_probe(probe, layer=5, positive="warm")
    step = 1e-3
    base = probe.decision_function(X[:1])[0]
    gradient = np.array([(probe.decision_function(X[:1] + step * torch.eye(D)[i])[0] - base) / step for i in range(D)])
    assert float(np.corrcoef(gradient, d.vector.numpy() * d.norm)[0, 1]) > 0.9999
    assert (d.positive, d.negative) == ("warm", "plain")


def test_cosines_warn_where_they_mislead():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(90, D)), np.repeat(["a", "b", "c"], 30)
    probe = eg.Probe("ridge").fit(X, y)
    a, b = (eg.ConceptDirection.from_probe(probe, positive=c) for c in "ab")
    with pytest.warns(CosineWarning, match="sum to about zero"):
        assert a.cosine(b) < 0
    base = torch.as_tensor(X[:30])
    c, d = (eg.ConceptDirection.from_mean_difference(torch.as_tensor(X[k : k + 30]), base) for k in (30, 60))
    with pytest.warns(CosineWarning, match="same baseline"):
        assert 0.2 < cosine(c, d) < 0.8


def test_directions_of_different_spaces_are_not_compared():
    a, b = eg.ConceptDirection(torch.ones(3), layer=1), eg.ConceptDirection(torch.ones(3), layer=2)
    with pytest.raises(ValueError, match="layers 1 and 2"):
        a.cosine(b)
    with pytest.raises(ValueError, match="widths"):
        a.cosine(eg.ConceptDirection(torch.ones(4)))
    with pytest.raises(ValueError, match="different models"):
        eg.ConceptDirection(torch.ones(3), model={"weights_sha256": "x"}).cosine(
            eg.ConceptDirection(torch.ones(3), model={"weights_sha256": "y"})
        )


def test_saving_keeps_everything(tmp_path):
    acts, _ = planted()
    d = eg.ConceptDirection.from_activations(acts, positive="warm", negative="plain", layer=5)
    loaded = eg.ConceptDirection.load(d.save(tmp_path / "d.safetensors"))
    assert torch.equal(loaded.vector, d.vector)
    for name in ("norm", "method", "layer", "positive", "negative", "scales", "class_means", "quality", "baseline"):
        assert getattr(loaded, name) == getattr(d, name)
    (tmp_path / "d.safetensors").write_bytes((tmp_path / "d.safetensors").read_bytes()[:-9])
    with pytest.raises(ValueError, match="damaged"):
        eg.ConceptDirection.load(tmp_path / "d.safetensors")


def test_bad_input_is_named():
    good = torch.randn(4, D)
    with pytest.raises(ValueError, match="same mean"):
        eg.ConceptDirection.from_mean_difference(good, good)
    with pytest.raises(ValueError, match="paired row by row"):
        eg.ConceptDirection.from_pairs(good, good[:2])
    with pytest.raises(ValueError, match="NaN or infinity in 1 of 4 rows"):
        eg.ConceptDirection.from_mean_difference(torch.cat([good[:3], torch.full((1, D), torch.nan)]), good)
    acts, _ = planted()
    with pytest.raises(ValueError, match="was not extracted"):
        eg.ConceptDirection.from_activations(acts, positive="warm", negative="plain", layer=3)
    with pytest.raises(ValueError, match="does not occur"):
        eg.ConceptDirection.from_activations(acts, positive="hot", negative="plain", layer=5)
    lonely = acts[np.arange(1, len(acts))]
    with pytest.raises(ValueError, match="only one"):
        eg.ConceptDirection.from_activations(lonely, positive="warm", negative="plain", layer=5, method="pairs")


def test_lda_is_the_shrunk_discriminant_and_no_other_method_is():
    acts, _ = planted(gap=2.0)
    up, down = acts.where(label="warm").layer(5).double().numpy(), acts.where(label="plain").layer(5).double().numpy()
    both = np.concatenate([up, down])
    sd = both.std(axis=0)
    z, within = (both - both.mean(axis=0)) / sd, np.concatenate([up - up.mean(axis=0), down - down.mean(axis=0)]) / sd
    s = ledoit_wolf_shrinkage(z)
    sigma = (1 - s) * within.T @ within / len(within) + s * (within**2).mean() * np.eye(D)
    expected = np.linalg.solve(sigma, (up.mean(axis=0) - down.mean(axis=0)) / sd) / sd
    expected /= np.linalg.norm(expected)
    found = eg.ConceptDirection.from_lda(acts.where(label="warm").layer(5), acts.where(label="plain").layer(5), layer=5)
    assert float(found.vector.double() @ torch.tensor(expected)) == pytest.approx(1, abs=1e-6)
    kinds = ("mean_difference", "pairs", "pca", "ridge", "logistic")
    for kind in kinds:
        other = fit_vector(kind, up, down)
        assert other @ expected / np.linalg.norm(other) < 0.999, kind
