"""Which features tell two classes apart, in the rows that may be looked at."""

import numpy as np

from empathy_geometry.foundation._types import BoolArray, FloatArray, IntArray


def class_gaps(features: FloatArray, positive: BoolArray) -> FloatArray:
    """Standardised class difference of each feature, |mean_1 - mean_0| / sqrt((var_1 + var_0) / 2).

    0 for a feature that does not vary within either class (one that never fires, say). The difference is standardised
    because decoders are scaled as they like: a feature of twice the activation is no better.

    Args:
        features: [n, d_sae].
        positive: [n], or [m, n] for m label vectors at once.

    Returns:
        [d_sae], or [m, d_sae].

    Example:
        >>> class_gaps(np.array([[0.0, 0], [2, 0], [4, 0], [6, 0]]), np.array([False, False, True, True])).round(2)
        array([2.83, 0.  ])
    """
    one = np.atleast_2d(positive).astype(np.float64)
    squares = features**2
    means, variances = [], []
    for weight in (one, 1 - one):
        count = weight.sum(axis=1, keepdims=True)
        mean = weight @ features / count
        means.append(mean)
        variances.append(np.maximum(weight @ squares / count - mean**2, 0) * count / np.maximum(count - 1, 1))
    spread = np.sqrt((variances[0] + variances[1]) / 2)
    gap = np.abs(means[0] - means[1])
    floor = 1e-6 * (np.sqrt(squares.mean(axis=0)) + 1e-30)
    result: FloatArray = np.where(spread > floor, gap / np.where(spread > floor, spread, 1.0), 0.0)
    return result if np.ndim(positive) == 2 else result[0]


def strongest(gaps: FloatArray, k: int) -> IntArray:
    """Indices of the k largest of [d_sae] or [m, d_sae], largest first; ties by index.

    Example:
        >>> strongest(np.array([0.1, 3.0, 2.0]), 2).tolist()
        [1, 2]
    """
    order: IntArray = np.argsort(-gaps, axis=-1, kind="stable")[..., :k]
    return order
