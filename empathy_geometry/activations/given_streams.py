"""Streams that somebody else recorded, token by token, pooled as an extraction pools its own."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from empathy_geometry.activations.outlier_tokens import OUTLIER_TOKENS, OutlierTokens
from empathy_geometry.activations.pooling import Pooling
from empathy_geometry.activations.positions import (
    Position,
    check_position,
    judged_tokens,
    n_slots,
    pooling_weights,
    read_length,
    token_slots,
)
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation._validation import as_layer, check_choice
from empathy_geometry.models.tokens import TokenizedText


@runtime_checkable
class StreamsByHook(Protocol):
    """What a dictionary of hook names to streams and TransformerLens's ActivationCache have in common."""

    def __getitem__(self, key: str, /) -> Tensor:
        """The stream at a hook."""

    def __iter__(self) -> Iterator[str]:
        """Names of hooks."""


class PooledStreams(NamedTuple):
    """Pooled vectors of several layers.

    Attributes:
        values: [n, layer, d_model], or [n, slots, layer, d_model] where a position gives several vectors.
        left_out: Outlier tokens left out of each row's means.
    """

    values: Float[Tensor, "n *slots layer d_model"]
    left_out: Int[Tensor, "n layer"]


def pool_streams(
    streams: Mapping[Layer, Tensor],
    real: Bool[Tensor, "batch pos"],
    *,
    position: Position,
    outlier_tokens: OutlierTokens,
    tokenized: Sequence[TokenizedText] | None,
) -> PooledStreams:
    """Pool [batch, pos, d_model] of each layer over real tokens.

    Streams are taken as numbers: no gradient flows back through them.

    Raises:
        ValueError: an unknown option, or a position that a text does not have.
    """
    check_position(position)
    check_choice(outlier_tokens, "outlier_tokens", OUTLIER_TOKENS)
    pooling = _pooling(real, tokenized, position, outlier_tokens)
    means = [pooling(stream.detach()) for stream in streams.values()]
    values = torch.stack([m.vectors.cpu() for m in means], dim=2)
    left_out = torch.stack([m.left_out.cpu() for m in means], dim=1).int()
    return PooledStreams(values[:, 0] if values.shape[1] == 1 else values, left_out)


def check_streams(streams: Mapping[Layer, Tensor]) -> tuple[int, int]:
    """Rows and columns of streams that are all [batch, pos, d_model] of one shape.

    Raises:
        ValueError: one is not.
    """
    shapes = {layer: tuple(stream.shape) for layer, stream in streams.items()}
    first = next(iter(shapes.values()))
    for layer, shape in shapes.items():
        if len(shape) != 3:
            raise ValueError(f"layer {layer!r} must be [batch, pos, d_model], got {shape}; keep the batch axis")
        if shape != first:
            raise ValueError(f"layers must have one shape, got {first} and, at layer {layer!r}, {shape}")
    return first[0], first[1]


def streams_of_hidden_states(
    hidden_states: Any, layers: tuple[Layer, ...] | None, before_final_norm: Tensor | None
) -> dict[Layer, Tensor]:
    """What Hugging Face's `output_hidden_states=True` gives, by layer; see `Activations.from_hidden_states`."""
    states = getattr(hidden_states, "hidden_states", hidden_states)
    if not isinstance(states, tuple | list) or not states or not all(isinstance(s, Tensor) for s in states):
        several = isinstance(states, tuple | list) and states and isinstance(states[0], tuple | list)
        raise TypeError(
            "hidden_states must be the tuple of tensors [batch, pos, d_model] of a forward pass with "
            "output_hidden_states=True"
            + (
                "; generate() gives one tuple per step: run the whole texts through the model once"
                if several
                else f", got {type(states).__name__}"
            )
        )
    last = len(states) - 2
    if last < 0:
        raise ValueError("hidden_states has one entry, the embeddings; give all that the model returned")
    known: dict[Layer, Tensor] = {"embed": states[0]}
    known |= {i: states[i + 1] for i in range(last)}
    if before_final_norm is not None:
        known[last] = before_final_norm
    wanted = tuple(layer for layer in known if layer != "embed") if layers is None else layers
    if not wanted:
        raise ValueError("of a model of one block hidden_states hold no stream; pass before_final_norm=")
    for layer in wanted:
        if layer == last and before_final_norm is None:
            raise ValueError(
                f"hidden_states[-1] is after the final norm, so the stream after block {last} is not among them; leave "
                f"it out, or record what goes into the final norm (such as model.model.norm."
                f"register_forward_pre_hook(...)) and pass it as before_final_norm="
            )
        if layer not in known:
            raise ValueError(f"there is no layer {layer!r}; hidden_states of {last + 1} blocks hold 'embed', 0..{last}")
    return {layer: known[layer] for layer in wanted}


def as_streams(arrays: Any, layers: tuple[Layer, ...] | None) -> dict[Layer, Tensor]:
    """Arrays of any library as tensors by layer; arguments as in `Activations.from_arrays`."""
    if isinstance(arrays, Mapping):
        if layers is not None:
            raise ValueError("arrays names its layers; leave layers out")
        return {as_layer(layer): _as_tensor(array, f"layer {layer!r}") for layer, array in arrays.items()}
    if layers is None:
        raise ValueError("say which layers the arrays are of: layers=[...], or give a dictionary {layer: array}")
    whole = _as_tensor(arrays, "arrays") if not isinstance(arrays, tuple | list) or len(layers) == 1 else None
    if whole is None:
        if len(arrays) != len(layers):
            raise ValueError(f"arrays has {len(arrays)} entries for {len(layers)} layers; give one array per layer")
        return {layer: _as_tensor(a, f"layer {layer!r}") for layer, a in zip(layers, arrays, strict=True)}
    if len(layers) == 1 and whole.ndim == 2:
        return {layers[0]: whole}
    if whole.ndim != 3 or whole.shape[1] != len(layers):
        raise ValueError(
            f"one array must be [n, layer, d_model] with {len(layers)} layers (or [n, d_model] of one), got "
            f"{tuple(whole.shape)}; for tokens give a dictionary {{layer: [batch, pos, d_model]}}"
        )
    return {layer: whole[:, i] for i, layer in enumerate(layers)}


def _as_tensor(array: Any, name: str) -> Tensor:
    if isinstance(array, Tensor):
        return array.detach().cpu()
    if isinstance(array, tuple | list) and array and isinstance(array[0], Tensor):
        return torch.stack([row.detach().cpu() for row in array])
    found = np.asarray(array)
    if found.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers, got {type(array).__name__} of dtype {found.dtype}")
    return torch.as_tensor(found.astype(np.float32 if found.dtype.kind != "f" else found.dtype, copy=False))


def _pooling(
    real: Tensor, tokenized: Sequence[TokenizedText] | None, position: Position, outlier_tokens: OutlierTokens
) -> Pooling:
    batch, width = real.shape
    weights = torch.zeros(batch, n_slots(position), width)
    judged = torch.zeros(batch, width, dtype=torch.bool)
    for row, own in enumerate(real):
        index = own.nonzero().flatten()
        text = tokenized[row] if tokenized is not None else TokenizedText(tuple(range(len(index))), 0, len(index))
        weights[row][:, index] = pooling_weights([text], position, len(index), outlier_tokens)[0]
        # What stands after the last token that is read has no part in the median, as in an extraction.
        read = read_length(text, token_slots(text, position, outlier_tokens))
        judged[row, index] = judged_tokens([read], len(index))[0]
    return Pooling(weights, judged if outlier_tokens == "leave_out" else None)
