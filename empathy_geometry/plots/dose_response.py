"""Does more of the direction write more of the concept?"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from empathy_geometry.foundation._types import FloatArray, Seed
from empathy_geometry.foundation._validation import as_rng
from empathy_geometry.plots.reading import alpha_axis, read_result
from empathy_geometry.plots.style import BLUE, GREY, INK, axes_or_new, labels, legend, plain, title
from empathy_geometry.steering.range import DEFAULT_THRESHOLD
from empathy_geometry.steering.sweep import SteeringSweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def dose_response(
    sweep: SteeringSweep | Mapping[str, Any],
    *,
    randoms: Mapping[str, SteeringSweep | Mapping[str, Any]] = MappingProxyType({}),
    threshold: float = DEFAULT_THRESHOLD,
    level: float = 0.95,
    n_resamples: int = 1000,
    rng: Seed = 0,
    ax: "Axes | None" = None,
) -> "Axes":
    """Concept score of what was written against alpha: prompts as faint lines, their mean with a band, and nulls.

    The score is read in the unsteered model, from the text alone, so it does not move by algebra. Hollow points mark
    alphas at which the text is broken, where a score says nothing.

    Args:
        sweep: A sweep, or its JSON.
        randoms: Sweeps of random directions of equal length on the same prompts, by name.
        threshold: Mean coherence below which text counts as broken.
        level: Coverage of the band at each alpha (bootstrap over prompts).
        n_resamples: Resamples of prompts.
        rng: Seed of the resampling.
        ax: Axes to draw on; None makes a figure.
    """
    found = read_result(sweep, "SteeringSweep", ("alphas", "parts", "concept", "units", "unit_length"))
    ax = axes_or_new(ax)
    x, y, coherent = _read(found, threshold)
    generator = as_rng(rng)
    if y.shape[1] > 1:
        means = [y[:, generator.integers(y.shape[1], size=y.shape[1])].mean(axis=1) for _ in range(n_resamples)]
        low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
        ax.fill_between(x, low, high, color=BLUE, alpha=0.15, linewidth=0, label=f"{100 * level:g} % over prompts")
    ax.plot(x, y, color=BLUE, alpha=0.18, linewidth=0.8)
    for k, (name, other) in enumerate(randoms.items()):
        rx, ry, _ = _read(read_result(other, "SteeringSweep", ("alphas", "parts", "concept")), threshold)
        dash = ("--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))[k % 4]
        ax.plot(rx, ry.mean(axis=1), color=GREY, linestyle=dash, linewidth=1.2, label=plain(name))
    mean = y.mean(axis=1)
    ax.plot(x, mean, color=BLUE, linewidth=2)
    ax.plot(x[coherent], mean[coherent], "o", color=BLUE, markersize=5, label="mean, text intact")
    if not coherent.all():
        broken = f"text broken (coherence < {threshold:g})"
        ax.plot(x[~coherent], mean[~coherent], "o", color=BLUE, markerfacecolor="white", markersize=5, label=broken)
    ax.axhline(0, color=INK, linewidth=0.8, label="as unsteered")
    labels(ax, alpha_axis(found), "concept score (class gaps above unsteered)")
    title(ax, "More of the direction, more of the concept?")
    legend(ax)
    return ax


def _read(fields: Mapping[str, Any], threshold: float) -> tuple[FloatArray, FloatArray, np.ndarray]:
    order = np.argsort(fields["alphas"])
    coherence = np.min(np.stack([np.asarray(p, dtype=float) for p in fields["parts"].values()]), axis=0)
    alphas, concept = np.asarray(fields["alphas"], dtype=float), np.asarray(fields["concept"], dtype=float)
    return alphas[order], concept[order], coherence[order].mean(axis=1) >= threshold
