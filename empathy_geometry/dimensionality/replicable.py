"""Components that replicate: variance along components of some scenarios, measured on the others."""

import numpy as np
from scipy.linalg import eigh
from scipy.stats import t as student

from empathy_geometry.foundation._types import FloatArray, IntArray
from empathy_geometry.foundation.whitening import whitened

_AT_MOST = 100


def replicable_components(
    g: FloatArray,
    n: int,
    d_model: int,
    *,
    shrinkage: float | None,
    level: float,
    folds: IntArray,
) -> int:
    """Number of leading components whose variance on held-out scenarios exceeds that of noise.

    The components come from the other folds; whitened by their reference rows, if there are any. What is compared, over
    all held-out scenarios, is their squared length along component k with that of held-out reference rows, which
    without a concept have the same law; or, without reference rows, with the mean over the directions beyond the first
    k, which has the same mean if noise is white. Counting stops at the first component for which the one-sided limit
    of the excess is not above zero (half of all noise components are above zero by chance).

    Args:
        g: Gram matrix of the differences (first n rows) and the reference rows, if any.
        n: Number of differences.
        d_model: Width of the rows.
        shrinkage: Of the reference second moment; None if there are no reference rows.
        level: Confidence of each one-sided limit.
        folds: Fold of each row of g, 0..K-1.

    Source: split-half reliability of components as in Stringer et al. (2019), Nature 571, who have repeats.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.standard_normal((60, 200))
        >>> x[:, :3] *= 10
        >>> replicable_components(x @ x.T, 60, 200, shrinkage=None, level=0.95, folds=np.arange(60) % 5)
        3
    """
    reference = np.arange(n, len(g))
    sizes = np.bincount(folds[:n])
    n_components = min(n - int(sizes.max()), d_model - 1, _AT_MOST)
    along, floor = np.zeros((n, n_components)), np.zeros((max(len(reference), n), n_components))
    for fold in np.flatnonzero(sizes):
        held_out, train = np.flatnonzero(folds[:n] == fold), np.flatnonzero(folds[:n] != fold)
        held_reference, noise = reference[folds[n:] == fold], reference[folds[n:] != fold]
        tested = np.concatenate([held_out, held_reference])
        inner = _inner(g, train, train, noise, shrinkage, d_model)
        last = len(train) - 1
        values, vectors = eigh(inner, subset_by_index=[last - n_components + 1, last])
        values, vectors = values[::-1], vectors[:, ::-1]
        usable = values > 1e-12 * values[0]
        squared = np.zeros((len(tested), n_components))
        cross = _inner(g, tested, train, noise, shrinkage, d_model)
        squared[:, usable] = (cross @ vectors[:, usable]) ** 2 / values[usable]
        along[held_out] = squared[: len(held_out)]
        if shrinkage is None:
            own = np.diag(g)[held_out]
            left = np.maximum(own[:, None] - np.cumsum(squared, axis=1), 0)
            floor[held_out] = left / (d_model - 1 - np.arange(n_components))
        else:
            floor[held_reference - n] = squared[len(held_out) :]
    if shrinkage is None:
        excess = along - floor[:n]
        error = excess.std(axis=0, ddof=1) / np.sqrt(n)
        mean, df = excess.mean(axis=0), n - 1
    else:
        m = len(reference)
        floor = floor[:m]
        error = np.sqrt(along.var(axis=0, ddof=1) / n + floor.var(axis=0, ddof=1) / m)
        mean, df = along.mean(axis=0) - floor.mean(axis=0), min(n, m) - 1
    failures = np.flatnonzero(~(mean > float(student.ppf(level, df)) * error))
    return int(failures[0]) if failures.size else n_components


def _inner(
    g: FloatArray, rows: IntArray, columns: IntArray, noise: IntArray, shrinkage: float | None, d_model: int
) -> FloatArray:
    if shrinkage is None:
        return np.asarray(g[np.ix_(rows, columns)])
    return whitened(g, rows, columns, noise, shrinkage, d_model)
