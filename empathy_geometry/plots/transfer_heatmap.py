"""Does what was learned in one context hold in another?"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from empathy_geometry.evaluation.transfer import TransferMatrix
from empathy_geometry.plots.heatmap import draw_heatmap
from empathy_geometry.plots.reading import read_estimate, read_result
from empathy_geometry.plots.style import axes_or_new, labels, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def transfer_heatmap(matrix: TransferMatrix | Mapping[str, Any], *, ax: "Axes | None" = None) -> "Axes":
    """Held-out AUROC by training and test context, with the interval in each cell; 0.5 is chance.

    Args:
        matrix: A transfer matrix, or its JSON.
        ax: Axes to draw on; None makes a figure.
    """
    found = read_result(matrix, "TransferMatrix", ("names", "auroc", "ratio"))
    cells = [[read_estimate(e) for e in row] for row in found["auroc"]]
    values = np.array([[e.value for e in row] for row in cells])
    size = max(4.8, 1.0 + 0.95 * len(values))
    ax = axes_or_new(ax, width=size + 1.2, height=size)
    texts = [[_cell(e.value, e.low, e.high) for e in row] for row in cells]
    names = list(found["names"])
    draw_heatmap(ax, values, names, names, texts, "cividis", (min(0.5, values.min()), 1.0), "AUROC (0.5 = chance)")
    labels(ax, "test context", "training context")
    title(ax, f"Transfer; ratio {read_estimate(found['ratio'])}")
    return ax


def _cell(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.2f}" if low is None or high is None else f"{value:.2f}\n{low:.2f}-{high:.2f}"
