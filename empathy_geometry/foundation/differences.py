"""In words, where two nested descriptions of a run differ."""

from collections.abc import Mapping
from typing import Any


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Each entry that differs or stands on one side only, by its dotted name.

    Example:
        >>> differences({"seed": 1, "texts": {"n": 5}}, {"seed": 1, "texts": {"n": 6}})
        ['texts.n: 5 there, 6 now']
    """
    before, after = flattened(then), flattened(now)
    return [
        f"{key}: {_short(before.get(key))} there, {_short(after.get(key))} now"
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]


def flattened(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Entries of nested mappings by their dotted names.

    Example:
        >>> flattened({"a": {"b": 1}, "c": [2]})
        {'a.b': 1, 'c': [2]}
    """
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
