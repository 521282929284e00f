"""A bridge that computes other logits than its Hugging Face model is refused on load, and named elsewhere."""

import warnings
from typing import Any

import pytest
import torch
from tiny_models import tiny_bridge, tiny_tokenizer
from transformers import CohereConfig, CohereForCausalLM, MistralConfig, MistralForCausalLM

import empathy_geometry as eg
from empathy_geometry.models.agreement import LogitsWarning, bridge_agreement, compare_logits
from empathy_geometry.models.identity import model_identity
from empathy_geometry.models.loading import check_model
from empathy_geometry.models.unwrapped import unwrapped

SMALL = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "vocab_size": len(tiny_tokenizer()),
    "pad_token_id": None,
}


def wrong(model: Any) -> Any:
    """A bridge whose last norm does something else than the norm that it wraps."""
    # Past the wrapper's own __setattr__, which would set it on the norm inside.
    object.__setattr__(model.ln_final, "forward", lambda given, **_: given)
    return model


def test_the_unwrapped_model_is_hugging_faces() -> None:
    torch.manual_seed(0)
    hf = MistralForCausalLM(MistralConfig(sliding_window=16, **SMALL)).eval()
    ids = torch.arange(20, 60)[None]
    with torch.no_grad():
        expected = hf(ids).logits
        model = eg.load_model(hf, tokenizer=tiny_tokenizer())
        torch.testing.assert_close(unwrapped(model)(ids).logits, expected, rtol=1e-4, atol=1e-4)
    found = bridge_agreement(model)
    assert found is not None
    assert found.holds
    # Tried beyond the window, too: a reference without one is found out.
    hf.config.sliding_window = None
    reference = MistralForCausalLM(hf.config).eval()
    reference.load_state_dict(hf.state_dict())
    assert not compare_logits(model, reference).holds


def test_a_wrong_bridge_is_named_once_and_recorded() -> None:
    model = wrong(tiny_bridge("llama"))
    with pytest.warns(LogitsWarning, match=r"logits of TransformerBridge .* are not those of Hugging Face's Llama"):
        check_model(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_model(model)
    assert model_identity(model)["differs_from_hugging_face"] > 0.01
    right = tiny_bridge("llama")
    check_model(right)
    assert "differs_from_hugging_face" not in model_identity(right)


def test_loading_refuses_a_difference_unless_it_is_wanted() -> None:
    torch.manual_seed(0)
    hf = CohereForCausalLM(CohereConfig(**SMALL)).eval()
    model = eg.load_model(hf, tokenizer=tiny_tokenizer(), allow_difference=True)
    found = bridge_agreement(model)
    assert found is not None
    if found.holds:
        pytest.skip("this TransformerLens computes Cohere as Hugging Face does")
    assert model_identity(model)["differs_from_hugging_face"] == pytest.approx(found.error, rel=0.1)
    with pytest.raises(ValueError, match=r"relative difference 0\.\d+ on a text of .*allow_difference=True"):
        eg.load_model(hf, tokenizer=tiny_tokenizer())
    check_model(model)  # what was wanted is not warned of again


def test_training_mode_and_hooks_are_left_as_they_were() -> None:
    model = tiny_bridge("llama")
    model.train()
    model.blocks[0].eval()
    flags = [m.training for m in model.modules()]
    model.add_hook("blocks.0.hook_resid_post", lambda tensor, hook: tensor * 2)
    assert bridge_agreement(model) is None  # not tried yet
    model.reset_hooks()
    found = bridge_agreement(model)
    assert found is not None
    assert found.holds
    assert [m.training for m in model.modules()] == flags
