"""Autoencoders that normalise each row at run time: what was taken from a row is kept with its features.

SAELens keeps the mean or the norm of the last rows that were encoded inside the SAE, and the next `decode` takes and
deletes it: features of one batch are then decoded with another batch's norms. Here they go with the features.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

# Of the sizes by which SAELens divides a centred row, so that a constant row is no division by zero.
_EPSILON = 1e-5
RUN_TIME_KINDS = ("layer_norm", "constant_norm_rescale")
_ATTRIBUTE = "row_statistics"


@dataclass(frozen=True, eq=False)
class RowStatistics:
    """What turns normalised rows back into rows: x = scale * normalised + shift.

    Attributes:
        scale: [n, 1].
        shift: [n, 1].
    """

    scale: Float[Tensor, "n 1"]
    shift: Float[Tensor, "n 1"]

    @classmethod
    def nothing(cls, n: int) -> "RowStatistics":
        """Of rows that are normalised already."""
        return cls(torch.ones(n, 1), torch.zeros(n, 1))

    def undo(self, normalised: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_model"]:
        """Rows in activation units."""
        scale, shift = (t.to(normalised.device, normalised.dtype) for t in (self.scale, self.shift))
        return normalised * scale + shift


def row_statistics(x: Float[Tensor, "n d_model"], kind: str) -> RowStatistics:
    """Mean and standard deviation ("layer_norm"), or norm over sqrt(d_model) ("constant_norm_rescale"), of each row."""
    if kind == "layer_norm":
        return RowStatistics(x.std(dim=-1, keepdim=True), x.mean(dim=-1, keepdim=True))
    norms = x.norm(dim=-1, keepdim=True) / x.shape[-1] ** 0.5
    return RowStatistics(norms, torch.zeros_like(norms))


def with_statistics(features: Tensor, statistics: RowStatistics) -> Tensor:
    """The features, which carry their rows' statistics from now on; slices and copies of them do not."""
    setattr(features, _ATTRIBUTE, statistics)
    return features


def statistics_of(features: Tensor) -> RowStatistics | None:
    """What `with_statistics` noted, if this is that tensor."""
    found = getattr(features, _ATTRIBUTE, None)
    return found if isinstance(found, RowStatistics) else None


def stateless(lens: Any) -> Any:
    """A SAELens SAE that shares all weights with `lens`, and leaves rows normalised on the way out.

    SAELens's own functions write into `lens`; the copy's write nowhere, and `lens` is not touched.
    """
    kind = lens.cfg.normalize_activations

    def normalise(x: Tensor) -> Tensor:
        statistics = row_statistics(x, kind)
        return (x - statistics.shift) / (statistics.scale + (_EPSILON if kind == "layer_norm" else 0.0))

    twin = copy.copy(lens)
    twin.run_time_activation_norm_fn_in = normalise
    twin.run_time_activation_norm_fn_out = lambda x: x
    return twin
