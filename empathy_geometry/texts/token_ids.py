"""Which tokens a model read of each text: what the text-only baseline that sees as much as the model counts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class TokenIds:
    """Token ids of n texts of different lengths, one after the other.

    Attributes:
        ids: Of all texts, [total].
        offsets: Where each text begins in `ids`, and where the last one ends, [n + 1].

    Example:
        >>> tokens = TokenIds.from_rows([[5, 6], [7]])
        >>> len(tokens), tokens.rows()
        (2, ((5, 6), (7,)))
        >>> tokens[[1]].rows()
        ((7,),)
    """

    ids: Int[Tensor, " total"]
    offsets: Int[Tensor, " ends"]

    def __post_init__(self) -> None:
        ends = self.offsets.tolist()
        if not ends or ends[0] != 0 or ends[-1] != len(self.ids) or any(a > b for a, b in pairwise(ends)):
            raise ValueError(f"offsets must rise from 0 to the number of ids, {len(self.ids)}; got {ends[:3]}...")

    @classmethod
    def from_rows(cls, rows: Sequence[Any]) -> "TokenIds":
        """From one sequence of ids for each text.

        Raises:
            TypeError: something else than whole numbers.
        """
        arrays = []
        for number, row in enumerate(rows):
            array = np.asarray(row.tolist() if isinstance(row, Tensor) else row)
            if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
                raise TypeError(f"token_ids[{number}] must be a sequence of whole numbers, got {row!r:.60}")
            arrays.append(array.astype(np.int32))
        ends = np.concatenate([[0], np.cumsum([len(array) for array in arrays], dtype=np.int64)])
        flat = np.concatenate([np.empty(0, dtype=np.int32), *arrays])
        return cls(torch.from_numpy(flat), torch.from_numpy(ends.astype(np.int64)))

    @classmethod
    def joined(cls, parts: Sequence["TokenIds"]) -> "TokenIds":
        """Several, one after the other."""
        return cls.from_rows([row for part in parts for row in part.rows()])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return iter(self.rows())

    def __getitem__(self, rows: Any) -> "TokenIds":
        every = self.rows()
        return TokenIds.from_rows([every[int(i)] for i in np.arange(len(self))[rows].reshape(-1)])

    def rows(self) -> tuple[tuple[int, ...], ...]:
        """The ids of each text."""
        flat, ends = self.ids.tolist(), self.offsets.tolist()
        return tuple(tuple(flat[a:b]) for a, b in pairwise(ends))


TokenIdsLike: TypeAlias = TokenIds | Sequence[Sequence[int]]
"""Token ids of several texts, as a tokenizer gives them."""

if TYPE_CHECKING:
    TokenIdsField: TypeAlias = TokenIds
else:  # given as a tokenizer gives them, and `TokenIds` once the object is made
    TokenIdsField = TokenIdsLike


def as_token_ids(given: TokenIdsLike | None, n: int) -> TokenIds | None:
    """Checked for n texts; None stays None.

    Raises:
        TypeError: something else than whole numbers.
        ValueError: another number of texts.
    """
    if given is None:
        return None
    found = given if isinstance(given, TokenIds) else TokenIds.from_rows(given)
    if len(found) != n:
        raise ValueError(f"token_ids must have one sequence for each of {n} texts, got {len(found)}")
    return found
