"""Paired differences within scenarios: the object from which directions and dimensionality are measured."""

import numpy as np

from empathy_geometry.foundation._types import ArrayLike, BoolArray, FloatArray, LabelsLike
from empathy_geometry.foundation._validation import as_matrix, as_names, rows_named


def paired_differences(
    values: ArrayLike, labels: LabelsLike, groups: LabelsLike, *, positive: str, negative: str
) -> tuple[FloatArray, np.ndarray]:
    """Mean of the positive rows minus mean of the negative rows, within each group.

    Taking differences within a scenario removes its topic, which raw activations mostly measure.

    Args:
        values: [n, d_model].
        labels: Class of each row; rows of other classes are left out.
        groups: Scenario of each row.
        positive: The concept's class.
        negative: The neutral class.

    Returns:
        Differences [n_groups, d_model] and the group names in the same order.

    Raises:
        ValueError: a class does not occur, or a group with one class lacks the other.

    Example:
        >>> d, g = paired_differences([[1.], [4.], [2.], [3.]], ["n", "p", "n", "p"], ["a", "a", "b", "b"],
        ...                           positive="p", negative="n")
        >>> d.ravel().tolist(), g.tolist()
        ([3.0, 1.0], ['a', 'b'])
    """
    up, down, names = paired_means(values, labels, groups, positive=positive, negative=negative)
    return up - down, names


def paired_means(
    values: ArrayLike, labels: LabelsLike, groups: LabelsLike, *, positive: str, negative: str
) -> tuple[FloatArray, FloatArray, np.ndarray]:
    """Means of the positive and of the negative rows within each group, so that row i of both is one scenario.

    Arguments and errors are those of `paired_differences`, which is the difference of the two.

    Example:
        >>> up, down, g = paired_means([[1.], [4.]], ["n", "p"], ["a", "a"], positive="p", negative="n")
        >>> up.tolist(), down.tolist()
        ([[4.0]], [[1.0]])
    """
    x = as_matrix(values, "values")
    label, group = as_names(labels, "labels", len(x)), as_names(groups, "groups", len(x))
    is_positive, is_negative = rows_of_classes(label, positive, negative)
    names, index = np.unique(group, return_inverse=True)
    index = index.reshape(-1)
    n_positive = np.bincount(index[is_positive], minlength=len(names))
    n_negative = np.bincount(index[is_negative], minlength=len(names))
    unpaired = (n_positive > 0) != (n_negative > 0)
    if unpaired.any():
        raise ValueError(
            f"pairs need both classes in a group; {int(unpaired.sum())} group(s) have only one, such as "
            f"{names[unpaired][0]!r}. Drop them, or use a method without pairs, such as 'mean_difference'"
        )
    paired = n_positive > 0
    sums = np.zeros((2, len(names), x.shape[1]))
    np.add.at(sums[0], index[is_positive], x[is_positive])
    np.add.at(sums[1], index[is_negative], x[is_negative])
    up, down = (
        total[paired] / count[paired, None] for total, count in zip(sums, (n_positive, n_negative), strict=True)
    )
    return up, down, names[paired]


def rows_of_classes(labels: np.ndarray, positive: object, negative: object) -> tuple[BoolArray, BoolArray]:
    """Which rows have the one class and which the other, [n] booleans each; ValueError unless both occur and differ."""
    rows = (
        rows_named(labels, positive, "positive", "the labels"),
        rows_named(labels, negative, "negative", "the labels"),
    )
    if (rows[0] & rows[1]).any():
        raise ValueError(f"positive and negative must differ, both are {positive!r}")
    return rows
