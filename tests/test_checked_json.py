"""Checked JSON: any change of content is noticed."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empathy_geometry.foundation.checked_json import MOST_NESTED, content_sha256, dump_checked, load_checked, parse_json

CONTENT = {"b": [1, None, 0.5], "a": {"é": "ü"}}


def test_round_trip() -> None:
    assert load_checked(dump_checked(CONTENT)) == CONTENT
    assert load_checked(dump_checked(CONTENT, indent=2).encode()) == CONTENT


def test_the_order_of_keys_does_not_count() -> None:
    assert content_sha256(CONTENT) == content_sha256(dict(reversed(CONTENT.items())))


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b"\xff\xfe", b"null", b'{"a": 1}', b"[" * 100_000])
def test_not_whole(damaged: bytes) -> None:
    with pytest.raises(ValueError, match=r"not complete JSON|does not fit its checksum|nested too deeply"):
        load_checked(damaged)


def test_a_changed_value() -> None:
    content = json.loads(dump_checked(CONTENT))
    with pytest.raises(ValueError, match="does not fit its checksum"):
        load_checked(json.dumps(content | {"b": [1, None, 0.25]}))


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_is_noticed_or_changes_nothing(at: int, bit: int) -> None:
    text = bytearray(dump_checked(CONTENT).encode())
    text[at % len(text)] ^= 1 << bit
    with contextlib.suppress(ValueError):
        assert load_checked(bytes(text)) == CONTENT


def test_no_number_that_json_lacks() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump_checked({"a": float("nan")})


@pytest.mark.parametrize("n", [MOST_NESTED + 1, 300, 3000, 200_000])
@pytest.mark.parametrize(("left", "right"), [("[", "]"), ('{"a":', "}")])
def test_deep_nesting_has_a_name(n: int, left: str, right: str) -> None:
    with pytest.raises(ValueError, match=r"^mine\.json is nested too deeply: more than 100"):
        parse_json(left * n + "1" + right * n, "mine.json")


def test_the_deepest_that_is_read() -> None:
    found = parse_json("[" * MOST_NESTED + "]" * MOST_NESTED, "mine.json")
    for _ in range(MOST_NESTED - 1):
        (found,) = found
    assert found == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', r"mine\.json: an object \(id None\) has the key\(s\) \['a'\] more than once"),
        ('{"a": "x\\ud800"}', "half a surrogate pair"),
        ('{"x\\udfff": 1}', "half a surrogate pair"),
        ('["\ud800"]', "half a surrogate pair"),
        (b'["\xff"]', "byte 2 is not UTF-8"),
        ('{"a": ' + "9" * 5000 + "}", r"mine\.json: Exceeds the limit"),
        ('{"a": 1', r"mine\.json is not complete JSON: .* at line 1, column 8"),
    ],
)
def test_what_is_wrong_is_said(text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text, "mine.json")


def test_whole_surrogate_pairs_are_read() -> None:
    assert parse_json('["\\ud83d\\ude00"]', "mine.json") == ["\U0001f600"]
