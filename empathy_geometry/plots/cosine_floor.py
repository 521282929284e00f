"""Cosines of one-vs-rest probes beside the floor that they cannot leave."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from empathy_geometry.plots.reading import interval_arms, read_estimate, read_result
from empathy_geometry.plots.style import BLUE, GREEN, GREY, INK, ORANGE, axes_or_new, labels, legend, short, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def cosine_floor(demo: object | Mapping[str, Any], *, ax: "Axes | None" = None) -> "Axes":
    """One-vs-rest cosines of pairs of classes, their floor -1/(K-1), what random labels give, and a better measure.

    Args:
        demo: What `pitfalls.simplex_floor` returned, or its JSON.
        ax: Axes to draw on; None makes a figure.
    """
    found = read_result(demo, "SimplexFloor", ("floors", "pairs"))
    ax = axes_or_new(ax, width=7.0)
    floor, pairs = found["floors"][0], list(found["pairs"])
    x = np.arange(len(pairs))
    ax.axhline(0.0, color=INK, linewidth=0.8)
    ax.axhline(
        floor["bound"], color=GREY, linestyle="--", label=f"floor of the mean, -1/(K-1), K = {floor['n_classes']}"
    )
    ax.axhline(floor["null"], color=GREY, linestyle=":", label=f"random labels, mean {floor['null']:.2f}")
    ax.plot(x, [p["one_vs_rest"] for p in pairs], "s", color=ORANGE, label="one-vs-rest probes")
    known = [(i, read_estimate(p["disattenuated"])) for i, p in enumerate(pairs) if p["disattenuated"] is not None]
    if known:
        ax.errorbar(
            [i + 0.15 for i, _ in known],
            [e.value for _, e in known],
            yerr=interval_arms([e for _, e in known]),
            fmt="o",
            color=BLUE,
            capsize=2,
            label="disattenuated cosine",
        )
    truths = [(i, p["truth"]) for i, p in enumerate(pairs) if p["truth"] is not None]
    if truths:
        places, values = zip(*truths, strict=True)
        ax.plot([i - 0.15 for i in places], values, "_", color=GREEN, markersize=13, mew=2.4, label="planted")
    brief = max(len("".join(p["pair"])) for p in pairs) < 8
    names = [(" - " if brief else " -\n").join(short(name, 24) for name in p["pair"]) for p in pairs]
    turned: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if len(pairs) > 8 else {}
    ax.set_xticks(x, names, **turned)
    ax.set_ylim(-1.08, 1.08)
    labels(ax, "pair of classes", "cosine")
    planted = found.get("provenance", {}).get("kind") == "planted"
    title(ax, "Cosines of one-vs-rest probes" + (" (planted data)" if planted else ""))
    legend(ax, gap=90 if turned else 38 if brief else 50)
    return ax
