"""Correlation of scores with a graded target, with intervals that count groups and not rows."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.stats import kendalltau, rankdata

from empathy_geometry.evaluation.clustered import t_quantile
from empathy_geometry.foundation._types import ArrayLike, FloatArray, IntArray, LabelsLike
from empathy_geometry.foundation._validation import as_float_array, as_groups
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.texts.held_apart import columns_of

Statistic = Callable[[FloatArray, FloatArray], float]


def spearman_of(scores: FloatArray, target: FloatArray) -> float:
    """Spearman's rho, ties as mean ranks; 0 where one of the two does not vary."""
    return _pearson(rankdata(scores), rankdata(target))


def kendall_of(scores: FloatArray, target: FloatArray) -> float:
    """Kendall's tau-b; 0 where one of the two does not vary."""
    if np.ptp(scores) == 0 or np.ptp(target) == 0:
        return 0.0
    return float(kendalltau(scores, target).statistic)


def spearman(
    scores: ArrayLike,
    target: ArrayLike,
    *,
    groups: LabelsLike | Mapping[str, LabelsLike] | None = None,
    level: float = 0.95,
    inflation: float = 1.0,
) -> Estimate:
    """Spearman's rank correlation with an interval clustered by groups.

    Args:
        scores: Of anything that saw none of these targets: a frozen direction, an out-of-fold prediction, [n].
        target: Graded target, [n].
        groups: Person or scenario of each row; several columns by name count as crossed; None takes the rows as
            independent.
        level: Coverage of the interval.
        inflation: Factor on the variance, for out-of-fold scores.

    Raises:
        ValueError: lengths differ, values are not finite, or a column does not vary.

    Source: jackknife of Fisher's z over groups; for crossed columns the variances of each less that of their cells,
        Cameron, Gelbach & Miller (2011), Journal of Business & Economic Statistics 29.

    Example:
        >>> print(spearman([1, 2, 3, 4, 5, 6], [1, 2, 4, 3, 5, 6]).value.__round__(3))
        0.943
    """
    return correlation("Spearman", spearman_of, scores, target, groups=groups, level=level, inflation=inflation)


def kendall(
    scores: ArrayLike,
    target: ArrayLike,
    *,
    groups: LabelsLike | Mapping[str, LabelsLike] | None = None,
    level: float = 0.95,
    inflation: float = 1.0,
) -> Estimate:
    """Kendall's tau-b with an interval clustered by groups; arguments and errors as in `spearman`.

    Example:
        >>> kendall([1, 2, 3, 4], [1, 2, 4, 3]).value.__round__(3)
        0.667
    """
    return correlation("Kendall", kendall_of, scores, target, groups=groups, level=level, inflation=inflation)


def correlation(
    name: str,
    statistic: Statistic,
    scores: ArrayLike,
    target: ArrayLike,
    *,
    groups: LabelsLike | Mapping[str, LabelsLike] | None,
    level: float,
    inflation: float,
) -> Estimate:
    """Any correlation of scores that are the same whichever group is left out."""
    s, y = as_float_array(scores, "scores", ndim=1), as_float_array(target, "target", ndim=1)
    if len(s) != len(y):
        raise ValueError(f"scores and target must have the same length, got {len(s)} and {len(y)}")
    for what, values in (("scores", s), ("target", y)):
        if np.ptp(values) == 0:
            raise ValueError(f"{what} are the same in all {len(values)} rows: there is no correlation")
    columns = clusters_of(groups, len(s))
    left_out = [
        np.array([statistic(s[column != g], y[column != g]) for g in range(int(column.max()) + 1)])
        for column in with_cells(columns)
    ]
    return jackknifed(statistic(s, y), left_out, columns, name=name, level=level, inflation=inflation)


def clusters_of(groups: LabelsLike | Mapping[str, LabelsLike] | None, n: int) -> dict[str, IntArray]:
    """Columns of group indices by name; one column "group" where no name is given."""
    if isinstance(groups, Mapping):
        columns = columns_of(groups)
        if wrong := [name for name, column in columns.items() if len(column) != n]:
            raise ValueError(f"groups[{wrong[0]!r}] must have one entry for each of {n} rows")
        return columns
    return {"group": as_groups(groups, n)}


def with_cells(columns: Mapping[str, IntArray]) -> list[IntArray]:
    """The columns, and where there are two or more the cells that they make together."""
    given = list(columns.values())
    if len(given) == 1:
        return given
    cells = np.unique(np.stack(given), axis=1, return_inverse=True)[1].reshape(-1)
    return [*given, cells]


def jackknifed(
    value: float,
    left_out: Sequence[FloatArray],
    columns: Mapping[str, IntArray],
    *,
    name: str,
    level: float,
    inflation: float = 1.0,
    bounded: bool = True,
) -> Estimate:
    """Interval from the values without each group of each column (and each cell, where there are several columns).

    Args:
        value: Of all rows.
        left_out: For each of `with_cells(columns)`, the value without each group.
        columns: Group indices by name.
        name: Of the statistic.
        level: Coverage.
        inflation: Factor on the variance.
        bounded: Whether the value is a correlation: the interval is then symmetric in Fisher's z.
    """
    n = len(next(iter(columns.values())))
    n_groups = min(int(column.max()) + 1 for column in columns.values())
    said = " and ".join(columns)
    if n_groups < 3 or (bounded and abs(value) > 1 - 1e-9):
        return Estimate(value, None, None, level, n, n_groups, f"{name}; no interval: too few groups, or no deviation")
    variances, widest = [], 0.0
    for values in left_out:
        scaled = np.arctanh(np.clip(values, -1 + 1e-12, 1 - 1e-12)) if bounded else values
        parts = np.sqrt((len(values) - 1) / len(values)) * (scaled - scaled.mean())
        variances.append(float((parts**2).sum()))
        if len(variances) <= len(columns) and parts.any():
            widest = max(widest, t_quantile(parts, level))
    if len(variances) == 1:
        variance = variances[0]
    else:
        # What two columns share is counted twice; a difference of estimates may come out too small, even negative.
        variance = max(sum(variances[:-1]) - (len(columns) - 1) * variances[-1], *variances[:-1])
    half = widest * float(np.sqrt(inflation * variance))
    middle = float(np.arctanh(value)) if bounded else value
    low, high = middle - half, middle + half
    if bounded:
        low, high = float(np.tanh(low)), float(np.tanh(high))
    method = f"{name}, jackknife over {said}" + ("" if inflation == 1 else f", variance x {inflation:.2f}")
    return Estimate(value, low, high, level, n, n_groups, method)


def _pearson(a: FloatArray, b: FloatArray) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0
