"""Weighted means over tokens, taken where the activations are."""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Pooling:
    """One weight per text, slot and token of a batch.

    Attributes:
        weights: [batch, slots, pos], on the CPU; a slot's vector is the weighted sum over pos.

    Example:
        >>> stream = torch.tensor([[[1.0], [2.0], [4.0]]])
        >>> Pooling(torch.tensor([[[0.0, 0.5, 0.5]]]))(stream).tolist()
        [[[3.0]]]
    """

    weights: Float[Tensor, "batch slots pos"]
    _moved: dict[torch.device, Tensor] = field(default_factory=dict, repr=False)

    def __call__(self, stream: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch slots d_model"]:
        """The slots' vectors, float32, on the device of `stream`."""
        if stream.device not in self._moved:
            # A model spread over several devices shows its layers on each of them; move once, not once a layer.
            self._moved[stream.device] = (self._index if self._index is not None else self.weights).to(stream.device)
        moved = self._moved[stream.device]
        if self._index is not None:
            rows = torch.arange(len(moved), device=stream.device)[:, None]
            return stream[rows, moved].float()
        values = stream.float()
        if stream.dtype == torch.float16:
            # Position 0 may overflow float16, and zero times infinity is not zero.
            values = values.masked_fill(~(moved != 0).any(1)[..., None], 0)
        return torch.bmm(moved, values)

    @cached_property
    def _index(self) -> Tensor | None:
        """Where each slot reads one token only, which: then vectors are taken, not multiplied."""
        return self.weights.argmax(-1) if bool((self.weights.amax(-1) == 1).all()) else None
