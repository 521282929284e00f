"""Parallel analysis: how many components have more variance than noise gives the first one."""

from typing import Any

import numpy as np
from scipy.linalg import eigh

from empathy_geometry.foundation._types import FloatArray
from empathy_geometry.foundation.whitening import shrinkage_of, whitened


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
    edge = _edge(rows, dimensions)
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
    tops = []
    for _ in range(n_draws):
        factor = _isotropic(len(lengths), d_model, generator)
        factor *= (lengths / np.linalg.norm(factor, axis=1))[:, None]
        tops.append(_first_eigenvalue(factor @ factor.T))
    return float(np.quantile(tops, quantile) / (lengths**2).sum())


def reference_share(
    g: FloatArray,
    n: int,
    shrinkage: float,
    d_model: int,
    *,
    quantile: float,
    n_draws: int,
    generator: np.random.Generator,
) -> float:
    """Quantile of the share of the first whitened eigenvalue when differences are noise like the reference rows.

    Whitening by a second moment that is itself estimated stretches the spectrum, so the null is whitened as the real
    rows are. No row with the concept enters: splits of all rows mix them into both halves, and three large spikes were
    read as 1.5. The larger of two nulls counts, since each errs towards too many components where the other does not:

    - Differences and reference rows drawn anew from the shrunk second moment of the reference rows, in their numbers
      and with lengths that reference rows have. Shrinking makes it rounder than the noise is where rows are few.
    - Half of the reference rows as differences, the other half as their reference; for n rows by
      (sqrt n + sqrt d)^2 / (n d), as in `parallel_count`. It has the noise's own shape, and knows half of it.

    Over three spectra, two tails, 60 or 40 differences and 80 or 24 reference rows (12 data sets each), three planted
    spikes of 8 were counted as 2.6 to 4.3; with 24 reference rows in correlated noise, one component too many.

    Args:
        g: Gram matrix of the reference rows, [m, m].
        n: Number of differences.
        shrinkage: Of the reference second moment.
        d_model: Width of the rows.
        quantile: Which point of the null distribution.
        n_draws: Draws of each null.
        generator: Generator.

    Source: Horn (1965), with noise of a covariance that is not the identity; derived here.

    Example:
        >>> z = np.random.default_rng(0).standard_normal((40, 100))
        >>> options = {"quantile": 0.95, "n_draws": 20, "generator": np.random.default_rng(1)}
        >>> share = reference_share(z @ z.T, 30, 0.9, 100, **options)
        >>> 1 / 30 < share < 3 / 30
        True
    """
    drawn = [_drawn_anew(g, n, shrinkage, d_model, generator) for _ in range(n_draws)]
    half = min(len(g) // 2, n)
    split = [_split(g, half, shrinkage, d_model, generator) for _ in range(n_draws)]
    for_all = _edge(n, d_model) / _edge(half, d_model)
    return float(max(np.quantile(drawn, quantile), np.quantile(split, quantile) * for_all))


def _drawn_anew(g: FloatArray, n: int, shrinkage: float, d_model: int, generator: np.random.Generator) -> float:
    m = len(g)
    values = eigh(g, eigvals_only=True)
    values = values[values > values[-1] * 1e-12]
    # In the principal axes of the reference rows, whose signs no draw must depend on; what is isotropic has its share
    # of the other dimensions too.
    floor = max(shrinkage, 1e-6) * float(np.trace(g)) / (m * d_model)
    inside = generator.standard_normal((n + m, len(values))) * np.sqrt((1 - shrinkage) / m * values + floor)
    rows = np.hstack([inside, np.sqrt(floor) * _isotropic(n + m, d_model - len(values), generator)])
    rows *= (generator.choice(np.sqrt(np.diag(g)), n + m) / np.linalg.norm(rows, axis=1))[:, None]
    drawn, differences, noise = rows @ rows.T, np.arange(n), np.arange(n, n + m)
    again = shrinkage_of(drawn[n:, n:], d_model)
    return _first_share(whitened(drawn, differences, differences, noise, again, d_model))


def _split(g: FloatArray, half: int, shrinkage: float, d_model: int, generator: np.random.Generator) -> float:
    order = generator.permutation(len(g))
    chosen = order[:half]
    return _first_share(whitened(g, chosen, chosen, order[half:], shrinkage, d_model))


def _edge(rows: Any, dimensions: Any) -> Any:
    """What the first eigenvalue of noise is, as a share of all, to first order."""
    return (np.sqrt(rows) + np.sqrt(dimensions)) ** 2 / (rows * dimensions)


def _first_share(g: FloatArray) -> float:
    return _first_eigenvalue(g) / float(np.trace(g))


def _isotropic(n: int, d: int, generator: np.random.Generator) -> FloatArray:
    """Rows whose Gram matrix is that of n standard normal rows in d dimensions, through its Bartlett factor."""
    rank = min(n, max(d, 0))
    factor = np.tril(generator.standard_normal((n, rank)), -1)
    factor[np.diag_indices(rank)] = np.sqrt(generator.chisquare(d - np.arange(rank)))
    return factor


def _first_eigenvalue(g: FloatArray) -> float:
    last = len(g) - 1
    return float(eigh(g, eigvals_only=True, subset_by_index=[last, last])[0])
