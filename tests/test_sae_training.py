"""Training a sparse autoencoder: it finds planted features, resumes exactly, and reads back through SAELens itself."""

from dataclasses import replace

import pytest
import torch
from tiny_models import D_MODEL, tiny_bridge

import empathy_geometry as eg
from empathy_geometry.planted.dictionary import planted_dictionary
from empathy_geometry.sae.autoencoder import as_autoencoder
from empathy_geometry.sae.design import ARCHITECTURES, SaeDesign
from empathy_geometry.sae.lens import sae_lens
from empathy_geometry.sae.reconstruction import reconstruction
from empathy_geometry.sae.stability import feature_stability
from empathy_geometry.sae.token_activations import token_activations
from empathy_geometry.sae.training import train_on_tokens
from empathy_geometry.sae.training_loop import TrainingLoop

pytestmark = pytest.mark.usefixtures("one_thread")
PLANTED = planted_dictionary(n_groups=8, d_model=24, d_sae=40, n_concept=2, l0=3, n_tokens=5000)
DESIGN = SaeDesign(d_sae=48, k=3, n_steps=800, batch_size=128, learning_rate=3e-3)


def cosines(sae: eg.sae.SparseAutoencoder) -> torch.Tensor:
    """Each planted feature with the nearest learned one."""
    a, b = (torch.nn.functional.normalize(d, dim=1) for d in (sae.decoder, PLANTED.sae.decoder))
    return (a @ b.T).amax(dim=0)


@pytest.fixture(scope="module")
def trained(sae_lens_installed: None) -> eg.sae.SparseAutoencoder:
    return train_on_tokens(PLANTED.tokens, DESIGN, progress=False)


def test_training_finds_the_planted_features(trained):
    assert float(cosines(trained).mean()) > 0.9
    untrained = torch.nn.functional.normalize(torch.randn(48, 24, generator=torch.Generator().manual_seed(0)), dim=1)
    assert float((untrained @ PLANTED.sae.decoder.T).amax(dim=0).mean()) < 0.6
    report = trained.training
    assert report.explained_held_out > 0.8
    assert report.n_tokens == 4500
    assert report.n_held_out == 500
    assert report.passes == pytest.approx(800 * 128 / 4500)
    assert report.provenance.kind == "planted"


def test_two_seeds_find_the_same_features(trained):
    second = train_on_tokens(PLANTED.tokens, DESIGN, seed=1, progress=False)
    found = feature_stability(trained, second, rows=PLANTED.tokens.values.numpy()[:200])
    # 40 features are there to be found by 48, so that some stay idle.
    assert found.share > 0.6
    assert found.share > found.nulls["isotropic"][1] + 0.3
    assert found.share > found.nulls["covariance"][1] + 0.3
    assert found.mean > found.nulls["isotropic"][0]


@pytest.mark.usefixtures("sae_lens_installed")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_reads_raw_activations_after_training(architecture):
    design = replace(DESIGN, architecture=architecture, l1_coefficient=0.5, n_steps=400)
    found = train_on_tokens(PLANTED.tokens, design, progress=False)
    rows = PLANTED.tokens.values[:300]
    assert reconstruction(found, rows).explained > 0.6
    assert 0.5 < found.training.l0 < 20
    assert found.training.dead < 48


@pytest.mark.usefixtures("sae_lens_installed")
def test_a_killed_run_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    options = {"design": replace(DESIGN, n_steps=60, architecture="batchtopk"), "progress": False}
    whole = train_on_tokens(PLANTED.tokens, **options)
    step = TrainingLoop._batch

    def killed(self, number):
        if number == 37:
            self.save()
            raise KeyboardInterrupt
        return step(self, number)

    monkeypatch.setattr(TrainingLoop, "_batch", killed)
    with pytest.raises(KeyboardInterrupt):
        train_on_tokens(PLANTED.tokens, **options, folder=tmp_path)
    assert (tmp_path / "checkpoint.safetensors").is_file()
    shown = []

    def counted(self, number):
        shown.append(number)
        return step(self, number)

    monkeypatch.setattr(TrainingLoop, "_batch", counted)
    resumed = train_on_tokens(PLANTED.tokens, **options, folder=tmp_path)
    assert shown == list(range(37, 60))
    assert torch.equal(resumed.decoder, whole.decoder)
    assert torch.equal(resumed.sae.threshold, whole.sae.threshold)
    assert not (tmp_path / "checkpoint.safetensors").exists()


