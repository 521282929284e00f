"""How much of a subspace lies in the span of some directions."""

import numpy as np

from empathy_geometry.foundation._types import FloatArray

_SMALLEST = 1e-10


def captured(directions: FloatArray, basis: FloatArray) -> FloatArray:
    """Mean squared cosine of the principal angles, ||U'V||_F^2 / min(k, r).

    U is an orthonormal basis of the span of k directions, V one of the subspace of rank r. In [0, 1]; directions drawn
    at random give max(k, r) / d_model on average. Equals `Subspace.overlap`, for many sets of directions at once;
    directions that depend on others add nothing.

    Args:
        directions: [..., k, d_model], any lengths.
        basis: [..., r, d_model], rows orthonormal.

    Returns:
        [...]

    Example:
        >>> round(float(captured(np.array([[2.0, 0, 0], [2, 1, 0]]), np.array([[0.0, 1, 0]]))), 6)
        1.0
    """
    lengths = np.linalg.norm(directions, axis=-1, keepdims=True)
    unit = directions / np.where(lengths > 0, lengths, 1.0)
    values, vectors = np.linalg.eigh(unit @ np.swapaxes(unit, -1, -2))
    kept = values > _SMALLEST * np.maximum(values[..., -1:], _SMALLEST)
    scale = np.where(kept, 1 / np.sqrt(np.where(kept, values, 1.0)), 0.0)
    # Rows of scale * vectors' * unit are orthonormal and span the directions.
    shared = (np.swapaxes(vectors, -1, -2) @ (unit @ np.swapaxes(basis, -1, -2))) * scale[..., None]
    smaller = np.minimum(kept.sum(axis=-1), basis.shape[-2])
    total: FloatArray = (shared**2).sum(axis=(-1, -2)) / np.maximum(smaller, 1)
    return total
