"""Names of classes, scenarios, contexts and the like: one form for each, and an error where one is missing.

Whatever a user has for a name (a string, a whole number of any type, a boolean, a date) is brought into one form, so
that the same scenario is never on both sides of a fold because it was written in two ways:

* Strings are put into Unicode's composed form (NFC), lose invisible characters, and lose blanks at the ends and all
  but one between words. Control characters and half surrogate pairs are refused.
* Whole numbers are integers, also when pandas holds them as floats: 7, 7.0 and numpy.int64(7) are one name, which
  beside strings is "7". Other floats are measurements and are refused.
* Booleans are names of their own; beside other names in one column they are refused.
* Names that differ but look the same ("7" and "7.0" as strings, a joiner inside a word) are refused where they meet.
* None, NaN, NaT, pandas.NA, masked entries, blank strings and the strings by which numpy and pandas write a missing
  value ("nan", "NaN", "NaT", "<NA>") are missing. So is -1 beside 0 with nothing below it: Hugging Face's "no label"
  and pandas' code of a missing category. -1 beside 1 alone is a class.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from numbers import Integral, Real
from typing import Any, TypeAlias
from uuid import UUID

import numpy as np
from torch import Tensor

Name: TypeAlias = bool | int | str
"""The one form of a name."""

_WRITTEN_AS_MISSING = frozenset({"nan", "NaN", "NaT", "<NA>"})
_JOINERS = "\u200c\u200d"
# Emoji flags of regions are spelled with tags, and some scripts and emoji with joiners: names lose them at the ends
# only, and names that differ in nothing else are refused where they meet.
_KEPT = frozenset(_JOINERS) | {chr(c) for c in range(0xE0020, 0xE0080)}
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u200c\u200d\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_WHOLE_FLOAT = re.compile(r"(-?[0-9]+)\.0*")
_MOST_EXACT = 2.0**53


def name_column(values: Sequence[object], what: str) -> np.ndarray:
    """Names in their one form: an array [n] of booleans, of integers or of strings.

    Args:
        values: One name for each row.
        what: What errors call them.

    Raises:
        TypeError: a value is of a type that is no name.
        ValueError: a name is missing (names the rows), no name, or looks like another.

    Example:
        >>> name_column([1.0, 2, "b"], "groups").tolist(), name_column(["cafe\u0301", "caf\u00e9 "], "groups").tolist()
        (['1', '2', 'b'], ['café', 'café'])
    """
    rows = [i for i, value in enumerate(values) if is_missing(value)]
    if rows:
        raise ValueError(missing_rows(what, rows, len(values)))
    names = [_one_name(value, f"{what}, row {i},") for i, value in enumerate(values)]
    kinds = {type(name) for name in names}
    if bool in kinds:
        if len(kinds) > 1:
            other = next(i for i, name in enumerate(names) if type(name) is not bool)
            raise ValueError(
                f"{what} mixes booleans with other names (row {other} is {names[other]!r}), so that True and 1 could "
                f"be one name or two; give all of them as booleans, or all as strings"
            )
        return np.array(names, dtype=bool)
    if kinds == {int} and all(-(2**63) <= int(name) < 2**63 for name in names):
        array = np.array(names, dtype=np.int64)
    else:
        array = np.array([str(name) for name in names], dtype=np.str_)
        _refuse_look_alikes([str(name) for name in names], what)
    refuse_no_label(array, what)
    return array


def string_column(values: np.ndarray, what: str) -> np.ndarray:
    """`name_column` of an array of strings: the array itself where all are in the one form already."""
    given = values.tolist()
    try:
        changed = any(_string_name(text) != text for text in dict.fromkeys(given))
    except ValueError:
        changed = True
    if changed:
        return name_column(given, what)
    _refuse_look_alikes(given, what)
    refuse_no_label(values, what)
    return values


def as_name(value: object, what: str) -> Name:
    """One name in its one form.

    Raises:
        TypeError: `value` is of a type that is no name.
        ValueError: it is missing, or no name.

    Example:
        >>> as_name(7.0, "group"), as_name("joy ", "label"), as_name(np.bool_(True), "label")
        (7, 'joy', True)
    """
    if is_missing(value):
        raise ValueError(f"{what} is missing (got {value!r}); give a name")
    return _one_name(value, what)


def check_text(text: object, what: str) -> None:
    """Raise unless `text` is a string that can be written as UTF-8.

    Raises:
        TypeError: no string.
        ValueError: it holds half a surrogate pair.
    """
    if not isinstance(text, str):
        raise TypeError(f"{what} must be a string, got {type(text).__name__}")
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise ValueError(f"{what} holds half a surrogate pair and is not valid UTF-8; look for cut emoji")


def as_texts(texts: object, what: str = "texts") -> tuple[str, ...]:
    """Texts from a sequence of strings, each one that can be written as UTF-8.

    Raises:
        TypeError: one string, no sequence, or something in it that is no string.
        ValueError: half a surrogate pair in one of them.

    Example:
        >>> as_texts(["one", "two"])
        ('one', 'two')
    """
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise TypeError(f"{what} must be a sequence of strings, got {type(texts).__name__}; try [text]")
    found = tuple(texts)
    for i, text in enumerate(found):
        check_text(text, f"{what}[{i}]")
    return found


def is_missing(value: object) -> bool:
    """Whether a value stands for a missing one, in Python, numpy, pandas or as written by them."""
    if value is None or value is np.ma.masked or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, Decimal):
        return value.is_nan()
    if isinstance(value, float | np.floating | np.datetime64 | np.timedelta64):
        return bool(value != value)
    if isinstance(value, Tensor | np.ndarray) and value.ndim == 0:
        return is_missing(value.item())
    return isinstance(value, str) and _is_missing_string(str.__str__(value))


def missing_rows(what: str, rows: Sequence[int], n: int) -> str:
    """What the error says of missing names."""
    shown = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
    return (
        f"{what} has a missing entry in {len(rows)} of {n} rows (row {shown}), which is no name of its own: fill it "
        f"in, or drop these rows (of a DataFrame: frame.dropna())"
    )


def refuse_no_label(array: np.ndarray, what: str) -> None:
    """Raise if -1 stands beside 0 with nothing below it: by convention no class but a missing one."""
    if array.dtype.kind == "U":
        distinct = set(array.tolist())
        if not {"-1", "0"} <= distinct or any(re.fullmatch(r"-[0-9]+", name) and name != "-1" for name in distinct):
            return
        rows = np.flatnonzero(array == "-1")
    elif array.dtype.kind != "i" or not array.size or array.min() != -1 or not (array == 0).any():
        return
    else:
        rows = np.flatnonzero(array == -1)
    shown = ", ".join(map(str, rows[:5].tolist())) + (", ..." if len(rows) > 5 else "")
    raise ValueError(
        f"{what} is -1 beside 0 in {len(rows)} of {len(array)} rows (row {shown}), by which Hugging Face and pandas "
        f"mean a missing value; drop these rows, or, if -1 is a class, give the classes names such as 'negative'"
    )


def refuse_shared_look_alikes(columns: Mapping[str, np.ndarray]) -> None:
    """Raise if columns of strings that name the same things hold names that differ but look the same."""
    _refuse_look_alikes([name for column in columns.values() for name in column.tolist()], " and ".join(columns))


def _one_name(value: Any, where: str) -> Name:
    if isinstance(value, str):
        try:
            return _string_name(str.__str__(value))
        except ValueError as error:
            raise ValueError(f"{where} {error}") from None
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, Integral) and not isinstance(value, np.timedelta64):
        return int(value)
    if isinstance(value, Tensor | np.ndarray):
        if value.ndim == 0:
            return _one_name(value.item(), where)
        raise ValueError(f"{where} must be one name, got an array of shape {tuple(value.shape)}")
    if isinstance(value, Real | Decimal):
        if not float(value).is_integer():
            raise ValueError(f"{where} must be a name, got the number {value}; names are strings or whole numbers")
        if isinstance(value, float | np.floating) and abs(value) >= _MOST_EXACT:
            raise ValueError(f"{where} is {value}, which a float does not hold to the last digit; read it as a string")
        return int(float(value)) if isinstance(value, Real) else int(value)
    if isinstance(value, date | np.datetime64):
        return _date_name(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes):
        raise TypeError(f"{where} must be a string, got bytes {value[:20]!r}; try value.decode('utf-8')")
    if isinstance(value, list | tuple):
        raise ValueError(f"{where} must be one name, got a {type(value).__name__} of {len(value)}; join them to one")
    raise TypeError(f"{where} must be a string, a whole number, a boolean or a date, got {type(value).__name__}")


@lru_cache(maxsize=1 << 16)
def _string_name(text: str) -> str:
    """The one form of a string; a ValueError says what it is that cannot be in a name."""
    if text in _WRITTEN_AS_MISSING:
        raise ValueError(f"is {text!r}, by which a missing value is written")
    if not (text.isascii() and text.isprintable()):
        for c in text:
            if "\ud800" <= c <= "\udfff":
                raise ValueError(f"holds half a surrogate pair ({_shown(text)}); look for cut emoji")
        composed = unicodedata.normalize("NFC", text)
        text = "".join(c for c in composed if unicodedata.category(c) != "Cf" or c in _KEPT)
    name = " ".join(text.split()).strip(" " + _JOINERS)
    if not name:
        raise ValueError("is blank")
    if any(unicodedata.category(c) == "Cc" for c in name):
        raise ValueError(f"holds a control character ({_shown(name)}); take it out")
    return name


@lru_cache(maxsize=1 << 16)
def _is_missing_string(text: str) -> bool:
    if text.isascii():
        return text in _WRITTEN_AS_MISSING or not text.strip()
    # A string of blanks and invisible characters names nothing.
    return not _UNSEEN.sub("", "".join(c for c in text if unicodedata.category(c) != "Cf")).strip()


def _date_name(value: date | np.datetime64) -> str:
    """ISO 8601, without a time of day where it is midnight, whether it came from Python, numpy or pandas."""
    moment = value.astype("datetime64[us]").item() if isinstance(value, np.datetime64) else value
    if isinstance(moment, datetime) and moment.tzinfo is None and moment.time() == time():
        moment = moment.date()
    return str(moment.isoformat())


def _refuse_look_alikes(names: Sequence[str], what: str) -> None:
    seen: dict[str, str] = {}
    for name in dict.fromkeys(names):
        other = seen.setdefault(_look(name), name)
        if other != name:
            raise ValueError(
                f"{what} holds {other!a} (row {names.index(other)}) and {name!a} (row {names.index(name)}), which look "
                f"the same; write one name in one way"
            )


@lru_cache(maxsize=1 << 16)
def _look(name: str) -> str:
    if name.isascii():
        whole = _WHOLE_FLOAT.fullmatch(name)
        return whole[1] if whole else name
    return _UNSEEN.sub("", name)


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 40 else text[:37] + "...")
