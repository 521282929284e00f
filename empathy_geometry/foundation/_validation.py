"""Checks at the public edge: each error says what was expected, what came and what to try."""

from collections.abc import Iterable, Mapping, Sequence, Set
from numbers import Integral
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from empathy_geometry.foundation._types import ArrayLike, FloatArray, LabelsLike, Layer
from empathy_geometry.foundation.names import (
    as_name,
    name_column,
    refuse_no_label,
    refuse_shared_look_alikes,
    string_column,
)


def to_numpy(x: Any) -> Any:
    """A numpy view of a tensor (on any device, any float width), or of anything array-like."""
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        return (x.float() if x.dtype in (torch.bfloat16, torch.float16) else x).numpy()
    return np.asarray(x)


def as_float_array(x: ArrayLike, name: str, *, ndim: int | Sequence[int]) -> FloatArray:
    """`x` as a finite float64 array with one of the given numbers of axes.

    Raises:
        TypeError: `x` does not hold numbers.
        ValueError: `x` is empty, not finite or has another number of axes.
    """
    given = to_numpy(x)
    if given.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got dtype {given.dtype}; try float32")
    array: FloatArray = given.astype(np.float64)
    allowed = (ndim,) if isinstance(ndim, int) else tuple(ndim)
    if array.ndim not in allowed:
        wanted = " or ".join(str(k) for k in allowed)
        raise ValueError(f"{name} must have {wanted} axes, got shape {tuple(array.shape)}")
    if array.size == 0:
        raise ValueError(f"{name} is empty, shape {tuple(array.shape)}")
    if not np.isfinite(array).all():
        rows = np.unique(np.argwhere(~np.isfinite(array))[:, 0])
        raise ValueError(
            f"{name} must be finite, got NaN or infinity in {len(rows)} of {len(array)} rows "
            f"(first: row {rows[0]}); look for empty texts or an overflow in half precision"
        )
    return array


def as_matrix(x: ArrayLike, name: str, *, d_model: int | None = None) -> FloatArray:
    """`x` as a finite float64 array [n, d_model]."""
    array = as_float_array(x, name, ndim=2)
    if d_model is not None and array.shape[1] != d_model:
        raise ValueError(f"{name} must be [n, {d_model}], got {tuple(array.shape)}; do both come from one model?")
    return array


def as_names(x: LabelsLike, name: str, n: int | None = None) -> np.ndarray:
    """`x` as an array [n] of labels or group names in their one form (see `foundation.names`), none of them missing.

    The one door for names: whatever takes labels, groups, predictions or other names of rows passes them through here.

    Returns:
        Booleans, integers or strings.

    Raises:
        TypeError: `x` is not a column, or holds what is no name.
        ValueError: another number of rows than `n`, a missing name (the message names its rows), numbers that are not
            whole, booleans beside other names, or names that differ but look the same.
    """
    given = _column(x, name)
    shape = given.shape if isinstance(given, np.ndarray) else (len(given),)
    if len(shape) != 1 or (n is not None and shape[0] != n):
        rows = "each row" if n is None else f"each of {n} rows"
        raise ValueError(f"{name} must have one entry for {rows}, got shape {tuple(shape)}")
    if not shape[0]:
        raise ValueError(f"{name} is empty; give one name for each row")
    if not isinstance(given, np.ndarray):
        return name_column(given, name)
    if given.dtype.kind in "biu":
        refuse_no_label(given, name)
        return given
    return string_column(given, name) if given.dtype.kind == "U" else name_column(list(given), name)


def _column(x: object, name: str) -> np.ndarray | list[object]:
    """An array of numpy's own types, or a list of whatever objects: missing values must be seen before conversion."""
    if isinstance(x, Tensor):
        x = to_numpy(x)
    if not isinstance(x, Iterable) and hasattr(x, "__array__") and not isinstance(x, np.generic):
        x = np.asarray(x)
    if isinstance(x, np.ma.MaskedArray) and x.ndim == 1:
        return [None if masked else value for value, masked in zip(x.data, np.ma.getmaskarray(x), strict=True)]
    if isinstance(x, str | bytes | Mapping | Set) or not isinstance(x, Iterable):
        raise TypeError(
            f"{name} must be a list, array, tensor or pandas Series with one entry for each row, got "
            f"{type(x).__name__} {str(x)[:40]!r}"
        )
    if hasattr(x, "to_pylist"):
        # Arrow's columns, whose items are objects of its own.
        return list(x.to_pylist())
    if getattr(x, "ndim", 1) != 1 or isinstance(getattr(x, "dtype", None), np.dtype):
        # A frame, an array of any shape, or a Series of one of numpy's types.
        array: np.ndarray = np.asarray(x)
        return array
    return list(x)


def as_binary(x: LabelsLike, name: str, n: int) -> np.ndarray:
    """`x` as booleans with both classes present; 0 and 1, or -1 and 1, count as False and True."""
    array = as_names(x, name, n)
    values = np.unique(array).tolist()
    if array.dtype.kind == "b":
        binary = array
    elif {str(v) for v in values} <= {"0", "1"} or {str(v) for v in values} == {"-1", "1"}:
        binary = array.astype(str) == "1"
    else:
        raise ValueError(f"{name} must be booleans or 0/1, got values {values[:5]}; try labels == 'the positive class'")
    if binary.all() or not binary.any():
        raise ValueError(f"{name} must hold both classes, got only {bool(binary[0])} in {n} rows")
    return binary


