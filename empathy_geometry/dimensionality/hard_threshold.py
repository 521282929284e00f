"""Optimal hard threshold for singular values."""

from functools import lru_cache

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq

from empathy_geometry.foundation._types import FloatArray


def hard_threshold_rank(singular: FloatArray, n: int, d_model: int) -> int:
    """Number of singular values above Gavish & Donoho's optimal hard threshold, noise level unknown.

    The threshold is omega(beta) times the median singular value, beta = min(n, d) / max(n, d). It supposes white
    noise; rows that are whitened by a covariance from few reference rows are not quite white, so that strongly
    correlated noise adds components (6 of them for 1/k noise with 100 reference rows, none with white noise).

    Source: Gavish & Donoho (2014), IEEE Trans. Information Theory 60.

    Example:
        >>> x = np.random.default_rng(0).standard_normal((50, 200))
        >>> x[:, 0] += 30
        >>> hard_threshold_rank(np.linalg.svd(x, compute_uv=False), 50, 200)
        1
    """
    beta = min(n, d_model) / max(n, d_model)
    optimal = np.sqrt(2 * (beta + 1) + 8 * beta / (beta + 1 + np.sqrt(beta**2 + 14 * beta + 1)))
    omega = optimal / np.sqrt(marchenko_pastur_median(round(beta, 9)))
    return int((singular > omega * np.median(singular[: min(n, d_model)])).sum())


@lru_cache(maxsize=1024)
def marchenko_pastur_median(beta: float) -> float:
    """Median of the Marchenko-Pastur law of ratio beta in (0, 1] and unit variance.

    Example:
        >>> round(marchenko_pastur_median(1.0), 4)
        0.6528
    """
    low, high = (1 - np.sqrt(beta)) ** 2, (1 + np.sqrt(beta)) ** 2

    def density(angle: float) -> float:
        # v = low + (high - low) sin^2(angle) takes the square-root ends of the law away.
        v = low + (high - low) * np.sin(angle) ** 2
        return float((high - low) ** 2 * np.sin(2 * angle) ** 2 / (4 * np.pi * beta * v)) if v > 0 else 0.0

    def excess(angle: float) -> float:
        return float(quad(density, 0, angle)[0]) - 0.5

    angle = float(brentq(excess, 0, np.pi / 2))
    return float(low + (high - low) * np.sin(angle) ** 2)
