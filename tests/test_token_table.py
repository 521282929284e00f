"""The token table holds what `tokenize` gives, cut after the last token read, and hashes it."""

from typing import Any

import numpy as np
import pytest

from empathy_geometry.activations import token_table
from empathy_geometry.activations.reading import ReadingDesign
from empathy_geometry.activations.token_table import TokenTable
from empathy_geometry.models.tokens import tokenize
from empathy_geometry.texts.labeled_texts import LabeledTexts

TEXTS = LabeledTexts(["abc I", "abc er", "I abc"], ["x", "y", "x"], ["g", "g", "h"], prompts=["abc", "abc", "I "])


def test_rows_are_tokenized_texts(tiny_llama: Any) -> None:
    table = TokenTable.build(tiny_llama, TEXTS, "mean")
    assert [table[i] for i in range(3)] == tokenize(tiny_llama, TEXTS)
    assert table.lengths.tolist() == [len(t) for t in tokenize(tiny_llama, TEXTS)]
    assert table.keys.tolist() == [0, 0, 1]


def test_a_chat_is_cut_after_the_last_token_read(tiny_llama: Any) -> None:
    whole = tokenize(tiny_llama, TEXTS, chat_template=True)
    table = TokenTable.build(tiny_llama, TEXTS, "last", ReadingDesign(chat_template=True))
    assert [len(table[i]) for i in range(3)] == [t.stop for t in whole]
    assert [table[i].prompt for i in range(3)] == [t.prompt for t in whole]
    marks = TokenTable.build(tiny_llama, TEXTS, lambda text: len(text) - 1, ReadingDesign(chat_template=True))
    assert [len(marks[i]) for i in range(3)] == [len(t) for t in whole]


def test_the_hash_tells_ids_and_positions_apart(tiny_llama: Any) -> None:
    build = TokenTable.build
    same = build(tiny_llama, TEXTS, "mean").sha256
    assert build(tiny_llama, TEXTS, "mean").sha256 == same
    others = [
        build(tiny_llama, TEXTS, "last"),
        build(tiny_llama, TEXTS, "mean", ReadingDesign(prepend_bos=False)),
        build(tiny_llama, TEXTS, "mean", ReadingDesign(chat_template=True)),
        build(tiny_llama, TEXTS[::-1], "mean"),
    ]
    assert len({same, *(o.sha256 for o in others)}) == 5


def test_texts_are_tokenised_in_chunks(tiny_llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = TokenTable.build(tiny_llama, TEXTS, "mean")
    monkeypatch.setattr(token_table, "_CHUNK", 2)
    chunked = TokenTable.build(tiny_llama, TEXTS, "mean")
    assert chunked.sha256 == whole.sha256
    assert np.array_equal(chunked.keys, whole.keys)
    long = LabeledTexts([*TEXTS.texts, "z" * 200], ["x"] * 4, list("abcd"))
    with pytest.raises(ValueError, match=r"in the texts from 2 on: text 1 has 201 tokens"):
        TokenTable.build(tiny_llama, long, "mean")


def test_a_position_outside_a_text_names_the_text(tiny_llama: Any) -> None:
    with pytest.raises(ValueError, match=r"text 0: position 5 lies outside.*begins 'abc I'"):
        TokenTable.build(tiny_llama, TEXTS, 5)
