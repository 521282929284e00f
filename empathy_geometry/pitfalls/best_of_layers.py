"""Pitfall: the best of many layers looks good on noise."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.cross_validation import cross_validate
from empathy_geometry.evaluation.permutation import permutation_test
from empathy_geometry.foundation._types import ArrayLike, FloatArray, LabelsLike
from empathy_geometry.foundation._validation import as_generator
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.pitfalls.demonstration import BLUE, GREEN, GREY, ORANGE, Demonstration, axes_or_new, origin

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class BestOfLayers(Demonstration):
    """Held-out AUROC of random labels when the best layer is reported.

    Attributes:
        best: AUROC of the best layer for each random labeling.
        single: AUROC of every layer for each random labeling, [layer, n_permutations].
        nested: AUROC of random labelings with the layer chosen inside the training folds.
        observed: AUROC of the best layer under the true labels; None for planted noise.
        pvalue: Of `observed` against `best` (max-T); None for planted noise.
        n: Number of rows.
        n_layers: Number of layers.
        provenance: Planted or measured.
    """

    title: ClassVar[str] = "AUROC of the best layer, random labels"
    lesson: ClassVar[str] = (
        "Choose the layer inside the training folds (cross_validate), or test with max-T (permutation_test)."
    )

    best: FloatArray
    single: FloatArray
    nested: FloatArray
    observed: float | None
    pvalue: float | None
    n: int
    n_layers: int
    provenance: Provenance

    def rows(self) -> list[dict[str, Any]]:
        """The table, one dictionary for each row."""
        table: list[dict[str, Any]] = [
            {"what is reported": name, "mean": float(v.mean()), "95 % point": float(np.quantile(v, 0.95))}
            for name, v in (
                ("one layer, fixed beforehand", self.single.ravel()),
                (f"best of {self.n_layers} layers", self.best),
                ("layer chosen in the training folds", self.nested),
            )
        ]
        if self.observed is not None:
            table.append({"what is reported": "best layer, true labels", "mean": self.observed, "95 % point": None})
        return table

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the figure on `ax`, or on a new one."""
        ax = axes_or_new(ax)
        bins = np.linspace(0, 1, 51).tolist()
        ax.hist(self.single.ravel(), bins=bins, density=True, color=BLUE, alpha=0.8, label="one layer, fixed")
        ax.hist(
            self.best,
            bins=bins,
            density=True,
            color=ORANGE,
            alpha=0.8,
            hatch="//",
            edgecolor="white",
            label=f"best of {self.n_layers} layers",
        )
        ax.axvline(float(self.nested.mean()), color=GREEN, linewidth=2, label="layer chosen inside folds, mean")
        ax.axvline(0.5, color=GREY, linestyle="--", linewidth=1, label="chance")
        if self.observed is not None:
            ax.axvline(self.observed, color="black", linewidth=1.5, label=f"true labels, p = {self.pvalue:.3f}")
        ax.set(xlabel="held-out AUROC", ylabel="density", title=f"{self.title} (n = {self.n})", xlim=(0, 1))
        ax.margins(y=0.25)
        ax.legend(frameon=False, loc="upper left", fontsize="small")
        return ax


def best_of_layers(
    activations: Activations | None = None,
    *,
    positive: str | None = None,
    negative: str | None = None,
    n_permutations: int = 500,
    n_nested: int = 20,
    seed: int = 0,
) -> BestOfLayers:
    """Null distribution of the best layer's held-out AUROC, beside one layer's and that of nested selection.

    Args:
        activations: Several layers; None plants noise, 30 rows in pairs, 33 independent layers, d = 64.
        positive: The concept's class; None takes the last of two.
        negative: The neutral class; None compares with all others.
        n_permutations: Random labelings, exchanged as the design allows.
        n_nested: Random labelings for nested selection, which is refitted one by one.
        seed: Seed.

    Raises:
        ValueError: one layer only, or a class is missing.

    Example:
        >>> demo = best_of_layers(n_permutations=100, n_nested=2)
        >>> bool(0.7 < demo.best.mean() < 0.85), bool(abs(demo.single.mean() - 0.5) < 0.03)
        (True, True)
    """
    generator = as_generator(seed)
    x: ArrayLike
    labels: LabelsLike
    probe = Probe("lda")
    if activations is None:
        x = generator.standard_normal((30, 33, 64))
        labels, groups = np.tile([0, 1], 15), np.repeat(np.arange(15), 2)
    else:
        if len(activations.layers) < 2:
            raise ValueError(f"the best of layers needs at least two, got {list(activations.layers)}")
        used = activations if negative is None else activations.where(label=[str(positive), negative])
        x, groups = used.values, np.asarray(used.groups)
        labels = used.labels == (np.unique(used.labels)[-1] if positive is None else positive)
    test = permutation_test(
        probe,
        x,
        labels,
        groups=groups,
        seed=int(generator.integers(2**31)),
        n_permutations=n_permutations,
        progress=False,
    )
    nested = []
    y = np.asarray(labels).astype(int)
    for _ in range(n_nested):
        shuffled = _shuffled(y, groups, generator)
        nested.append(
            float(cross_validate(probe, x, shuffled, groups=groups, seed=int(generator.integers(2**31))).auroc)
        )
    settings = {"positive": positive, "negative": negative, "n_permutations": n_permutations, "n_nested": n_nested}
    return BestOfLayers(
        best=test.null_distribution,
        single=test.layer_null,
        nested=np.array(nested),
        observed=None if activations is None else test.statistic,
        pvalue=None if activations is None else test.pvalue,
        n=len(y),
        n_layers=len(test.layers),
        provenance=origin(activations, seed, settings),
    )


def _shuffled(y: np.ndarray, groups: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Labels exchanged within groups, and between groups where each has one label."""
    shuffled = y.copy()
    names = np.unique(groups)
    if all(len(np.unique(y[groups == g])) == 1 for g in names):
        labels = generator.permutation([y[groups == g][0] for g in names])
        for g, label in zip(names, labels, strict=True):
            shuffled[groups == g] = label
        return shuffled
    for g in names:
        shuffled[groups == g] = generator.permutation(y[groups == g])
    return shuffled
