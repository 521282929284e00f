"""Position options: which tokens each reads, with known answers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from empathy_geometry.activations.positions import check_position, n_slots, pooling_weights, position_name, token_slots
from empathy_geometry.models.tokens import TokenizedText

PLAIN = TokenizedText(tuple(range(10)), start=4, stop=10)
CHAT = TokenizedText(tuple(range(12)), start=7, stop=10, prompt=(2, 4))


def _read(text: TokenizedText, position: object) -> list[list[int]]:
    return [list(slot) for slot in token_slots(text, position)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("position", "plain", "chat"),
    [
        ("last", [[9]], [[9]]),
        ("mean", [list(range(1, 10))], [[2, 3, 7, 8, 9]]),
        ("response_mean", [[4, 5, 6, 7, 8, 9]], [[7, 8, 9]]),
        (0, [[0]], [[2]]),
        (4, [[4]], [[9]]),
        (-1, [[9]], [[9]]),
        (-5, [[5]], [[2]]),
        (np.int64(1), [[1]], [[3]]),
        (lambda text: text.start, [[4]], [[7]]),
        (lambda text: [0, len(text) - 1, 0], [[0, 9]], [[0, 11]]),
        (lambda text: -2, [[8]], [[8]]),
    ],
)
def test_known_answers(position: object, plain: list[list[int]], chat: list[list[int]]) -> None:
    assert _read(PLAIN, position) == plain
    assert _read(CHAT, position) == chat


def test_quartiles_cut_the_response_into_four() -> None:
    assert _read(PLAIN, "response_quartiles") == [[4, 5], [6], [7], [8, 9]]
    assert n_slots("response_quartiles") == 4


@given(start=st.integers(0, 5), length=st.integers(1, 40))
def test_quartiles_cover_a_response_of_four_or_more_once(start: int, length: int) -> None:
    text = TokenizedText(tuple(range(start + length)), start, start + length)
    slots = _read(text, "response_quartiles")
    first = max(start, 1) if start + length > 1 else start
    assert len(slots) == 4
    assert all(slots)
    if length - (first - start) >= 4:
        assert [i for slot in slots for i in slot] == list(range(first, start + length))
        assert max(map(len, slots)) - min(map(len, slots)) <= 1


def test_means_leave_out_position_0_unless_it_is_alone() -> None:
    text = TokenizedText((1, 2, 3), start=0, stop=3)
    assert _read(text, "mean") == [[1, 2]]
    assert _read(text, "response_mean") == [[1, 2]]
    alone = TokenizedText((1,), start=0, stop=1)
    for position in ("last", "mean", "response_mean"):
        assert _read(alone, position) == [[0]]
    assert _read(alone, "response_quartiles") == [[0]] * 4


def test_weights_of_each_slot_sum_to_one() -> None:
    for position in ("last", "mean", "response_mean", "response_quartiles", 3, lambda text: [2, 2, 3]):
        weights = pooling_weights([PLAIN, CHAT], position, 15)
        assert weights.shape == (2, n_slots(position), 15)
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, n_slots(position)))
        assert not weights[..., 12:].any()


@pytest.mark.parametrize("position", [10, -11, lambda text: 99, lambda text: [], lambda text: -40])
def test_outside_the_text(position: object) -> None:
    with pytest.raises(ValueError, match="position"):
        token_slots(PLAIN, position)  # type: ignore[arg-type]


@pytest.mark.parametrize("position", ["first", True, 1.5, None])
def test_unknown_options(position: object) -> None:
    with pytest.raises(ValueError, match="position must be one of 'last', 'mean'"):
        check_position(position)  # type: ignore[arg-type]


def test_names() -> None:
    def second_word(text: TokenizedText) -> int:
        return 2

    assert position_name(second_word) == "second_word"
    assert position_name(-1) == "-1"
