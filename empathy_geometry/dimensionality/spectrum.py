"""The spectrum of paired differences through their n x n Gram matrix: fast where d_model exceeds n."""

import numpy as np

from empathy_geometry.foundation._types import ArrayLike, FloatArray, IntArray
from empathy_geometry.foundation._validation import as_matrix


def check_differences(differences: ArrayLike, name: str = "differences", *, at_least: int = 6) -> FloatArray:
    """Rows as float64 [n, d_model], enough of them and not all the same.

    Raises:
        ValueError: fewer than `at_least` rows, or rows that are all equal.
    """
    x = as_matrix(differences, name)
    if len(x) < at_least:
        raise ValueError(
            f"{name} must have at least {at_least} rows (one for each scenario), got {len(x)}; "
            f"dimensionality cannot be told from so few, add scenarios"
        )
    if x.shape[1] < 2:
        raise ValueError(f"{name} must have at least 2 features (d_model), got {x.shape[1]}")
    if not np.ptp(x, axis=0).any():
        raise ValueError(f"{name} has {len(x)} equal rows, so there is nothing to count; were labels mixed up?")
    return x


def by_length(x: FloatArray) -> IntArray:
    """Order of the rows by length: one that does not depend on the order they come in.

    Example:
        >>> by_length(np.array([[3.0, 0.0], [1.0, 1.0], [0.0, 2.0]])).tolist()
        [1, 2, 0]
    """
    return np.asarray(np.argsort((x**2).sum(axis=1), kind="stable"))


def gram(x: FloatArray) -> FloatArray:
    """Inner products of the rows, [n, n]."""
    return np.asarray(x @ x.T)


def centred(g: FloatArray) -> FloatArray:
    """Gram matrix of the rows minus their mean."""
    rows = g.mean(axis=0)
    return np.asarray(g - rows - rows[:, None] + rows.mean())


def second_moment_spectrum(g: FloatArray, *, center: bool) -> FloatArray:
    """Eigenvalues of the second moment (or covariance) of the rows, descending, at most n (or n - 1) of them.

    Example:
        >>> second_moment_spectrum(np.diag([4.0, 8.0]), center=False).tolist()
        [4.0, 2.0]
    """
    n = len(g)
    values = np.asarray(np.linalg.eigvalsh(centred(g) if center else g)[::-1], dtype=np.float64)
    kept = values[: n - 1] if center else values
    return np.asarray(np.clip(kept, 0, None) / (n - 1 if center else n))


def subset(g: FloatArray, rows: IntArray) -> FloatArray:
    """Gram matrix of some rows."""
    return np.asarray(g[np.ix_(rows, rows)])
