"""How much of alpha can be read off the text that it made: a bandwidth in bits."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import digamma

from empathy_geometry.foundation._types import ArrayLike, FloatArray
from empathy_geometry.foundation._validation import as_float_array, as_generator
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.jackknife import jackknife_interval
from empathy_geometry.foundation.terminal import printable
from empathy_geometry.steering.range import DEFAULT_THRESHOLD, steering_range
from empathy_geometry.steering.sweep import SteeringSweep

# Equal scores are put in random order; the mean over so many orders is taken.
_ORDERS = 8


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
    n_neighbors: int = 3,
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
        n_neighbors: Of the estimator, see `mutual_information`.
        n_permutations: Permutations of alphas within prompts, for the null.
        level: Coverage of the interval, a jackknife over prompts (a bootstrap repeats scores, and repeated scores
            look like information to any nearest-neighbour estimator); where no prompt confuses any two alphas, Fano's
            bound for the confusion that so many prompts cannot exclude.
        seed: Seed of the order of equal scores and of the permutations.

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
    found = bits_of(
        sweep.concept[coherent], n_neighbors=n_neighbors, n_permutations=n_permutations, level=level, seed=seed
    )
    return replace(found, alphas=tuple(float(a) for a in sweep.alphas[coherent]))


def bits_of(
    scores: ArrayLike, *, n_neighbors: int = 3, n_permutations: int = 500, level: float = 0.95, seed: int = 0
) -> BandwidthInBits:
    """`bandwidth_in_bits` for plain numbers: which row a score is from, told by the score.

    Args:
        scores: [n_alphas, n_prompts].
        n_neighbors: Of the estimator.
        n_permutations: Permutations within columns.
        level: Coverage of the interval.
        seed: Seed.

    Raises:
        ValueError: fewer than two rows, or no more than n_neighbors + 1 columns.

    Example:
        >>> found = bits_of(np.arange(4.0)[:, None] + 0.01 * np.arange(8.0), n_permutations=50)
        >>> found.value, found.ceiling, round(found.levels)
        (2.0, 2.0, 4)
    """
    y = as_float_array(scores, "scores", ndim=2)
    n_alphas, n_prompts = y.shape
    if n_alphas < 2:
        raise ValueError(f"scores must be [n_alphas, n_prompts] with two alphas or more, got {tuple(y.shape)}")
    if n_neighbors < 1 or n_prompts < n_neighbors + 2:
        raise ValueError(
            f"n_neighbors={n_neighbors} needs at least {max(n_neighbors, 1) + 2} prompts, got {n_prompts}; "
            f"use more prompts or fewer neighbours"
        )
    generator = as_generator(seed)
    orders = int(generator.integers(2**31))

    def with_same_orders(scores: FloatArray) -> float:
        return mutual_information(scores, n_neighbors=n_neighbors, generator=np.random.default_rng(orders))

    value = with_same_orders(y)
    left_out = [with_same_orders(np.delete(y, p, axis=1)) for p in range(n_prompts)]
    null = np.array(
        [
            mutual_information(generator.permuted(y, axis=0), n_neighbors=n_neighbors, generator=generator, n_orders=1)
            for _ in range(n_permutations)
        ]
    )
    # A statistic on the same footing as the null's: one order, not the mean over several.
    observed = mutual_information(y, n_neighbors=n_neighbors, generator=generator, n_orders=1)
    ceiling = float(np.log2(n_alphas))
    low, high = jackknife_interval(value, left_out, level=level) or (value, value)
    if value >= ceiling:
        # Nothing was confused, so that nothing varies and the jackknife has no width.
        low = min(low, _least_without_confusion(n_alphas, n_prompts, level))
    return BandwidthInBits(
        value=value,
        low=min(low, ceiling),
        high=min(high, ceiling),
        level=level,
        n=y.size,
        n_groups=n_prompts,
        method=f"Ross's {n_neighbors} nearest neighbours, jackknife over prompts",
        alphas=tuple(float(a) for a in range(n_alphas)),
        ceiling=ceiling,
        null_mean=float(null.mean()) if null.size else float("nan"),
        null_95=float(np.quantile(null, 0.95)) if null.size else float("nan"),
        pvalue=float((np.sum(null >= observed - 1e-12) + 1) / (n_permutations + 1)),
        seed=seed,
    )


def mutual_information(
    scores: FloatArray, *, n_neighbors: int = 3, generator: np.random.Generator, n_orders: int = _ORDERS
) -> float:
    """Bits between the row a score is from and the score, rows equally likely, [n_rows, n_columns].

    psi(N) + psi(k) - psi(N_x) - mean psi(m), with m the number of all scores as near as the k-th nearest of the same
    row. No density is fitted and nothing is binned. Equal scores are put in random order, so that a text that several
    alphas left unchanged says nothing about which of them it was. The estimate is unbiased where there is no
    information and not cut off at zero (which would bias it), so it may be slightly negative there; in between it is
    high by about 0.1 bits at 8 to 16 columns and 0.03 at 64 (Gaussian channels of known information). It is cut off
    at log2 of the number of rows, which it can exceed by about 1/(2 N_x) nats.

    Source: Ross (2014), PLoS ONE 9(2); Kraskov et al. (2004), Physical Review E 69.
    """
    n_rows = len(scores)
    spread = float(scores.std()) or 1.0
    ties = (1e-8 * spread * generator.random(scores.shape) for _ in range(n_orders))
    nats = np.mean([_ross((scores + tie) / spread, n_neighbors) for tie in ties])
    return float(min(nats / np.log(2), np.log2(n_rows)))


def _least_without_confusion(n_alphas: int, n_prompts: int, level: float) -> float:
    """Bits that remain if as many alphas are confused as G of G prompts without confusion still allow.

    Source: Clopper & Pearson (1934) for the share, Fano (1961) for the bits.
    """
    wrong = 1 - ((1 - level) / 2) ** (1 / n_prompts)
    lost = -wrong * np.log2(wrong) - (1 - wrong) * np.log2(1 - wrong) + wrong * np.log2(max(n_alphas - 1, 1))
    return float(max(np.log2(n_alphas) - lost, 0.0))


def _ross(y: FloatArray, k: int) -> float:
    n_columns = y.shape[1]
    distances = np.abs(y[:, :, None] - y[:, None, :])
    # The nearest is the score itself.
    radius = np.partition(distances, k, axis=2)[:, :, k].reshape(-1)
    flat, ordered = y.reshape(-1), np.sort(y, axis=None)
    # The k-th itself does not count, the score does; rounding must not bring the k-th back in.
    radius = radius - 1e-13
    near = np.searchsorted(ordered, flat + radius, side="right") - np.searchsorted(ordered, flat - radius, side="left")
    return float(digamma(y.size) + digamma(k) - digamma(n_columns) - digamma(near).mean())
