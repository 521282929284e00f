"""The random-weights control: same architecture and tokens, other weights, repeatable, named as what it is."""

import pytest
import torch
from tiny_models import tiny_bridge

from empathy_geometry.activations.extraction import extract_activations
from empathy_geometry.models.identity import model_identity
from empathy_geometry.models.random_weights import is_random_weights, randomise_weights
from empathy_geometry.texts.labeled_texts import LabeledTexts

TEXTS = LabeledTexts(["abc I er", "another text", "x", "abcabc"], ["a", "b"] * 2, ["g", "g", "h", "h"])


def test_same_architecture_and_tokens_but_other_weights(tiny_model):
    control = randomise_weights(tiny_model, seed=3)
    assert type(control) is type(tiny_model)
    for field in ("n_layers", "d_model", "n_ctx", "d_vocab"):
        assert getattr(control.cfg, field) == getattr(tiny_model.cfg, field)
    assert control.to_tokens("abc I er").tolist() == tiny_model.to_tokens("abc I er").tolist()
    ours, theirs = (extract_activations(m, TEXTS, progress=False).values for m in (control, tiny_model))
    assert ours.shape == theirs.shape
    assert not torch.allclose(ours, theirs, atol=1e-2)
    assert not any(p.requires_grad for p in control.parameters())


def test_its_identity_cannot_pass_for_the_trained_models(tiny_model):
    control = randomise_weights(tiny_model, seed=3)
    own, trained = model_identity(control), model_identity(tiny_model)
    assert own["name"] == f"{trained['name']} (random weights, seed 3)"
    assert own["fingerprint"] != trained["fingerprint"]
    assert is_random_weights(own)
    assert not is_random_weights(trained)


def test_the_seed_decides_and_the_global_state_is_left_alone(tiny_model):
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    first, again, other = (randomise_weights(tiny_model, seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    hashes = [model_identity(m)["fingerprint"] for m in (first, again, other)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_local_folder_goes_through_the_real_load_path(tmp_path):
    trained = tiny_bridge("gpt2", seed=5)
    folder = tmp_path / "model"
    from transformers import GPT2Config, GPT2LMHeadModel

    GPT2LMHeadModel(
        GPT2Config(n_embd=16, n_layer=2, n_head=4, n_positions=64, vocab_size=len(trained.tokenizer))
    ).save_pretrained(folder)
    trained.tokenizer.save_pretrained(folder)
    control = randomise_weights(folder, seed=0)
    assert control.cfg.n_layers == 2
    assert is_random_weights(model_identity(control))


def test_bad_input_is_named():
    with pytest.raises(TypeError, match="must be a TransformerLens model"):
        randomise_weights(object())
    with pytest.raises(TypeError, match="seed must be a whole number"):
        randomise_weights("smollm2-135m-instruct", seed="x")
    with pytest.raises(FileNotFoundError, match="cannot load model"):
        randomise_weights("no/such-model-anywhere", seed=0)
