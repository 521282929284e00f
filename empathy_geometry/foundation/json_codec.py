"""Results as what JSON knows, and back: the one way from objects to files and from files to objects."""

import types
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any, Literal, SupportsIndex, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor

T = TypeVar("T")

_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def to_json(value: Any) -> Any:
    """A result as its readers see it: objects by their `to_dict()`, a number that is not finite as None.

    Raises:
        TypeError: something that JSON has no form for.

    Example:
        >>> to_json({"a": np.float64("inf"), 2: (1.0, np.arange(2)), "c": Path("x")})
        {'a': None, '2': [1.0, [0, 1]], 'c': 'x'}
    """
    return _encoded(value, lossless=False)


def pack(value: Any) -> Any:
    """An object field by field, for `unpack` to make an equal one: nothing is left out or rounded.

    Raises:
        TypeError: something that JSON has no form for.

    Example:
        >>> pack({"a": float("inf"), "b": torch.tensor([0.5])})
        {'a': 'Infinity', 'b': {'dtype': 'float32', 'values': [0.5]}}
    """
    return _encoded(value, lossless=True)


def unpack(kind: type[T], content: Any) -> T:
    """An object of a dataclass from what `pack` gave, or from what `to_json` gave where that has every field.

    Keys that are no fields are passed over: results write derived numbers beside their fields. None for a float is
    NaN. A class whose `to_dict()` calls fields otherwise has a static method `json_fields(content)` that names them.

    Args:
        kind: The class.
        content: What JSON held.

    Raises:
        ValueError: a field is missing or of another type; says which.

    Example:
        >>> from empathy_geometry.foundation.estimate import Estimate
        >>> unpack(Estimate, {"value": 0.5, "low": None, "high": None, "n": 3}).n
        3
    """
    made: T = _decoded(kind, content, kind.__name__)
    return made


def _encoded(value: Any, *, lossless: bool) -> Any:
    if value is None or isinstance(value, str | bool):
        return str(value) if isinstance(value, np.str_) else value
    if isinstance(value, np.generic):
        return _encoded(value.item(), lossless=lossless)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if isfinite(value):
            return float(value)
        # JSON has no such numbers; readers get None, and what is taken up again gets back what it was.
        return str(value).replace("nan", "NaN").replace("inf", "Infinity") if lossless else None
    if isinstance(value, Tensor):
        values = _encoded(value.detach().cpu().tolist(), lossless=lossless)
        return {"dtype": str(value.dtype).removeprefix("torch."), "values": values} if lossless else values
    if isinstance(value, np.ndarray):
        return _encoded(value.tolist(), lossless=lossless)
    if isinstance(value, Mapping):
        return {str(key): _encoded(item, lossless=lossless) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encoded(item, lossless=lossless) for item in value]
    if isinstance(value, AbstractSet):
        return [_encoded(item, lossless=lossless) for item in sorted(value)]
    if isinstance(value, Path):
        return str(value)
    if not lossless and hasattr(value, "to_dict"):
        return _encoded(value.to_dict(), lossless=lossless)
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _encoded(getattr(value, f.name), lossless=lossless) for f in fields(value)}
    raise TypeError(f"a result cannot hold {type(value).__name__} as JSON: {value!r:.80}")


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _decoded(kind: Any, content: Any, name: str) -> Any:
    if kind is Any or kind is object:
        return content
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Union or origin is types.UnionType:
        return _one_of(inner, content, name)
    if origin is Literal:
        return content if content in inner else _refuse(name, f"one of {list(inner)}", content)
    if origin is np.ndarray or kind is np.ndarray:
        return _array(inner, content, name)
    if kind is Tensor or hasattr(kind, "array_type"):  # jaxtyping writes Float[Tensor, "n"]
        return _tensor(content, name)
    if origin is tuple:
        return _tuple(inner, content, name)
    if origin in (list, Sequence):
        items = content if isinstance(content, list) else _refuse(name, "a list", content)
        return [_decoded(inner[0], item, f"{name}[{i}]") for i, item in enumerate(items)]
    if origin in (dict, Mapping):
        given = content if isinstance(content, dict) else _refuse(name, "an object", content)
        return {_key(inner[0], key, name): _decoded(inner[1], item, f"{name}[{key!r}]") for key, item in given.items()}
    if isinstance(kind, type) and is_dataclass(kind):
        return _object(kind, content, name)
    return _plain(kind, content, name)


