"""Work that several rows have in common is done once."""

from collections.abc import Hashable, Sequence

import numpy as np

from empathy_geometry.foundation._types import IntArray


def distinct(values: Sequence[Hashable]) -> tuple[IntArray, IntArray]:
    """Where each distinct value stands first, and which distinct value each one is.

    Example:
        >>> first, which = distinct(["a", "b", "a"])
        >>> first.tolist(), which.tolist()
        ([0, 1], [0, 1, 0])
    """
    number: dict[Hashable, int] = {}
    which = np.array([number.setdefault(value, len(number)) for value in values])
    first = np.unique(which, return_index=True)[1]
    return first, which
