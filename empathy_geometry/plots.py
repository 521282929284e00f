"""Figures: axes in, axes out, one style, colour-blind safe; chance and nulls are drawn wherever a score is."""

from typing import TYPE_CHECKING, Any

import numpy as np

from empathy_geometry.dimensionality import Dimensionality
from empathy_geometry.evaluation.cross_validation import Evaluation
from empathy_geometry.evaluation.permutation import PermutationTest
from empathy_geometry.evaluation.transfer import TransferMatrix
from empathy_geometry.foundation._types import Layer
from empathy_geometry.steering.range import DEFAULT_THRESHOLD, steering_range
from empathy_geometry.steering.sweep import SteeringSweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito's palette: told apart with any colour vision, and by lightness in print.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#6E6E6E"


def layer_emergence(test: PermutationTest, *, evaluation: Evaluation | None = None, ax: "Axes | None" = None) -> "Axes":
    """Held-out statistic at every layer, with the null's mean and the max-T 5 % line, and the best text-only baseline.

    Args:
        test: A permutation test over several layers.
        evaluation: For the line of the best text-only baseline.
        ax: Axes to draw on; None makes a figure.
    """
    ax = _axes(ax)
    x = [_depth(layer) for layer in test.layers]
    ax.plot(x, test.layer_statistics, color=BLUE, marker="o", markersize=3, label="probe, held out")
    ax.plot(x, test.layer_null.mean(axis=1), color=GREY, linewidth=1, label="mean under shuffled labels")
    ax.axhline(test.critical_value(), color=GREY, linestyle="--", linewidth=1, label="5 % line, max over layers")
    if evaluation is not None and evaluation.best_baseline is not None:
        value = evaluation.baselines[evaluation.best_baseline].value
        ax.axhline(value, color=ORANGE, linestyle=":", label=f"best text-only baseline ({evaluation.best_baseline})")
    ax.set_xlabel("layer (residual stream after block; -1 = embedding)")
    ax.set_ylabel(test.name.upper() if test.name == "auroc" else test.name)
    if test.name != "d_prime":
        ax.axhline(0.5, color="black", linewidth=0.6)
        ax.set_ylim(min(0.4, *test.layer_statistics) - 0.02, 1.02)
    ax.set_xticks(x[:: max(1, len(x) // 10)])
    ax.set_title("Where the concept can be read")
    ax.legend(frameon=False, fontsize=8, loc="best")
    return ax


def null_distribution(test: PermutationTest, *, ax: "Axes | None" = None) -> "Axes":
    """The permutation distribution with the observed value."""
    ax = _axes(ax)
    ax.hist(test.null_distribution, bins=30, color=GREY, alpha=0.6, label="shuffled labels")
    ax.axvline(test.statistic, color=BLUE, linewidth=2, label=f"observed {test.statistic:.3f}, p = {test.pvalue:.3g}")
    ax.axvline(test.critical_value(), color=ORANGE, linestyle="--", linewidth=1, label="5 % line")
    ax.set_xlabel(
        f"{test.name.upper() if test.name == 'auroc' else test.name} (largest over {len(test.layers)} layers)"
    )
    ax.set_ylabel("permutations")
    ax.set_title("Against shuffled labels")
    ax.legend(frameon=False, fontsize=8)
    return ax


def coherence_curve(sweep: SteeringSweep, *, threshold: float = DEFAULT_THRESHOLD, ax: "Axes | None" = None) -> "Axes":
    """Coherence and its parts against alpha, every prompt as a faint line, with the crossings and their intervals."""
    ax = _axes(ax)
    order = np.argsort(sweep.alphas)
    x = sweep.alphas[order]
    for p in range(len(sweep.prompts)):
        ax.plot(x, sweep.coherence[order, p], color=BLUE, alpha=0.15, linewidth=0.8)
    ax.plot(x, sweep.coherence[order].mean(axis=1), color=BLUE, linewidth=2, label="coherence (smallest part), mean")
    styles = (("--", ORANGE), (":", GREEN), ("-.", PURPLE), ("--", GREY))
    for (name, part), (line, colour) in zip(sweep.parts.items(), styles * 3, strict=False):
        ax.plot(x, part[order].mean(axis=1), linestyle=line, color=colour, linewidth=1.2, label=name)
    ax.axhline(threshold, color="black", linewidth=0.8)
    ax.text(x[0], threshold + 0.01, f"threshold {threshold:g}", fontsize=7, va="bottom", ha="left")
    for sign in (1, -1):
        if (sign * sweep.alphas > 0).any():
            estimate = steering_range(sweep, threshold=threshold, sign=sign)
            if estimate.low is not None and estimate.high is not None:
                ax.axvspan(*sorted((sign * estimate.low, sign * estimate.high)), color=BLUE, alpha=0.1, linewidth=0)
            if not estimate.censored:
                ax.axvline(sign * estimate.value, color=BLUE, linewidth=1)
    ax.set_ylim(0, 1.05)
    ax.set_xlabel(f"alpha ({sweep.units.replace('_', ' ')}s; {sweep.unit_length:.3g} activation units each)")
    ax.set_ylabel("coherence (1 = as unsteered)")
    ax.set_title("How far the text survives")
    ax.legend(frameon=False, fontsize=7, loc="lower center")
    return ax


def rarefaction_curve(measured: Dimensionality, *, ax: "Axes | None" = None) -> "Axes":
    """Dimensionality against the number of scenarios: which estimators follow n, and which settle."""
    ax = _axes(ax)
    frame = measured.rarefaction
    sizes = np.asarray(frame.sizes)
    for name, colour, title in (
        ("k90", ORANGE, "k (90 %)"),
        ("effective_rank", PURPLE, "entropy effective rank"),
        ("participation_ratio_naive", GREY, "participation ratio, naive"),
        ("participation_ratio", BLUE, "participation ratio, corrected"),
    ):
        ax.plot(sizes, getattr(frame, name), color=colour, marker="o", markersize=3, label=title)
    ax.set_xlabel("scenarios")
    ax.set_ylabel("dimensions")
    ax.set_ylim(bottom=0)
    ax.set_title("Dimensionality at smaller n")
    ax.legend(frameon=False, fontsize=8)
    return ax


def transfer_heatmap(matrix: TransferMatrix, *, ax: "Axes | None" = None) -> "Axes":
    """Held-out AUROC by training and test context; 0.5 is chance."""
    ax = _axes(ax)
    values = matrix.values
    image = ax.imshow(values, vmin=0.5, vmax=1.0, cmap="cividis")
    names = [n.replace("_", "\n") for n in matrix.names]
    ax.set_xticks(range(len(names)), names, fontsize=7)
    ax.set_yticks(range(len(names)), names, fontsize=7)
    for i in range(len(names)):
        for j in range(len(names)):
            shade = "black" if values[i, j] > 0.8 else "white"
            ax.text(j, i, f"{values[i, j]:.2f}", ha="center", va="center", color=shade, fontsize=8)
    ax.set_xlabel("test context")
    ax.set_ylabel("training context")
    ax.set_title(f"Transfer, ratio {matrix.ratio}", fontsize=10)
    ax.figure.colorbar(image, ax=ax, label="AUROC (0.5 = chance)")
    return ax


def _depth(layer: Layer) -> int:
    return -1 if layer == "embed" else int(layer)


def _axes(ax: "Axes | None") -> Any:
    if ax is not None:
        return ax
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("figures need matplotlib; try: pip install 'empathy-geometry[report]'") from error
    # A Figure of its own, not pyplot's: no global state, no window, nothing to close.
    axes = Figure(figsize=(6.4, 4.2), layout="constrained").add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return axes
