"""Graded targets of texts: named columns of numbers, one number for each text."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from empathy_geometry.foundation._types import FloatArray
from empathy_geometry.foundation._validation import as_float_array
from empathy_geometry.foundation.names import as_name, is_missing

Targets = Mapping[str, FloatArray]


def as_targets(given: Mapping[str, Any] | None, n: int) -> Targets | None:
    """The columns as finite float64 arrays [n] that nobody can change; None or no columns give None.

    Args:
        given: Columns of numbers by name.
        n: Number of texts.

    Raises:
        TypeError: not a mapping, or a column does not hold numbers.
        ValueError: a column has another length, a value is missing or not finite, or a name is blank.

    Example:
        >>> as_targets({"empathy": [1, 4.5]}, 2)["empathy"].tolist()
        [1.0, 4.5]
    """
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise TypeError(f"targets must be columns by name, got {type(given).__name__}; try {{'empathy': [...]}}")
    columns: dict[str, FloatArray] = {}
    for name, values in given.items():
        known = str(as_name(name, "the name of a target"))
        column = as_float_array(values, f"targets[{known!r}]", ndim=1).copy()
        if len(column) != n:
            raise ValueError(f"targets[{known!r}] must have one number for each of {n} texts, got {len(column)}")
        column.flags.writeable = False
        columns[known] = column
    return columns or None


def joined_targets(parts: Sequence[Targets | None]) -> Targets | None:
    """The columns that every part has, one part after the other; None where there is no such column."""
    if any(part is None for part in parts):
        return None
    known = [part for part in parts if part is not None]
    shared = [name for name in known[0] if all(name in part for part in known)]
    return {name: np.concatenate([part[name] for part in known]) for name in shared} or None


def target_of(targets: Targets | None, name: str) -> FloatArray:
    """One column by name.

    Raises:
        ValueError: there is no such column.
    """
    known = MappingProxyType({}) if targets is None else targets
    if name not in known:
        there = f"there are {sorted(known)}" if known else "these rows have none; see LabeledTexts(..., targets=)"
        raise ValueError(f"target {name!r} is unknown; {there}")
    column: FloatArray = known[name]
    return column


def target_number(value: object, where: str) -> float:
    """A number as a table or JSON holds it.

    Raises:
        ValueError: it is missing, or no finite number; names the row.

    Example:
        >>> target_number("4.5", "row 0: 'empathy'")
        4.5
    """
    try:
        number = float("nan") if is_missing(value) or isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = float("nan")
    if not np.isfinite(number):
        raise ValueError(f"{where} must be a finite number, got {value!r}; leave out rows that have no rating")
    return number
