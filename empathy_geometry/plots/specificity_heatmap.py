"""Does each direction move its own target most?"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from empathy_geometry.foundation._types import ArrayLike
from empathy_geometry.foundation._validation import as_float_array
from empathy_geometry.plots.heatmap import draw_heatmap
from empathy_geometry.plots.style import axes_or_new, labels, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def specificity_heatmap(
    effects: ArrayLike,
    directions: Sequence[str],
    targets: Sequence[str],
    *,
    pvalue: float | None = None,
    units: str = "sd of random directions",
    ax: "Axes | None" = None,
) -> "Axes":
    """Standardised effect of each direction (row) on each target (column); 0, white, is no effect.

    Args:
        effects: [direction, target].
        directions: Names of the rows.
        targets: Names of the columns.
        pvalue: Of the diagonal's dominance, for the title.
        units: Unit of the effects.
        ax: Axes to draw on; None makes a figure.

    Raises:
        ValueError: numbers of names and of effects differ.
    """
    values = as_float_array(effects, "effects", ndim=2)
    if values.shape != (len(directions), len(targets)):
        raise ValueError(
            f"effects must be [{len(directions)} directions, {len(targets)} targets], got {tuple(values.shape)}"
        )
    height = max(3.6, 1.4 + 0.8 * len(directions))
    ax = axes_or_new(ax, width=max(5.2, 2.6 + 1.1 * len(targets)), height=height)
    reach = max(float(np.abs(values).max()), 1e-9)
    texts = [[f"{v:+.2f}" for v in row] for row in values]
    draw_heatmap(ax, values, directions, targets, texts, "PuOr_r", (-reach, reach), f"effect ({units})")
    labels(ax, "measured target", "steered direction")
    title(ax, "Specificity" if pvalue is None else f"Specificity; diagonal dominance p = {pvalue:.3g}")
    return ax
