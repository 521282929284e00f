"""Differences without the concept, from the neutral texts of the same data."""

from typing import Literal

import numpy as np

from empathy_geometry.dimensionality.spectrum import by_length
from empathy_geometry.foundation._types import ArrayLike, FloatArray, LabelsLike
from empathy_geometry.foundation._validation import as_generator, as_matrix, as_names, rows_named

Within = Literal["scenarios", "pool"]


def neutral_differences(
    values: ArrayLike, labels: LabelsLike, groups: LabelsLike, *, negative: str, seed: int = 0
) -> tuple[FloatArray, Within]:
    """Differences of two neutral rows: what `dimensionality` should find where there is no concept.

    Where at least 12 scenarios have two neutral rows, the difference is taken within each of those, which is what a
    concept's difference has besides the concept. Otherwise neutral rows of different scenarios are paired at random,
    each used once; these differences contain topic, so they are larger noise than a concept's differences have, and
    counts against them are conservative.

    Args:
        values: [n, d_model].
        labels: Class of each row.
        groups: Scenario of each row.
        negative: The neutral class.
        seed: Seed of the pairs.

    Returns:
        Differences [m, d_model], and "scenarios" if they were taken within scenarios, else "pool".

    Raises:
        ValueError: fewer than 24 neutral rows.

    Example:
        >>> x = np.random.default_rng(0).standard_normal((48, 4))
        >>> z, within = neutral_differences(x, ["n"] * 48, np.arange(48), negative="n")
        >>> z.shape, within
        ((24, 4), 'pool')
    """
    return draw_neutral_differences(values, labels, groups, negative=negative, generator=as_generator(seed))


def draw_neutral_differences(
    values: ArrayLike, labels: LabelsLike, groups: LabelsLike, *, negative: str, generator: np.random.Generator
) -> tuple[FloatArray, Within]:
    """`neutral_differences` from a generator in use."""
    x = as_matrix(values, "values")
    chosen = rows_named(as_names(labels, "labels", len(x)), negative, "negative", "the labels")
    group, rows = as_names(groups, "groups", len(x))[chosen], x[chosen]
    if len(rows) < 24:
        raise ValueError(
            f"a null needs at least 24 rows of the neutral class {negative!r}, got {len(rows)}; "
            f"pass null_differences of another control, or None"
        )
    # Pairs are drawn over rows in an order of their own, so that the order they come in says nothing.
    order = by_length(rows)[generator.permutation(len(rows))]
    first: dict[object, int] = {}
    pairs = []
    for row in order.tolist():
        name = group[row].item() if hasattr(group[row], "item") else group[row]
        if name in first:
            if first[name] >= 0:
                pairs.append((first[name], row))
            first[name] = -1
        else:
            first[name] = row
    if len(pairs) >= 12:
        a, b = np.array(pairs).T
        return rows[a] - rows[b], "scenarios"
    half = len(order) // 2
    return rows[order[:half]] - rows[order[half : 2 * half]], "pool"
