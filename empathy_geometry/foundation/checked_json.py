"""JSON that knows its own checksum."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def dump_checked(content: Mapping[str, Any], *, indent: int | None = None) -> str:
    """JSON with a SHA-256 of its content under the key "sha256".

    Example:
        >>> load_checked(dump_checked({"a": 1}))
        {'a': 1}
    """
    return json.dumps(
        {**content, "sha256": content_sha256(content)}, indent=indent, ensure_ascii=False, allow_nan=False
    )


def load_checked(text: str | bytes) -> dict[str, Any]:
    """What `dump_checked` was given.

    Raises:
        ValueError: the text is not whole.
    """
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not complete JSON ({type(error).__name__}: {error})") from error
    if not isinstance(content, dict) or content.pop("sha256", None) != content_sha256(content):
        raise ValueError("the content does not fit its checksum")
    return content


def content_sha256(content: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON object, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