def _object(kind: type, content: Any, name: str) -> Any:
    if not isinstance(content, dict):
        return _refuse(name, f"the fields of {kind.__name__}", content)
    rename = getattr(kind, "json_fields", None)
    if rename is not None:
        content = rename(content)
    hints, given = _hints(kind), {}
    for f in fields(kind):
        if not f.init:
            continue
        if f.name in content:
            given[f.name] = _decoded(hints[f.name], content[f.name], f"{name}.{f.name}")
        elif f.default is MISSING and f.default_factory is MISSING:
            raise ValueError(f"{name} lacks {f.name!r}; it has {', '.join(content) or 'nothing'}")
    return kind(**given)


def _one_of(kinds: tuple[Any, ...], content: Any, name: str) -> Any:
    if content is None:
        return None if type(None) in kinds else _decoded(kinds[0], content, name)
    wrong: list[str] = []
    for kind in kinds:
        if kind is type(None):
            continue
        try:
            return _decoded(kind, content, name)
        except ValueError as error:
            wrong.append(str(error))
    raise ValueError("; or ".join(wrong))


def _tuple(inner: tuple[Any, ...], content: Any, name: str) -> tuple[Any, ...]:
    items = content if isinstance(content, list) else _refuse(name, "a list", content)
    if len(inner) == 2 and inner[1] is Ellipsis:
        inner = (inner[0],) * len(items)
    if len(inner) != len(items):
        return tuple(_refuse(name, f"{len(inner)} entries", content))
    return tuple(_decoded(k, item, f"{name}[{i}]") for i, (k, item) in enumerate(zip(inner, items, strict=True)))


def _key(kind: Any, key: str, name: str) -> Any:
    return _decoded(int, int(key), name) if kind is int and key.lstrip("-").isdigit() else _decoded(kind, key, name)


def _array(inner: tuple[Any, ...], content: Any, name: str) -> np.ndarray:
    if not isinstance(content, list):
        return np.asarray(_refuse(name, "a list", content))
    scalar: Any = next((get_args(i)[0] for i in inner if get_origin(i) is np.dtype), None)
    # Annotations name abstract kinds of which no array is.
    kinds = {np.generic: None, np.character: np.str_, np.integer: np.int64}
    scalar = kinds.get(scalar, scalar if isinstance(scalar, type) else None)
    try:
        if scalar is not None and issubclass(scalar, np.floating):
            return np.asarray(_floats(content, name), dtype=scalar)
        made = np.asarray(content) if scalar is None else np.asarray(content, dtype=scalar)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} is no array of numbers ({error})") from error
    return made


def _floats(content: Any, name: str) -> Any:
    if isinstance(content, list):
        return [_floats(item, name) for item in content]
    return _plain(float, content, name)


def _tensor(content: Any, name: str) -> Tensor:
    packed = content if isinstance(content, dict) else {"dtype": "float32", "values": content}
    dtype = getattr(torch, str(packed.get("dtype")), None)
    if not isinstance(dtype, torch.dtype) or not isinstance(packed.get("values"), list):
        raise ValueError(f"{name} is no tensor, but {content!r:.80}")
    values = _floats(packed["values"], name) if dtype.is_floating_point else packed["values"]
    try:
        return torch.tensor(values, dtype=dtype)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} is no tensor ({error})") from error


def _plain(kind: Any, content: Any, name: str) -> Any:
    if kind is float:
        if content is None:
            return float("nan")
        if isinstance(content, str) and content in _NOT_FINITE:
            return _NOT_FINITE[content]
        if isinstance(content, int | float) and not isinstance(content, bool):
            return float(content)
        return _refuse(name, "a number", content)
    if kind is int or kind is SupportsIndex:  # `Layer` takes what numpy counts with
        whole = isinstance(content, int) and not isinstance(content, bool)
        return content if whole else _refuse(name, "a whole number", content)
    if kind in (str, bool):
        return content if isinstance(content, kind) else _refuse(name, f"a {kind.__name__}", content)
    raise TypeError(f"{name}: there is no way to read {kind} from JSON")


def _refuse(name: str, expected: str, content: Any) -> Any:
    raise ValueError(f"{name} must be {expected}, got {content!r:.80}")
