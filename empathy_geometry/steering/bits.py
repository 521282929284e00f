"""How much of alpha can be read off the text that it made: a bandwidth in bits."""

from dataclasses import dataclass, replace

import numpy as np

from empathy_geometry.foundation._types import ArrayLike, FloatArray
from empathy_geometry.foundation._validation import as_float_array, as_generator
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.jackknife import jackknife_interval
from empathy_geometry.foundation.terminal import printable
from empathy_geometry.steering.range import DEFAULT_THRESHOLD, steering_range
from empathy_geometry.steering.sweep import SteeringSweep

_NARROWEST = 0.1
"""Least standard deviation of the scores of one alpha, in those of all alphas: equal scores are no infinite density."""

_LEAST_SHARE = 0.01
"""Of the mean density that an alpha's own one counts at least, so that a stray score costs a bounded number of bits."""


@dataclass(frozen=True)
class BandwidthInBits(Estimate):
    """An `Estimate` in bits, with what it is to be judged by.

    Attributes:
        alphas: The coherent alphas that count as inputs.
        ceiling: log2 of their number: more cannot be told apart.
        null_mean: Mean of the estimate when alphas are permuted within prompts.
        null_95: Its 95 % point.
        pvalue: Of "the score says nothing of alpha", (b + 1) / (m + 1).
    """

    alphas: tuple[float, ...] = ()
    ceiling: float = 0.0
    null_mean: float = 0.0
    null_95: float = 0.0
    pvalue: float = 1.0

    @property
    def levels(self) -> float:
        """As how many perfectly distinguishable strengths this counts, 2 ** bits."""
        return float(2**self.value)

    @printable
    def __str__(self) -> str:
        return (
            f"{Estimate.__str__(self)} bits of at most {self.ceiling:.3f} ({len(self.alphas)} coherent alphas, "
            f"{self.n_groups} prompts); permuted alphas {self.null_mean:.3f}, 95 % point {self.null_95:.3f}, "
            f"p {self.pvalue:.4f}"
        )


def bandwidth_in_bits(
    sweep: SteeringSweep,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    n_permutations: int = 500,
    level: float = 0.95,
    seed: int = 0,
) -> BandwidthInBits:
    """Mutual information between alpha and the concept score of what was written, over the coherent alphas.

    Coherent are the alphas between the isotonic crossings of both signs (`steering_range`). alpha = 0 is left out: the
    concept score is counted from the unsteered text, so that there it is zero without any noise, and would be
    recognised by that alone.

    Each coherent alpha of the grid is taken as equally likely. That is a lower bound of the channel's capacity, the
    maximum over all distributions of alpha (Blahut-Arimoto); the maximum is not reported, since over an estimated
    channel of a few prompts it would be mostly the maximum of the noise. Compare sweeps of one grid only: bits rise
    with the number of alphas until the noise between prompts fills the range.

    Args:
        sweep: With at least two coherent alphas besides 0.
        threshold: Coherence at which text counts as broken.
        n_permutations: Permutations of alphas within prompts, for the null.
        level: Coverage of the interval, a jackknife over prompts on the logarithm of what is missing from the ceiling
            (a bootstrap repeats scores, and repeated scores look like information); where no prompt confuses any two
            alphas, Fano's bound for the confusion that so many prompts cannot exclude.
        seed: Seed of the permutations.

    Raises:
        ValueError: fewer than two coherent alphas, or too few prompts.
    """
    edges = {}
    for sign in (1, -1):
        side = sweep.alphas[sign * sweep.alphas > 0]
        edges[sign] = steering_range(sweep, sign=sign, threshold=threshold, n_resamples=1).value if side.size else 0.0
    coherent = (sweep.alphas != 0) & (sweep.alphas <= edges[1]) & (sweep.alphas >= -edges[-1])
    if coherent.sum() < 2:
        raise ValueError(
            f"bits need at least two coherent alphas besides 0, got {int(coherent.sum())} of a grid from "
            f"{sweep.alphas[0]:g} to {sweep.alphas[-1]:g} (coherent from {-edges[-1]:.3g} to {edges[1]:.3g}); "
            f"add alphas inside that range"
        )
    found = bits_of(sweep.concept[coherent], n_permutations=n_permutations, level=level, seed=seed)
    return replace(found, alphas=tuple(float(a) for a in sweep.alphas[coherent]))


