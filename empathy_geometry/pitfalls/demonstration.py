"""What every demonstration returns: numbers, a table, a figure, and whether the data were planted or measured."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
"""Okabe & Ito's palette, which colour-blind readers can tell apart."""


class Demonstration(Result, ABC):
    """A pitfall shown on data.

    Attributes:
        title: The pitfall in a few words.
        lesson: What to do instead.
        provenance: `kind` says "planted" for synthetic data with a known truth, "measured" for a model's activations.
    """

    title: ClassVar[str]
    lesson: ClassVar[str]
    provenance: Provenance

    @abstractmethod
    def rows(self) -> list[dict[str, Any]]:
        """The table, one dictionary for each row."""

    @abstractmethod
    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the figure on `ax`, or on a new one."""

    def tables(self) -> tuple[Table, ...]:
        """The numbers, and what to do instead."""
        return (Table.of(f"{self.title} ({self.provenance.kind} data)", self.rows(), notes=[self.lesson]),)

    def to_frame(self) -> "pd.DataFrame":
        """The table."""
        import pandas as pd

        return pd.DataFrame(
            [{k: float(v) if isinstance(v, Estimate) else v for k, v in row.items()} for row in self.rows()]
        )


def origin(activations: Activations | None, seed: int, settings: Mapping[str, Any]) -> Provenance:
    """Provenance of a demonstration: planted without activations, else what the activations say (or measured)."""
    if activations is None:
        return Provenance("planted", seed=seed, settings=dict(settings))
    source = activations.provenance
    if source is None:
        return Provenance("measured", seed=seed, settings=dict(settings))
    return Provenance(source.kind, source.model, source.texts, seed, {**source.settings, **settings})


def axes_or_new(ax: "Axes | None", *, width: float = 6.4, height: float = 4.2) -> "Axes":
    """`ax`, or the axes of a new figure; matplotlib is imported only here."""
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("figures need matplotlib; try pip install 'empathy-geometry[report]'") from error
    axes: Axes = plt.subplots(figsize=(width, height), layout="constrained")[1]
    return axes
