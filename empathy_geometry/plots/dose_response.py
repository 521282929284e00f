"""Does more of the direction write more of the concept?"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from empathy_geometry.foundation._types import FloatArray
from empathy_geometry.foundation._validation import as_generator
from empathy_geometry.plots.reading import alpha_axis, read_result
from empathy_geometry.plots.style import BLUE, GREY, INK, axes_or_new, labels, legend, short, title
from empathy_geometry.steering.range import DEFAULT_THRESHOLD
from empathy_geometry.steering.sweep import SteeringSweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from empathy_geometry.causal.dose_response import DoseResponse


def dose_response(
    result: "SteeringSweep | DoseResponse | Mapping[str, Any]",
    *,
    randoms: "Mapping[str, SteeringSweep | DoseResponse | Mapping[str, Any]]" = MappingProxyType({}),
    units: str = "",
    threshold: float = DEFAULT_THRESHOLD,
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
    ax: "Axes | None" = None,
) -> "Axes":
    """Readout against alpha: prompts or scenarios as faint lines, their mean with a band, and nulls beside.

    Of a sweep it shows the concept score of what was written, read in the unsteered model from the text alone, so that
    it does not move by algebra. Hollow points mark alphas at which the text is broken, where a score says nothing.

    Args:
        result: A steering sweep, or a dose-response of `causal_effects`, or the JSON of either.
        randoms: The same for random directions of equal length, by name.
        units: Unit of alpha, for a dose-response (a sweep knows its own).
        threshold: Mean coherence below which text counts as broken.
        level: Coverage of the band at each alpha (bootstrap over prompts or scenarios).
        n_resamples: Resamples.
        seed: Seed of the resampling.
        ax: Axes to draw on; None makes a figure.
    """
    found = read_result(result, "SteeringSweep or DoseResponse", ("alphas",))
    ax = axes_or_new(ax)
    x, y, coherent = _read(found, threshold)
    swept, generator = "parts" in found, as_generator(seed)
    if y.shape[1] > 1:
        means = [y[:, generator.integers(y.shape[1], size=y.shape[1])].mean(axis=1) for _ in range(n_resamples)]
        low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
        over = "prompts" if swept else "scenarios"
        ax.fill_between(x, low, high, color=BLUE, alpha=0.15, linewidth=0, label=f"{100 * level:g} % over {over}")
    ax.plot(x, y, color=BLUE, alpha=0.18 if y.shape[1] < 30 else 0.08, linewidth=0.8)
    for k, (name, other) in enumerate(randoms.items()):
        rx, ry, _ = _read(read_result(other, "SteeringSweep or DoseResponse", ("alphas",)), threshold)
        dash: Any = ("--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))[k % 4]
        ax.plot(rx, ry.mean(axis=1), color=GREY, linestyle=dash, linewidth=1.2, label=short(name))
    mean = y.mean(axis=1)
    ax.plot(x, mean, color=BLUE, linewidth=2)
    ax.plot(x[coherent], mean[coherent], "o", color=BLUE, markersize=5, label="mean, text intact" if swept else "mean")
    if not coherent.all():
        broken = f"text broken (coherence < {threshold:g})"
        ax.plot(x[~coherent], mean[~coherent], "o", color=BLUE, markerfacecolor="white", markersize=5, label=broken)
    ax.axhline(0, color=INK, linewidth=0.8, label="as unsteered")
    if swept:
        labels(ax, alpha_axis(found), "concept score (class gaps above unsteered)")
    else:
        labels(ax, f"alpha ({units.replace('_', ' ')}s)" if units else "alpha", "shift of the readout (sd)")
    title(ax, "More of the direction, more of the concept?")
    legend(ax)
    return ax


def _read(fields: Mapping[str, Any], threshold: float) -> tuple[FloatArray, FloatArray, np.ndarray]:
    """Alphas, readout [alpha, prompt or scenario], and whether the text is intact at each alpha."""
    order = np.argsort(fields["alphas"])
    alphas = np.asarray(fields["alphas"], dtype=float)[order]
    if "response" in fields:
        return alphas, np.asarray(fields["response"], dtype=float)[order], np.ones(len(alphas), dtype=bool)
    read_result(fields, "SteeringSweep", ("parts", "concept"))
    coherence = np.min(np.stack([np.asarray(p, dtype=float) for p in fields["parts"].values()]), axis=0)[order]
    return alphas, np.asarray(fields["concept"], dtype=float)[order], coherence.mean(axis=1) >= threshold
