"""Held-out AUROC at every layer with a band that holds for all of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.layers import depth
from empathy_geometry.plots.reading import interval_arms
from empathy_geometry.plots.style import BLUE, GREY, axes_or_new, labels, legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def layer_profile(
    layers: Sequence[Layer], estimates: Sequence[Estimate], *, name: str = "held out", ax: "Axes | None" = None
) -> "Axes":
    """AUROC at every layer with the band of its intervals, and chance.

    Args:
        layers: Where.
        estimates: AUROC of each, as `LayerProfile.estimates`.
        name: Of the curve.
        ax: Axes to draw on; None makes a figure.
    """
    ax = axes_or_new(ax)
    x = [depth(layer) for layer in layers]
    values = np.array([e.value for e in estimates])
    below, above = interval_arms(estimates)
    band = f"{estimates[0].level:.0%} band for all layers together"
    ax.fill_between(x, values - below, values + above, color=BLUE, alpha=0.18, linewidth=0, label=band)
    ax.plot(x, values, color=BLUE, marker="o", markersize=3, label=name)
    ax.axhline(0.5, color=GREY, linestyle="--", linewidth=1, label="chance")
    labels(ax, "layer", "AUROC")
    legend(ax)
    return ax
