"""An order of groups and rows that their contents give, so that neither names nor the order of rows decide folds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from empathy_geometry.foundation._types import FloatArray, IntArray

Content = Sequence[str] | np.ndarray
"""What is known of each row: texts, or numbers [n, ...]."""

_BITS = 33
"""Of lengths: what differs by less is rounding, and is told apart exactly."""


@dataclass(frozen=True, eq=False)
class ContentOrder:
    """Groups and rows in an order of their contents.

    Attributes:
        groups: Group index of each row, 0..n_groups-1 in the order of what the groups hold.
        rows: Row numbers, group by group and within a group by content.
    """

    groups: IntArray
    rows: IntArray


def content_order(groups: IntArray, contents: Sequence[Content | None]) -> ContentOrder:
    """Put groups and their rows in order by what they hold.

    The first content decides, those after it only between rows that it does not tell apart. Rows are compared by text;
    numbers by the length of the row, whose order neither a rotation nor a unit changes, and where lengths are equal by
    the numbers themselves. A group is compared by its rows, whichever order they come in, and by nothing outside of it:
    how training groups stand does not depend on what test rows hold. Groups that are equal in everything may stand
    either way: nothing that is computed from them can tell.

    Args:
        groups: Group index of each row, [n].
        contents: Of all rows; None is passed over.

    Example:
        >>> found = content_order(np.array([0, 0, 1, 1]), [["d", "c", "b", "a"]])
        >>> found.groups.tolist(), found.rows.tolist()
        ([1, 1, 0, 0], [3, 2, 1, 0])
    """
    rank: IntArray = np.zeros(len(groups), dtype=np.int64)
    for content in contents:
        if content is None:
            continue
        rank = _refined(rank, _texts if not isinstance(content, np.ndarray) else _numbers, content)
        if rank.max(initial=0) == len(rank) - 1:
            break
    rows = np.lexsort([rank, groups])
    starts = np.flatnonzero(np.r_[True, np.diff(groups[rows]) > 0])
    held = [tuple(part.tolist()) for part in np.split(rank[rows], starts[1:])]
    place = np.empty(len(held), dtype=np.int64)
    place[sorted(range(len(held)), key=lambda g: held[g])] = np.arange(len(held))
    ordered: IntArray = place[groups]
    return ContentOrder(ordered, np.lexsort([rank, ordered]))


def _refined(rank: IntArray, read: Callable[[Content], list[IntArray]], content: Content) -> IntArray:
    """Dense ranks by the ranks so far, then by the content."""
    keys = [rank, *read(content)]
    order = np.lexsort(keys[::-1])
    new = np.any([np.diff(key[order]) != 0 for key in keys], axis=0)
    found = np.empty_like(rank)
    found[order] = np.cumsum(np.r_[0, new])
    return found


def _texts(content: Content) -> list[IntArray]:
    number = {text: i for i, text in enumerate(sorted(set(content)))}
    return [np.array([number[text] for text in content])]


def _numbers(content: Content) -> list[IntArray]:
    """Ranks by rounded length, then by the numbers themselves where lengths are equal."""
    values = np.asarray(content)
    values = values.reshape(len(values), -1)
    mantissa, exponent = np.frexp(_lengths(values))
    rounded = np.ldexp(np.round(np.ldexp(mantissa, _BITS)), exponent)
    near = np.unique(rounded, return_inverse=True)[1].reshape(-1)
    exact = np.zeros(len(values), dtype=np.int64)
    shared = np.flatnonzero(np.bincount(near)[near] > 1)
    if shared.size:
        # Adding zero gives -0.0 and 0.0 the same bytes.
        exact[shared] = _texts([(values[i].astype(np.float64) + 0.0).tobytes().hex() for i in shared])[0]
    return [near, exact]


def _lengths(values: np.ndarray, *, at_once: int = 2**22) -> FloatArray:
    """Squared length of each row; columns by parts, in double precision."""
    total = np.zeros(len(values))
    step = max(1, at_once // len(values))
    for start in range(0, values.shape[1], step):
        part = values[:, start : start + step].astype(np.float64)
        total += np.einsum("nd,nd->n", part, part)
    return total
