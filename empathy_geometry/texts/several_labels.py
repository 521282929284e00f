"""Texts with several labels each: one name that joins them, and a column of 0 and 1 for each."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from empathy_geometry.foundation._types import IntArray
from empathy_geometry.foundation.names import as_name

SEPARATOR = "+"
"""Between the labels of one text; they are sorted."""


def join_labels(label: Any, what: str = "label") -> Any:
    """Several labels of one text as one name, "question+warmth"; anything that is not several comes back as it is.

    Raises:
        ValueError: an empty list, a label twice, or one that contains the separator.

    Example:
        >>> join_labels(["warmth", "question"]), join_labels("warmth")
        ('question+warmth', 'warmth')
    """
    if not isinstance(label, list | tuple | set | frozenset):
        return label
    names = [str(as_name(name, what)) for name in label]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{what} must be one label or several different ones, got {label!r}")
    if len(names) > 1 and (joining := [name for name in names if SEPARATOR in name]):
        raise ValueError(f"{what}: {joining[0]!r} contains {SEPARATOR!r}, which joins several labels; rename it")
    return SEPARATOR.join(sorted(names))


def label_columns(labels: Iterable[str]) -> dict[str, IntArray]:
    """One column of 0 and 1 for each label that occurs, alone or beside others.

    Args:
        labels: Such as `texts.labels`, of texts with one label, of texts with several, or of both.

    Returns:
        Columns by label, sorted, each as long as the labels.

    Example:
        >>> {label: column.tolist() for label, column in label_columns(["warmth", "question+warmth"]).items()}
        {'question': [0, 1], 'warmth': [1, 1]}
    """
    parts = [set(str(label).split(SEPARATOR)) for label in labels]
    return {name: np.array([int(name in part) for part in parts]) for name in sorted(set().union(*parts))}
