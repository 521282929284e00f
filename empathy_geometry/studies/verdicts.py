"""How a verdict follows from numbers: one function and one sentence for each kind of claim."""

from empathy_geometry.evaluation.clustered import difference_interval
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.studies.finding import Verdict

ALPHA = 0.05
"""Level of every test."""

CEILING = 0.98
"""AUROC of a text-only baseline from which on nothing can do better by more than 0.02: what is not shown to exceed it
cannot be told."""

WORDS = (
    "supported: the interval lies above 0; not supported: it lies at or below 0; cannot tell: in between, or the "
    "text-only baseline is at its ceiling (0.98 or more)"
)
DETECTION = (
    "supported: permutation p <= 0.05 (largest over layers), the AUROC lies above 1/2 and the excess over the best "
    "text-only baseline above 0; not supported: the excess lies at or below 0, or p > 0.05 and the AUROC lies below "
    "0.75; cannot tell: in between, or the baseline is at its ceiling (0.98 or more)"
)
SURVIVAL = (
    "supported: the controls hold and more than half of the AUROC above chance survives; not supported: less than half "
    "survives; cannot tell: the interval holds 1/2, a control fails, or there was nothing to survive"
)
SPECIFICITY = (
    "supported: the excess over words is larger than the control's; not supported: the control, too, is told apart "
    "beyond words and the excess is not larger; cannot tell: in between, or the text-only baseline of what is "
    "studied is at its ceiling (0.98 or more)"
)
GREATER = "supported: the interval lies above {0}; not supported: it lies at or below {0}; else cannot tell"
LARGER = (
    "supported: the interval lies above those of all that stand beside it, and none of these is only a lower bound; "
    "not supported: it lies below one of them; else cannot tell"
)
NOT_READ = (
    "supported: every interval lies inside [0.35, 0.65]; not supported: one lies outside altogether; else cannot tell"
)
NULL = (
    "supported (the null holds): no excess over words can be shown and it is at most 0.05; not supported: the excess "
    "lies above 0; cannot tell: in between, or the text-only baseline is at its ceiling (0.98 or more)"
)


def detection(area: Estimate, excess: Estimate | None, pvalue: float, baseline: Estimate | None = None) -> Verdict:
    """Is something read, and more than the words give? See `DETECTION`.

    Example:
        >>> good, words = Estimate(0.95, 0.9, 0.98), Estimate(0.01, -0.02, 0.04)
        >>> detection(good, Estimate(0.2, 0.1, 0.3), 0.01), detection(good, words, 0.01)
        ('supported', 'cannot tell')
        >>> detection(Estimate(0.5, 0.4, 0.6), words, 0.5)
        'not supported'
        >>> detection(good, Estimate(-0.05, -0.1, -0.02), 0.01, Estimate(1.0, 0.9, 1.0))
        'cannot tell'
    """
    low, high = ends(excess)
    if pvalue <= ALPHA and low > 0 and ends(area)[0] > 0.5:
        return "supported"
    if at_ceiling(baseline):
        return "cannot tell"
    if high <= 0 or (pvalue > ALPHA and ends(area)[1] < 0.75):
        return "not supported"
    return "cannot tell"


def survival(share: Estimate | None, *, controls_hold: bool) -> Verdict:
    """Does more than half of a concept survive? See `SURVIVAL`."""
    if share is None or not controls_hold:
        return "cannot tell"
    return greater(share, 0.5)


def specificity(difference: Estimate, control_excess: Estimate | None, baseline: Estimate | None = None) -> Verdict:
    """Is a concept told apart better than its control? See `SPECIFICITY`.

    Args:
        difference: Of the excesses over words.
        control_excess: The control's.
        baseline: The best text-only baseline of the concept itself.
    """
    if ends(difference)[0] > 0:
        return "supported"
    if at_ceiling(baseline):
        return "cannot tell"
    return "not supported" if ends(control_excess)[0] > 0 else "cannot tell"


def greater(estimate: Estimate | None, threshold: float) -> Verdict:
    """Does the interval lie above a threshold? See `GREATER`.

    Example:
        >>> [greater(Estimate(v, v - 0.1, v + 0.1), 0.5) for v in (0.7, 0.3, 0.55)]
        ['supported', 'not supported', 'cannot tell']
    """
    low, high = ends(estimate)
    if low > threshold:
        return "supported"
    return "not supported" if high <= threshold else "cannot tell"


def larger_than_all(estimate: Estimate, others: list[Estimate]) -> Verdict:
    """Does the interval lie above those of all others? See `LARGER`.

    Example:
        >>> own = Estimate(2.5, 2.0, 3.0)
        >>> larger_than_all(own, [Estimate(1.0, 0.5, 1.9)]), larger_than_all(own, [Estimate(1.0, 0.5, 2.5)])
        ('supported', 'cannot tell')
    """
    low, high = ends(estimate)
    bottoms, tops = zip(*map(ends, others), strict=True)
    # A bound that was not reached cannot show that the other is smaller.
    if low > max(tops) and all(o.censored != "right" for o in others):
        return "supported"
    if high < max(bottoms) and estimate.censored != "right":
        return "not supported"
    return "cannot tell"


def not_read(areas: list[Estimate]) -> Verdict:
    """Are these AUROCs all near chance? See `NOT_READ`."""
    if all(ends(a)[0] >= 0.35 and ends(a)[1] <= 0.65 for a in areas):
        return "supported"
    if any(ends(a)[0] > 0.65 or ends(a)[1] < 0.35 for a in areas):
        return "not supported"
    return "cannot tell"


def null_holds(excess: Estimate | None, baseline: Estimate | None = None) -> Verdict:
    """Is there no excess over words where there must be none? See `NULL`."""
    low, high = ends(excess)
    if low > 0:
        return "not supported"
    if at_ceiling(baseline):
        return "cannot tell"
    return "supported" if high <= 0.05 else "cannot tell"


def words_exceeded(excess: Estimate, baseline: Estimate) -> Verdict:
    """Does a probe read more than the words give? See `WORDS`."""
    verdict = greater(excess, 0.0)
    return "cannot tell" if verdict == "not supported" and at_ceiling(baseline) else verdict


def at_ceiling(baseline: Estimate | None) -> bool:
    """Whether a text-only baseline leaves no room above it.

    Example:
        >>> at_ceiling(Estimate(1.0)), at_ceiling(Estimate(0.9)), at_ceiling(None)
        (True, False, False)
    """
    return baseline is not None and baseline.value >= CEILING


def ceiling_note(baseline: Estimate | None) -> str:
    """What a line says where the baseline is at its ceiling."""
    return "cannot tell: the text-only baseline is at its ceiling" if at_ceiling(baseline) else ""


def ends(estimate: Estimate | None) -> tuple[float, float]:
    """Both ends of the interval; an estimate without one says nothing."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return float("-inf"), float("inf")
    return estimate.low, estimate.high


def difference(a: Estimate, b: Estimate) -> Estimate:
    """A - b of independent estimates, the halves of both intervals combined; see `difference_interval`.

    Example:
        >>> d = difference(Estimate(0.5, 0.2, 0.9), Estimate(0.1, 0.0, 0.4))
        >>> round(d.value, 3), round(d.low, 3), round(d.high, 3)
        (0.4, -0.024, 0.812)
    """
    value = a.value - b.value
    if ends(a) == ends(None) or ends(b) == ends(None):
        return Estimate(value, n=a.n + b.n, method="no interval: one of the two has none")
    low, high = difference_interval(a, b, 0.0, a.level)
    return Estimate(value, low, high, a.level, a.n + b.n, min(a.n_groups, b.n_groups), "MOVER, taken as independent")