@pytest.mark.usefixtures("sae_lens_installed")
def test_a_checkpoint_of_other_settings_is_refused_unless_told_not_to_resume(tmp_path, monkeypatch):
    options = {"design": replace(DESIGN, n_steps=20), "progress": False}

    def killed(self, number):
        self.save()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLoop, "_batch", killed)
        with pytest.raises(KeyboardInterrupt):
            train_on_tokens(PLANTED.tokens, **options, folder=tmp_path)
    with pytest.raises(ValueError, match="checkpoint of another run"):
        train_on_tokens(PLANTED.tokens, **options | {"seed": 1}, folder=tmp_path)
    train_on_tokens(PLANTED.tokens, **options | {"seed": 1}, folder=tmp_path, resume=False)
    with pytest.raises(ValueError, match="holds an SAE of another run"):
        train_on_tokens(PLANTED.tokens, **options, folder=tmp_path)


def test_saved_and_read_back_by_saelens_itself(trained, tmp_path):
    trained.save(tmp_path / "sae")
    theirs = sae_lens().SAE.load_from_disk(tmp_path / "sae")
    rows = PLANTED.tokens.values[:64]
    with torch.no_grad():
        codes = theirs.encode(rows)
        assert torch.equal(trained.encode(rows), codes)
        assert torch.equal(trained.decode(codes), theirs.decode(codes))
    ours = eg.load_sae(tmp_path / "sae")
    assert torch.equal(ours.encode(rows), codes)
    assert ours.place == (0, "resid_post")
    assert ours.training.to_dict() == trained.training.to_dict()
    assert as_autoencoder(theirs).place == ours.place


def test_too_few_tokens_say_how_many_are_needed():
    with pytest.raises(ValueError, match=r"4500 training tokens do not train 600 features.*6000 here.*d_sae=450"):
        train_on_tokens(PLANTED.tokens, SaeDesign(d_sae=600), progress=False)
    with pytest.raises(ValueError, match="architecture must be one of"):
        SaeDesign(architecture="gated")
    with pytest.raises(ValueError, match="held_out must lie in"):
        SaeDesign(held_out=1.0)


@pytest.fixture(scope="module")
def model():
    return tiny_bridge("llama", n_ctx=512)


def test_tokens_are_those_of_the_stream_without_position_0(model):
    texts = ["I lost my job today.", "The bus was late again, and it rained."]
    tokens = token_activations(model, texts, layer=1, progress=False)
    _, cache = model.run_with_cache(model.to_tokens(texts[1]), names_filter="blocks.1.hook_resid_post")
    own = tokens.values[torch.as_tensor(tokens.text == 1)]
    assert torch.allclose(own, cache["blocks.1.hook_resid_post"][0, 1:], atol=1e-5)
    assert tokens.n_massive == 0


def test_a_shared_prompt_counts_once_and_so_does_a_repeated_text(model):
    prompt = "She failed her exam.\n\nResponse: "
    answers = ["That hurts.", "Take a break."]
    texts = eg.LabeledTexts([prompt + a for a in answers], ["a", "b"], ["g", "g"], prompts=[prompt, prompt])
    both = token_activations(model, texts, layer=0, progress=False)
    alone = [token_activations(model, texts[[i]], layer=0, progress=False) for i in (0, 1)]
    shared = int((both.text == 0).sum()) + int((both.text == 1).sum())
    assert shared < len(alone[0]) + len(alone[1])
    assert torch.allclose(both.values[torch.as_tensor(both.text == 0)], alone[0].values, atol=1e-5)
    tail = both.values[torch.as_tensor(both.text == 1)]
    assert torch.allclose(tail, alone[1].values[-len(tail) :], atol=1e-5)
    assert len(token_activations(model, [texts, texts], layer=0, progress=False)) == len(both)


