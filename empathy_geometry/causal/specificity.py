"""Does each direction move its own target more than the others' targets?"""

from dataclasses import dataclass

import numpy as np

from empathy_geometry.causal.dose_response import over_scenarios
from empathy_geometry.evaluation.nulls import empirical_pvalue
from empathy_geometry.foundation._types import ArrayLike, FloatArray
from empathy_geometry.foundation._validation import as_float_array, as_generator
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table


@dataclass(frozen=True, eq=False)
class SpecificityMatrix(Result):
    """Standardised effect of every direction on every target.

    Attributes:
        names: Directions (rows) and targets (columns), in this order.
        values: Mean effect over scenarios, in standard deviations of the target, [n, n].
        low, high: Interval of each over scenarios, [n, n].
        dominance: Mean of the diagonal minus mean of the rest, with its interval over scenarios.
        pvalue: Of the dominance, by rearranging within each scenario which direction is which.
        seed: Of the rearrangements.
    """

    names: tuple[str, ...]
    values: FloatArray
    low: FloatArray
    high: FloatArray
    dominance: Estimate
    pvalue: float
    seed: int | None = None

    def tables(self) -> tuple[Table, ...]:
        """Effect of each direction (rows) on each target (columns)."""
        columns = ("direction \\ target", *self.names)
        rows = tuple((name, *(f"{v:.3f}" for v in row)) for name, row in zip(self.names, self.values, strict=True))
        note = f"diagonal dominance {self.dominance}, p = {self.pvalue:.4f}"
        return (Table("Specificity", columns, rows, (note,)),)


def specificity_matrix(
    effects: ArrayLike, names: tuple[str, ...], *, n_permutations: int = 2000, level: float = 0.95, seed: int = 0
) -> SpecificityMatrix:
    """Mean effects with a test of diagonal dominance.

    The null: in every scenario, any direction might as well have been any other. So directions exchange their names
    within scenarios, independently, and the dominance is computed again. It says whether the pattern holds over
    scenarios, for these directions.

    Args:
        effects: [n_directions, n_targets, n_scenarios], equal numbers of directions and targets.
        names: Of both.
        n_permutations: Rearrangements.
        level: Coverage of the intervals.
        seed: Seed.

    Raises:
        ValueError: fewer than two directions, or another shape.

    Example:
        >>> own = np.stack([np.eye(2)] * 6, axis=2)
        >>> m = specificity_matrix(own, ("a", "b"), seed=0)
        >>> m.dominance.value, m.pvalue < 0.05
        (1.0, True)
    """
    e = as_float_array(effects, "effects", ndim=3)
    k = len(names)
    if k < 2 or e.shape[:2] != (k, k):
        raise ValueError(f"effects must be [{k}, {k}, n_scenarios] for two directions at least, got {e.shape}")
    generator = as_generator(seed)
    n = e.shape[2]
    low, high = np.full((k, k), np.nan), np.full((k, k), np.nan)
    for i in range(k):
        for j in range(k):
            cell = over_scenarios(lambda kept, i=i, j=j: float(e[i, j, kept].mean()), n, level=level)  # type: ignore[misc]
            if cell.low is not None and cell.high is not None:
                low[i, j], high[i, j] = cell.low, cell.high
    null = np.empty(n_permutations)
    for b in range(n_permutations):
        order = generator.random((k, n)).argsort(axis=0)
        null[b] = _dominance(np.take_along_axis(e, order[:, None, :], axis=0).mean(axis=2))
    dominance = over_scenarios(lambda kept: _dominance(e[:, :, kept].mean(axis=2)), n, level=level)
    return SpecificityMatrix(names, e.mean(axis=2), low, high, dominance, empirical_pvalue(dominance.value, null), seed)


def _dominance(matrix: FloatArray) -> float:
    k = len(matrix)
    on = float(np.trace(matrix))
    return on / k - (float(matrix.sum()) - on) / (k * (k - 1))
