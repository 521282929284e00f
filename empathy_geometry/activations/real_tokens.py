"""Which columns of a padded batch are tokens of the texts: said by the caller, never guessed."""

from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from empathy_geometry.foundation._validation import to_numpy, whole_number
from empathy_geometry.models.tokens import TokenizedText


class Unsaid(Enum):
    """The default of `attention_mask`, which differs from a None that was said."""

    UNSAID = "unsaid"


UNSAID = Unsaid.UNSAID


def real_tokens(
    batch: int,
    width: int,
    *,
    attention_mask: Any = UNSAID,
    tokens: Any = None,
    pad_token_id: object = None,
    tokenized: Sequence[TokenizedText] | None = None,
    special_ids: Sequence[int] = (),
) -> Bool[Tensor, "batch pos"]:
    """True for the tokens of the texts, False for padding, which may stand on the right or the left.

    Args:
        batch: Rows.
        width: Columns.
        attention_mask: [batch, pos], 1 for real tokens. None, said by name, means that no row is padded.
        tokens: Token ids that the batch is of, [batch, pos].
        pad_token_id: What the padding is filled with, to tell it in `tokens`.
        tokenized: The texts' own tokens; with `tokens` they are looked up in their rows.
        special_ids: Ids that also occur in texts (BOS, EOS). Where the padding has one of them, tokens alone do not say
            whether one at the edge of a row is padding, and are refused.

    Raises:
        ValueError: rows may differ in length and nothing says how, what was said is no mask or does not fit, or tokens
            leave it open.

    Example:
        >>> real_tokens(2, 3, tokens=[[5, 6, 7], [0, 0, 8]], pad_token_id=0).int().tolist()
        [[1, 1, 1], [0, 0, 1]]
    """
    if attention_mask is not None and attention_mask is not UNSAID:
        return _of_mask(attention_mask, batch, width, tokenized)
    lengths = None if tokenized is None else _lengths(tokenized, batch)
    if tokens is not None:
        ids = torch.as_tensor(to_numpy(tokens)).long()
        if tuple(ids.shape) != (batch, width):
            raise ValueError(f"tokens must be {(batch, width)}, as the activations, got {tuple(ids.shape)}")
        if tokenized is not None:
            return _of_texts(ids, tokenized)
        if attention_mask is UNSAID:
            return _of_pad_token(ids, whole_number(pad_token_id), special_ids)
    full = torch.ones(batch, width, dtype=torch.bool)
    if lengths is not None and lengths != [width] * batch:
        raise ValueError(
            f"tokenized has texts of {lengths[:5]} tokens for {width} columns, so that some are padding; pass "
            f"attention_mask=, or tokens=, which say on which side"
        )
    if attention_mask is None or batch == 1 or lengths is not None:
        return full
    raise ValueError(
        f"{batch} rows of {width} columns may be padded, and nothing says where: pass attention_mask= (1 for real "
        f"tokens), or tokens= with pad_token_id=; attention_mask=None says that no row is padded"
    )


def _of_mask(given: Any, batch: int, width: int, tokenized: Sequence[TokenizedText] | None) -> Tensor:
    array = to_numpy(given)
    if array.shape != (batch, width):
        raise ValueError(f"attention_mask must be {(batch, width)}, as the activations, got {tuple(array.shape)}")
    if not np.isin(array, (0, 1)).all():
        raise ValueError(
            f"attention_mask must hold 1 for real tokens and 0 for padding, got values {np.unique(array)[:4].tolist()}"
        )
    mask = torch.as_tensor(array.astype(bool))
    for row, real in enumerate(mask):
        index = real.nonzero().flatten()
        if not len(index) or int(index[-1] - index[0]) != len(index) - 1:
            raise ValueError(f"the real tokens of row {row} must be one run, got {real.int().tolist()[:20]}")
    if tokenized is not None and _lengths(tokenized, batch) != mask.sum(1).tolist():
        raise ValueError(
            f"tokenized must have one text per row with as many tokens as the row has real ones "
            f"({mask.sum(1).tolist()[:5]}...), got {[len(text) for text in tokenized][:5]}..."
        )
    return mask


def _lengths(tokenized: Sequence[TokenizedText], batch: int) -> list[int]:
    if len(tokenized) != batch:
        raise ValueError(f"tokenized must have one text per row ({batch}), got {len(tokenized)}")
    return [len(text) for text in tokenized]


def _of_texts(ids: Tensor, tokenized: Sequence[TokenizedText]) -> Tensor:
    """Each text at the one edge of its row where its tokens stand, the same edge in all rows."""
    width = ids.shape[1]
    sides = []
    for side in ("right", "left"):
        mask = torch.zeros(ids.shape, dtype=torch.bool)
        fits = True
        for row, text in enumerate(tokenized):
            n = len(text)
            span = slice(0, n) if side == "right" else slice(width - n, width)
            fits = fits and n <= width and ids[row, span].tolist() == list(text.ids)
            mask[row, span] = True
        if fits:
            sides.append(mask)
    if len(sides) == 2 and torch.equal(*sides):
        return sides[0]
    if len(sides) != 1:
        how = "at either edge of the rows" if sides else "at neither edge of all rows"
        raise ValueError(f"the tokens of tokenized stand {how} of tokens; pass attention_mask=")
    return sides[0]


def _of_pad_token(ids: Tensor, pad: int | None, special_ids: Sequence[int]) -> Tensor:
    if pad is None:
        raise ValueError(
            "tokens alone do not say which of them are padding; pass pad_token_id= (such as "
            "model.tokenizer.pad_token_id), or attention_mask="
        )
    padding = ids == pad
    if pad in special_ids and bool((padding[:, 0] | padding[:, -1]).any()):
        raise ValueError(
            f"the padding token {pad} is a token of texts as well here (BOS or EOS), and rows begin or end with it: "
            f"tokens do not say which of these are padding; pass attention_mask=, or tokenized="
        )
    # Of a padded batch the longest row has no padding.
    if bool((padding[:, 0] | padding[:, -1]).all()):
        raise ValueError(
            f"every row of tokens begins or ends with the padding token {pad}, so that it seems to be a "
            f"token of the texts as well (BOS or EOS); pass attention_mask=, or tokenized="
        )
    real = ~padding
    for row, kept in enumerate(real):
        index = kept.nonzero().flatten()
        if not len(index) or int(index[-1] - index[0]) != len(index) - 1:
            raise ValueError(
                f"row {row} of tokens has the padding token {pad} between its tokens, or nothing else; pass "
                f"attention_mask="
            )
    if bool(padding[:, 0].any()) and bool(padding[:, -1].any()):
        raise ValueError(
            f"the padding token {pad} stands at the left of some rows and at the right of others; pass attention_mask="
        )
    return real
