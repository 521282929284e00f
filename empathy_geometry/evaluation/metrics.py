"""How well scores tell classes apart, each with an interval that respects scenarios."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy.stats import beta, norm

from empathy_geometry.evaluation.clustered import (
    ceiling_interval,
    difference_interval,
    t_quantile,
    wilson_interval,
)
from empathy_geometry.evaluation.placements import (
    auroc_contributions,
    class_groups,
    few_groups,
    inflated_method,
    mean_auroc,
    one_vs_rest_problems,
)
from empathy_geometry.foundation._types import ArrayLike, FloatArray, LabelsLike
from empathy_geometry.foundation._validation import as_binary, as_float_array, as_groups, as_names, shared_names
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.settings import takes_settings


@takes_settings()
def auroc(
    scores: ArrayLike,
    labels: LabelsLike,
    *,
    groups: LabelsLike | None = None,
    level: float = 0.95,
    inflation: float = 1.0,
) -> Estimate:
    """Area under the ROC curve: the probability that a positive scores above a negative, ties counting half.

    The interval is Obuchowski's for clustered data (DeLong's with singleton groups), on the logit scale, with
    Student's quantile (see `clustered.t_quantile`). With every pair in the right order that variance is zero, and the
    lower end is the exact bound for G of G correct, ((1 - level)/2)^(1/G).

    Args:
        scores: Higher means more of the concept, any unit, [n].
        labels: True for the concept class, [n].
        groups: Scenario of each score, [n]; None treats each score as independent.
        level: Coverage of the interval.
        inflation: Factor on the variance, for out-of-fold scores; see `fold_dependence.variance_inflation`.

    Raises:
        ValueError: a class is missing, or a score is not finite.

    Source: DeLong et al. (1988); Obuchowski (1997), Biometrics 53.

    Example:
        >>> float(auroc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]))
        0.75
    """
    s = as_float_array(scores, "scores", ndim=1)
    y = as_binary(labels, "labels", len(s))
    name = "DeLong" if groups is None else "Obuchowski"
    return mean_auroc([(s, y)], as_groups(groups, len(s)), level, inflation, f"{name}, logit scale")


@takes_settings()
def macro_auroc(
    scores: ArrayLike,
    labels: LabelsLike,
    *,
    groups: LabelsLike | None = None,
    level: float = 0.95,
    inflation: float = 1.0,
) -> Estimate:
    """Mean over classes of the one-vs-rest AUROC.

    The interval is that of `auroc`, for the mean: contributions of a scenario are added over classes before squaring.

    Args:
        scores: [n, n_classes], columns in the order of the sorted classes.
        labels: Class of each row, [n].
        groups: Scenario of each row, [n]; None treats each row as independent.
        level: Coverage of the interval.
        inflation: Factor on the variance, for out-of-fold scores; see `fold_dependence.variance_inflation`.

    Raises:
        ValueError: the number of columns is not that of the classes, or a score is not finite.

    Source: Hand & Till (2001), Machine Learning 45, discuss the averages; this is scikit-learn's "ovr", "macro".

    Example:
        >>> float(macro_auroc([[3.0, 0, 0], [2, 1, 0], [0, 5, 1], [1, 0, 2]], ["a", "a", "b", "c"]))
        1.0
    """
    s = as_float_array(scores, "scores", ndim=2)
    truth = as_names(labels, "labels", len(s))
    classes = np.unique(truth)
    if len(classes) < 2 or len(classes) != s.shape[1]:
        raise ValueError(
            f"scores must have a column for each class, got {s.shape[1]} columns and {len(classes)} classes "
            f"{classes[:8].tolist()}; try auroc for two classes"
        )
    one_vs_rest = [(s[:, k], truth == c) for k, c in enumerate(classes)]
    return mean_auroc(one_vs_rest, as_groups(groups, len(s)), level, inflation, "clustered macro average, logit scale")


def auroc_excess(
    scores: ArrayLike,
    baselines: Mapping[str, ArrayLike],
    labels: LabelsLike,
    *,
    groups: LabelsLike | None = None,
    level: float = 0.95,
    inflation: float = 1.0,
    baseline_inflation: Mapping[str, float] | None = None,
) -> dict[str, Estimate]:
    """AUROC of the scores minus that of each baseline on the same rows (macro averages for several classes).

    The interval combines those of the two AUROCs with the correlation of their contributions by scenario (MOVER). To
    say that the scores beat the best baseline, whichever it is, all of them must be beaten: the smallest lower end
    over the baselines is a lower bound for the excess over the best one without any correction for their number
    (intersection-union, Berger 1982).

    Args:
        scores: [n], or [n, n_classes].
        baselines: Scores of the same shape by name.
        labels: Class of each row: True for the concept class, or for [n, n_classes] any labels.
        groups: Scenario of each row; None treats each row as independent.
        level: Coverage of each interval.
        inflation: Factor on the variance of the scores' AUROC; see `fold_dependence.variance_inflation`.
        baseline_inflation: The same of each baseline, by name; 1 where it has none.

    Returns:
        Difference by baseline.

    Raises:
        ValueError: shapes differ, or as in `auroc`.

    Source: Zou & Donner (2008), Statistics in Medicine 27; Obuchowski (1997) for the covariance.

    Example:
        >>> excess = auroc_excess([1.0, 2, 3, 4], {"length": [1.0, 3, 2, 4]}, [0, 0, 1, 1])
        >>> excess["length"].value
        0.25
    """
    s = as_float_array(scores, "scores", ndim=(1, 2))
    metric = auroc if s.ndim == 1 else macro_auroc
    group = as_groups(groups, len(s))
    own, found = metric(s, labels, groups=groups, level=level, inflation=inflation), {}
    own_parts = auroc_contributions(one_vs_rest_problems(s, labels), group)
    for name, other in baselines.items():
        b = as_float_array(other, f"baseline {name!r}", ndim=s.ndim)
        if b.shape != s.shape:
            raise ValueError(f"baseline {name!r} must have shape {s.shape}, got {b.shape}")
        factor = 1.0 if baseline_inflation is None else baseline_inflation.get(name, 1.0)
        theirs = metric(b, labels, groups=groups, level=level, inflation=factor)
        difference = own.value - theirs.value
        parts = auroc_contributions(one_vs_rest_problems(b, labels), group)
        if parts is not None and np.abs(parts).max() < 1e-9 and theirs.low is None:
            # Scores that are the same for both classes of every scenario know nothing, for certain (up to rounding).
            theirs = replace(theirs, low=theirs.value, high=theirs.value)
        if own.low is None or theirs.low is None or own_parts is None or parts is None:
            low = high = None
        else:
            norms = np.sqrt((own_parts**2).sum() * (parts**2).sum())
            correlation = float((own_parts * parts).sum() / norms) if norms > 0 else 0.0
            low, high = difference_interval(own, theirs, correlation, level)
        found[name] = Estimate(
            difference, low, high, level, own.n, own.n_groups, f"AUROC minus {name}'s, paired, clustered (MOVER)"
        )
    return found


def excess_over_best(excess: Mapping[str, Estimate], chosen: str) -> Estimate:
    """The excess over a baseline that was chosen without the test rows, safe against all others.

    The value and the upper end are those over the chosen one; a minimum over baselines would be biased downwards, and
    its upper end no limit. The lower end is the smallest over all of them: to say that the scores beat the best
    baseline, whichever it is, all must be beaten (intersection-union).

    Args:
        excess: From `auroc_excess`.
        chosen: Name of the one that was chosen inside the training folds.

    Raises:
        ValueError: there is no excess over the chosen one.

    Source: Berger (1982), Technometrics 24.

    Example:
        >>> e = excess_over_best({"a": Estimate(0.3, 0.2, 0.4), "b": Estimate(0.1, -0.1, 0.3)}, "a")
        >>> e.value, e.low, e.high
        (0.3, -0.1, 0.4)
    """
    if chosen not in excess:
        raise ValueError(f"chosen must be one of the baselines {sorted(excess)}, got {chosen!r}")
    own, lows = excess[chosen], [e.low for e in excess.values()]
    low = None if any(x is None for x in lows) else min(x for x in lows if x is not None)
    others = len(excess) - 1
    method = f"{own.method}; lower end the smallest over this and {others} other baseline(s)"
    return replace(own, low=low, high=None if low is None else own.high, method=method)


@takes_settings()
def d_prime(
    scores: ArrayLike,
    labels: LabelsLike,
    *,
    groups: LabelsLike | None = None,
    level: float = 0.95,
    inflation: float = 1.0,
) -> Estimate:
    """Standardised distance between the class means of held-out scores.

    (mean_pos - mean_neg) / sqrt((var_pos + var_neg) / 2). In-sample scores make it meaningless: the in-sample d' of
    random labels is about 2 sqrt(PR / n). The interval is a jackknife over groups with Student's quantile.

    Args:
        scores: Higher means more of the concept, any unit, [n].
        labels: True for the concept class, [n].
        groups: Scenario of each score, [n]; None treats each score as independent.
        level: Coverage of the interval.
        inflation: Factor on the variance, for out-of-fold scores; see `fold_dependence.variance_inflation`.

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
    if np.ptp(s[y]) == 0 and np.ptp(s[~y]) == 0:
        raise ValueError("d' is not defined: neither class varies; look for constant scores")
    n_groups = int(group.max()) + 1
    # Centred by class first: sums of squares of large or far apart numbers lose digits.
    gap = float(s[y].mean() - s[~y].mean())
    s = s - np.where(y, s[y].mean(), s[~y].mean())
    sums = np.array(
        [
            [np.bincount(group[chosen], s[chosen] ** power, minlength=n_groups) for power in (0, 1, 2)]
            for chosen in (y, ~y)
        ]
    )
    total = sums.sum(axis=2)
    value = float(_d_prime_of_sums(total[..., None], gap)[0])
    left_out = _d_prime_of_sums(total[..., None] - sums, gap)
    if n_groups < 3 or not np.isfinite(left_out).all():
        return Estimate(value, None, None, level, len(s), n_groups, "no interval: too few groups")
    contributions = np.sqrt(inflation * (n_groups - 1) / n_groups) * (left_out - left_out.mean())
    holding = class_groups(y, group)
    half = t_quantile(contributions, level, holding) * float(np.sqrt((contributions**2).sum()))
    method = inflated_method("jackknife over groups", inflation) + few_groups(holding)
    return Estimate(value, value - half, value + half, level, len(s), n_groups, method)


