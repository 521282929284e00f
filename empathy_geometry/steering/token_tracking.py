"""Which tokens of a forward pass are prompt and which were generated, with padding, with and without a KV cache."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, TypeGuard

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from empathy_geometry.activations.outlier_tokens import find_outliers, token_norms
from empathy_geometry.foundation._validation import check_choice, whole_number
from empathy_geometry.models.attachment import Before
from empathy_geometry.models.hooked_model import HookedModel, is_bridge

Span: TypeAlias = tuple[int, int]
"""(start, stop) in real tokens of a row: padding counts nothing, a prepended BOS counts one."""

Positions: TypeAlias = Literal["all", "prompt", "last_prompt", "generated", "response"] | Span | Sequence[Span]

NAMED_POSITIONS = ("all", "prompt", "last_prompt", "generated", "response")

Check = Callable[[int, Int[Tensor, " batch"]], None]
"""Called before anything of a pass runs, with its number of rows and, for a new prompt, the real tokens of each row."""


class TokenTracker:
    """Follows the forward passes of a model and says which columns hold which tokens.

    It looks at what the model itself is given: token ids, attention mask, and how many columns the cache of keys and
    values holds. So it needs no help from the caller, in plain passes, `run_with_hooks` and `generate` alike, and
    padding on either side counts for nothing (without an attention mask, every column is a token). It sits before the
    Hugging Face model inside a TransformerBridge and before the first block of a HookedTransformer, since those are
    called in every kind of pass.

    A column that is read alone, with a cache before it, was generated; so was the last column of a pass without a cache
    that is one longer than all that was read before and begins with the same tokens (a model without a cache, or one
    that drops it where its rotary frequencies change). Anything else is a new prompt.
    """

    def __init__(self, check: Check | None = None) -> None:
        self._check = check
        self._prompt = self._total = self._width = self._rows = 0
        self._seen: Tensor | None = (
            None  # tokens read so far, to see whether the next pass reads them again and one more
        )
        self._mask: Tensor | None = None  # [batch, total], None: no padding

    def before(self, model: HookedModel) -> Before:
        """What is to be called before each pass of a model (`attached(..., before=...)`)."""
        bridge = is_bridge(model)

        def before(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            first = args[0] if args else kwargs.get("input_ids", kwargs.get("inputs_embeds"))
            if not isinstance(first, Tensor):
                raise TypeError(f"expected token ids or embeddings in the forward pass, got {type(first).__name__}")
            past = _past_length(kwargs.get("past_key_values" if bridge else "past_kv_cache_entry"))
            self.observe(first, kwargs.get("attention_mask"), past)

        return before

    def observe(self, tokens: Tensor, mask: Tensor | None, past: int) -> None:
        """Note a pass that is about to run.

        Args:
            tokens: Ids [batch, pos] or embeddings [batch, pos, d_model].
            mask: 1 for real tokens, [batch, past + pos], or None.
            past: Columns that a cache holds already.
        """
        rows, width = tokens.shape[0], tokens.shape[1]
        if mask is not None and mask.ndim != 2:
            raise ValueError(f"steering needs an attention mask [batch, pos], got shape {tuple(mask.shape)}")
        if mask is not None and mask.shape[1] == width and past:
            mask = torch.cat([mask.new_ones(rows, past), mask], dim=1)
        if mask is not None and mask.shape != (rows, past + width):
            raise ValueError(f"the attention mask must be [{rows}, {past + width}], got {tuple(mask.shape)}")
        continues = past > 0 and width == 1
        if continues and past != self._total:
            self._prompt = past
        seen = self._seen
        if past == 0 and seen is not None and len(seen) == rows and width == self._total + 1:
            continues = torch.equal(tokens[:, self._total - seen.shape[1] : -1], seen)
        self._seen = _last_read(seen if past == self._total else None, tokens, past)
        self._mask = None if mask is None else mask.bool()
        self._rows, self._width, self._total = rows, width, past + width
        if not continues:
            self._prompt = self._total
        if self._check is not None:
            self._check(rows, torch.empty(0, dtype=torch.long) if continues else self._lengths())

    def generated(self) -> Bool[Tensor, "batch pos"]:
        """Columns of the current pass that the model wrote, [1, pos]."""
        return (torch.arange(self._total)[-self._width :] >= self._prompt)[None]

    def select(self, positions: Positions) -> Bool[Tensor, "batch pos"]:
        """Columns of the current pass, [batch, pos] or [1, pos] where all rows are alike.

        Raises:
            RuntimeError: no pass was seen (one that starts at a later layer is not).
        """
        if self._width == 0:
            raise RuntimeError("this pass does not start at the model's first layer; positions='all' does not mind")
        real = torch.ones(1, self._total, dtype=torch.bool) if self._mask is None else self._mask.cpu()
        if positions in ("generated", "response"):
            return self.generated() & real[:, -self._width :]
        if isinstance(positions, str):
            chosen = real if positions == "all" else real & (torch.arange(self._total) < self._prompt)
            if positions == "last_prompt":  # wherever padding is
                chosen = chosen & (chosen.long().cumsum(1) == chosen.sum(1, keepdim=True))
        else:
            spans = torch.tensor(row_spans(positions, 1))
            index = real.long().cumsum(1) - 1
            chosen = real & (index >= spans[:, :1]) & (index < spans[:, 1:])
        return chosen[:, -self._width :]

    def ordinary(self, stream: Float[Tensor, "batch pos d_model"]) -> Bool[Tensor, "batch pos"]:
        """Columns of the current pass that hold no outlier token (`activations.outlier_tokens`).

        Norms are judged among the tokens of the prompt, so that passes with and without a KV cache agree.

        Args:
            stream: The stream of this pass, before it is edited.
        """
        real = torch.ones(1, self._total, dtype=torch.bool) if self._mask is None else self._mask.cpu()
        alone = real[:, : self._prompt].sum(1, keepdim=True) == 1
        rest = (~self.select((0, 1)) | alone).to(stream.device)
        judged = self.select("prompt").to(stream.device) & rest
        outliers = find_outliers(token_norms(stream), judged)
        return self.select("all").to(stream.device) & rest & ~outliers

    def _lengths(self) -> Int[Tensor, " batch"]:
        if self._mask is None:
            return torch.full((self._rows,), self._total)
        return self._mask.sum(1).cpu()


def _last_read(seen: Tensor | None, tokens: Tensor, past: int) -> Tensor | None:
    """The last tokens read, as many as are known; embeddings are kept only where a cache holds nothing."""
    if past == 0 or tokens.ndim == 3:
        return tokens if past == 0 else None
    known = seen is not None and seen.ndim == 2 and len(seen) == len(tokens)
    return torch.cat([seen, tokens], dim=1) if seen is not None and known else tokens


def check_positions(positions: Positions) -> Positions:
    """The positions, spans as tuples of integers.

    Raises:
        ValueError: an unknown name, or a span that is not (start, stop) with 0 <= start < stop.

    Example:
        >>> check_positions([(0, 2), (3, 4)])
        ((0, 2), (3, 4))
    """
    if isinstance(positions, str):
        check_choice(positions, "positions", NAMED_POSITIONS)
        return positions
    span = _as_span(positions)
    if span is not None:
        return span
    if isinstance(positions, Sequence | np.ndarray | Tensor) and len(positions):
        spans = [_as_span(row) for row in positions]
        if all(row is not None for row in spans):
            return tuple(row for row in spans if row is not None)
    raise ValueError(
        f"positions must be one of {list(NAMED_POSITIONS)}, or a span must be (start, stop) with 0 <= start < stop: "
        f"one tuple for all rows, or a list with one for each; got {positions!r}"
    )


def row_spans(positions: Positions, n_rows: int) -> list[Span] | None:
    """The span of each row; None where positions are given by name."""
    if isinstance(positions, str):
        return None
    if _is_span(positions):
        return [positions] * n_rows
    return list(positions)  # type: ignore[arg-type]


def check_spans(positions: Positions, lengths: Sequence[int]) -> None:
    """Raise ValueError unless there is one span, or one per row, and each lies inside its row's tokens.

    Args:
        positions: Checked positions; names are always fine.
        lengths: Real tokens of each row.
    """
    spans = row_spans(positions, len(lengths))
    if spans is None:
        return
    if len(spans) != len(lengths):
        raise ValueError(f"there are {len(spans)} spans for a batch of {len(lengths)} rows; give one, or one per row")
    for row, (span, length) in enumerate(zip(spans, lengths, strict=True)):
        if span[1] > length:
            raise ValueError(
                f"the span {span} lies outside row {row}, which has {length} tokens (padding not counted, BOS "
                f"counted); for tokens that are still to be written use positions='generated'"
            )


def _as_span(positions: object) -> Span | None:
    """Positions as one (start, stop) of ints, if they are that: a tuple, or the row of an array."""
    row = isinstance(positions, np.ndarray | Tensor) and positions.ndim == 1
    if not (isinstance(positions, tuple) or row) or len(positions) != 2:  # type: ignore[arg-type]
        return None
    start, stop = (whole_number(p) for p in positions)  # type: ignore[attr-defined]
    return None if start is None or stop is None or not 0 <= start < stop else (start, stop)


def _is_span(positions: object) -> TypeGuard[Span]:
    """Whether checked positions are one (start, stop)."""
    return isinstance(positions, tuple) and len(positions) == 2 and isinstance(positions[0], int)


def _past_length(cache: Any) -> int:
    if cache is None:
        return 0
    if hasattr(cache, "get_seq_length"):
        return int(cache.get_seq_length())
    return int(cache.past_keys.shape[1])
