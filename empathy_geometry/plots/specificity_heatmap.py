"""Does each direction move its own target most?"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from empathy_geometry.plots.heatmap import draw_heatmap
from empathy_geometry.plots.reading import read_result
from empathy_geometry.plots.style import axes_or_new, labels, short, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from empathy_geometry.causal.specificity import SpecificityMatrix


def specificity_heatmap(
    matrix: "SpecificityMatrix | Mapping[str, Any]", *, readout: str = "", ax: "Axes | None" = None
) -> "Axes":
    """Standardised effect of each direction (row) on each target (column), with intervals; 0, white, is no effect.

    Args:
        matrix: A specificity matrix of `causal_effects`, or its JSON.
        readout: By what the effects were read, for the title.
        ax: Axes to draw on; None makes a figure.
    """
    found = read_result(matrix, "SpecificityMatrix", ("names", "values", "pvalue"))
    values, names = np.asarray(found["values"], dtype=float), list(found["names"])
    ends = [
        np.array([[np.nan if v is None else v for v in row] for row in found[end]], dtype=float)
        if end in found
        else np.full(values.shape, np.nan)
        for end in ("low", "high")
    ]
    size = max(4.2, 1.4 + 1.0 * len(names))
    ax = axes_or_new(ax, width=size + 1.6, height=size)
    reach = max(float(np.nanmax(np.abs(values))), 1e-9)
    texts = [[_cell(values[i, j], ends[0][i, j], ends[1][i, j]) for j in range(len(names))] for i in range(len(names))]
    bar = "effect (sd of the target; 0 = none)"
    draw_heatmap(ax, values, names, names, texts, "PuOr_r", (-reach, reach), bar)
    labels(ax, "measured target", "steered direction")
    where = f", {short(readout, 30)}" if readout else ""
    title(ax, f"Specificity{where}; p = {found['pvalue']:.3g}")
    return ax


def _cell(value: float, low: float, high: float) -> str:
    return f"{value:+.2f}" if np.isnan(low) or np.isnan(high) else f"{value:+.2f}\n{low:+.2f} to {high:+.2f}"