def accuracy(
    predicted: LabelsLike,
    labels: LabelsLike,
    *,
    groups: LabelsLike | None = None,
    level: float = 0.95,
    inflation: float = 1.0,
) -> Estimate:
    """Share of right predictions, with Wilson's interval for clustered data (exact at 0 and 1).

    Args:
        predicted: Predicted class of each row, [n].
        labels: True class of each row, [n].
        groups: Scenario of each row, [n]; None treats each row as independent.
        level: Coverage of the interval.
        inflation: Factor on the variance, for out-of-fold scores; see `fold_dependence.variance_inflation`.

    Example:
        >>> float(accuracy(["a", "b", "b"], ["a", "b", "a"]))
        0.6666666666666666
    """
    n = len(as_names(labels, "labels"))
    truth, guess = shared_names({"labels": labels, "predicted": predicted}, (n, n))
    right = guess == truth
    group = as_groups(groups, len(truth))
    n_groups = int(group.max()) + 1
    share = float(right.mean())
    if share in (0.0, 1.0):
        low, high = ceiling_interval(share, n_groups, level)
        return Estimate(share, low, high, level, len(truth), n_groups, f"exact bound, {n_groups} groups")
    if n_groups < 2:
        return Estimate(share, None, None, level, len(truth), n_groups, "no interval: one group only")
    contributions = np.bincount(group, right - share, minlength=n_groups) / len(truth)
    contributions *= np.sqrt(inflation * n_groups / (n_groups - 1))
    if not contributions.any():
        return Estimate(share, None, None, level, len(truth), n_groups, "no interval: all groups alike")
    low, high = wilson_interval(share, contributions, level)
    return Estimate(share, low, high, level, len(truth), n_groups, inflated_method("Wilson, clustered", inflation))


