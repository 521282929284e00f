"""Inner products relative to the noise that reference rows show, all through Gram matrices."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from empathy_geometry.foundation._types import FloatArray, IntArray


def shrinkage_of(g: FloatArray, d_model: int) -> float:
    """Ledoit & Wolf's (2004) shrinkage of the second moment of rows, from their Gram matrix; in [0, 1].

    Example:
        >>> from sklearn.covariance import ledoit_wolf_shrinkage
        >>> x = np.random.default_rng(0).standard_normal((10, 30)) * np.arange(1, 31)
        >>> bool(np.isclose(shrinkage_of(x @ x.T, 30), ledoit_wolf_shrinkage(x, assume_centered=True)))
        True
    """
    n = len(g)
    squares = float((g**2).sum()) / n**2
    mean = float(np.trace(g)) / (n * d_model)
    spread = squares - d_model * mean**2
    noise = (float((np.diag(g) ** 2).sum()) / n - squares) / n
    return float(np.clip(noise / spread, 0, 1)) if spread > 0 else 1.0


def whitened(
    g: FloatArray, rows: IntArray, columns: IntArray, reference: IntArray, shrinkage: float, d_model: int
) -> FloatArray:
    """Inner products x_i' W x_j with W the inverse of the shrunk second moment of the reference rows.

    Sigma = (1 - s) Z'Z / m + s tr(Z'Z)/(m d) I, inverted by Woodbury's identity within the Gram matrix.

    Args:
        g: Gram matrix of all rows, the reference among them.
        rows: Indices i.
        columns: Indices j.
        reference: Indices of the rows Z that define the noise.
        shrinkage: s, in (0, 1].
        d_model: Width of the rows.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, z = rng.standard_normal((4, 9)), rng.standard_normal((6, 9))
        >>> sigma = 0.7 * z.T @ z / 6 + 0.3 * (z**2).sum() / 54 * np.eye(9)
        >>> both = np.vstack([x, z])
        >>> a = np.arange(4)
        >>> bool(np.allclose(whitened(both @ both.T, a, a, np.arange(4, 10), 0.3, 9), x @ np.linalg.solve(sigma, x.T)))
        True
    """
    inner = g[np.ix_(reference, reference)]
    m = len(reference)
    # A shrinkage of exactly 0 would leave directions outside the reference with infinite weight.
    floor = max(shrinkage, 1e-6) * float(np.trace(inner)) / (m * d_model)
    direct = g[np.ix_(rows, columns)]
    if shrinkage < 1:
        factor = cho_factor(inner + m * floor / (1 - shrinkage) * np.eye(m))
        direct = direct - g[np.ix_(rows, reference)] @ cho_solve(factor, g[np.ix_(reference, columns)])
    return np.asarray(direct / floor)
