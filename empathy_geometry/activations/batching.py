"""In which order and in which company texts are run: shards, shared prefixes, batches of similar length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from empathy_geometry.activations.token_table import TokenTable
from empathy_geometry.foundation._types import IntArray

# Sharing costs some overhead: below this share of tokens saved, a group is run plainly.
_WORTH_SHARING = 0.1


@dataclass(frozen=True, eq=False)
class Work:
    """Texts that are run together.

    Attributes:
        rows: Which texts.
        prefix: How many tokens all of them begin with and are to be run once; 0: nothing is shared.
    """

    rows: IntArray
    prefix: int = 0


def shared_prefixes(table: TokenTable, mode: Literal[True, False, "auto"]) -> list[Work]:
    """Groups of texts with the same prompt where running its tokens once is worth it; the rest as one plain group.

    Example:
        Seven responses of 30 tokens to a prompt of 40 save 240 of 490 tokens.
    """
    plain: list[IntArray] = []
    shared: list[Work] = []
    order = np.argsort(table.keys, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(table.keys[order])) + 1):
        prefix = 0 if mode is False or len(rows) < 2 else _common_prefix(table, rows)
        saved = (len(rows) - 1) * prefix
        least = _WORTH_SHARING * table.lengths[rows].sum() if mode == "auto" else 1
        if prefix >= 2 and saved >= least:
            shared.append(Work(rows, prefix))
        else:
            plain.append(rows)
    # Similar prefixes stand together, so that little padding is run; the longest first shows memory problems at once.
    shared.sort(key=lambda work: (-work.prefix, int(work.rows[0])))
    return [*shared, Work(np.sort(np.concatenate(plain)))] if plain else shared


def cut_into_shards(table: TokenTable, groups: Sequence[Work], size: int) -> list[list[Work]]:
    """Groups in shards of at most `size` texts, a group whole in one shard where it fits; longest texts first."""
    shards: list[list[Work]] = []
    room = 0
    for group in groups:
        rows = by_length(table, group.rows) if group.prefix == 0 or len(group.rows) > size else group.rows
        start = 0
        while start < len(rows):
            left = len(rows) - start
            if room == 0 or (group.prefix and left > room and left <= size):
                shards.append([])
                room = size
            taken = min(room, left)
            shards[-1].append(Work(rows[start : start + taken], group.prefix))
            start += taken
            room -= taken
    return shards


def by_length(table: TokenTable, rows: IntArray) -> IntArray:
    """Rows by falling length."""
    return rows[np.lexsort((rows, -table.lengths[rows]))]


def batches(
    widths: IntArray, batch_size: int | Literal["auto"], tokens: int, *, alike: IntArray | None = None
) -> Iterator[slice]:
    """Consecutive runs of texts (sorted by falling width) for one forward pass each.

    Args:
        widths: Tokens of each text.
        batch_size: Texts per pass, or "auto".
        tokens: With "auto", at most so many tokens per pass, padding included (and at least one text).
        alike: A number for each text; those of different numbers never share a pass (`BehaviourLengths.alike`).

    Example:
        >>> list(batches(np.array([6, 5, 3, 3]), "auto", 12))
        [slice(0, 2, None), slice(2, 4, None)]
        >>> list(batches(np.array([6, 5, 3, 3]), "auto", 12, alike=np.array([1, 0, 0, 0])))
        [slice(0, 1, None), slice(1, 3, None), slice(3, 4, None)]
    """
    start = 0
    while start < len(widths):
        size = max(1, tokens // int(widths[start])) if batch_size == "auto" else batch_size
        stop = min(start + size, len(widths))
        if alike is not None:
            others = np.flatnonzero(alike[start:stop] != alike[start])
            stop = start + int(others[0]) if others.size else stop
        yield slice(start, stop)
        start = stop


def blocks(
    groups: Sequence[Work], *, prefixes: int, tokens: int, alike: IntArray | None = None
) -> Iterator[list[Work]]:
    """Consecutive groups whose prefixes are run, and their keys and values kept, at one time.

    Args:
        groups: Groups with prefixes.
        prefixes: At most so many groups.
        tokens: At most so many prefix tokens, padding included (and at least one group).
        alike: A number for each group, as for `batches`.
    """
    block: list[Work] = []
    numbers = [0] * len(groups) if alike is None else alike.tolist()
    last = 0
    for group, number in zip(groups, numbers, strict=True):
        width = max([group.prefix, *(g.prefix for g in block)])
        if block and (len(block) >= prefixes or width * (len(block) + 1) > tokens or number != last):
            yield block
            block = []
        block.append(group)
        last = number
    if block:
        yield block


def _common_prefix(table: TokenTable, rows: IntArray) -> int:
    """How many of the tokens before the response all rows have in common."""
    first = table.row_ids(int(rows[0]))[: table.spans[rows[0], 0]]
    length = len(first)
    for row in rows[1:]:
        other = table.row_ids(int(row))[: min(length, int(table.spans[row, 0]))]
        length = len(other)
        differing = np.flatnonzero(first[:length] != other)
        length = int(differing[0]) if differing.size else length
    return length
