"""Resampling of scenarios, for statistics that have no interval of their own; refitting if the statistic refits."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student
from tqdm import tqdm

from empathy_geometry.foundation._types import FloatArray, IntArray, LabelsLike
from empathy_geometry.foundation._validation import as_generator, as_groups, as_names
from empathy_geometry.foundation.estimate import Estimate


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Result of `cluster_bootstrap`.

    Attributes:
        estimate: The statistic of all rows with its interval.
        distribution: The statistic of each resample, [n_resamples].
    """

    estimate: Estimate
    distribution: FloatArray

    @property
    def standard_error(self) -> float:
        """Standard deviation over resamples."""
        return float(self.distribution.std(ddof=1))


def cluster_bootstrap(
    statistic: Callable[[IntArray], float],
    *,
    groups: LabelsLike,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    progress: bool = True,
) -> Bootstrap:
    """Bias-corrected and accelerated (BCa) interval from resamples of whole scenarios.

    The statistic is a function of row numbers, so that it decides itself whether a resample only reweights
    (`lambda rows: float(auroc(scores[rows], y[rows]))`) or refits
    (`lambda rows: float(cross_validate(probe, X[rows], y[rows], groups=groups[rows]).auroc)`). A scenario that is drawn
    twice brings its group name twice, so that folds made of `groups[rows]` keep the copies on one side. Refitted
    cross-validation loses a third of its scenarios to duplicates in each resample and so scores lower than the whole;
    the interval of `cross_validate`, which accounts for the training rows without resampling, is the better one there.

    Args:
        statistic: From row numbers, some of them repeated, to a number.
        groups: Scenario of each row.
        n_resamples: How many.
        level: Coverage of the interval.
        seed: Seed.
        progress: Show a bar where the run takes longer than two seconds and the terminal can.

    Raises:
        ValueError: fewer than three groups, or the statistic is not finite for a resample or with a group left out.

    Source: Efron (1987), JASA 82; Hesterberg (2015), The American Statistician 69, for the wider quantiles at few
        groups; resampling of clusters: Field & Welsh (2007), JRSS B 69.

    Example:
        >>> x = np.arange(20.0)
        >>> result = cluster_bootstrap(lambda rows: x[rows].mean(), groups=np.repeat(range(10), 2), seed=0)
        >>> print(result.estimate)
        9.500 [5.300, 13.526]
    """
    group = as_groups(groups, len(as_names(groups, "groups")))
    n_groups = int(group.max()) + 1
    if n_groups < 3:
        raise ValueError(f"a bootstrap over groups needs at least 3 groups, got {n_groups}")
    generator = as_generator(seed)
    order = np.argsort(group, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(group))[:-1])
    whole = float(statistic(np.arange(len(group))))
    drawn = np.empty(n_resamples)
    for b in tqdm(range(n_resamples), "resamples", delay=2, disable=None if progress else True):
        drawn[b] = statistic(np.concatenate([members[g] for g in generator.integers(n_groups, size=n_groups)]))
    left_out = np.array([statistic(np.flatnonzero(group != g)) for g in range(n_groups)], dtype=np.float64)
    if not (np.isfinite(drawn).all() and np.isfinite(left_out).all()):
        raise ValueError(
            f"the statistic is not finite for {int((~np.isfinite(drawn)).sum())} of {n_resamples} resamples; "
            f"a resample may lack a class: use more groups, or a statistic that can do without"
        )
    low, high = np.quantile(drawn, _bca_levels(whole, drawn, left_out, level))
    estimate = Estimate(
        whole, float(low), float(high), level, len(group), n_groups, "BCa bootstrap over groups", seed=seed
    )
    return Bootstrap(estimate, drawn)


def _bca_levels(whole: float, drawn: FloatArray, left_out: FloatArray, level: float) -> tuple[float, float]:
    """Which quantiles of the resamples bound the interval."""
    below = (drawn < whole).mean() + 0.5 * (drawn == whole).mean()
    shift = float(norm.ppf(np.clip(below, 0.5 / len(drawn), 1 - 0.5 / len(drawn))))
    influence = left_out.mean() - left_out
    squared = float((influence**2).sum())
    acceleration = float((influence**3).sum()) / (6 * squared**1.5) if squared > 0 else 0.0
    # Resampling n groups understates their variance by (n - 1) / n and ignores that it is estimated.
    n_groups = len(left_out)
    reach = float(student.ppf((1 + level) / 2, n_groups - 1) * np.sqrt(n_groups / (n_groups - 1)))
    low, high = (float(norm.cdf(shift + z / (1 - acceleration * z))) for z in (shift - reach, shift + reach))
    return low, high
