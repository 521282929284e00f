"""Checks at the public edge: each error says what was expected, what came and what to try."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from empathy_geometry.foundation._types import ArrayLike, FloatArray, LabelsLike, Seed


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


def as_names(x: LabelsLike, name: str, n: int) -> np.ndarray:
    """`x` as a one-dimensional array of n labels or group names, none of them missing."""
    array: np.ndarray = to_numpy(x)
    if array.dtype == object:
        if any(v is None or (isinstance(v, float) and np.isnan(v)) for v in array):
            raise ValueError(f"{name} has a missing entry; give every row a value")
        if all(isinstance(v, str) for v in array):
            array = array.astype(str)
    if array.ndim != 1 or len(array) != n:
        raise ValueError(f"{name} must have one entry for each of {n} rows, got shape {tuple(array.shape)}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name} has a missing entry (NaN); give every row a value")
    return array


def as_binary(x: LabelsLike, name: str, n: int) -> np.ndarray:
    """`x` as booleans with both classes present."""
    array = as_names(x, name, n)
    values = np.unique(array)
    if array.dtype.kind == "b":
        binary = array
    elif array.dtype.kind in "iuf" and set(values.tolist()) <= {0, 1}:
        binary = array.astype(bool)
    else:
        raise ValueError(
            f"{name} must be booleans or 0/1, got values {values[:5].tolist()}; try labels == 'the positive class'"
        )
    if binary.all() or not binary.any():
        raise ValueError(f"{name} must hold both classes, got only {bool(binary[0])} in {n} rows")
    return binary


def as_groups(groups: LabelsLike | None, n: int) -> np.ndarray:
    """Group index of each row, 0..n_groups-1; None makes every row a group of its own."""
    if groups is None:
        return np.arange(n)
    return np.unique(as_names(groups, "groups", n), return_inverse=True)[1].reshape(-1)


def check_choice(value: object, name: str, allowed: Sequence[object]) -> None:
    """Raise ValueError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}")


def as_rng(rng: Seed | None) -> np.random.Generator:
    """A numpy generator from a seed or a generator.

    None is refused: a result that cannot be repeated is not a result.
    """
    if rng is None:
        raise ValueError("rng must be a seed or a numpy Generator, got None; try rng=0")
    if isinstance(rng, bool) or not isinstance(rng, int | np.integer | np.random.Generator):
        raise TypeError(f"rng must be an int or a numpy Generator, got {type(rng).__name__}")
    return np.random.default_rng(rng)
