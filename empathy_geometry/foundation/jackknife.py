"""Intervals for functions of a spectrum: a jackknife over blocks of scenarios, because the bootstrap fails here.

A bootstrap sample repeats rows. A repeated row is perfectly correlated with its copy, so every resampled spectrum is
steeper than a sample's, and percentile intervals lie below the estimate itself: simulated coverage of 95 % intervals
0.00 to 0.87. Leaving rows out repeats nothing. Random halves are unbiased too, but quantities that saturate at n
change so much from n to n/2 that their intervals cover 0.65 to 0.92. Leaving out small blocks, with the logarithm (or
the logit, for what cannot exceed n), covers 0.91 to 0.99 for Gaussian rows and 0.79 to 0.95 for Student t rows with
five degrees of freedom, whose fourth moments barely exist. `benchmarks/dimensionality.py` repeats this.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.special import expit, logit
from scipy.stats import t as student

from empathy_geometry.foundation._types import FloatArray, IntArray

Scale = Literal["raw", "log", "logit"]


def blocks_of(n: int, n_blocks: int, generator: np.random.Generator) -> list[IntArray]:
    """For each of about equally large random blocks of rows, the rows that are left; single rows where n allows."""
    order = generator.permutation(n)
    return [np.sort(np.setdiff1d(order, block)) for block in np.array_split(order, min(n, n_blocks))]


def jackknife_interval(
    value: float,
    left_out: Sequence[float] | FloatArray,
    *,
    level: float,
    scale: Scale = "raw",
    ceiling: float = np.inf,
    inflation: float = 1.0,
) -> tuple[float, float] | None:
    """Interval from the values with one block left out each; None where it is not defined.

    Student's t with degrees of freedom that fall with the kurtosis of the replicates, 2B/(kurtosis - 1): a few
    scenarios that decide the value make the variance estimate itself uncertain.

    Args:
        value: Of all rows.
        left_out: Of the rows without each block, [B].
        level: Coverage.
        scale: On which the interval is symmetric; "logit" of value / ceiling.
        ceiling: What the value cannot exceed, for "logit".
        inflation: Factor on the variance, for what is computed from out-of-fold scores.

    Example:
        >>> jackknife_interval(2.0, [2.0, 2.0, 2.0], level=0.95)
        (2.0, 2.0)
        >>> x = np.random.default_rng(0).standard_normal(30)
        >>> low, high = jackknife_interval(x.mean(), [np.delete(x, i).mean() for i in range(30)], level=0.95)
        >>> half = student.ppf(0.975, 29) * x.std(ddof=1) / np.sqrt(30)
        >>> bool(0.9 < (high - low) / 2 / half < 1.1)
        True
    """
    values = np.concatenate([[value], np.asarray(left_out, dtype=float)])
    if not np.isfinite(values).all():
        return None
    if scale != "raw" and (values <= 0).any():
        return None
    if scale == "log":
        values = np.log(values)
    elif scale == "logit":
        # A value may touch n when rows are as good as orthogonal.
        values = logit(np.minimum(values / ceiling, 1 - 1e-9))
    center, replicates = values[0], values[1:]
    n_blocks = len(replicates)
    deviations = replicates - replicates.mean()
    variance = float((deviations**2).mean())
    half = 0.0
    if variance > 0:
        kurtosis = float((deviations**4).mean()) / variance**2
        df = min(n_blocks - 1, 2 * n_blocks / max(kurtosis - 1, 1e-9))
        half = float(student.ppf((1 + level) / 2, df) * np.sqrt(inflation * (n_blocks - 1) * variance))
    ends = np.array([center - half, center + half])
    if scale == "log":
        ends = np.exp(ends)
    elif scale == "logit":
        ends = expit(ends) * ceiling
    return float(ends[0]), float(ends[1])
