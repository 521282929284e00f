"""Parallel analysis: how many components have more variance than noise gives the first one."""

import numpy as np
from scipy.linalg import eigh

from empathy_geometry.foundation._types import FloatArray
from empathy_geometry.foundation.whitening import whitened


def parallel_count(spectrum: FloatArray, share: float, d_model: int) -> int:
    """Number of leading eigenvalues that exceed the share that the first eigenvalue of pure noise has of what is left.

    Each component found is taken out, with a row's worth and a dimension's worth of noise, before the next is tested:
    otherwise a large one hides smaller ones, while testing the k-th against the k-th of noise counts too many. What
    noise of fewer rows gives its first eigenvalue follows (sqrt n + sqrt d)^2 / (n d).

    Args:
        spectrum: Eigenvalues, descending.
        share: 95 % point of the first eigenvalue of noise, divided by the sum of all.
        d_model: Width of the rows.

    Source: Horn (1965); Dobriban & Owen (2019), J. Royal Statistical Society B 81.

    Example:
        >>> parallel_count(np.array([8.0, 4.0, 1.0, 1.0, 1.0, 1.0]), 0.4, 100)
        2
    """
    n, tested = len(spectrum), min(len(spectrum), d_model - 1)
    rows, dimensions = n - np.arange(tested), d_model - np.arange(tested)
    edge = (np.sqrt(rows) + np.sqrt(dimensions)) ** 2 / (rows * dimensions)
    left = np.cumsum(spectrum[::-1])[::-1][:tested]
    below = np.flatnonzero(spectrum[:tested] <= share * edge / edge[0] * left)
    return int(below[0]) if below.size else tested


def isotropic_share(
    lengths: FloatArray, d_model: int, *, quantile: float, n_draws: int, generator: np.random.Generator
) -> float:
    """Quantile of the share of the first eigenvalue when rows of these lengths point in random directions.

    The Gram matrix of isotropic rows is drawn through its Bartlett factor, so the cost does not depend on d_model.
    Permuting entries within features, the classic way, takes a concept that lies along few features for noise.

    Source: Muirhead (1982), Aspects of Multivariate Statistical Theory, theorem 3.2.14.

    Example:
        >>> share = isotropic_share(np.ones(20), 500, quantile=0.95, n_draws=50, generator=np.random.default_rng(0))
        >>> 1 / 20 < share < 2 / 20
        True
    """
    n, rank = len(lengths), min(len(lengths), d_model)
    tops = []
    for _ in range(n_draws):
        factor = np.tril(generator.standard_normal((n, rank)), -1)
        factor[np.diag_indices(rank)] = np.sqrt(generator.chisquare(d_model - np.arange(rank)))
        factor *= (lengths / np.linalg.norm(factor, axis=1))[:, None]
        tops.append(_first_eigenvalue(factor @ factor.T))
    return float(np.quantile(tops, quantile) / (lengths**2).sum())


def exchange_share(
    g: FloatArray,
    n: int,
    shrinkage: float,
    d_model: int,
    *,
    quantile: float,
    n_draws: int,
    generator: np.random.Generator,
) -> float:
    """Quantile of the share of the first whitened eigenvalue when differences and reference rows trade places.

    Without a concept both are draws from one law, so any split of all rows into n "differences" and a "reference" is as
    good as the real one, whatever the shape of the noise. Whitening by a covariance that is itself estimated stretches
    the spectrum; the exchanged splits are stretched alike.

    Args:
        g: Gram matrix of the differences (first n rows) and the reference rows.
        n: Number of differences.
        shrinkage: Of the reference second moment.
        d_model: Width of the rows.
        quantile: Which point of the null distribution.
        n_draws: Splits.
        generator: Generator.
    """
    tops = []
    for _ in range(n_draws):
        order = generator.permutation(len(g))
        chosen = order[:n]
        white = whitened(g, chosen, chosen, order[n:], shrinkage, d_model)
        tops.append(_first_eigenvalue(white) / float(np.trace(white)))
    return float(np.quantile(tops, quantile))


def _first_eigenvalue(g: FloatArray) -> float:
    last = len(g) - 1
    return float(eigh(g, eigvals_only=True, subset_by_index=[last, last])[0])
