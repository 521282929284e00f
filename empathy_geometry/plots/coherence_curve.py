"""How far a direction can be steered before text stops being text."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from empathy_geometry.plots.reading import alpha_axis, read_result
from empathy_geometry.plots.style import BLUE, CYCLE, INK, axes_or_new, labels, legend, title
from empathy_geometry.steering.range import DEFAULT_THRESHOLD, crossing
from empathy_geometry.steering.sweep import SteeringSweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def coherence_curve(
    sweep: SteeringSweep | Mapping[str, Any], *, threshold: float = DEFAULT_THRESHOLD, ax: "Axes | None" = None
) -> "Axes":
    """Coherence and its parts against alpha, each prompt as a faint line, with the crossings and their intervals.

    Args:
        sweep: A sweep, or its JSON.
        threshold: Coherence below which text counts as broken.
        ax: Axes to draw on; None makes a figure.
    """
    found = read_result(sweep, "SteeringSweep", ("alphas", "parts", "units", "unit_length"))
    ax = axes_or_new(ax)
    order = np.argsort(found["alphas"])
    x = np.asarray(found["alphas"], dtype=float)[order]
    parts = {name: np.asarray(part, dtype=float)[order] for name, part in found["parts"].items()}
    smallest = np.min(np.stack(list(parts.values())), axis=0)
    ax.plot(x, smallest, color=BLUE, alpha=0.15, linewidth=0.8)
    for (name, part), (colour, marker, dash) in zip(parts.items(), CYCLE[1:] * 3, strict=False):
        ax.plot(
            x, part.mean(axis=1), linestyle=dash, marker=marker, markersize=3, color=colour, linewidth=1.2, label=name
        )
    ax.plot(x, smallest.mean(axis=1), color=BLUE, linewidth=2.2, marker="o", markersize=3, label="smallest part, mean")
    ax.axhline(threshold, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), label=f"threshold {threshold:g}")
    marked = False
    for sign in (1, -1):
        if (sign * x > 0).any():
            side = sign * x >= 0
            estimate = crossing(np.abs(x[side]), smallest[side], threshold=threshold)
            if estimate.low is not None and estimate.high is not None and estimate.high > estimate.low:
                high_end = min(estimate.high, float(np.abs(x[side]).max()))
                low, high = sorted((sign * estimate.low, sign * high_end))
                ax.axvspan(low, high, color=BLUE, alpha=0.1, linewidth=0)
            if estimate.censored is None:
                text = None if marked else "crossing, with its interval"
                ax.axvline(sign * estimate.value, color=BLUE, linewidth=1, label=text)
                marked = True
    ax.set_ylim(0, 1.05)
    labels(ax, alpha_axis(found), "coherence (1 = as unsteered)")
    title(ax, "How far the text survives")
    legend(ax)
    return ax
