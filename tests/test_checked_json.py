"""Checked JSON: any change of content is noticed."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empathy_geometry.foundation.checked_json import content_sha256, dump_checked, load_checked

CONTENT = {"b": [1, None, 0.5], "a": {"é": "ü"}}


def test_round_trip() -> None:
    assert load_checked(dump_checked(CONTENT)) == CONTENT
    assert load_checked(dump_checked(CONTENT, indent=2).encode()) == CONTENT


def test_the_order_of_keys_does_not_count() -> None:
    assert content_sha256(CONTENT) == content_sha256(dict(reversed(CONTENT.items())))


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b"\xff\xfe", b"null", b'{"a": 1}', b"[" * 100_000])
def test_not_whole(damaged: bytes) -> None:
    with pytest.raises(ValueError, match=r"not complete JSON|does not fit its checksum"):
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
