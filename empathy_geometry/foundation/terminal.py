"""Text for terminals: what a terminal would obey is shown instead."""

import unicodedata
from collections.abc import Callable
from functools import wraps
from typing import TypeVar

T = TypeVar("T")

_DIRECTION_MARKS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_KEPT = frozenset("\n\t")


def terminal_text(text: str) -> str:
    r"""The text with control characters, marks of writing direction and half surrogate pairs written as escapes.

    Texts, names of models and results of others reach the screen through tables. Line feeds and tabs stay.

    Example:
        >>> print(terminal_text("a \x1b[31mred\x1b[0m b"))
        a \x1b[31mred\x1b[0m b
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c.encode("unicode_escape").decode() if _is_obeyed(c) else c for c in text)


def printable(method: Callable[[T], str]) -> Callable[[T], str]:
    """For `__str__` and `__repr__` of every class: the text that they make goes through `terminal_text`."""

    @wraps(method)
    def shown(self: T) -> str:
        return terminal_text(method(self))

    return shown


def _is_obeyed(c: str) -> bool:
    if c in _KEPT:
        return False
    return unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in _DIRECTION_MARKS