def bits_of(scores: ArrayLike, *, n_permutations: int = 500, level: float = 0.95, seed: int = 0) -> BandwidthInBits:
    """`bandwidth_in_bits` for plain numbers: which row a score is from, told by the score.

    Args:
        scores: [n_alphas, n_prompts].
        n_permutations: Permutations within columns.
        level: Coverage of the interval.
        seed: Seed.

    Raises:
        ValueError: fewer than two rows or three columns.

    Example:
        >>> found = bits_of(np.arange(4.0)[:, None] + 0.01 * np.arange(8.0), n_permutations=50)
        >>> found.value, found.ceiling, round(found.levels)
        (2.0, 2.0, 4)
    """
    y = as_float_array(scores, "scores", ndim=2)
    n_alphas, n_prompts = y.shape
    if n_alphas < 2:
        raise ValueError(f"scores must be [n_alphas, n_prompts] with two alphas or more, got {tuple(y.shape)}")
    if n_prompts < 3:
        raise ValueError(f"bits need at least 3 prompts, got {n_prompts}")
    generator = as_generator(seed)
    value, ceiling = mutual_information(y), float(np.log2(n_alphas))
    left_out = [mutual_information(np.delete(y, p, axis=1)) for p in range(n_prompts)]
    null = np.array([mutual_information(generator.permuted(y, axis=0)) for _ in range(n_permutations)])
    low, high = _interval(value, np.array(left_out), n_alphas, level)
    return BandwidthInBits(
        value=value,
        low=low,
        high=high,
        level=level,
        n=y.size,
        n_groups=n_prompts,
        method="kernel densities, jackknife over prompts",
        alphas=tuple(float(a) for a in range(n_alphas)),
        ceiling=ceiling,
        null_mean=float(null.mean()) if null.size else float("nan"),
        null_95=float(np.quantile(null, 0.95)) if null.size else float("nan"),
        pvalue=float((np.sum(null >= value - 1e-9) + 1) / (n_permutations + 1)),
        seed=seed,
    )


def mutual_information(scores: FloatArray) -> float:
    """Bits between the row a score is from and the score, rows equally likely, [n_rows, n_columns].

    Mean of log2 f_row(score) / mean over rows of f(score), with Gaussian kernel densities of each row (Silverman's
    width of its own standard deviation). Densities that include the score's own column say too much, those that leave
    it out too little, and by about as much: the mean of the two is within 0.06 bits of Gaussian channels of known
    information at 8 columns and within 0.04 at 16, where nearest neighbours (Ross 2014) are 0.08 to 0.15 high. It is
    not cut off at zero, and cannot exceed log2 of the number of rows.

    Source: Silverman (1986), Density Estimation, section 3.4; Hall & Morton (1993), Annals of the Institute of
        Statistical Mathematics 45, for the two estimates of an entropy.
    """
    n_rows, n = scores.shape
    y = (scores - scores.mean()) / (float(scores.std()) or 1.0)
    spread = y.std(axis=1, ddof=1)
    width = 1.06 * n**-0.2 * np.maximum(spread, max(_NARROWEST * float(np.sqrt((spread**2).mean())), 1e-6))
    density = np.empty(
        (2, n_rows, n_rows, n)
    )  # with the score's own column and without it; row, row of the score, column
    for row in range(n_rows):
        kernel = np.exp(-0.5 * ((y[:, :, None] - y[row]) / width[row]) ** 2) / width[row]
        total = kernel.sum(axis=2)
        density[0, row], density[1, row] = total / n, (total - np.diagonal(kernel, axis1=1, axis2=2)) / (n - 1)
    density += 1e-12
    mean, own = density.mean(axis=1), np.stack([density[:, row, row] for row in range(n_rows)], axis=1)
    bits = float(np.log2(np.maximum(own / mean, _LEAST_SHARE)).mean())
    ceiling = float(np.log2(n_rows))
    return ceiling if bits > ceiling - 1e-9 else bits


def _interval(value: float, left_out: FloatArray, n_alphas: int, level: float) -> tuple[float, float]:
    """Ends of the interval, symmetric on the logarithm of the bits that are missing from the ceiling.

    Close to the ceiling few prompts confuse any alphas, so that the spread over prompts says too little: symmetric in
    bits, 95 % intervals cover 0.77 to 0.92 there, so they cover 0.94 to 0.98.
    """
    ceiling = float(np.log2(n_alphas))
    plain = jackknife_interval(value, left_out, level=level) or (value, value)
    missing = jackknife_interval(ceiling - value, ceiling - left_out, level=level, scale="log")
    # One score that two alphas could have made costs one bit of all scores: less than that, nothing was confused.
    if missing is None or ceiling - value < 1 / (n_alphas * len(left_out)):
        return min(plain[0], _least_without_confusion(n_alphas, len(left_out), level)), ceiling
    # Information is not negative: an end below zero says no more than the plain one does.
    return max(ceiling - missing[1], min(plain[0], 0.0)), ceiling - missing[0]


def _least_without_confusion(n_alphas: int, n_prompts: int, level: float) -> float:
    """Bits that remain if as many alphas are confused as G of G prompts without confusion still allow.

    Source: Clopper & Pearson (1934) for the share, Fano (1961) for the bits.
    """
    wrong = 1 - ((1 - level) / 2) ** (1 / n_prompts)
    lost = -wrong * np.log2(wrong) - (1 - wrong) * np.log2(1 - wrong) + wrong * np.log2(max(n_alphas - 1, 1))
    return float(max(np.log2(n_alphas) - lost, 0.0))