def as_groups(groups: LabelsLike | None, n: int) -> np.ndarray:
    """Group index of each row, 0..n_groups-1; None makes every row a group of its own."""
    if groups is None:
        return np.arange(n)
    return np.unique(as_names(groups, "groups", n), return_inverse=True)[1].reshape(-1)


def shared_names(columns: Mapping[str, LabelsLike], sizes: Sequence[int]) -> list[np.ndarray]:
    """Columns that name the same things (predictions and labels, the scenarios of two sets), in one form for all.

    Args:
        columns: By what errors call them.
        sizes: Rows of each.

    Raises:
        TypeError: see `as_names`.
        ValueError: see `as_names`; or booleans in one column beside other names than 0 and 1 in another.
    """
    arrays = {name: as_names(x, name, n) for (name, x), n in zip(columns.items(), sizes, strict=True)}
    kinds = {array.dtype.kind.replace("u", "i") for array in arrays.values()}
    if len(kinds) > 1 and "b" in kinds:
        numbers = [np.asarray(a.astype(np.int64)) if a.dtype.kind in "biu" else a for a in arrays.values()]
        if "U" in kinds or not all(np.isin(a, (0, 1)).all() for a in numbers):
            boolean = next(name for name, a in arrays.items() if a.dtype.kind == "b")
            raise ValueError(f"{boolean} holds booleans and {' and '.join(arrays.keys() - {boolean})} other names")
        return numbers
    if kinds != {"i"} and kinds != {"b"}:
        arrays = {name: array.astype(str) for name, array in arrays.items()}
        refuse_shared_look_alikes(arrays)
    return list(arrays.values())


def class_name(column: np.ndarray, value: object, what: str, among: str = "the classes") -> str:
    """The name that a value of the caller's has in a column; errors as in `rows_named`."""
    return str(column[rows_named(column, value, what, among)][0])


def rows_named(column: np.ndarray, value: object, what: str, among: str = "the classes") -> np.ndarray:
    """Which rows of a column of names (as `as_names` gives it) have this name, [n] booleans, at least one of them True.

    Raises:
        TypeError: `value` is of a type that is no name.
        ValueError: `value` is missing, or no row has it.
    """
    name = as_name(value, what)
    if column.dtype.kind == "b" and name in (0, 1):
        found = column == bool(name)
    else:
        if column.dtype.kind in "iu" and isinstance(name, bool):
            name = int(name)
        found = column.astype(str) == str(name)
    if not found.any():
        shown = [str(v) for v in np.unique(column)[:8]]
        raise ValueError(f"{what}={value!r} does not occur among {among} {shown}")
    return np.asarray(found)


def count_or_auto(value: object, name: str) -> int | Literal["auto"]:
    """A positive whole number, or "auto"; else ValueError."""
    if isinstance(value, str) and value == "auto":
        return "auto"
    number = whole_number(value)
    if number is None or number < 1:
        raise ValueError(f"{name} must be a positive int or 'auto', got {value!r}")
    return number


def whole_number(value: object) -> int | None:
    """The int that a value is: Python's own, numpy's, or a tensor or array of one integer; None for anything else.

    Booleans and floats are no whole numbers, not even 1.0.

    Example:
        >>> whole_number(np.argmax([0, 2, 1])), whole_number(torch.tensor(3)), whole_number(True), whole_number(1.0)
        (1, 3, None, None)
    """
    if isinstance(value, bool | np.bool_ | np.timedelta64):
        return None
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Tensor | np.ndarray) and value.ndim == 0 and to_numpy(value).dtype.kind in "iu":
        return int(value)
    return None


def as_layer(value: object, name: str = "layer") -> Layer:
    """A layer in its one form: "embed" or an int, whatever kind of integer came.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, str) and value == "embed":
        return "embed"
    number = whole_number(value)
    if number is None:
        raise ValueError(f"{name} must be 'embed' or the index of a layer, got {value!r}")
    return number


def as_layers(value: object, name: str = "layers") -> tuple[Layer, ...]:
    """One or several layers (a list, a range, an array, a tensor) as a tuple, each named once.

    Raises:
        ValueError: there are none, one is no layer, or one is named twice.

    Example:
        >>> as_layers(np.int64(3)), as_layers(torch.arange(2)), as_layers(["embed", 5])
        ((3,), (0, 1), ('embed', 5))
    """
    several = not isinstance(value, str) and isinstance(value, Iterable) and getattr(value, "ndim", 1) > 0
    given: list[object] = list(value) if several and isinstance(value, Iterable) else [value]
    chosen = tuple(as_layer(layer, name) for layer in given)
    if not chosen or len(set(chosen)) != len(chosen):
        raise ValueError(f"{name} must name at least one layer, and each once, got {list(chosen)}")
    return chosen


def check_choice(value: object, name: str, allowed: Sequence[object]) -> None:
    """Raise ValueError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}")


def as_generator(seed: int) -> np.random.Generator:
    """A numpy generator from a seed.

    None and generators are refused: a result that cannot be repeated from what it records is not a result.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise TypeError(f"seed must be a whole number, got {type(seed).__name__}; try seed=0")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}; try seed=0")
    return np.random.default_rng(seed)