def test_extraction_goes_on_from_finished_shards(model, tmp_path, monkeypatch):
    from empathy_geometry.sae import token_activations as module

    monkeypatch.setattr(module, "_SHARD_TOKENS", 120)
    texts = [f"Text number {i} is about {'rain ' * (i % 5)}" for i in range(12)]
    plain = token_activations(model, texts, layer=2, progress=False)
    first = token_activations(model, texts, layer=2, folder=tmp_path, progress=False)
    files = sorted(tmp_path.glob("tokens-*.safetensors"))
    assert len(files) > 2
    files[1].unlink()
    read = []
    monkeypatch.setattr(module, "_read", lambda *a, f=module._read: read.append(1) or f(*a))
    again = token_activations(model, texts, layer=2, folder=tmp_path, progress=False)
    assert len(read) == 1
    assert torch.equal(again.values, first.values)
    assert torch.allclose(first.values, plain.values, atol=1e-5)
    with pytest.raises(ValueError, match="belongs to another run"):
        token_activations(model, texts, layer=1, folder=tmp_path, progress=False)


def test_massive_tokens_are_left_out(model, monkeypatch):
    from empathy_geometry.activations import outlier_tokens

    texts = ["I lost my job today, and so did she.", "No."]
    every = token_activations(model, texts, layer=2, progress=False)
    assert every.n_massive == 0
    monkeypatch.setattr(outlier_tokens, "OUTLIER_FACTOR", 1.05)
    some = token_activations(model, texts, layer=2, progress=False)
    norms = every.values.norm(dim=1)
    ordinary = torch.cat([norms[every.text == i] <= 1.05 * norms[every.text == i].median() for i in range(len(texts))])
    assert torch.equal(some.values, every.values[ordinary])
    assert 0 < some.n_massive == int((~ordinary).sum())
    alone = token_activations(model, texts[:1], layer=2, progress=False)
    torch.testing.assert_close(alone.values, some.values[torch.from_numpy(some.text) == 0])


@pytest.mark.usefixtures("sae_lens_installed")
def test_train_sae_from_texts_to_a_folder_that_is_not_trained_twice(model, tmp_path, monkeypatch):
    texts = eg.datasets.formality_pairs()
    design = SaeDesign(d_sae=32, k=4, n_steps=60)
    options = {"layer": 1, "design": design, "folder": tmp_path, "progress": False}
    sae = eg.train_sae(model, texts, n_tokens=4000, **options)
    assert sae.d_model == D_MODEL
    assert sae.place == (1, "resid_post")
    assert sae.training.provenance.texts == {texts.name: texts.sha256}
    assert 0 < sae.training.share_seen(texts) < 1
    monkeypatch.setattr(TrainingLoop, "fit", lambda self: pytest.fail("trained again"))
    again = eg.train_sae(model, texts, n_tokens=4000, **options)
    assert torch.equal(again.decoder, sae.decoder)


def test_texts_of_a_wrong_kind(model):
    with pytest.raises(TypeError, match="one string or none"):
        token_activations(model, "one text", layer=0)
    with pytest.raises(TypeError, match="all LabeledTexts or all strings"):
        token_activations(model, ["a", eg.datasets.formality_pairs()], layer=0)
    with pytest.raises(ValueError, match="attention sink"):
        token_activations(model, ["a text"], layer=0, reading=eg.ReadingDesign(outlier_tokens="keep"))
