"""HookedTransformer (TransformerLens 3) with unprocessed weights, also for models it does not list."""

import warnings
from typing import Any

import torch

from empathy_geometry.models.embedded_model import EMBEDDED_NAME, load_embedded


def load_hooked_transformer(name: str, device: torch.device, dtype: torch.dtype) -> Any:
    """A HookedTransformer whose residual stream equals Hugging Face's (no folding, no centring).

    Raises:
        ImportError: TransformerLens 4, which removed HookedTransformer.
        FileNotFoundError: no such model here and none to be fetched.
    """
    try:
        from transformer_lens import HookedTransformer  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "TransformerLens 4 removed HookedTransformer; drop hooked_transformer=True to get a TransformerBridge "
            "(same hook names), or install 'transformer-lens<4'"
        ) from error
    with warnings.catch_warnings():
        # That it is deprecated is known to who asks for it by name.
        warnings.simplefilter("ignore", DeprecationWarning)
        if name == EMBEDDED_NAME:
            return _from_llama(*load_embedded(dtype), name=name, device=device, dtype=dtype)
        return _from_hub(name, device, dtype)


def _from_hub(name: str, device: torch.device, dtype: torch.dtype) -> Any:
    from transformer_lens import HookedTransformer

    try:
        return HookedTransformer.from_pretrained_no_processing(name, device=str(device), dtype=dtype)
    except (OSError, ConnectionError, ValueError) as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[0][:200]
        raise FileNotFoundError(
            f"cannot load {name!r} as a HookedTransformer, which knows the embedded model ({EMBEDDED_NAME!r}) and a "
            f"fixed list of hub names ({reason}); try hooked_transformer=False, which takes any name or local folder"
        ) from error


def _from_llama(hf_model: Any, tokenizer: Any, *, name: str, device: torch.device, dtype: torch.dtype) -> Any:
    """Convert a Llama-type Hugging Face model; TransformerLens has the weight map, but not this model's name."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_llama_weights

    hf = hf_model.config
    config = HookedTransformerConfig(
        model_name=name,
        n_layers=hf.num_hidden_layers,
        d_model=hf.hidden_size,
        n_heads=hf.num_attention_heads,
        d_head=hf.hidden_size // hf.num_attention_heads,
        d_mlp=hf.intermediate_size,
        n_ctx=hf.max_position_embeddings,
        d_vocab=hf.vocab_size,
        act_fn=hf.hidden_act,
        eps=hf.rms_norm_eps,
        n_key_value_heads=hf.num_key_value_heads,
        normalization_type="RMS",
        positional_embedding_type="rotary",
        rotary_base=int(hf.rope_parameters["rope_theta"]),
        rotary_dim=hf.hidden_size // hf.num_attention_heads,
        rotary_adjacent_pairs=False,
        gated_mlp=True,
        final_rms=True,
        original_architecture="LlamaForCausalLM",
        # The same convention as TransformerBridge, so that both read one text as the same tokens.
        default_prepend_bos=True,
        device=str(device),
        dtype=dtype,
    )
    model = HookedTransformer(config, tokenizer=tokenizer, default_padding_side="right")
    model.load_and_process_state_dict(
        convert_llama_weights(hf_model, config),
        fold_ln=False,
        center_writing_weights=False,
        center_unembed=False,
        fold_value_biases=False,
    )
    return model.to(device)
