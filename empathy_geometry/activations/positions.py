"""Which tokens of a text are read: a position option becomes one weight per token and slot."""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, SupportsIndex, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from empathy_geometry.activations.outlier_tokens import OutlierTokens
from empathy_geometry.foundation._validation import whole_number
from empathy_geometry.models.tokens import TokenizedText

if TYPE_CHECKING:
    Position: TypeAlias = str | int | Callable[[TokenizedText], int | Sequence[int]]
else:  # integers of numpy and torch are taken, too (`whole_number`), and become int
    Position = str | SupportsIndex | Callable[[TokenizedText], int | Sequence[int]]

POSITION_NAMES = ("last", "mean", "response_mean", "response_quartiles")


def n_slots(position: Position) -> int:
    """How many vectors a position option gives for each text."""
    return 4 if position == "response_quartiles" else 1


def position_name(position: Position) -> str:
    """How a position option is called in results."""
    if callable(position):
        return getattr(position, "__name__", type(position).__name__)
    number = whole_number(position)
    return str(position if number is None else number)


def check_position(position: Position) -> None:
    """Raise unless `position` is one that `pooling_weights` knows."""
    if callable(position) or whole_number(position) is not None:
        return
    if not isinstance(position, str) or position not in POSITION_NAMES:
        names = ", ".join(map(repr, POSITION_NAMES))
        raise ValueError(f"position must be one of {names}, an int or a callable; got {position!r}")


def token_slots(
    text: TokenizedText, position: Position, outlier_tokens: OutlierTokens = "leave_out"
) -> list[Sequence[int]]:
    """The token indices whose mean each slot is, before outliers by norm are left out (see `outlier_tokens`).

    "last" is the last token of the response; "mean" averages all tokens and "response_mean" those of the response
    (the whole text where there is no prompt); "response_quartiles" cuts the response into four runs of nearly equal
    length. With `outlier_tokens="leave_out"` these means leave out position 0 wherever there is another token: it
    carries an activation a hundred times larger than any other (an attention sink), which would swamp the rest. An int
    counts tokens of the whole text from its start or, if negative, from the end of the response. In a chat template the
    options count the words of prompt and response only, not the template's marks. A callable gets the `TokenizedText`
    and returns an index into its `ids` or several, to be averaged, marks included.

    Raises:
        ValueError: an index lies outside the text.
    """
    content = text.content
    leave_out = outlier_tokens == "leave_out"
    first = max(text.start, 1) if leave_out and text.stop > 1 else text.start
    if position == "last":
        return [[text.stop - 1]]
    if position == "mean":
        return [[i for i in content if i > 0 or not leave_out] or content]
    if position == "response_mean":
        return [range(first, text.stop) if first < text.stop else [text.stop - 1]]
    if position == "response_quartiles":
        n = text.stop - first
        cuts = [first + round(q * n / 4) for q in range(5)]
        # A response of fewer than four tokens reuses its nearest token, so that every slot has one.
        return [range(a, b) if a < b else [min(a, text.stop - 1)] for a, b in pairwise(cuts)]
    if callable(position):
        return [_from_callable(text, position)]
    index = whole_number(position)
    if index is None or not -len(content) <= index < len(content):
        raise ValueError(
            f"position {position!r} lies outside a text of {len(content)} tokens (-{len(content)} to "
            f"{len(content) - 1}); leave out texts that short, or try 'last' or 'mean'"
        )
    return [[content[index]]]


def read_length(text: TokenizedText, slots: Sequence[Sequence[int]]) -> int:
    """How many tokens of a text are read: up to the last that counts (causal models never look ahead)."""
    return max(text.stop, *(max(slot) + 1 for slot in slots))


def pooling_weights(
    texts: Sequence[TokenizedText], position: Position, width: int, outlier_tokens: OutlierTokens = "leave_out"
) -> Float[Tensor, "batch slots pos"]:
    """One weight per text, slot and (right-padded) token; each slot's weights sum to 1."""
    weights = torch.zeros(len(texts), n_slots(position), width)
    for row, text in enumerate(texts):
        for slot, indices in enumerate(token_slots(text, position, outlier_tokens)):
            weights[row, slot, list(indices)] = 1 / len(indices)
    return weights


def judged_tokens(lengths: Sequence[int], width: int, starts: Sequence[int] | None = None) -> Bool[Tensor, "batch pos"]:
    """Tokens of (right-padded) rows whose median norm says which are outliers: all but the first and the padding.

    Args:
        lengths: Tokens of each row.
        width: Columns.
        starts: Which token of each row stands in the first column; None: its first.

    Example:
        >>> judged_tokens([3, 1], 4).int().tolist()
        [[0, 1, 1, 0], [1, 0, 0, 0]]
    """
    length = torch.as_tensor(list(lengths))[:, None]
    token = torch.arange(width)[None] + (0 if starts is None else torch.as_tensor(list(starts))[:, None])
    return (token < length) & ((token > 0) | (length == 1))


def _from_callable(text: TokenizedText, position: Callable[[TokenizedText], int | Sequence[int]]) -> list[int]:
    wanted = position(text)
    one = whole_number(wanted)
    several: list[object] = list(wanted) if one is None and isinstance(wanted, Iterable) else [wanted]
    indices = [one] if one is not None else [i for i in map(whole_number, several) if i is not None]
    if one is None and len(indices) != len(several):
        raise ValueError(f"position {position_name(position)} must give token indices (ints), got {several[:5]}")
    resolved = sorted({i if i >= 0 else text.stop + i for i in indices})
    if not resolved or resolved[0] < 0 or resolved[-1] >= len(text):
        raise ValueError(
            f"position {position_name(position)} gives token(s) {indices[:5]}, the text has {len(text)} tokens "
            f"(response: {text.start} to {text.stop - 1})"
        )
    return resolved
