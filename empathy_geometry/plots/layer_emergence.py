"""Where in the model a concept can be read."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from empathy_geometry.evaluation.cross_validation import Evaluation
from empathy_geometry.evaluation.permutation import PermutationTest
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.layers import depth
from empathy_geometry.plots.reading import interval_arms, read_estimate, read_permutation, read_result
from empathy_geometry.plots.style import BLUE, GREEN, GREY, INK, ORANGE, axes_or_new, labels, legend, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMES = {"auroc": "AUROC", "macro_auroc": "macro AUROC", "d_prime": "d' (standard deviations)"}


def layer_emergence(
    test: PermutationTest | Mapping[str, Any],
    *,
    evaluation: Evaluation | Mapping[str, Any] | None = None,
    estimates: Mapping[Layer, Estimate | Mapping[str, Any]] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Held-out statistic at every layer, with its null, the line that a best layer must pass, and the text baseline.

    Args:
        test: A permutation test over several layers, or its JSON.
        evaluation: Adds the nested estimate with its interval at the layer that most folds chose, and the best
            text-only baseline with its interval (both AUROC, so left out for another statistic).
        estimates: Held-out estimate of each layer, for a band of intervals along the curve.
        ax: Axes to draw on; None makes a figure.
    """
    test = read_permutation(test)
    ax = axes_or_new(ax)
    x = [depth(layer) for layer in test.layers]
    if estimates is not None:
        at = sorted(estimates, key=depth)
        found = [read_estimate(estimates[layer]) for layer in at]
        below, above = interval_arms(found)
        values = np.array([e.value for e in found])
        ax.fill_between(
            [depth(i) for i in at],
            values - below,
            values + above,
            color=BLUE,
            alpha=0.18,
            linewidth=0,
            label="interval at each layer",
        )
    ax.plot(x, test.layer_statistics, color=BLUE, marker="o", markersize=3, label="probe, held out")
    ax.plot(x, test.layer_null.mean(axis=1), color=GREY, linestyle="-.", linewidth=1, label="shuffled labels, mean")
    line = test.critical_value()
    if np.isfinite(line):
        ax.axhline(line, color=GREY, linestyle="--", linewidth=1, label="5 % line for the best layer")
    if evaluation is not None and test.name in ("auroc", "macro_auroc"):
        _nested(ax, read_result(evaluation, "Evaluation", ("auroc", "chosen_layers", "baselines", "best_baseline")))
    name = _NAMES.get(test.name, test.name)
    labels(
        ax,
        "layer (residual stream after the block; emb. = embedding)"
        if -1 in x
        else "layer (residual stream after the block)",
        f"{name}, held out",
    )
    if test.name != "d_prime":
        if "auroc" in test.name:
            ax.axhline(0.5, color=INK, linewidth=0.8, label="chance")
        bottom = min(0.45, *test.layer_statistics, *test.layer_null.mean(axis=1))
        ax.set_ylim(bottom - 0.03, 1.02)
    else:
        ax.axhline(0.0, color=INK, linewidth=0.8, label="chance")
    _layer_ticks(ax, x)
    title(ax, "Where the concept can be read")
    legend(ax)
    return ax


def _nested(ax: Any, fields: Mapping[str, Any]) -> None:
    chosen = list(fields["chosen_layers"])
    most = max(chosen, key=lambda layer: (chosen.count(layer), -depth(layer)))
    e = read_estimate(fields["auroc"])
    ax.errorbar(
        [depth(most)],
        [e.value],
        yerr=interval_arms([e]),
        color=GREEN,
        marker="D",
        markersize=6,
        capsize=3,
        linestyle="",
        zorder=5,
        label="layer chosen inside the folds",
    )
    if fields["best_baseline"] is not None:
        base = read_estimate(fields["baselines"][fields["best_baseline"]])
        name = f"best text-only baseline ({fields['best_baseline']})"
        ax.axhline(base.value, color=ORANGE, linestyle=":", linewidth=1.6, label=name)
        if base.low is not None and base.high is not None:
            ax.axhspan(base.low, base.high, color=ORANGE, alpha=0.12, linewidth=0)


def _layer_ticks(ax: Any, x: list[int]) -> None:
    step = max(1, round(len(x) / 10))
    shown = [i for i in x if i % step == 0 and i >= 0 and (step == 1 or -1 not in x or i > 0)]
    shown = [-1, *shown] if -1 in x else shown
    ax.set_xticks(shown, ["emb." if i < 0 else str(i) for i in shown])
