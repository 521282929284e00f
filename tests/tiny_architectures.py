"""Small random models of many architectures, beside a copy as Hugging Face has it, untouched by any wrapper.

Windows and switches of rotary frequencies are shorter than the tests' texts. Cohere is left out: its bridge differs
from Hugging Face's own model (TransformerLens 3.9), whatever the batch.
"""

import copy
import warnings
from collections.abc import Mapping
from typing import Any

import torch
import transformers
from tiny_models import tiny_tokenizer

WINDOW, SWITCH, N_CTX = 12, 20, 128

_SIZES = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": N_CTX,
    "initializer_range": 0.3,
}
_NO_GROUPS = {name: value for name, value in _SIZES.items() if name != "num_key_value_heads"}
_GPT = {"n_embd": 16, "n_layer": 3, "n_positions": N_CTX, "initializer_range": 0.3}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2}
_OPT = {
    "hidden_size": 16,
    "ffn_dim": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": N_CTX,
    "init_std": 0.3,
    "pad_token_id": 1,
}
_FALCON = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "initializer_range": 0.3,
    "max_position_embeddings": N_CTX,
}
_MIXED = {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
_LONGROPE = {
    "rope_type": "longrope",
    "short_factor": [1.0, 1.0],
    "long_factor": [4.0, 30.0],
    "rope_theta": 1e4,
    "original_max_position_embeddings": SWITCH,
}

# Configuration class and its arguments, besides the vocabulary.
ARCHITECTURES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "gpt2": ("GPT2Config", {**_GPT, "n_head": 4}),
    "gpt_neox": ("GPTNeoXConfig", _NO_GROUPS),
    "gpt_neo": (
        "GPTNeoConfig",
        {
            "hidden_size": 16,
            "num_layers": 4,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 2]],
            "window_size": WINDOW,
            "max_position_embeddings": N_CTX,
            "initializer_range": 0.3,
        },
    ),
    "gptj": ("GPTJConfig", {**_GPT, "n_head": 2, "rotary_dim": 4}),
    "opt": ("OPTConfig", {**_OPT, "word_embed_proj_dim": 16}),
    "opt_post_norm": ("OPTConfig", {**_OPT, "word_embed_proj_dim": 8, "do_layer_norm_before": False}),
    "bloom": ("BloomConfig", {"hidden_size": 16, "n_layer": 3, "n_head": 4, "initializer_range": 0.3}),
    "falcon": ("FalconConfig", {**_FALCON, "multi_query": True, "parallel_attn": True}),
    "falcon_alibi": ("FalconConfig", {**_FALCON, "multi_query": False, "parallel_attn": False, "alibi": True}),
    "mpt": ("MptConfig", {"d_model": 16, "n_layers": 3, "n_heads": 4, "max_seq_len": N_CTX, "initializer_range": 0.3}),
    "llama": ("LlamaConfig", _SIZES),
    "llama_dynamic": (
        "LlamaConfig",
        {
            **_SIZES,
            "max_position_embeddings": SWITCH,
            "rope_parameters": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 1e4},
        },
    ),
    "mistral": ("MistralConfig", {**_SIZES, "sliding_window": WINDOW}),
    "mixtral": (
        "MixtralConfig",
        {**_SIZES, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None},
    ),
    "qwen2": ("Qwen2Config", _SIZES),
    "qwen2_window": (
        "Qwen2Config",
        {**_SIZES, "use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1},
    ),
    "qwen3": ("Qwen3Config", {**_SIZES, "head_dim": 8}),
    "qwen3_moe": ("Qwen3MoeConfig", {**_SIZES, **_EXPERTS, "head_dim": 8, "moe_intermediate_size": 16}),
    "gemma": ("GemmaConfig", {**_SIZES, "head_dim": 8}),
    "gemma2": (
        "Gemma2Config",
        {**_SIZES, "head_dim": 8, "sliding_window": WINDOW, "query_pre_attn_scalar": 8},
    ),
    "gemma3": ("Gemma3TextConfig", {**_SIZES, **_MIXED, "head_dim": 8, "query_pre_attn_scalar": 8}),
    "phi": ("PhiConfig", {**_SIZES, "partial_rotary_factor": 0.5}),
    "phi3": ("Phi3Config", {**_SIZES, "sliding_window": None}),
    "phi3_longrope": (
        "Phi3Config",
        {
            **_SIZES,
            "sliding_window": None,
            "original_max_position_embeddings": SWITCH,
            "rope_parameters": _LONGROPE,
        },
    ),
    "phi3_longrope_window": (
        "Phi3Config",
        {
            **_SIZES,
            "sliding_window": WINDOW,
            "original_max_position_embeddings": SWITCH,
            "rope_parameters": _LONGROPE,
        },
    ),
    "llama_longrope": ("LlamaConfig", {**_SIZES, "rope_parameters": _LONGROPE}),
    "stablelm": (
        "StableLmConfig",
        {
            **_SIZES,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5},
        },
    ),
    "olmo": ("OlmoConfig", _SIZES),
    "olmo2": ("Olmo2Config", _SIZES),
    "olmo3": ("Olmo3Config", {**_SIZES, **_MIXED}),
    "olmoe": ("OlmoeConfig", {**_SIZES, **_EXPERTS}),
    "granite": ("GraniteConfig", {**_SIZES, "residual_multiplier": 0.5, "embedding_multiplier": 3.0}),
    "smollm3": ("SmolLM3Config", {**_SIZES, "no_rope_layers": [1, 1, 0]}),
    "gpt_oss": (
        "GptOssConfig",
        {**_SIZES, **_MIXED, "head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2},
    ),
}


def tiny_architecture(name: str) -> tuple[Any, Any]:
    """A TransformerBridge, and the Hugging Face model as it was before it was wrapped."""
    from transformer_lens.model_bridge import TransformerBridge

    tokenizer = tiny_tokenizer()
    kind, arguments = ARCHITECTURES[name]
    shared = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": 257,
        "pad_token_id": None,
    }
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        config = getattr(transformers, kind)(**(shared | dict(arguments)))
        plain = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
        plain.config.architectures = [type(plain).__name__]
        for parameter_name, parameter in plain.named_parameters():
            parameter.requires_grad_(False)
            if parameter.ndim == 1 and ("norm" in parameter_name or "ln" in parameter_name):
                parameter.add_(0.1 * torch.randn(parameter.shape))
        model = TransformerBridge.boot_transformers(
            f"tiny-{name}",
            hf_model=copy.deepcopy(plain),
            tokenizer=tokenizer,
            device="cpu",
            dtype=torch.float32,
        )
    # Dynamic rotary frequencies stretch a model beyond the length that its configuration calls the longest.
    model.cfg.n_ctx = N_CTX
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model, plain
