"""Pitfall: folds that split scenarios, and erasure fitted to all rows, give AUROCs far from 1/2 where nothing is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.cross_validation import cross_validate
from empathy_geometry.evaluation.erasers import ErasedProbe, leace
from empathy_geometry.foundation._types import FloatArray, IntArray, Layer
from empathy_geometry.foundation._validation import as_generator, as_matrix
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.pitfalls.demonstration import BLUE, GREY, ORANGE, Demonstration, axes_or_new, origin

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DESIGNS = (
    "random labels, one of each per scenario",
    "random labels, constant per scenario",
    "concept erased (true labels)",
)


@dataclass(frozen=True, eq=False)
class UngroupedFolds(Demonstration):
    """AUROC where there is nothing to find, evaluated wrongly and rightly.

    Attributes:
        wrong: For each of three designs, AUROCs with folds that split scenarios (or with the eraser fitted to all
            rows), one for each draw.
        right: The same draws with scenarios kept together (or the eraser fitted to the training rows).
        provenance: Planted or measured.
    """

    title: ClassVar[str] = "Leaky folds: AUROC where the truth is 1/2"
    lesson: ClassVar[str] = "Keep scenarios together and fit everything, erasers included, inside the training folds."

    wrong: tuple[FloatArray, FloatArray, FloatArray]
    right: tuple[FloatArray, FloatArray, FloatArray]
    provenance: Provenance

    def rows(self) -> list[dict[str, Any]]:
        """The table, one dictionary for each row."""
        return [
            {"design": name, "leaky": float(w.mean()), "grouped, inside folds": float(r.mean())}
            for name, w, r in zip(_DESIGNS, self.wrong, self.right, strict=True)
        ]

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the figure on `ax`, or on a new one."""
        ax = axes_or_new(ax, width=7.2, height=3.4)
        for row in range(3):
            y = 2 - row
            for values, color, marker, shift, name in (
                (self.wrong[row], ORANGE, "o", 0.12, "leaky"),
                (self.right[row], BLUE, "s", -0.12, "grouped, inside folds"),
            ):
                label = name if row == 0 else None
                ax.scatter(values, np.full(len(values), y + shift), s=14, color=color, alpha=0.35, marker=marker)
                ax.scatter(values.mean(), y + shift, s=70, color=color, edgecolor="black", marker=marker, label=label)
        ax.axvline(0.5, color=GREY, linestyle="--", linewidth=1, label="truth")
        ax.set_yticks([2, 1, 0], [name.replace(", ", ",\n").replace(" (", "\n(") for name in _DESIGNS])
        ax.set(xlim=(-0.03, 1.03), ylim=(-0.5, 2.5), xlabel="held-out AUROC", title=self.title)
        ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
        return ax


def ungrouped_folds(
    activations: Activations | None = None,
    *,
    positive: str | None = None,
    negative: str | None = None,
    layer: Layer | None = None,
    n_draws: int = 5,
    seed: int = 0,
) -> UngroupedFolds:
    """Random labels and an erased concept, evaluated with and without leaks.

    Within a scenario with one row of each label, a held-out row finds its sibling in training with the other label;
    where labels are constant per scenario, with its own. A concept erased from all rows has equal class means overall,
    so that training and test means differ in opposite directions.

    Args:
        activations: At least two rows in each scenario; None plants 60 scenarios of two rows that share their
            topic, d = 512.
        positive: The concept's class, for the erasure; needed with activations.
        negative: The neutral class; needed with activations.
        layer: Which layer of the activations.
        n_draws: Random labelings (and random folds).
        seed: Seed.

    Raises:
        ValueError: activations without class names, an unknown layer, or too few scenarios with both classes.

    Example:
        >>> demo = ungrouped_folds(n_draws=2)
        >>> [round(float(w.mean()), 1) for w in demo.wrong], [round(float(r[-1]), 1) for r in demo.right[2:]]
        ([0.0, 1.0, 0.0], [0.5])
    """
    generator = as_generator(seed)
    if activations is None:
        n = 60
        groups: IntArray = np.repeat(np.arange(n), 2)
        concept: IntArray = np.tile([0, 1], n)
        topic = 2.0 * generator.standard_normal((n, 512))
        x = topic[groups] + generator.standard_normal((2 * n, 512))
        x[:, 0] += 3 * concept
    else:
        x, groups, concept = _pairs(activations, positive, negative, layer)
    probe = Probe("lda")
    wrong: list[list[float]] = [[], [], []]
    right: list[list[float]] = [[], [], []]
    for _ in range(n_draws):
        folds = int(generator.integers(2**31))
        flips = generator.integers(0, 2, int(groups.max()) + 1)
        within = (concept + flips[groups]) % 2
        constant = generator.permutation(np.arange(len(flips)) % 2)[groups]
        for i, y in enumerate((within, constant)):
            wrong[i].append(float(cross_validate(probe, x, y, groups=None, seed=folds).auroc))
            right[i].append(float(cross_validate(probe, x, y, groups=groups, seed=folds).auroc))
        everywhere = leace(x, concept.astype(float))(x)
        wrong[2].append(float(cross_validate(probe, everywhere, concept, groups=groups, seed=folds).auroc))
        inside = np.column_stack([x, concept, groups])
        right[2].append(float(cross_validate(ErasedProbe(probe, 1), inside, concept, groups=groups, seed=folds).auroc))
    settings = {"positive": positive, "negative": negative, "layer": layer, "n_draws": n_draws}
    leaky, clean = ((np.array(v[0]), np.array(v[1]), np.array(v[2])) for v in (wrong, right))
    return UngroupedFolds(leaky, clean, origin(activations, seed, settings))


def _pairs(
    activations: Activations, positive: str | None, negative: str | None, layer: Layer | None
) -> tuple[FloatArray, IntArray, IntArray]:
    """One row of each class from each scenario that has both."""
    if positive is None or negative is None:
        raise ValueError("activations need positive=... and negative=..., the classes of the concept")
    chosen = activations.layers[len(activations.layers) // 2] if layer is None else layer
    x = as_matrix(activations.layer(chosen), "activations")
    rows = []
    for g in np.unique(activations.groups):
        inside = [np.flatnonzero((activations.groups == g) & (activations.labels == c)) for c in (negative, positive)]
        if all(len(i) for i in inside):
            rows += [int(i[0]) for i in inside]
    if len(rows) < 40:
        raise ValueError(f"the demonstration needs at least 20 scenarios with both classes, got {len(rows) // 2}")
    n = len(rows) // 2
    return x[rows], np.repeat(np.arange(n), 2), np.tile([0, 1], n)
