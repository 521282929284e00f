"""A matrix as coloured cells with their numbers written in them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from empathy_geometry.foundation._types import FloatArray
from empathy_geometry.plots.style import INK, SMALL, readable_on, short


def draw_heatmap(
    ax: Any,
    values: FloatArray,
    rows: Sequence[str],
    columns: Sequence[str],
    texts: Sequence[Sequence[str]],
    colours: str,
    limits: tuple[float, float],
    bar: str,
) -> None:
    """Draw cells as vectors (not as an image), the first row on top, black or white text by the cell's luminance.

    Args:
        ax: Axes.
        values: [row, column]; NaN leaves a cell empty.
        rows: Names.
        columns: Names.
        texts: What is written in each cell.
        colours: Name of a matplotlib colour map.
        limits: Values of the first and the last colour.
        bar: Label of the colour bar, with the unit.
    """
    mesh = ax.pcolormesh(np.ma.masked_invalid(values), cmap=colours, vmin=limits[0], vmax=limits[1], linewidth=0)
    for i, row in enumerate(texts):
        for j, text in enumerate(row):
            if np.isfinite(values[i, j]):
                shade = readable_on(mesh.cmap(mesh.norm(values[i, j])))
                first, *rest = text.split("\n", 1)
                ax.text(j + 0.5, i + (0.42 if rest else 0.5), first, ha="center", va="center", color=shade, fontsize=9)
                if rest:
                    ax.text(j + 0.5, i + 0.7, rest[0], ha="center", va="center", color=shade, fontsize=6.5)
    steep = len(columns) > 6 or max(len(w) for c in columns for w in _wrapped(c).split("\n")) > 12
    turned = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if steep else {}
    ax.set_xticks(np.arange(len(columns)) + 0.5, [_wrapped(c) for c in columns], fontsize=SMALL, **turned)
    ax.set_yticks(np.arange(len(rows)) + 0.5, [_wrapped(r) for r in rows], fontsize=SMALL)
    ax.set_xlim(0, len(columns))
    ax.set_ylim(len(rows), 0)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.tick_params(length=0)
    colourbar = ax.figure.colorbar(mesh, ax=ax, shrink=0.85, pad=0.03)
    colourbar.set_label(bar, color=INK, fontsize=SMALL)
    colourbar.ax.tick_params(colors=INK, labelsize=SMALL)
    colourbar.outline.set_visible(False)


def _wrapped(name: str) -> str:
    """A name on two lines at most, broken at the blank nearest to its middle."""
    words = short(name.replace("_", " "), 36)
    blanks = [i for i, c in enumerate(words) if c == " "]
    if len(words) < 12 or not blanks:
        return words
    at = min(blanks, key=lambda i: abs(i - len(words) / 2))
    return f"{words[:at]}\n{words[at + 1 :]}"
