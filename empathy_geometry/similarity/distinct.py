"""Inner products of class means without the noise that they share: means over pairs of rows from different scenarios.

The product of two sample means is biased by every row, and by every scenario, that enters both. Splitting the
scenarios into disjoint halves removes that; the mean over all pairs of rows from different scenarios is the average of
all such splits, and uses every row.
"""

from collections.abc import Sequence

import numpy as np

from empathy_geometry.foundation._types import FloatArray, IntArray


def distinct_products(g: FloatArray, classes: IntArray, groups: IntArray, n_classes: int) -> FloatArray:
    """Unbiased inner products of class means, [n_classes, n_classes].

    Args:
        g: Inner products of the rows, [n, n], raw or whitened.
        classes: Class of each row, 0..n_classes-1; -1 leaves a row out.
        groups: Scenario index of each row.
        n_classes: Number of classes.

    Returns:
        Entry [a, b] is the mean of g[i, j] over i in a, j in b with different scenarios; NaN where there is no such
        pair.

    Example:
        >>> rows = np.array([[3.0], [5.0], [2.0]])
        >>> distinct_products(rows @ rows.T, np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
        [[15.0, 6.0], [6.0, nan]]
    """
    different = groups[:, None] != groups[None, :]
    member = (classes[:, None] == np.arange(n_classes)).astype(float)
    sums, counts = member.T @ np.where(different, g, 0.0) @ member, member.T @ different.astype(float) @ member
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(counts > 0, sums / np.maximum(counts, 1), np.nan))


def without_blocks(groups: IntArray, blocks: Sequence[IntArray]) -> list[np.ndarray]:
    """For each set of scenarios that stays, which rows stay."""
    return [np.isin(groups, kept) for kept in blocks]
