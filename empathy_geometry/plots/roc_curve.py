"""The ROC curve of held-out scores, with a band over scenarios."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from empathy_geometry.evaluation.cross_validation import Evaluation
from empathy_geometry.foundation._types import FloatArray
from empathy_geometry.foundation._validation import as_generator
from empathy_geometry.plots.reading import read_estimate, read_result
from empathy_geometry.plots.style import BLUE, CYCLE, INK, ORANGE, axes_or_new, labels, legend, short, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GRID = np.linspace(0.0, 1.0, 201)


def roc_curve(
    evaluation: Evaluation | Mapping[str, Any],
    *,
    level: float = 0.95,
    n_resamples: int = 500,
    seed: int = 0,
    ax: "Axes | None" = None,
) -> "Axes":
    """True against false positive rate of out-of-fold scores, beside the best text-only baseline and chance.

    The band is pointwise, from resampled scenarios; it does not hold the whole curve at once.

    Args:
        evaluation: A held-out evaluation, or its JSON. With more than two classes, each is drawn against the rest.
        level: Coverage of the band at each false positive rate.
        n_resamples: Resamples of scenarios.
        seed: Seed of the resampling.
        ax: Axes to draw on; None makes a figure.
    """
    needed = ("scores", "labels", "groups", "classes", "auroc", "baseline_scores", "best_baseline", "baselines")
    found = read_result(evaluation, "Evaluation", needed)
    ax = axes_or_new(ax, width=5.2, height=5.4)
    scores, groups = np.asarray(found["scores"], dtype=float), np.asarray(found["groups"])
    truth, classes = np.asarray(found["labels"]).astype(str), [str(c) for c in found["classes"]]
    generator = as_generator(seed)
    if scores.ndim == 1:
        positive = truth == classes[-1]
        _band(ax, scores, positive, groups, BLUE, level, n_resamples, generator)
        name = f"probe, AUROC {read_estimate(found['auroc'])}"
        ax.plot(*_curve(scores, positive), color=BLUE, linewidth=2, label=name)
        if found["best_baseline"] is not None:
            best = found["best_baseline"]
            text = f"text only ({best}), AUROC {read_estimate(found['baselines'][best])}"
            values = np.asarray(found["baseline_scores"][best], dtype=float)
            ax.plot(*_curve(values, positive), color=ORANGE, linestyle="--", linewidth=1.4, label=text)
    else:
        for k, name in enumerate(classes):
            colour, _, dash = CYCLE[k % len(CYCLE)]
            _band(ax, scores[:, k], truth == name, groups, colour, level, n_resamples, generator)
            ax.plot(
                *_curve(scores[:, k], truth == name), color=colour, linestyle=dash, label=f"{short(name)} against rest"
            )
    ax.plot([0, 1], [0, 1], color=INK, linestyle=":", linewidth=0.9, label="chance")
    ax.set_xlim(-0.01, 1.01)
    ax.set_ylim(-0.01, 1.01)
    ax.set_aspect("equal")
    labels(ax, "false positive rate", "true positive rate")
    title(ax, "Held-out ROC")
    legend(ax, columns=1)
    return ax


def _curve(scores: FloatArray, positive: np.ndarray) -> tuple[FloatArray, FloatArray]:
    """Corners of the empirical curve; tied scores make one slanted step."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    hits, misses = np.cumsum(positive[order])[last], np.cumsum(~positive[order])[last]
    return np.append(0, misses / max(misses[-1], 1)), np.append(0, hits / max(hits[-1], 1))


def _band(
    ax: Any,
    scores: FloatArray,
    positive: np.ndarray,
    groups: np.ndarray,
    colour: str,
    level: float,
    n_resamples: int,
    generator: np.random.Generator,
) -> None:
    rows = [np.flatnonzero(groups == g) for g in np.unique(groups)]
    heights = []
    for _ in range(n_resamples):
        drawn = np.concatenate([rows[i] for i in generator.integers(len(rows), size=len(rows))])
        if positive[drawn].any() and not positive[drawn].all():
            x, y = _curve(scores[drawn], positive[drawn])
            heights.append(np.interp(_GRID, x, y))
    if heights:
        low, high = np.quantile(heights, [(1 - level) / 2, (1 + level) / 2], axis=0)
        ax.fill_between(_GRID, low, high, color=colour, alpha=0.15, linewidth=0)
