"""Bandwidth and its factors over depth."""

from typing import TYPE_CHECKING

import numpy as np

from empathy_geometry.foundation.layers import depth
from empathy_geometry.foundation.result_file import title as marked
from empathy_geometry.plots.reading import read_estimate, read_result
from empathy_geometry.plots.style import BLUE, GREEN, ORANGE, axes_or_new, labels, legend, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMED = (("bandwidth", BLUE), ("dimensionality", ORANGE), ("range_positive", GREEN))


def depth_curve(profile: object, *, ax: "Axes | None" = None) -> "Axes":
    """Bandwidth, dimensionality and steering range of every layer, each relative to its largest value.

    Args:
        profile: A `DepthProfile` or its JSON.
        ax: Where to draw; None makes a figure.

    Raises:
        TypeError: no result.
        ValueError: a needed field is missing.
    """
    found = read_result(profile, "DepthProfile", ("points", "provenance"))
    ax = axes_or_new(ax)
    for name, colour in _NAMED:
        shown = [(depth(p["layer"]), read_estimate(p[name]).value) for p in found["points"] if p[name] is not None]
        shown = [(x, value) for x, value in shown if np.isfinite(value)]
        if not shown:
            continue
        top = max(value for _, value in shown)
        label = f"{name.replace('_positive', ' +').replace('_', ' ')} (largest {top:.3g})"
        x, values = zip(*shown, strict=True)
        ax.plot(x, [value / top for value in values], color=colour, marker="o", label=label)
    ax.set_ylim(0, 1.1)
    labels(ax, "layer (residual stream after block; -1 = embedding)", "share of the largest value")
    legend(ax)
    title(ax, marked("Bandwidth over depth", found["provenance"]["kind"]))
    return ax
