"""Dimensionality against the number of scenarios."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from empathy_geometry.dimensionality import Dimensionality
from empathy_geometry.plots.reading import interval_arms, read_estimate, read_result
from empathy_geometry.plots.style import BLUE, GREEN, GREY, ORANGE, PURPLE, axes_or_new, labels, legend, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ESTIMATORS = (
    ("k90", ORANGE, "s", "--", "components for 90 % of variance"),
    ("effective_rank", PURPLE, "D", "-.", "entropy effective rank"),
    ("participation_ratio_naive", GREY, "v", ":", "participation ratio, naive"),
    ("participation_ratio", BLUE, "o", "-", "participation ratio, corrected"),
)


def rarefaction_curve(measured: Dimensionality | Mapping[str, Any], *, ax: "Axes | None" = None) -> "Axes":
    """Which estimators of dimensionality follow the number of scenarios, and which settle.

    Args:
        measured: A measured dimensionality, or its JSON. Where it has a null (differences without the concept), that
            one's corrected participation ratio is drawn beside.
        ax: Axes to draw on; None makes a figure.
    """
    found = read_result(measured, "Dimensionality", ("participation_ratio", "rarefaction", "n"))
    ax = axes_or_new(ax)
    curves = read_result(found["rarefaction"], "Rarefaction", ("sizes", "participation_ratio"))
    sizes = np.asarray(curves["sizes"], dtype=float)
    for name, colour, marker, dash, text in _ESTIMATORS:
        # A ratio that is not bounded is None in JSON: a gap in the curve.
        values = np.array([np.nan if v is None else v for v in curves[name]], dtype=float)
        ax.plot(sizes, values, color=colour, marker=marker, linestyle=dash, markersize=4, label=text)
    full = read_estimate(found["participation_ratio"])
    if np.isfinite(full.value):
        ax.errorbar(
            [found["n"]], [full.value], yerr=interval_arms([full]), color=BLUE, capsize=3, linestyle="", zorder=5
        )
    if found.get("null") is not None:
        null = read_estimate(found["null"]["participation_ratio"])
        if np.isfinite(null.value):
            ax.axhline(null.value, color=GREEN, linewidth=1.4, dashes=(8, 2), label="the same without the concept")
    tallest = max(float(np.nanmax([v for v in curves[n] if v is not None] or [1.0])) for n, *_ in _ESTIMATORS)
    top = 1.15 * max(tallest, min(full.value, 2 * tallest), min(full.high or 0.0, 1.6 * tallest))
    ax.set_ylim(0, top)
    labels(ax, "number of scenarios", "dimensions")
    title(ax, "Dimensionality with fewer scenarios")
    legend(ax)
    return ax
