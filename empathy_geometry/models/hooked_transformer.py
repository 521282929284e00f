"""HookedTransformer (TransformerLens 3) with unprocessed weights, made of any Hugging Face model that it converts."""

import contextlib
import copy
import io
import tempfile
import warnings
from typing import Any

import torch

_CANNOT = (NotImplementedError, AttributeError, AssertionError, LookupError, TypeError, ValueError, RuntimeError)


def check_hooked_transformer() -> None:
    """Raise ImportError, with what to do, on TransformerLens 4, which removed HookedTransformer."""
    try:
        from transformer_lens import HookedTransformer  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "TransformerLens 4 removed HookedTransformer; drop hooked_transformer=True to get a TransformerBridge "
            "(same hook names), or install 'transformer-lens<4'"
        ) from error


def to_hooked_transformer(hf_model: Any, tokenizer: Any, *, name: str, device: torch.device, dtype: torch.dtype) -> Any:
    """A HookedTransformer whose residual stream is Hugging Face's (no folding, no centring).

    Args:
        hf_model: The Hugging Face model; only read.
        tokenizer: Its tokenizer.
        name: What the model is called.
        device: Where it goes.
        dtype: Of its weights.

    Raises:
        ValueError: TransformerLens does not convert this architecture.
    """
    architecture = type(hf_model).__name__
    config = copy.deepcopy(hf_model.config)
    config.architectures = [architecture]
    # TransformerLens takes the architecture from words in the path ("llama", "gemma") before it reads the
    # configuration, so the configuration goes to a folder whose path says nothing.
    with tempfile.TemporaryDirectory(prefix="m") as folder, warnings.catch_warnings():
        # That the class is deprecated is known to who asks for it by name.
        warnings.simplefilter("ignore", DeprecationWarning)
        config.save_pretrained(folder)
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # TransformerLens prints
                model = _converted(folder, hf_model, tokenizer, device, dtype).to(device)
        except _CANNOT as error:
            reason = (str(error).strip().splitlines() or ["no reason given"])[0][:200]
            raise ValueError(
                f"TransformerLens does not convert {architecture} ({name!r}) into a HookedTransformer "
                f"({type(error).__name__}: {reason}); try hooked_transformer=False"
            ) from error
    model.cfg.model_name = name
    return model


def _converted(folder: str, hf_model: Any, tokenizer: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """What `HookedTransformer.from_pretrained_no_processing` does, which takes listed names only."""
    from transformer_lens import HookedTransformer
    from transformer_lens.loading_from_pretrained import get_pretrained_model_config, get_pretrained_state_dict

    # Default conventions of TransformerBridge, so that both read one text as the same tokens.
    config = get_pretrained_model_config(
        folder, fold_ln=False, device=str(device), dtype=dtype, default_prepend_bos=True
    )
    state = get_pretrained_state_dict(folder, config, hf_model, dtype=dtype)
    model = HookedTransformer(config, tokenizer, move_to_device=False, default_padding_side="right")
    model.load_and_process_state_dict(
        state, fold_ln=False, center_writing_weights=False, center_unembed=False, fold_value_biases=False
    )
    return model
