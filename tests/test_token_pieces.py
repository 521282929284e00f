"""Pieces join to the decoded text, and characters that take several tokens stay whole."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import tiny_tokenizer
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from empathy_geometry.models.tokens import token_pieces

TOKENIZER = tiny_tokenizer()


def ids_of(text):
    return TOKENIZER(text, add_special_tokens=False)["input_ids"]


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\ufffd"), max_size=25))
def test_pieces_join_to_the_text(text):
    ids = ids_of(text)
    pieces = token_pieces(TOKENIZER, ids)
    assert len(pieces) == len(ids)
    assert "".join(pieces) == text


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 255), max_size=20))
def test_bytes_that_are_no_text_lose_no_token(ids):
    pieces = token_pieces(TOKENIZER, ids)
    assert len(pieces) == len(ids)
    assert set("".join(pieces)) - {"\ufffd"} <= set(TOKENIZER.decode(ids))


@pytest.mark.parametrize(("character", "n_bytes"), [("é", 2), ("难", 3), ("🙂", 4)])
def test_a_character_of_several_tokens_stands_at_its_last(character, n_bytes):
    pieces = token_pieces(TOKENIZER, ids_of(f"a{character}z"))
    assert pieces == ("a", *[""] * (n_bytes - 1), character, "z")


def test_a_cut_off_character_shows_as_a_replacement():
    assert token_pieces(TOKENIZER, ids_of("ok 🙂")[:-1])[-1] == "\ufffd"
    assert token_pieces(TOKENIZER, []) == ()


def test_special_tokens_are_shown():
    ids = [TOKENIZER.bos_token_id, *ids_of("ab")]
    assert token_pieces(TOKENIZER, ids) == ("<|im_start|>", "ab")


def test_the_space_that_a_decoder_drops_at_the_start_comes_back_inside():
    """As in Llama's tokenizer, whose decoder strips the first space of whatever it is given."""
    words = {"▁I": 0, "▁lost": 1, "▁my": 2, "job": 3, "<unk>": 4}
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner)
    assert token_pieces(tokenizer, [0, 1, 2, 3]) == ("I", " lost", " my", "job")
