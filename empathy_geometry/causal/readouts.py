"""Probes at layers after the edit, which the skip connection cannot reach."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from sklearn.base import clone
from torch import Tensor

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.foundation._types import FloatArray
from empathy_geometry.foundation._validation import as_layers
from empathy_geometry.geometry.probes import Probe


@dataclass(frozen=True, eq=False)
class LaterLayers:
    """One probe per later layer, averaged to one score.

    The probes are fitted to unedited activations with the tested direction taken out of them, and read what the later
    blocks made of an edit, without the edit (`EditedReading.computed`): a direction that merely stays in the stream
    moves none of them.

    Attributes:
        weights: [layers, d_model], orthogonal to the tested direction, each scaled to unit standard deviation within
            classes on the training texts.
        intercepts: [layers].
    """

    weights: Float[Tensor, "layers d_model"]
    intercepts: Float[Tensor, "layers"]

    def scores(self, streams: Float[Tensor, "rows layers d_model"]) -> FloatArray:
        """Mean over layers of the probes' scores, [rows]."""
        each = torch.einsum("rld,ld->rl", streams.double(), self.weights) + self.intercepts
        mean: FloatArray = each.mean(dim=1).numpy()
        return mean


def fit_later_layers(
    activations: Activations,
    direction: Float[Tensor, "d_model"],
    *,
    positive: str,
    negatives: Sequence[str],
    layers: Sequence[int],
    probe: Probe,
) -> LaterLayers:
    """Fit the probes of one direction.

    Args:
        activations: Of the readout texts, unedited, at the later layers at least.
        direction: The tested direction, unit, which is taken out of the rows.
        positive: The concept's class.
        negatives: The classes it is compared with.
        layers: The later layers.
        probe: What to fit.
    """
    chosen = np.isin(activations.labels, [positive, *negatives])
    y = activations.labels[chosen] == positive
    unit = direction.double()
    weights, intercepts = [], []
    for layer in layers:
        x = activations.layer(layer)[torch.as_tensor(chosen)].double()
        x = x - (x @ unit)[:, None] * unit
        fitted = clone(probe).fit(x, y)
        w = torch.as_tensor(fitted.coef_[0])
        w = w - (w @ unit) * unit
        scores = (x @ w).numpy()
        spread = float(np.sqrt((scores[y].var(ddof=1) + scores[~y].var(ddof=1)) / 2))
        scale = spread if spread > 0 else 1.0
        weights.append(w / scale)
        intercepts.append(float(fitted.intercept_[0]) / scale)
    return LaterLayers(torch.stack(weights), torch.tensor(intercepts, dtype=torch.float64))


def default_readout_layers(layer: int | str, n_layers: int, most: int = 4) -> tuple[int, ...]:
    """At most four layers from the second after the edited one to the last, evenly spaced.

    Raises:
        ValueError: no layer comes after it.

    Example:
        >>> default_readout_layers(15, 30), default_readout_layers(1, 3)
        ((17, 21, 25, 29), (2,))
    """
    own = -1 if layer == "embed" else int(layer)
    if own >= n_layers - 1:
        raise ValueError(
            f"layer {layer} is the last of {n_layers}: nothing after it could be read, and a probe at the edited "
            f"layer moves by algebra; take an earlier layer"
        )
    first = min(own + 2, n_layers - 1)
    return tuple(sorted({round(i) for i in np.linspace(first, n_layers - 1, most)}))


def check_readout_layers(layers: Sequence[int], layer: int | str, n_layers: int) -> tuple[int, ...]:
    """The readout layers, if all come after the edited one.

    Raises:
        ValueError: one does not, or does not exist.
    """
    own = -1 if layer == "embed" else int(layer)
    chosen = []
    for at in as_layers(layers, "readout_layers"):
        if isinstance(at, str) or not 0 <= at < n_layers:
            raise ValueError(f"readout_layers must be indices from 0 to {n_layers - 1}, got {at!r}")
        if at <= own:
            raise ValueError(
                f"a probe at layer {at} is no evidence for an edit at layer {layer}: there it moves by alpha * w'v "
                f"whatever v is (or, before it, not at all); take layers {own + 1} to {n_layers - 1}"
            )
        chosen.append(at)
    return tuple(sorted(chosen))