def balanced_accuracy(
    predicted: LabelsLike,
    labels: LabelsLike,
    *,
    groups: LabelsLike | None = None,
    level: float = 0.95,
    inflation: float = 1.0,
) -> Estimate:
    """Mean over classes of the share of their rows that are predicted right: 1/n_classes for who always says one class.

    The interval is Wilson's for clustered data, as that of `accuracy`, which this equals where classes are of one size.

    Args:
        predicted: Predicted class of each row, [n].
        labels: True class of each row, [n].
        groups: Scenario of each row, [n]; None treats each row as independent.
        level: Coverage of the interval.
        inflation: Factor on the variance, for out-of-fold scores; see `fold_dependence.variance_inflation`.

    Source: Brodersen et al. (2010), ICPR.

    Example:
        >>> float(balanced_accuracy(["a", "a", "a", "a"], ["a", "a", "a", "b"]))
        0.5
    """
    n = len(as_names(labels, "labels"))
    truth, guess = shared_names({"labels": labels, "predicted": predicted}, (n, n))
    right = guess == truth
    group = as_groups(groups, len(truth))
    n_groups, classes = int(group.max()) + 1, np.unique(truth)
    shares = np.array([right[truth == c].mean() for c in classes])
    value = float(shares.mean())
    if value in (0.0, 1.0):
        fewest = min(len(np.unique(group[truth == c])) for c in classes)
        low, high = ceiling_interval(value, fewest, level)
        return Estimate(value, low, high, level, n, n_groups, f"exact bound, {fewest} groups of the rarest class")
    contributions = np.zeros(n_groups)
    for c, share in zip(classes, shares, strict=True):
        of_class = truth == c
        holding = len(np.unique(group[of_class]))
        if holding < 2:
            return Estimate(value, None, None, level, n, n_groups, "no interval: a class has one group only")
        part = np.bincount(group[of_class], right[of_class] - share, minlength=n_groups) / of_class.sum()
        contributions += np.sqrt(inflation * holding / (holding - 1)) * part / len(classes)
    if not contributions.any():
        return Estimate(value, None, None, level, n, n_groups, "no interval: all groups alike")
    low, high = wilson_interval(value, contributions, level)
    return Estimate(value, low, high, level, n, n_groups, inflated_method("Wilson, clustered", inflation))


