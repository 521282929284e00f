"""Padding is said, never guessed: masks, tokens with their padding id, and what stays open is refused."""

import numpy as np
import pytest
import torch

from empathy_geometry.activations.real_tokens import real_tokens
from empathy_geometry.models.tokens import TokenizedText

RIGHT = [[5, 6, 7, 8], [5, 6, 0, 0], [9, 0, 0, 0]]
LEFT = [[5, 6, 7, 8], [0, 0, 5, 6], [0, 0, 0, 9]]


def _texts(rows, pad=0):
    return [TokenizedText(tuple(i for i in row if i != pad), 0, sum(i != pad for i in row)) for row in rows]


@pytest.mark.parametrize("rows", [RIGHT, LEFT])
@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_tokens_with_a_padding_id(rows, kind) -> None:
    expected = np.array(rows) != 0
    assert real_tokens(3, 4, tokens=kind(rows), pad_token_id=np.int64(0)).numpy().tolist() == expected.tolist()
    assert real_tokens(3, 4, tokens=kind(rows), tokenized=_texts(rows)).tolist() == expected.tolist()
    assert real_tokens(3, 4, attention_mask=kind(expected.astype(int).tolist())).tolist() == expected.tolist()


def test_none_by_name_a_single_row_and_full_texts_need_no_mask() -> None:
    assert real_tokens(2, 3, attention_mask=None).all()
    assert real_tokens(1, 3).all()
    assert real_tokens(2, 2, tokenized=_texts([[1, 2], [3, 4]])).all()


def test_texts_with_the_padding_token_in_them_are_found_by_their_tokens() -> None:
    """BOS, EOS and padding are one token here, as in GPT-2; only the texts' own tokens tell."""
    own = [(7, 1, 2, 7), (7, 3)]
    texts = [TokenizedText(ids, 1, len(ids)) for ids in own]
    left, right = [[7, 1, 2, 7], [7, 7, 7, 3]], [[7, 1, 2, 7], [7, 3, 7, 7]]
    assert real_tokens(2, 4, tokens=left, tokenized=texts).int().tolist() == [[1, 1, 1, 1], [0, 0, 1, 1]]
    assert real_tokens(2, 4, tokens=right, tokenized=texts).int().tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    for rows in (left, right):
        with pytest.raises(ValueError, match="every row of tokens begins or ends with"):
            real_tokens(2, 4, tokens=rows, pad_token_id=7)
        with pytest.raises(ValueError, match=r"token of texts as well here \(BOS or EOS\)"):
            real_tokens(2, 4, tokens=rows, pad_token_id=7, special_ids=[7])


def test_a_special_padding_token_that_no_row_shows_is_no_trouble() -> None:
    assert real_tokens(2, 2, tokens=[[1, 2], [3, 4]], pad_token_id=7, special_ids=[7]).all()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({}, "may be padded, and nothing says where"),
        ({"tokens": RIGHT}, "tokens alone do not say which"),
        ({"tokens": RIGHT, "pad_token_id": True}, "tokens alone do not say which"),
        ({"tokens": [[5, 0, 7, 8], [5, 6, 7, 8], [5, 6, 7, 8]], "pad_token_id": 0}, "between its tokens"),
        ({"tokens": [[5, 6, 7, 0], [0, 6, 7, 8], [5, 6, 7, 8]], "pad_token_id": 0}, "at the left of some rows"),
        ({"tokens": [[1, 2], [3, 4]]}, r"tokens must be \(3, 4\)"),
        ({"tokens": RIGHT, "tokenized": _texts([[1], [2], [3]])}, "at neither edge"),
        ({"tokens": [[5, 5, 5, 5]] * 3, "tokenized": _texts([[5], [5], [5]])}, "at either edge"),
        ({"tokenized": _texts(RIGHT)}, "so that some are padding"),
        ({"attention_mask": np.ones((3, 3))}, r"attention_mask must be \(3, 4\)"),
        ({"attention_mask": np.where(np.array(RIGHT) != 0, 0.0, -1e9)}, "1 for real tokens and 0 for padding"),
        ({"attention_mask": [[1, 0, 1, 1], [1] * 4, [1] * 4]}, "row 0 must be one run"),
        ({"attention_mask": [[0] * 4, [1] * 4, [1] * 4]}, "row 0 must be one run"),
        ({"attention_mask": np.ones((3, 4)), "tokenized": _texts(RIGHT)}, "as many tokens as the row has real ones"),
    ],
)
def test_what_stays_open_is_refused(said, message) -> None:
    with pytest.raises(ValueError, match=message):
        real_tokens(3, 4, **said)
