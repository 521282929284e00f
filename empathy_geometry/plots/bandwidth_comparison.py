"""Bandwidths, or their factors, side by side."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from empathy_geometry.foundation._validation import check_choice
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.plots.reading import read_estimate, read_result
from empathy_geometry.plots.style import BLUE, GREY, INK, ORANGE, axes_or_new, labels, legend, short, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Quantity = Literal["bandwidth", "dimensionality", "range_positive", "range_negative", "range_in_norms"]

_AXES = {
    "bandwidth": "bandwidth (dimensions x {unit})",
    "dimensionality": "dimensionality (participation ratio, corrected)",
    "range_positive": "steering range towards the concept ({unit})",
    "range_negative": "steering range away from the concept ({unit})",
    "range_in_norms": "steering range towards the concept (mean residual norms)",
}


def bandwidth_comparison(
    results: Mapping[str, object],
    *,
    quantity: Quantity = "bandwidth",
    ax: "Axes | None" = None,
) -> "Axes":
    """One quantity of several bandwidth results, concepts beside their controls and random directions.

    A small triangle marks a value that is only known to be at least so large. Intervals that leave the axis are cut.

    Args:
        results: Name (of a model, say) to `Bandwidth` or its JSON.
        quantity: What to compare. Random directions have a range, but no dimensionality and so no bandwidth.
        ax: Axes to draw on; None makes a figure.

    Raises:
        ValueError: nothing to compare, another quantity, or results in different units of alpha.
    """
    check_choice(quantity, "quantity", tuple(_AXES))
    if not results:
        raise ValueError("results must name at least one Bandwidth, got none")
    read = {n: read_result(r, "Bandwidth", ("concept", "control", "random_directions")) for n, r in results.items()}
    units = {r["concept"]["sweep"]["units"] for r in read.values()}
    if len(units) > 1 and quantity not in ("dimensionality", "range_in_norms"):
        raise ValueError(f"results count alpha in {sorted(units)}; compare in one unit, or quantity='range_in_norms'")
    bars = [bar for name, fields in read.items() for bar in _bars(name, fields, quantity, several=len(read) > 1)]
    ax = axes_or_new(ax, height=max(2.4, 1.5 + 0.36 * len(bars)))
    seen: set[str] = set()
    top = max(e.value for _, _, e in bars if np.isfinite(e.value))
    bottom = min(e.value for _, _, e in bars if e.value > 0)
    low, high = bottom / 8, top * 8
    for place, (_, kind, e) in enumerate(bars):
        colour, marker = {"concept": (BLUE, "o"), "control": (ORANGE, "s"), "random directions": (GREY, "^")}[kind]
        ends = [low if e.low is None else max(e.low, low), high if e.high is None else min(e.high, high)]
        if e.low is not None:
            ax.plot(ends, [place, place], color=colour, linewidth=1.6, solid_capstyle="butt")
        at = min(e.value, high)
        ax.plot([at], [place], marker=marker, color=colour, linestyle="", label=None if kind in seen else kind)
        if e.censored == "right":
            text = None if "at least" in seen else "at least this value"
            ax.plot([at], [place - 0.27], marker=">", color=INK, markersize=5, linestyle="", label=text)
            seen.add("at least")
        seen.add(kind)
    known = [v for _, _, e in bars for v in (e.low, e.value, e.high) if v is not None and np.isfinite(v) and v > 0]
    if max(known) > 12 * min(known):
        ax.set_xscale("log")
        ax.set_xlim(max(low, 0.8 * min(known)), min(high, 1.4 * max(known)))
        ax.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
    else:
        ax.set_xlim(0, 1.08 * max(known))
    ax.set_yticks(range(len(bars)), [short(name) for name, _, _ in bars])
    ax.set_ylim(len(bars) - 0.5, -0.5)
    ax.grid(axis="x", which="major", color=GREY, alpha=0.25, linewidth=0.6)
    labels(ax, _AXES[quantity].format(unit=next(iter(units)).replace("_", " ") + "s"))
    title(ax, {"bandwidth": "Bandwidth", "dimensionality": "Dimensionality"}.get(quantity, "Steering range"))
    legend(ax, columns=4)
    return ax


def _bars(name: str, fields: Mapping[str, Any], quantity: str, *, several: bool) -> list[tuple[str, str, Estimate]]:
    lead = f"{name}: " if several else ""
    found = [(lead + fields["concept"]["name"], "concept", _value(fields["concept"], quantity))]
    if fields["control"] is not None:
        found.append((lead + fields["control"]["name"], "control", _value(fields["control"], quantity)))
    if quantity == "range_positive":
        randoms = fields["random_directions"].items()
        found += [(f"{lead}{n}", "random directions", read_estimate(e)) for n, e in randoms]
    return found


def _value(factors: Mapping[str, Any], quantity: str) -> Estimate:
    found = factors["dimensionality"]["participation_ratio"] if quantity == "dimensionality" else factors[quantity]
    return read_estimate(found)