def forced_choice(
    scores: ArrayLike, labels: LabelsLike, *, groups: LabelsLike, level: float = 0.95, inflation: float = 1.0
) -> Estimate:
    """Share of scenarios in which the positive outscores the negative (within-scenario two-alternative forced choice).

    Only groups with both classes count; where a group has several rows of a class, all its pairs are averaged.
    The interval is exact (Clopper-Pearson) where every group decides one way, and conservative where some are split.

    Args:
        scores: Higher means more of the concept, any unit, [n].
        labels: True for the concept class, [n].
        groups: Scenario of each score, [n].
        level: Coverage of the interval.
        inflation: Factor on the variance, for out-of-fold scores, where scenarios decide less than independently of
            each other: so many fewer count. See `fold_dependence.variance_inflation`.

    Raises:
        ValueError: no group has both classes.

    Source: Clopper & Pearson (1934), Biometrika 26; Korn & Graubard (1998), Survey Methodology 24, for the effective
        number.

    Example:
        >>> float(forced_choice([1.0, 0.0, 3.0, 2.0], [1, 0, 1, 0], groups=["a", "a", "b", "b"]))
        1.0
    """
    s = as_float_array(scores, "scores", ndim=1)
    y = as_binary(labels, "labels", len(s))
    group = as_groups(groups, len(s))
    wins = []
    for g in np.intersect1d(group[y], group[~y]):
        difference = s[(group == g) & y][:, None] - s[(group == g) & ~y][None, :]
        wins.append(float(((difference > 0) + 0.5 * (difference == 0)).mean()))
    if not wins:
        raise ValueError("forced choice needs groups with both classes; none has them")
    n, share = len(wins), float(np.mean(wins))
    counted = n / inflation
    won, lost = share * counted, (1 - share) * counted
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, won, lost + 1)) if won > 0 else 0.0
    high = float(beta.ppf(1 - tail, won + 1, lost)) if lost > 0 else 1.0
    method = inflated_method("Clopper-Pearson over scenarios", inflation)
    return Estimate(share, low, high, level, len(s), n, method)


def gaussian_deviation(area: float, distance: float) -> float:
    """AUROC minus the AUROC that d' implies under equal-variance normality, Phi(d'/sqrt 2): a diagnostic.

    Example:
        >>> round(gaussian_deviation(0.76, 1.0), 3)
        -0.0
    """
    return area - float(norm.cdf(distance / np.sqrt(2)))


def _d_prime_of_sums(sums: FloatArray, gap: float) -> FloatArray:
    """The d' of counts, sums and sums of squares [class, power, ...] of scores from whose classes `gap` was taken."""
    count, first, second = sums[:, 0], sums[:, 1], sums[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = first / count
        variance = np.where(count > 1.5, (second - count * mean**2) / (count - 1), np.nan)
        value: FloatArray = (gap + mean[0] - mean[1]) / np.sqrt(variance.sum(axis=0) / 2)
    return value
