"""Ways in: GGUF files, folders of any architecture as both kinds of model, Hugging Face models in memory."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf_files import tiny_llama_hf, write_gguf
from tiny_models import has_hooked_transformer, tiny_bridge, tiny_tokenizer
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, Qwen3Config, Qwen3ForCausalLM

import empathy_geometry as eg
from empathy_geometry.models.hooked_model import is_bridge
from empathy_geometry.models.identity import identity_differences, model_identity

TEXTS = eg.LabeledTexts(["so sorry", "noted", "oh no", "fine"], ["w", "c", "w", "c"], ["a", "a", "b", "b"])
IDS = torch.arange(20, 60)[None]
KINDS = [False, pytest.param(True, marks=pytest.mark.skipif(not has_hooked_transformer(), reason="TransformerLens 4"))]


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        out = model(IDS)
    return out if isinstance(out, torch.Tensor) else out.logits


def works(model: Any, *, chat: bool) -> None:
    """It is extracted from, steered and written with."""
    acts = eg.extract_activations(model, TEXTS, progress=False, reading=eg.ReadingDesign(chat_template=chat))
    direction = eg.ConceptDirection.from_activations(acts, positive="w", negative="c", layer=1)
    with eg.SteeringHook(direction, alpha=2.0).attached(model):
        steered = eg.generate(model, ["hello"], max_new_tokens=3)
    assert len(steered.new_ids[0]) <= 3


@pytest.mark.parametrize("hooked", KINDS)
@pytest.mark.parametrize("chat", [True, False])
def test_a_gguf_file_is_the_model_that_it_was_written_from(tmp_path: Path, hooked: bool, chat: bool) -> None:
    pytest.importorskip("gguf")
    hf, tokenizer = tiny_llama_hf(), tiny_tokenizer(chat=chat)
    model = eg.load_model(write_gguf(tmp_path / "llama tiny.gguf", hf, tokenizer), hooked_transformer=hooked)
    torch.testing.assert_close(logits(model), logits(hf), rtol=1e-4, atol=1e-4)
    assert model.tokenizer("abc er I")["input_ids"] == tokenizer("abc er I")["input_ids"]
    assert model.tokenizer.chat_template == tokenizer.chat_template
    assert model_identity(model)["name"].endswith("llama tiny.gguf")
    works(model, chat=chat)


def test_files_that_are_no_models_say_so(tmp_path: Path) -> None:
    (tmp_path / "cut.gguf").write_bytes(b"<html>")
    with pytest.raises(ValueError, match="no GGUF file"):
        eg.load_model(tmp_path / "cut.gguf")
    (tmp_path / "short.gguf").write_bytes(b"GGUF\x03\0\0\0")
    with pytest.raises(ValueError, match="cannot load"):
        eg.load_model(tmp_path / "short.gguf")
    with pytest.raises(FileNotFoundError, match=r"no GGUF file .*did you mean '.*cut.gguf'"):
        eg.load_model(tmp_path / "cat.gguf")
    (tmp_path / "weights.bin").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="is a file"):
        eg.load_model(tmp_path / "weights.bin")
    (tmp_path / "my-model").mkdir()
    (tmp_path / "my-model" / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"no folder .*did you mean '.*my-model'"):
        eg.load_model(tmp_path / "my-modell")


SMALL = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "vocab_size": len(tiny_tokenizer()),
}


@pytest.mark.parametrize("hooked", KINDS)
@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (Qwen3ForCausalLM, Qwen3Config(num_key_value_heads=2, head_dim=8, **SMALL)),
        (GPTNeoXForCausalLM, GPTNeoXConfig(**SMALL | {"num_attention_heads": 2})),
    ],
)
def test_a_folder_loads_as_either_kind_whatever_its_path_says(
    kind: Any, config: Any, hooked: bool, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    hf = kind(config).eval()
    folder = tmp_path / "llama-gemma-experiments"  # TransformerLens reads architectures off such words
    hf.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    model = eg.load_model(folder, hooked_transformer=hooked)
    assert is_bridge(model) != hooked
    torch.testing.assert_close(logits(model), logits(hf), rtol=1e-5, atol=1e-5)
    works(model, chat=True)


@pytest.mark.skipif(not has_hooked_transformer(), reason="TransformerLens 4")
def test_an_architecture_that_hooked_transformer_does_not_know() -> None:
    from transformers import CohereConfig, CohereForCausalLM

    hf = CohereForCausalLM(CohereConfig(num_key_value_heads=2, pad_token_id=None, **SMALL)).eval()
    with pytest.raises(ValueError, match=r"does not convert CohereForCausalLM.*hooked_transformer=False"):
        eg.load_model(hf, tokenizer=tiny_tokenizer(), hooked_transformer=True)


@pytest.mark.parametrize("hooked", KINDS)
def test_a_model_in_memory_is_wrapped_and_left_as_it_was(hooked: bool) -> None:
    hf, tokenizer = tiny_llama_hf(attn_implementation="sdpa"), tiny_tokenizer()
    calls: list[int] = []
    hf.model.layers[0].register_forward_hook(lambda *_: calls.append(1))
    expected, modules = logits(hf), list(hf.modules())
    before = copy.deepcopy((hf.config.to_dict(), list(hf.state_dict()), dict(tokenizer.init_kwargs)))
    model = eg.load_model(hf, tokenizer=tokenizer, hooked_transformer=hooked)
    torch.testing.assert_close(logits(model), expected, rtol=1e-4, atol=1e-4)
    works(model, chat=True)
    assert [id(m) for m in hf.modules()] == [id(m) for m in modules]
    assert (hf.config.to_dict(), list(hf.state_dict()), dict(tokenizer.init_kwargs)) == before
    assert hf.config._attn_implementation == "sdpa"
    assert all(p.requires_grad for p in hf.parameters())
    n = len(calls)
    torch.testing.assert_close(logits(hf), expected, rtol=0, atol=0)
    assert len(calls) == n + 1  # its hook is still there, and only it called it


def test_a_model_in_memory_keeps_its_dtype_when_another_is_asked_for() -> None:
    hf = tiny_llama_hf()
    model = eg.load_model(hf, tokenizer=tiny_tokenizer(), dtype="bfloat16")
    assert next(model.parameters()).dtype == torch.bfloat16
    assert {p.dtype for p in hf.parameters()} == {torch.float32}
    half = eg.load_model(hf.to(torch.bfloat16), tokenizer=tiny_tokenizer())
    assert next(half.parameters()).dtype == torch.bfloat16


def test_weights_of_a_model_in_memory_are_shared_and_a_change_is_noticed() -> None:
    hf = tiny_llama_hf()
    model = eg.load_model(hf, tokenizer=tiny_tokenizer())
    before = model_identity(model)
    with torch.no_grad():
        hf.lm_head.weight.mul_(1.1)
    assert identity_differences(before, model_identity(model)) == ["parameters of lm_head changed"]


def test_objects_that_are_no_hugging_face_models() -> None:
    with pytest.raises(TypeError, match="hooked already"):
        eg.load_model(tiny_bridge("llama"))
    with pytest.raises(TypeError, match="no causal language model"):
        eg.load_model(torch.nn.Linear(2, 2))
    with pytest.raises(TypeError, match="needs its tokenizer"):
        eg.load_model(tiny_llama_hf())
