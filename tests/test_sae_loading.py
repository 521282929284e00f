"""Getting an SAE: hooks become places, misfits are named, and a hub out of reach is said to be so."""

import sys

import pytest
import torch

import empathy_geometry as eg
from empathy_geometry.sae.autoencoder import as_autoencoder, hook_of_place, place_of_hook
from empathy_geometry.sae.lens import sae_lens


def standard_sae(d_in=6, d_sae=10, hook="blocks.3.hook_resid_pre"):
    lens = sae_lens()
    config = lens.StandardSAEConfig(d_in=d_in, d_sae=d_sae)
    config.metadata.hook_name, config.metadata.model_name = hook, "some-model"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return lens.StandardSAE(config)


@pytest.mark.usefixtures("sae_lens_installed")
def test_a_saelens_object_computes_what_it_computed(tmp_path):
    theirs = standard_sae()
    ours = as_autoencoder(theirs)
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(ours.encode(x), theirs.encode(x))
        assert torch.equal(ours.decode(ours.encode(x)), theirs(x))
    assert ours.place == (2, "resid_post")
    assert (ours.d_sae, ours.d_model, ours.architecture, ours.model_name) == (10, 6, "standard", "some-model")
    assert not ours.is_planted


@pytest.mark.parametrize(
    ("hook", "place"),
    [
        ("blocks.8.hook_resid_post", (8, "resid_post")),
        ("blocks.8.hook_out", (8, "resid_post")),
        ("blocks.0.hook_resid_pre", ("embed", "resid_post")),
        ("blocks.4.hook_mlp_out", (4, "mlp_out")),
        ("blocks.4.attn.hook_z", None),
        (None, None),
    ],
)
def test_hook_names_are_places(hook, place):
    assert place_of_hook(hook) == place
    if place is not None:
        assert place_of_hook(hook_of_place(*place)) == place


@pytest.mark.usefixtures("sae_lens_installed")
def test_another_width_layer_or_site_is_named():
    sae = as_autoencoder(standard_sae())
    sae.check_fits(6, (2, "resid_post"))
    sae.check_fits(6, (3, "resid_pre"))
    with pytest.raises(ValueError, match=r"width 6 \(trained on some-model\), these have 8"):
        sae.check_fits(8, None)
    with pytest.raises(ValueError, match=r"reads blocks.2.hook_resid_post .*from blocks.3.hook_resid_post"):
        sae.check_fits(6, (3, "resid_post"))
    with pytest.raises(ValueError, match=r"from blocks.2.hook_mlp_out"):
        sae.check_fits(6, (2, "mlp_out"))
    with pytest.raises(ValueError, match=r"reads rows \[n, 6\]"):
        sae.encode(torch.zeros(2, 7))
    with pytest.raises(TypeError, match="sae must be an SAE"):
        as_autoencoder("gpt2-small-res-jb")


@pytest.mark.usefixtures("sae_lens_installed")
def test_folders_that_hold_no_whole_sae(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is not a folder with cfg.json"):
        eg.load_sae(tmp_path)
    standard_sae().save_model(tmp_path)
    assert eg.load_sae(tmp_path).d_sae == 10
    weights = tmp_path / "sae_weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(ValueError, match="is damaged or not in SAELens's format"):
        eg.load_sae(tmp_path)
    weights.unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks .*sae_weights"):
        eg.load_sae(tmp_path)


@pytest.mark.usefixtures("sae_lens_installed")
def test_a_release_out_of_reach_and_one_that_is_none(monkeypatch):
    lens = sae_lens()

    def offline(*arguments, **options):
        raise ConnectionError("Name or service not known")

    with pytest.raises(ValueError, match=r"has no SAE 'x' of release 'no-such-release'.*none for the embedded model"):
        eg.load_sae("no-such-release", "x")
    monkeypatch.setattr(lens.SAE, "from_pretrained", offline)
    with pytest.raises(FileNotFoundError, match=r"the hub did not give it .*download the folder elsewhere"):
        eg.load_sae("gpt2-small-res-jb", "blocks.8.hook_resid_pre")


def test_without_saelens_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sae_lens", None)
    with pytest.raises(ImportError, match=r"pip install 'empathy-geometry\[sae\]'"):
        eg.load_sae("release", "id")


def test_only_what_came_from_saelens_is_saved_in_its_format(tmp_path):
    toy = eg.sae.SparseAutoencoder(torch.eye(3), lambda x: x, lambda f: f)
    with pytest.raises(ValueError, match="did not come from SAELens"):
        toy.save(tmp_path)
    with pytest.raises(ValueError, match="decoder must be a finite matrix"):
        eg.sae.SparseAutoencoder(torch.full((2, 2), float("nan")), lambda x: x, lambda f: f)
