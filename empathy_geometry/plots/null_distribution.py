"""The observed statistic against what shuffled labels give."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from empathy_geometry.evaluation.permutation import PermutationTest
from empathy_geometry.plots.reading import read_permutation
from empathy_geometry.plots.style import BLUE, GREY, ORANGE, axes_or_new, labels, legend, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def null_distribution(test: PermutationTest | Mapping[str, Any], *, ax: "Axes | None" = None) -> "Axes":
    """The permutation distribution with the observed value and the 5 % line.

    Args:
        test: A permutation test, or its JSON.
        ax: Axes to draw on; None makes a figure.
    """
    test = read_permutation(test)
    ax = axes_or_new(ax)
    bins = min(30, max(6, round(np.sqrt(len(test.null_distribution)))))
    shuffled = f"shuffled labels ({len(test.null_distribution)})"
    ax.hist(test.null_distribution, bins=bins, color=GREY, alpha=0.6, edgecolor="white", label=shuffled)
    line = test.critical_value()
    if np.isfinite(line):
        ax.axvline(line, color=ORANGE, linestyle="--", linewidth=1.4, label="5 % line")
    ax.axvline(test.statistic, color=BLUE, linewidth=2.2, label=f"observed {test.statistic:.3f}, p = {test.pvalue:.3g}")
    name = {"auroc": "AUROC", "macro_auroc": "macro AUROC", "d_prime": "d' (standard deviations)"}.get(test.name)
    over = f", largest over {len(test.layers)} layers" if len(test.layers) > 1 else ""
    labels(ax, f"{name or test.name}, held out{over}", "number of permutations")
    title(ax, "Against shuffled labels")
    legend(ax, columns=3)
    return ax
