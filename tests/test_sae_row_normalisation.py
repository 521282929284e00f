"""SAEs that normalise rows at run time: every row is what SAELens makes of it alone, whatever was encoded before."""

import itertools

import pytest
import torch

import empathy_geometry as eg
from empathy_geometry.sae.autoencoder import as_autoencoder
from empathy_geometry.sae.controls import random_decoder
from empathy_geometry.sae.lens import sae_lens
from empathy_geometry.sae.reconstruction import reconstruction

pytestmark = pytest.mark.usefixtures("sae_lens_installed", "one_thread")

D_IN, D_SAE = 8, 24
KINDS = ("none", "expected_average_only_in", "layer_norm", "constant_norm_rescale", "covariance_whitening")
ARCHITECTURES = ("Standard", "Gated", "JumpReLU", "TopK", "AbsTopK", "MatchingPursuit")


def _lens(architecture: str, kind: str):
    lens = sae_lens()
    module = sae_lens(f"sae_lens.saes.{_module(architecture)}")
    options = {"k": 4} if "TopK" in architecture else {}
    config = getattr(module, f"{architecture}SAEConfig")(
        d_in=D_IN, d_sae=D_SAE, normalize_activations=kind, dtype="float32", device="cpu", **options
    )
    made = getattr(module, f"{architecture}SAE")(config)
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=draw))
    assert isinstance(made, lens.SAE)
    return made


def _module(architecture: str) -> str:
    return {"MatchingPursuit": "matching_pursuit"}.get(architecture, architecture.lower()) + "_sae"


def _rows(n: int, seed: int = 0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, D_IN, generator=draw) * torch.linspace(1, 20, n)[:, None] + 3


def _alone(lens, rows):
    """SAELens's own round trip, row by row."""
    with torch.no_grad():
        return torch.cat([lens.decode(lens.encode(row[None])) for row in rows])


@pytest.mark.parametrize(("architecture", "kind"), list(itertools.product(ARCHITECTURES, KINDS)))
def test_rows_are_what_saelens_makes_of_each_alone(architecture, kind, monkeypatch):
    if (architecture, kind) == ("MatchingPursuit", "covariance_whitening"):
        pytest.skip("SAELens refuses it")
    # Chunks of five rows, so that eleven cross two borders.
    monkeypatch.setattr("empathy_geometry.sae.autoencoder._BYTES_AT_ONCE", 5 * 4 * D_SAE)
    lens = _lens(architecture, kind)
    expected = _alone(lens, _rows(11))
    before = set(vars(lens))
    sae = as_autoencoder(lens)
    features = sae.encode(_rows(11))
    sae.encode(7 * _rows(3, seed=1))
    for _ in range(2):
        torch.testing.assert_close(sae.decode(features), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(sae.decode_rows(sae.encode_rows(_rows(11))), expected, atol=1e-4, rtol=1e-4)
    assert set(vars(lens)) == before
    if sae.normalisation != "none":
        torch.testing.assert_close(sae.decode(features[2:4], rows=_rows(11)[2:4]), expected[2:4], atol=1e-4, rtol=1e-4)
        with pytest.raises(ValueError, match="pass decode"):
            sae.decode(features[2:4])
        with pytest.raises(ValueError, match="as many as features"):
            sae.decode(features, rows=_rows(4))
    else:
        torch.testing.assert_close(sae.decode(features[2:4]), expected[2:4], atol=1e-4, rtol=1e-4)
    rows = _rows(11)
    explained = 1 - float((rows - expected).square().sum() / (rows - rows.mean(0)).square().sum())
    assert reconstruction(sae, rows).explained == pytest.approx(explained, abs=1e-3)


@pytest.mark.parametrize("kind", ["layer_norm", "constant_norm_rescale"])
def test_a_random_decoder_is_denormalised_too(kind):
    sae = as_autoencoder(_lens("Standard", kind))
    control = random_decoder(sae)
    small, large = _rows(4), 100 * _rows(4)
    both = [control.decode(control.encode(x)) for x in (small, large)]
    assert float(both[1].norm()) > 10 * float(both[0].norm())


@pytest.mark.parametrize("kind", ["layer_norm", "constant_norm_rescale"])
def test_agreement_runs_with_such_an_sae(kind):
    labels = ["w", "c"] * 30
    draw = torch.Generator().manual_seed(0)
    values = torch.randn(60, 1, D_IN, generator=draw)
    values[::2, 0, 0] += 4
    acts = eg.Activations(values, (0,), labels, [str(i // 2) for i in range(60)])
    found = eg.sae_agreement(as_autoencoder(_lens("Standard", kind)), acts, positive="w", negative="c", layer=0)
    assert found.controls


def test_what_gives_no_rows_back_is_refused():
    module = sae_lens("sae_lens.saes.transcoder")
    transcoder = module.Transcoder(module.TranscoderConfig(d_in=4, d_out=4, d_sae=8, apply_b_dec_to_input=False))
    with pytest.raises(ValueError, match="predicts one hook point from another"):
        as_autoencoder(transcoder)
    lens = sae_lens()
    training = lens.BatchTopKTrainingSAE(lens.BatchTopKTrainingSAEConfig(d_in=4, d_sae=8, k=2))
    with pytest.raises(ValueError, match="chooses its features across a batch"):
        as_autoencoder(training)
