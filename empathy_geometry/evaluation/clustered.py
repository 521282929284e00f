"""Intervals for means of contributions that come in scenarios, honest at 20 scenarios and close to 0 or 1."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import t as student

from empathy_geometry.foundation._types import BoolArray, FloatArray
from empathy_geometry.foundation.estimate import Estimate

MOST_SHARED = 2.0
"""The largest factor on the variance of out-of-fold scores that comes from shared training rows."""


def t_quantile(contributions: FloatArray, level: float, holding: Sequence[BoolArray] = ()) -> float:
    """Student quantile for an interval whose variance is the sum of squared contributions of the groups.

    Degrees of freedom are 2 (sum h^2)^2 / (sum h^4 - (sum h^2)^2 / G), at most G - 1: Satterthwaite's, with the
    variance of the variance from the contributions themselves. Near the ceiling few groups contribute, so that the
    variance is poorly known; with G - 1 a 95 % interval of an AUROC of 0.97 covers 92 % (benchmarks/calibration.py).

    Where classes stand in different groups, each class's share of the variance is known from its own groups only, so
    that the degrees of freedom are at most Welch's, (sum V_c)^2 / sum V_c^2 / (I_c - 1) over classes c in I_c groups
    whose contributions have variance V_c. With 2 positive groups of 22, G - 1 covers 86 %.

    Args:
        contributions: Of each group to the estimate's deviation from its expectation, [G]; they sum to zero.
        level: Coverage of the interval.
        holding: For each class, which groups hold it, [G]; none where there are no classes.

    Source: Satterthwaite (1946), Biometrics Bulletin 2; Welch (1947), Biometrika 34.
    """
    n_groups = len(contributions)
    squared = contributions**2
    total = float(squared.sum())
    excess = float((squared**2).sum()) - total**2 / n_groups
    limit = n_groups - 1.0
    parts = np.array([float(squared[held].sum()) for held in holding])
    if parts.any():
        counts = np.array([int(held.sum()) for held in holding])
        limit = min(limit, float(parts.sum() ** 2 / (parts**2 / np.maximum(counts - 1, 1)).sum()))
    df = limit if excess <= 2 * total**2 / limit else max(1.0, 2 * total**2 / excess)
    return float(student.ppf((1 + level) / 2, df))


def logit_interval(
    value: float, contributions: FloatArray, level: float, holding: Sequence[BoolArray] = ()
) -> tuple[float, float]:
    """Interval for a share or an AUROC, symmetric on the logit scale, so that it stays inside (0, 1)."""
    error = float(np.sqrt((contributions**2).sum()))
    half = t_quantile(contributions, level, holding) * error / (value * (1 - value))
    centre = np.log(value / (1 - value))
    low, high = 1 / (1 + np.exp(-(centre - half))), 1 / (1 + np.exp(-(centre + half)))
    return float(low), float(high)


def area_interval(
    value: float, contributions: FloatArray, inflation: float, level: float, holding: Sequence[BoolArray] = ()
) -> tuple[float, float]:
    """Interval for a held-out AUROC whose variance is larger than its contributions say.

    Scores that share training rows have at most `MOST_SHARED` times the variance, as spread of the scores
    themselves: that part is symmetric on the logit scale. What goes beyond it is the choice of a layer or penalty, a
    change of the AUROC by steps whose size does not shrink towards the ceiling: it is added on the AUROC's own scale,
    the two halves combined as independent errors are (MOVER). Put on the logit scale as well, it made intervals such
    as 0.988 [0.373, 1.000].

    Args:
        value: Strictly between 0 and 1.
        contributions: Of each group, [G].
        inflation: Factor on the variance.
        level: Coverage.
        holding: As in `t_quantile`.

    Source: Zou & Donner (2008), Statistics in Medicine 27 (MOVER).

    Example:
        >>> parts = np.tile([0.003, -0.003], 10)
        >>> [round(end, 2) for end in area_interval(0.98, parts, 2.0, 0.95)]
        [0.87, 1.0]
        >>> [round(end, 2) for end in area_interval(0.98, parts, 6.0, 0.95)]
        [0.85, 1.0]
    """
    low, high = logit_interval(value, contributions * np.sqrt(min(inflation, MOST_SHARED)), level, holding)
    if inflation <= MOST_SHARED:
        return low, high
    variance = (inflation - MOST_SHARED) * float((contributions**2).sum())
    half = t_quantile(contributions, level, holding) * float(np.sqrt(variance))
    return max(value - float(np.hypot(value - low, half)), 0.0), min(value + float(np.hypot(high - value, half)), 1.0)


def wilson_interval(value: float, contributions: FloatArray, level: float) -> tuple[float, float]:
    """Wilson's score interval for a share, with the effective number of rows value (1 - value) / variance.

    Closer to its level than `logit_interval` for shares of right and wrong, whose few values make the latter cover up
    to 99 % (benchmarks/calibration.py).

    Source: Wilson (1927), JASA 22; Korn & Graubard (1998), Survey Methodology 24, for the effective number.
    """
    q = float(student.ppf((1 + level) / 2, len(contributions) - 1)) ** 2
    n = value * (1 - value) / float((contributions**2).sum())
    centre = (value + q / (2 * n)) / (1 + q / n)
    half = float(np.sqrt(q / n * (value * (1 - value) + q / (4 * n)))) / (1 + q / n)
    return centre - half, centre + half


def ceiling_interval(value: float, units: int, level: float) -> tuple[float, float]:
    """Exact interval for `units` of `units` independent comparisons in one direction; `value` is 0 or 1.

    Source: Clopper & Pearson (1934), Biometrika 26.
    """
    bound = ((1 - level) / 2) ** (1 / units)
    return (bound, 1.0) if value == 1 else (0.0, 1 - bound)


def difference_interval(first: Estimate, second: Estimate, correlation: float, level: float) -> tuple[float, float]:
    """Interval for first - second from their own intervals and the correlation of their errors.

    Unlike a percentile bootstrap of the difference (87 to 96 % for 95 in benchmarks/calibration.py) it keeps its
    coverage where one of the two is near the ceiling, and is not of zero width where both reach it.

    Raises:
        ValueError: one of the two has no interval.

    Source: Zou & Donner (2008), Statistics in Medicine 27 (MOVER).
    """
    if first.low is None or first.high is None or second.low is None or second.high is None:
        raise ValueError("the difference needs an interval of both estimates")
    down = (first.value - first.low, second.high - second.value)
    up = (first.high - first.value, second.value - second.low)

    def width(a: float, b: float) -> float:
        return float(np.sqrt(max(a * a + b * b - 2 * correlation * a * b, 0.0)))

    difference = first.value - second.value
    return difference - width(*down), difference + width(*up)
