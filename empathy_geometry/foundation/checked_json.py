"""JSON read with named errors, and JSON that knows its own checksum."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

MOST_NESTED = 100
"""Lists and objects inside each other that a file may have; ours have fewer than twenty."""


def parse_json(text: str | bytes, source: str, *, one_line: bool = False) -> Any:
    """What a JSON text holds; the one way in which the package reads JSON that it did not just write.

    Args:
        text: The JSON, as text or UTF-8.
        source: What errors call it, such as the path.
        one_line: Leave the line out of errors, where `source` names it.

    Raises:
        ValueError: not UTF-8, not complete JSON (names line and column), a key twice in one object, a number of too
            many digits, more than `MOST_NESTED` levels, or half a surrogate pair in a string.

    Example:
        >>> parse_json('{"a": [1]}', "mine.json")
        {'a': [1]}
    """
    try:
        given = text.decode("utf-8") if isinstance(text, bytes) else text
        content = json.loads(given, object_pairs_hook=_without_repeated_keys)
    except UnicodeDecodeError as error:
        raise ValueError(f"{source} is not complete JSON: byte {error.start} is not UTF-8") from error
    except json.JSONDecodeError as error:
        at = f"column {error.colno}" if one_line else f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"{source} is not complete JSON: {error.msg} at {at}") from error
    except RecursionError as error:
        raise ValueError(_nested_too_deeply(source)) from error
    except ValueError as error:
        # A repeated key, or more digits than Python turns into a number.
        raise ValueError(f"{source}: {error}") from error
    if _depth(content) > MOST_NESTED:
        raise ValueError(_nested_too_deeply(source))
    # Only an escape can bring half a pair into text that was UTF-8; text that was not bytes may hold it as it is.
    if "\\ud" in given.lower() or not isinstance(text, bytes):
        try:
            json.dumps(content, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(
                f"{source} holds half a surrogate pair in a string and cannot be written as UTF-8; look for cut emoji"
            ) from error
    return content


def plain_number(value: object) -> object:
    """Numpy's integers, floats and booleans as Python's, for `json.dumps(default=...)`.

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(value, np.integer | np.floating | np.bool_):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON, got {str(value)[:80]!r}")


def dump_checked(content: Mapping[str, Any], *, indent: int | None = None) -> str:
    """JSON with a SHA-256 of its content under the key "sha256".

    Raises:
        ValueError: a number is not finite, which JSON cannot hold, or there is a key "sha256" already.

    Example:
        >>> load_checked(dump_checked({"a": 1}))
        {'a': 1}
    """
    if "sha256" in content:
        raise ValueError("content must not have a key 'sha256' of its own: it is where the checksum stands")
    signed = {**content, "sha256": content_sha256(content)}
    return json.dumps(signed, indent=indent, ensure_ascii=False, allow_nan=False, default=plain_number)


def load_checked(text: str | bytes) -> dict[str, Any]:
    """What `dump_checked` was given.

    Raises:
        ValueError: the text is not whole.
    """
    content = parse_json(text, "the content")
    if not isinstance(content, dict) or content.pop("sha256", None) != content_sha256(content):
        raise ValueError("the content does not fit its checksum")
    return content


def read_checked(path: Path, form: str, advice: str) -> dict[str, Any]:
    """What a file of one format holds, which `dump_checked` made.

    Args:
        path: The file.
        form: What it must say under "format".
        advice: What errors tell the reader to do.

    Raises:
        ValueError: it is damaged or half-written, or of another format; names the file.
    """
    try:
        content = load_checked(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is damaged or half-written ({error}); {advice}") from error
    found = content.pop("format", None)
    if found != form:
        raise ValueError(
            f"{path} is of format {found!r}, this version of empathy_geometry reads {form!r}; {advice}, or use the "
            f"version that wrote it"
        )
    return content


def content_sha256(content: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON object, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=plain_number).encode()).hexdigest()


def _without_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise ValueError(f"an object (id {fields.get('id')!r}) has the key(s) {twice} more than once")
    return fields


def _depth(content: Any) -> int:
    """How many lists and objects are inside each other; without recursion, which is what deep nesting breaks."""
    depth, level = 0, [content] if isinstance(content, dict | list) else []
    while level and depth <= MOST_NESTED:
        depth += 1
        level = [
            item
            for holder in level
            for item in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(item, dict | list)
        ]
    return depth


def _nested_too_deeply(source: str) -> str:
    return f"{source} is nested too deeply: more than {MOST_NESTED} lists or objects inside each other"
