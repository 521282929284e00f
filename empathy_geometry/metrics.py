"""How well scores tell classes apart, each with an interval that respects scenarios."""

import numpy as np
from scipy.stats import norm, rankdata, t as student

from empathy_geometry._types import ArrayLike, BoolArray, FloatArray, IntArray, LabelsLike
from empathy_geometry._validation import as_binary, as_float_array, as_groups, as_names
from empathy_geometry.estimate import Estimate


def auroc(scores: ArrayLike, labels: LabelsLike, *, groups: LabelsLike | None = None, level: float = 0.95) -> Estimate:
    """Area under the ROC curve: the probability that a positive scores above a negative, ties counting half.

    The interval is Obuchowski's for clustered data (DeLong's with singleton groups), on the logit scale. With every
    pair in the right order that variance is zero, and the lower end is the exact bound for G of G correct,
    ((1 - level)/2)^(1/G).

    Args:
        scores: Higher means more of the concept, any unit, [n].
        labels: True for the concept class, [n].
        groups: Scenario of each score, [n]; None treats each score as independent.
        level: Coverage of the interval.

    Raises:
        ValueError: a class is missing, or a score is not finite.

    Source: DeLong et al. (1988); Obuchowski (1997), Biometrics 53.

    Example:
        >>> float(auroc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]))
        0.75
    """
    s = as_float_array(scores, "scores", ndim=1)
    y = as_binary(labels, "labels", len(s))
    group = as_groups(groups, len(s))
    n_groups = int(group.max()) + 1
    ranks = rankdata(s)
    m, n = int(y.sum()), int((~y).sum())
    placed_positive = (ranks[y] - rankdata(s[y])) / n
    placed_negative = 1 - (ranks[~y] - rankdata(s[~y])) / m
    area = float(placed_positive.mean())
    if area in (0.0, 1.0):
        units = _independent_comparisons(y, group)
        bound = ((1 - level) / 2) ** (1 / units)
        low, high = (bound, 1.0) if area == 1.0 else (0.0, 1 - bound)
        return Estimate(area, low, high, level, len(s), n_groups, f"exact bound at the ceiling, {units} units")
    a = np.bincount(group[y], placed_positive - area, minlength=n_groups)
    b = np.bincount(group[~y], placed_negative - area, minlength=n_groups)
    with_positive, with_negative = len(np.unique(group[y])), len(np.unique(group[~y]))
    if min(with_positive, with_negative) < 2:
        return Estimate(area, None, None, level, len(s), n_groups, "no interval: a class has one group only")
    variance = (
        with_positive / (with_positive - 1) * (a**2).sum() / m**2
        + with_negative / (with_negative - 1) * (b**2).sum() / n**2
        + 2 * n_groups / (n_groups - 1) * (a * b).sum() / (m * n)
    )
    low, high = _logit_interval(area, max(float(variance), 0.0), n_groups - 1, level)
    name = "DeLong" if groups is None else "Obuchowski"
    return Estimate(area, low, high, level, len(s), n_groups, f"{name}, logit scale")


def d_prime(
    scores: ArrayLike, labels: LabelsLike, *, groups: LabelsLike | None = None, level: float = 0.95
) -> Estimate:
    """Standardised distance between the class means of held-out scores.

    (mean_pos - mean_neg) / sqrt((var_pos + var_neg) / 2). In-sample scores make it meaningless: the in-sample d' of
    random labels is about 2 sqrt(PR / n). The interval is a jackknife over groups.

    Args:
        scores: Higher means more of the concept, any unit, [n].
        labels: True for the concept class, [n].
        groups: Scenario of each score, [n]; None treats each score as independent.
        level: Coverage of the interval.

    Returns:
        The estimate; negative if the scores point the other way.

    Raises:
        ValueError: a class has fewer than two scores or no variance in either class, or a score is not finite.

    Source: Green & Swets (1966), ch. 3.

    Example:
        >>> round(float(d_prime([0.0, 2.0, 4.0, 6.0], [0, 0, 1, 1])), 3)
        2.828
    """
    s = as_float_array(scores, "scores", ndim=1)
    y = as_binary(labels, "labels", len(s))
    group = as_groups(groups, len(s))
    for name, chosen in (("positive", y), ("negative", ~y)):
        if chosen.sum() < 2:
            raise ValueError(f"d' needs two scores in each class, the {name} class has {int(chosen.sum())}")
    value = _d_prime(s, y)
    if not np.isfinite(value):
        raise ValueError("d' is not defined: neither class varies; look for constant scores")
    n_groups = int(group.max()) + 1
    left_out = []
    for g in range(n_groups):
        keep = group != g
        if y[keep].sum() >= 2 and (~y[keep]).sum() >= 2:
            left_out.append(_d_prime(s[keep], y[keep]))
    replicates = np.array(left_out)
    if len(replicates) < n_groups or not np.isfinite(replicates).all() or n_groups < 3:
        return Estimate(value, None, None, level, len(s), n_groups, "no interval: too few groups")
    error = float(np.sqrt((n_groups - 1) / n_groups * ((replicates - replicates.mean()) ** 2).sum()))
    half = float(student.ppf((1 + level) / 2, n_groups - 1)) * error
    return Estimate(value, value - half, value + half, level, len(s), n_groups, "jackknife over groups")


