"""AUROCs from placements, and how much each scenario contributes to their deviation from the truth."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from empathy_geometry.evaluation.clustered import area_interval, ceiling_interval
from empathy_geometry.foundation._types import BoolArray, FloatArray, IntArray, LabelsLike
from empathy_geometry.foundation._validation import as_binary, as_names
from empathy_geometry.foundation.estimate import Estimate

FEW_GROUPS = 6
"""Groups of a class below which a result says so: no interval can be trusted to a few per cent there."""


def one_vs_rest_problems(s: FloatArray, labels: LabelsLike) -> list[tuple[FloatArray, BoolArray]]:
    """Scores and labels of each class against the rest; of the concept class only for scores [n]."""
    if s.ndim == 1:
        return [(s, as_binary(labels, "labels", len(s)))]
    truth = as_names(labels, "labels", len(s))
    return [(s[:, k], truth == c) for k, c in enumerate(np.unique(truth))]


def mean_auroc(
    problems: list[tuple[FloatArray, BoolArray]], group: IntArray, level: float, inflation: float, method: str
) -> Estimate:
    """Mean AUROC of several one-vs-rest problems on the same rows, with its interval."""
    n, n_groups = len(group), int(group.max()) + 1
    area = float(np.mean([_area(s, y) for s, y in problems]))
    if area in (0.0, 1.0):
        units = min(_independent_comparisons(y, group) for _, y in problems)
        low, high = ceiling_interval(area, units, level)
        return Estimate(area, low, high, level, n, n_groups, f"exact bound at the ceiling, {units} units")
    contributions = auroc_contributions(problems, group)
    if contributions is None:
        return Estimate(area, None, None, level, n, n_groups, "no interval: a class has one group only")
    if not contributions.any():
        return Estimate(area, None, None, level, n, n_groups, "no interval: all groups alike")
    holding = [held for _, y in problems for held in class_groups(y, group)]
    low, high = area_interval(area, contributions, inflation, level, holding)
    method = inflated_method(method, inflation) + few_groups(holding)
    return Estimate(area, low, high, level, n, n_groups, method)


def class_groups(y: BoolArray, group: IntArray) -> tuple[BoolArray, BoolArray]:
    """Which groups hold a positive row, and which a negative one, [n_groups] each."""
    n_groups = int(group.max()) + 1
    return np.bincount(group[y], minlength=n_groups) > 0, np.bincount(group[~y], minlength=n_groups) > 0


def few_groups(holding: Sequence[BoolArray]) -> str:
    """What a method's name says where a class is in very few groups."""
    fewest = min(int(held.sum()) for held in holding)
    return f"; the rarest class is in {fewest} groups only" if fewest < FEW_GROUPS else ""


def inflated_method(method: str, inflation: float) -> str:
    """Name of a method, with the factor on its variance where there is one."""
    return method if inflation == 1 else f"{method}, variance x {inflation:.2f} for shared training rows and choices"


def auroc_contributions(problems: list[tuple[FloatArray, BoolArray]], group: IntArray) -> FloatArray | None:
    """Contribution of each group to the deviation of the mean AUROC, [n_groups]; their squares sum to its variance.

    sum_i (V10_i - A) / M over the group's positives and sum_j (V01_j - A) / N over its negatives, each inflated by
    I / (I - 1) for the number I of groups that have the class. None if a class has one group only.
    """
    n_groups = int(group.max()) + 1
    total = np.zeros(n_groups)
    for s, y in problems:
        m, n = int(y.sum()), int((~y).sum())
        ranks = rankdata(s)
        area = (ranks[y].sum() - m * (m + 1) / 2) / (m * n)
        placed_positive = (ranks[y] - rankdata(s[y])) / n
        placed_negative = 1 - (ranks[~y] - rankdata(s[~y])) / m
        for placed, chosen, count in ((placed_positive, y, m), (placed_negative, ~y, n)):
            holding = len(np.unique(group[chosen]))
            if holding < 2:
                return None
            part = np.bincount(group[chosen], placed - area, minlength=n_groups)
            total += np.sqrt(holding / (holding - 1)) * part / count
    total /= len(problems)
    # Rounding must not pass for variation where every placement is the same.
    return np.where(np.abs(total) > 1e-12, total, 0.0)


def _area(s: FloatArray, y: BoolArray) -> float:
    n_positive = int(y.sum())
    above = rankdata(s)[y].sum() - n_positive * (n_positive + 1) / 2
    return float(above / (n_positive * (len(y) - n_positive)))


def _independent_comparisons(y: BoolArray, group: IntArray) -> int:
    """How many comparisons of a positive with a negative share no group."""
    positive, negative = set(group[y].tolist()), set(group[~y].tolist())
    both = len(positive & negative)
    only_positive, only_negative = len(positive) - both, len(negative) - both
    return both + min(only_positive, only_negative)
