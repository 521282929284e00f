"""What a pass must be told on models whose rotary frequencies change with the length of a text."""

import inspect
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from empathy_geometry.models.behaviour_lengths import BehaviourLengths
from empathy_geometry.models.hooked_model import HookedModel, is_bridge


def rope_arguments(
    model: HookedModel, lengths: BehaviourLengths, mask: Bool[Tensor, "row all_pos"], width: int
) -> dict[str, Tensor]:
    """Arguments of a pass such that its real tokens alone decide the rotary frequencies; none for most models.

    The frequencies are chosen by the largest position of the pass. Positions are therefore counted over real tokens and
    given by name: left to itself a model counts padding too. Frequencies that grew with an earlier text are put back.

    Args:
        model: HookedTransformer or TransformerBridge.
        lengths: Of the model.
        mask: True for real tokens, those held in a cache included.
        width: How many columns, the last ones, this pass reads.
    """
    if not lengths.rope_switches or not is_bridge(model):
        return {}
    hf_model: Any = model.original_model  # type: ignore[attr-defined]
    if lengths.rope_grows:
        _forget_longer_texts(hf_model)
    if "position_ids" not in inspect.signature(hf_model.forward).parameters:
        return {}
    counted = (mask.long().cumsum(1) - 1).clamp(min=0)
    return {"position_ids": counted[:, counted.shape[1] - width :]}


def _forget_longer_texts(hf_model: Any) -> None:
    """Make dynamic rotary embeddings forget the longest text so far, as Hugging Face does when it reads a short one."""
    for module in hf_model.modules():
        if getattr(module, "max_seq_len_cached", None) is None or not hasattr(module, "original_max_seq_len"):
            continue
        kinds = getattr(module, "rope_type", "")
        frequencies = next(module.buffers(), torch.zeros(()))
        token = torch.zeros(1, 1, 1, device=frequencies.device)
        position = torch.zeros(1, 1, dtype=torch.long, device=frequencies.device)
        if isinstance(kinds, dict):
            for layer_type, kind in kinds.items():
                if "dynamic" in str(kind):
                    module.forward(token, position, layer_type=layer_type)
        elif "dynamic" in str(kinds):
            module.forward(token, position)
