"""Classes on the plane of two directions."""

from typing import TYPE_CHECKING

import numpy as np

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.plots.style import CYCLE, GREY, axes_or_new, labels, legend, short, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def class_projection(
    activations: Activations,
    first: ConceptDirection,
    second: ConceptDirection,
    *,
    names: tuple[str, str] = ("first direction", "second direction"),
    held_out: bool = False,
    ax: "Axes | None" = None,
) -> "Axes":
    """Every text as a point, every class as an ellipse of one standard deviation around its mean.

    Directions that were fitted to these very texts separate them better than they would others; say `held_out=True`
    only where the directions come from other scenarios. The plane is drawn as it is: the axes are the two projections,
    which are not at right angles unless the directions are (their cosine is in the title).

    Args:
        activations: Of texts with one pooled position.
        first: Horizontal axis.
        second: Vertical axis, of the same layer.
        names: What to call the two.
        held_out: Whether the directions were made from other scenarios.
        ax: Axes to draw on; None makes a figure.

    Raises:
        ValueError: the directions have no layer or different ones.
    """
    if first.layer is None or first.layer != second.layer:
        raise ValueError(f"both directions must have one layer, got {first.layer} and {second.layer}")
    rows = activations.layer(first.layer)
    x, y = (np.asarray(d.project(rows), dtype=float) for d in (first, second))
    ax = axes_or_new(ax, width=5.8, height=5.6)
    ax.axhline(0, color=GREY, linewidth=0.6)
    ax.axvline(0, color=GREY, linewidth=0.6)
    for k, name in enumerate(dict.fromkeys(activations.labels.tolist())):
        colour, marker, _ = CYCLE[k % len(CYCLE)]
        of = activations.labels == name
        ax.scatter(x[of], y[of], s=14, color=colour, marker=marker, alpha=0.55, linewidth=0, label=short(name))
        if of.sum() > 2:
            _ellipse(ax, x[of], y[of], colour)
    labels(ax, f"{names[0]} (activation units)", f"{names[1]} (activation units)")
    seen = "held-out texts" if held_out else "texts that made the directions"
    cosine = float((first.vector.double() @ second.vector.double()).clamp(-1, 1))
    title(ax, f"Layer {first.layer}, {seen}; cosine {cosine:.2f}")
    legend(ax, columns=3)
    return ax


def _ellipse(ax: "Axes", x: np.ndarray, y: np.ndarray, colour: str) -> None:
    values, vectors = np.linalg.eigh(np.cov(x, y))
    turn = np.linspace(0, 2 * np.pi, 100)
    circle = np.stack([np.cos(turn), np.sin(turn)])
    edge = vectors @ (np.sqrt(np.clip(values, 0, None))[:, None] * circle)
    ax.plot(x.mean() + edge[0], y.mean() + edge[1], color=colour, linewidth=1.6)