def accuracy(
    predicted: LabelsLike, labels: LabelsLike, *, groups: LabelsLike | None = None, level: float = 0.95
) -> Estimate:
    """Share of right predictions, with a clustered interval (exact at 0 and 1).

    Args:
        predicted: Predicted class of each row, [n].
        labels: True class of each row, [n].
        groups: Scenario of each row, [n]; None treats each row as independent.
        level: Coverage of the interval.

    Example:
        >>> float(accuracy(["a", "b", "b"], ["a", "b", "a"]))
        0.6666666666666666
    """
    truth = as_names(labels, "labels", len(labels))
    right = as_names(predicted, "predicted", len(truth)) == truth
    group = as_groups(groups, len(truth))
    n_groups = int(group.max()) + 1
    share = float(right.mean())
    if share in (0.0, 1.0):
        bound = ((1 - level) / 2) ** (1 / n_groups)
        low, high = (bound, 1.0) if share == 1.0 else (0.0, 1 - bound)
        return Estimate(share, low, high, level, len(truth), n_groups, f"exact bound, {n_groups} groups")
    if n_groups < 2:
        return Estimate(share, None, None, level, len(truth), n_groups, "no interval: one group only")
    sums = np.bincount(group, right - share, minlength=n_groups)
    variance = n_groups / (n_groups - 1) * float((sums**2).sum()) / len(truth) ** 2
    low, high = _logit_interval(share, variance, n_groups - 1, level)
    return Estimate(share, low, high, level, len(truth), n_groups, "clustered, logit scale")


def forced_choice(scores: ArrayLike, labels: LabelsLike, *, groups: LabelsLike, level: float = 0.95) -> Estimate:
    """Share of scenarios in which the positive outscores the negative (within-scenario two-alternative forced choice).

    Only groups with both classes count; where a group has several rows of a class, all its pairs are averaged.
    The interval is exact (Clopper-Pearson) where every group decides one way, else clustered.

    Raises:
        ValueError: no group has both classes.

    Example:
        >>> float(forced_choice([1.0, 0.0, 3.0, 2.0], [1, 0, 1, 0], groups=["a", "a", "b", "b"]))
        1.0
    """
    s = as_float_array(scores, "scores", ndim=1)
    y = as_binary(labels, "labels", len(s))
    group = as_groups(groups, len(s))
    wins = []
    for g in np.unique(group):
        positive, negative = s[(group == g) & y], s[(group == g) & ~y]
        if len(positive) and len(negative):
            difference = positive[:, None] - negative[None, :]
            wins.append(float(((difference > 0) + 0.5 * (difference == 0)).mean()))
    if not wins:
        raise ValueError("forced choice needs groups with both classes; none has them")
    from scipy.stats import beta

    n, won = len(wins), float(np.sum(wins))
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, won, n - won + 1)) if won > 0 else 0.0
    high = float(beta.ppf(1 - tail, won + 1, n - won)) if won < n else 1.0
    return Estimate(won / n, low, high, level, len(s), n, "Clopper-Pearson over scenarios")


def gaussian_deviation(area: float, distance: float) -> float:
    """AUROC minus the AUROC that d' implies under equal-variance normality, Phi(d'/sqrt 2): a diagnostic.

    Example:
        >>> round(gaussian_deviation(0.76, 1.0), 3)
        -0.0
    """
    return area - float(norm.cdf(distance / np.sqrt(2)))


def _d_prime(s: FloatArray, y: BoolArray) -> float:
    spread = (s[y].var(ddof=1) + s[~y].var(ddof=1)) / 2
    if spread <= 0:
        return float("nan")
    return float((s[y].mean() - s[~y].mean()) / np.sqrt(spread))


def _independent_comparisons(y: BoolArray, group: IntArray) -> int:
    """How many comparisons of a positive with a negative share no group."""
    positive, negative = set(group[y].tolist()), set(group[~y].tolist())
    both = len(positive & negative)
    only_positive, only_negative = len(positive) - both, len(negative) - both
    return both + min(only_positive, only_negative)


def _logit_interval(p: float, variance: float, df: int, level: float) -> tuple[float, float]:
    half = float(student.ppf((1 + level) / 2, df)) * np.sqrt(variance) / (p * (1 - p))
    center = np.log(p / (1 - p))
    return float(1 / (1 + np.exp(-(center - half)))), float(1 / (1 + np.exp(-(center + half))))
