"""Whatever is changed in a model, a direction does not attach and a store does not go on, and both say what it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import D_MODEL, has_hooked_transformer, tiny_bridge, tiny_hooked_transformer

import empathy_geometry as eg
from empathy_geometry.models.identity import identity_differences, model_identity

TEXTS = eg.LabeledTexts(["so sorry", "noted", "oh no", "fine"], ["w", "c", "w", "c"], ["a", "a", "b", "b"])


def _inner(model: Any) -> Any:
    return model.original_model.model


def _numpy_view(model: Any) -> None:
    model.original_model.lm_head.weight.detach().numpy()[3, 2] += 1


def _data_mul(model: Any) -> None:
    next(p for n, p in model.named_parameters() if "layers.1" in n and "down_proj" in n).data.mul_(1.01)


def _rope_buffer(model: Any) -> None:
    model.rotary_emb._original_component.inv_freq.mul_(1.5)


def _new_buffer(model: Any) -> None:
    _inner(model).layers[0].mlp.register_buffer("qweight", torch.ones(2), persistent=False)


def _hf_config(model: Any) -> None:
    model.original_model.config.rms_norm_eps = 1e-3


def _lens_config(model: Any) -> None:
    model.cfg.eps = 1e-3


def _norm_epsilon(model: Any) -> None:
    _inner(model).norm._original_component.variance_epsilon = 1e-3


def _activation(model: Any) -> None:
    _inner(model).layers[2].mlp._original_component.act_fn = torch.nn.GELU()


def _torch_hook(model: Any) -> None:
    _inner(model).layers[1].register_forward_hook(lambda module, given, out: None)


def _pre_hook(model: Any) -> None:
    _inner(model).norm.register_forward_pre_hook(lambda module, given: None)


def _lens_hook(model: Any) -> None:
    model.add_hook("blocks.1.hook_resid_post", lambda tensor, hook: tensor * 2)


def _exchanged(model: Any) -> None:
    model.blocks[1].mlp.set_original_component(torch.nn.Linear(D_MODEL, D_MODEL))


CHANGES: dict[str, tuple[Callable[[Any], None], str]] = {
    "a numpy view": (_numpy_view, "parameters of lm_head changed"),
    "param.data": (_data_mul, r"parameters of model.layers.1.mlp changed"),
    "a rotary buffer": (_rope_buffer, "buffers of .*rotary_emb changed"),
    "a new buffer": (_new_buffer, "buffers of model.layers.0.mlp are new"),
    "Hugging Face's config": (_hf_config, "config hugging_face.rms_norm_eps: 1e-06 then, 0.001 now"),
    "TransformerLens's config": (_lens_config, "config transformer_lens.eps: 1e-06 then, 0.001 now"),
    "a norm's epsilon": (_norm_epsilon, "modules of model.norm changed"),
    "an activation function": (_activation, "modules of model.layers.2 changed"),
    "a PyTorch hook": (_torch_hook, "a hook stands now after .*_torch_hook.<locals>.<lambda>"),
    "a hook before a module": (_pre_hook, "a hook stands now before"),
    "a TransformerLens hook": (_lens_hook, "a hook stands now after blocks.1.hook_out: .*_lens_hook"),
    "a module": (_exchanged, "parameters of model.layers.1.mlp changed"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_model_is_refused_and_the_change_is_named(name: str, tmp_path: Path) -> None:
    change, words = CHANGES[name]
    model = tiny_bridge("llama")
    acts = eg.extract_activations(model, TEXTS, progress=False)
    direction = eg.ConceptDirection.from_activations(acts, positive="w", negative="c", layer=1)
    eg.extract_activations(model, TEXTS, progress=False, store=tmp_path / "s")
    with eg.SteeringHook(direction).attached(model):
        pass
    change(model)
    with pytest.raises(ValueError, match=words), eg.SteeringHook(direction).attached(model):
        pass
    with pytest.raises(ValueError, match=words):
        eg.extract_activations(model, TEXTS, progress=False, store=tmp_path / "s")
    saved = eg.ConceptDirection.load(direction.save(tmp_path / "d.safetensors"))
    assert identity_differences(saved.model, model_identity(model))


def test_the_same_model_again_is_the_same_whatever_it_read_before() -> None:
    model, again = tiny_bridge("llama"), tiny_bridge("llama")
    before = model_identity(model)
    eg.extract_activations(model, TEXTS, progress=False)
    eg.generate(model, ["hello", "a longer prompt"], max_new_tokens=3)
    assert model_identity(model) == before == model_identity(again)
    assert identity_differences(before, model_identity(tiny_bridge("llama", seed=1)))


def test_hooks_of_this_library_do_not_count_for_a_direction_but_do_for_a_store(tmp_path: Path) -> None:
    model = tiny_bridge("llama")
    acts = eg.extract_activations(model, TEXTS, progress=False)
    hook = eg.SteeringHook(eg.ConceptDirection.from_activations(acts, positive="w", negative="c", layer=1))
    eg.extract_activations(model, TEXTS, progress=False, store=tmp_path / "s")
    expected = pytest.raises(ValueError, match=r"an edit of this library stands now .*SteeringHook")
    with hook.attached(model), hook.attached(model), expected:
        eg.extract_activations(model, TEXTS, progress=False, store=tmp_path / "s")


def test_a_hook_that_is_gone_or_calls_another_function_counts() -> None:
    model = tiny_bridge("llama")

    def scaled(by: float) -> Callable[..., Any]:
        return lambda tensor, hook: tensor * by

    model.add_hook("blocks.0.hook_resid_post", scaled(2.0))
    twice = model_identity(model)
    model.reset_hooks()
    (words,) = identity_differences(twice, model_identity(model))
    assert words.startswith("a hook stood then after blocks.0")
    model.add_hook("blocks.0.hook_resid_post", scaled(3.0))
    assert len(identity_differences(twice, model_identity(model))) == 2
    model.reset_hooks()
    model.add_hook("blocks.0.hook_resid_post", scaled(2.0))
    assert identity_differences(twice, model_identity(model)) == []


def test_another_dtype_is_the_same_model_another_width_is_not() -> None:
    model, half = tiny_bridge("llama"), tiny_bridge("llama", dtype=torch.bfloat16)
    assert identity_differences(model_identity(model), model_identity(half)) == []
    assert identity_differences(model_identity(model), model_identity(tiny_bridge("llama", d_model=32)))
    assert identity_differences({}, model_identity(model)) == []


def test_an_identity_of_an_earlier_version_is_compared_by_name_and_shape_with_a_warning() -> None:
    now = model_identity(tiny_bridge("llama"))
    old = {k: now[k] for k in ("name", "class", "n_layers", "d_model", "normalization", "dtype")}
    with pytest.warns(UserWarning, match="recorded by an earlier version"):
        assert identity_differences(old | {"weights_sha256": "ab"}, now) == []
    with pytest.warns(UserWarning, match="recorded by an earlier version"):
        assert identity_differences(old | {"weights_sha256": "ab", "n_layers": 9}, now) == ["n_layers: 9 then, 3 now"]


def test_weights_that_are_not_in_memory_are_named() -> None:
    model = tiny_bridge("llama")
    _inner(model).norm._original_component.weight = torch.nn.Parameter(torch.empty(D_MODEL, device="meta"))
    with pytest.raises(ValueError, match=r"parameter model.norm.weight: .*offloaded"):
        model_identity(model)


def test_what_a_pass_writes_into_a_model_does_not_count() -> None:
    from tiny_models import tiny_tokenizer
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import Phi3Config, Phi3ForCausalLM

    rope = {"rope_type": "longrope", "short_factor": [1.0, 1.0], "long_factor": [4.0, 30.0], "rope_theta": 10000.0}
    config = Phi3Config(
        vocab_size=265,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        original_max_position_embeddings=32,
        pad_token_id=None,
        rope_parameters=rope | {"original_max_position_embeddings": 32},
    )
    hf = Phi3ForCausalLM(config).eval()
    model = TransformerBridge.boot_transformers("phi", hf_model=hf, tokenizer=tiny_tokenizer(), device="cpu")
    before = model_identity(model)
    with torch.no_grad():
        model(torch.arange(60)[None])
    rotary = model.original_model.model.rotary_emb
    assert not torch.equal(rotary.inv_freq, rotary.original_inv_freq)  # the pass did write
    assert identity_differences(before, model_identity(model)) == []
    rotary.original_inv_freq.mul_(2)
    assert "rotary_emb" in str(identity_differences(before, model_identity(model)))


@pytest.mark.skipif(not has_hooked_transformer(), reason="TransformerLens 4 has no HookedTransformer")
def test_hooked_transformer_buffers_and_functions_count() -> None:
    model = tiny_hooked_transformer()
    before = model_identity(model)
    model.blocks[0].attn.rotary_sin.mul_(1.1)
    model.blocks[1].mlp.act_fn = torch.nn.functional.gelu
    found = "; ".join(identity_differences(before, model_identity(model)))
    assert "buffers of blocks.0.attn changed" in found
    assert "modules of blocks.1 changed" in found
