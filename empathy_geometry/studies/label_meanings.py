"""What a direction means in words of a user's own labels: its AUROC against every class that people coded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.metrics import auroc
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.plots.heatmap import draw_heatmap
from empathy_geometry.texts.several_labels import label_columns


@dataclass(frozen=True, eq=False)
class LabelMeanings(Result):
    """AUROC of directions against human-coded classes.

    Attributes:
        auroc: By direction and class; a class that all or no texts have is left out.
        n: Texts.
        counts: How many texts have each class.
    """

    auroc: Mapping[str, Mapping[str, Estimate]]
    n: int
    counts: Mapping[str, int]

    def tables(self) -> tuple[Table, ...]:
        """One row for each direction, one column for each class."""
        rows = [{"direction": name, **found} for name, found in self.auroc.items()]
        counted = ", ".join(f"{name}: {count}" for name, count in self.counts.items())
        notes = [f"0.5 says nothing; below, the class is at the other end. Texts of each class: {counted}"]
        return (Table.of(f"What labels mean: AUROC of a class against the rest, {self.n} texts", rows, notes=notes),)

    def plot(self, *, ax: Any = None) -> Any:
        """Heat map of the same numbers on matplotlib axes, which it returns."""
        import matplotlib.pyplot as plt

        names, classes = list(self.auroc), list(self.counts)
        values = np.array([[float(self.auroc[name][c]) for c in classes] for name in names])
        if ax is None:
            ax = plt.subplots(figsize=(2 + 1.1 * len(classes), 1.5 + 0.6 * len(names)))[1]
        texts = [[f"{value:.2f}" for value in row] for row in values]
        draw_heatmap(ax, values, names, classes, texts, "PuOr", (0.0, 1.0), "AUROC against the rest")
        return ax


def what_labels_mean(
    directions: ConceptDirection | Mapping[str, ConceptDirection], rated: Activations, *, level: float = 0.95
) -> LabelMeanings:
    """A frozen direction's AUROC against every class of texts that people coded.

    Args:
        directions: One, or several by name; each has its layer.
        rated: Activations of the coded texts; a text may have several labels ("question+warmth"), and two-valued
            targets count as classes too. Groups are what the intervals are clustered by.
        level: Coverage of the intervals.

    Raises:
        ValueError: a direction without a layer, or no class that some texts have and others not.

    Example:
        >>> import torch
        >>> rows = torch.tensor([[0.0, 1.0], [3.0, 1.0], [0.5, 0.0], [4.0, 0.0]])
        >>> acts = Activations(rows[:, None], (5,), ["plain", "warm", "plain", "warm"], ["a", "a", "b", "b"])
        >>> found = what_labels_mean(ConceptDirection(torch.tensor([1.0, 0.0]), layer=5), acts)
        >>> float(found.auroc["direction"]["warm"])
        1.0
    """
    given = {"direction": directions} if isinstance(directions, ConceptDirection) else dict(directions)
    columns = {name: column.astype(bool) for name, column in label_columns(rated.labels).items()}
    for name, graded in (rated.targets or {}).items():
        if len(np.unique(graded)) == 2:
            columns.setdefault(name, graded > graded.min())
    classes = {name: column for name, column in columns.items() if 0 < column.sum() < len(column)}
    if not classes:
        raise ValueError(f"no class tells texts apart: all {len(rated)} have the same labels")
    found: dict[str, dict[str, Estimate]] = {}
    for name, direction in given.items():
        if direction.layer is None:
            raise ValueError(f"direction {name!r} does not say its layer; make it with layer=")
        scores = np.asarray(direction.project(rated.layer(direction.layer)), dtype=np.float64)
        found[name] = {
            label: auroc(scores, column, groups=rated.groups, level=level) for label, column in classes.items()
        }
    return LabelMeanings(found, len(rated), {name: int(column.sum()) for name, column in classes.items()})
