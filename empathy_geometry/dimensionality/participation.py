"""Participation ratio: how many directions share the variance, naive and corrected for few rows."""

import numpy as np

from empathy_geometry.dimensionality.spectrum import centred, check_differences, gram, subset
from empathy_geometry.foundation._types import ArrayLike, FloatArray
from empathy_geometry.foundation._validation import as_generator
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.jackknife import blocks_of, jackknife_interval


def participation_ratio(
    differences: ArrayLike,
    *,
    corrected: bool = True,
    center: bool = False,
    level: float = 0.95,
    n_resamples: int = 50,
    seed: int = 0,
) -> Estimate:
    """(sum l)^2 / sum l^2 of the eigenvalues l of the second moment of paired differences.

    Args:
        differences: One paired difference for each scenario, [n, d_model].
        corrected: Estimate numerator and denominator without bias; see `corrected_participation`. The naive ratio of
            the sample spectrum cannot exceed n: at n = 50 a 1/k spectrum of 2048 dimensions gives 57 % of the truth.
        center: Subtract the mean difference; see `dimensionality`.
        level: Coverage of the interval.
        n_resamples: Blocks of scenarios that the jackknife leaves out in turn.
        seed: Seed, for the blocks where n exceeds `n_resamples`.

    Returns:
        The ratio; infinite, without an interval, where the rows are as good as orthogonal.

    Raises:
        ValueError: fewer than 6 rows, or rows that are all equal or not finite.

    Example:
        >>> x = np.random.default_rng(0).standard_normal((60, 100))
        >>> float(participation_ratio(x, corrected=False)) < 40 < 80 < float(participation_ratio(x)) < 120
        True
    """
    x = check_differences(differences)
    g = gram(x)
    kept = blocks_of(len(x), n_resamples, as_generator(seed))
    statistic = corrected_participation if corrected else naive_participation
    value = statistic(g, center=center)
    left_out = [statistic(subset(g, rows), center=center) for rows in kept]
    interval = jackknife_interval(
        value, left_out, level=level, scale="log" if corrected else "logit", ceiling=float(len(x))
    )
    name = "corrected" if corrected else "naive"
    if interval is None:
        return Estimate(
            value, None, None, level, len(x), len(x), f"{name}; no interval: the ratio is not bounded", seed=seed
        )
    return Estimate(value, *interval, level, len(x), len(x), f"{name}; jackknife over scenarios", seed=seed)


def naive_participation(g: FloatArray, *, center: bool) -> float:
    """The ratio of the sample spectrum, from the Gram matrix of the rows.

    Example:
        >>> naive_participation(np.eye(4), center=False)
        4.0
    """
    c = centred(g) if center else g
    return float(np.trace(c) ** 2 / (c**2).sum())


def corrected_participation(g: FloatArray, *, center: bool) -> float:
    """(tr M)^2 / tr M^2 with numerator and denominator estimated without bias, whatever the distribution.

    Uncentred, both are means over pairs of different rows: of |x_i|^2 |x_j|^2 and of (x_i . x_j)^2. Centred, the
    corresponding U-statistics over four different rows, in the closed form of Himeno & Yamada (2014): with S the sample
    covariance and Q = sum |x_i - mean|^4 / (n - 1),

        tr Sigma^2   ~ (n-1)/(n(n-2)(n-3)) * [(n-1)(n-2) tr S^2 + (tr S)^2 - n Q]
        (tr Sigma)^2 ~ (n-1)/(n(n-2)(n-3)) * [2 tr S^2 + (n^2 - 3n + 1)(tr S)^2 - n Q]

    Formulae that are unbiased for Gaussian rows only (they lack Q) are off for heavy-tailed rows, which activations
    are. The ratio itself keeps a bias of order 1/n: 9 % at n = 30, 5 % at n = 50 for a 1/k spectrum.

    Returns:
        The ratio, or infinity where the estimated tr M^2 is not positive (rows that are as good as orthogonal: the
        truth is far above n).

    Source: Himeno & Yamada (2014), J. Multivariate Analysis 130; Chun et al. (2026), ICLR.
    """
    n = len(g)
    if center:
        c = centred(g)
        trace, squares = np.trace(c) / (n - 1), (c**2).sum() / (n - 1) ** 2
        fourth = (np.diag(c) ** 2).sum() / (n - 1)
        numerator = 2 * squares + (n * n - 3 * n + 1) * trace**2 - n * fourth
        denominator = (n - 1) * (n - 2) * squares + trace**2 - n * fourth
    else:
        own = np.diag(g)
        numerator = own.sum() ** 2 - (own**2).sum()
        denominator = (g**2).sum() - (own**2).sum()
    # Relative to the numerator a denominator this small is rounding.
    return float(numerator / denominator) if denominator > 1e-12 * numerator else float("inf")


def mean_share(g: FloatArray) -> float:
    """Share of the uncentred second moment that the mean difference carries: |mu|^2 / E|x|^2, without bias.

    Random labels (signs) bring it to 0; a concept that always shifts by one vector has 1.

    Example:
        >>> mean_share(np.ones((5, 5)))
        1.0
    """
    n = len(g)
    return float((g.sum() - np.trace(g)) / (n - 1) / np.trace(g))
