"""Objects to JSON and back: nothing lost, nothing rounded, and what does not fit is named."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float
from torch import Tensor

from empathy_geometry.foundation._types import FloatArray, IntArray, Layer, StrArray
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.json_codec import pack, to_json, unpack


@dataclass(frozen=True, eq=False)
class Everything:
    number: float
    whole: int
    layer: Layer
    layers: tuple[Layer, ...]
    kind: Literal["a", "b"]
    estimate: Estimate | None
    either: Estimate | str
    array: FloatArray
    counts: IntArray
    names: StrArray
    plain: np.ndarray
    vector: Float[Tensor, "d_model"]
    double: Tensor
    by_name: Mapping[str, FloatArray]
    by_number: Mapping[int, tuple[float, float]]
    anything: Any
    rows: list[tuple[str, bool]]
    within: "Everything | None" = None


def everything(number: float = 0.1, within: Everything | None = None) -> Everything:
    return Everything(
        number,
        3,
        "embed",
        (1, "embed"),
        "b",
        Estimate(math.inf, None, 1 / 3, n=2),
        "words",
        np.array([[0.1, math.nan], [-math.inf, 1e-320]]),
        np.array([1, -2]),
        np.array(["a", "ä"]),
        np.array([True, False]),
        torch.tensor([0.1, 1 / 3]),
        torch.tensor([[0.1, math.inf]], dtype=torch.float64),
        {"x": np.array([number])},
        {-3: (1.0, 2.0)},
        {"a": [1, None, "x"]},
        [("x", True)],
        within,
    )


def same(a: object, b: object) -> bool:
    """Equal in type and value, bit by bit, NaN equal to itself."""
    if type(a) is not type(b):
        return False
    if is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, Tensor):
        return a.dtype == b.dtype and same(a.numpy(), b.numpy())
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


def through_json(content: object) -> Any:
    return json.loads(json.dumps(content, allow_nan=False))


def test_what_is_packed_comes_back_bit_by_bit():
    given = everything(within=everything())
    back = unpack(Everything, through_json(pack(given)))
    assert same(given, back)
    assert not same(given, everything(within=everything(0.1 + 1e-17 + 1e-16)))  # the comparison itself can fail


@given(st.floats(), st.floats(allow_nan=False))
def test_every_float_comes_back(x, y):
    back = unpack(Estimate, through_json(pack(Estimate(x, y, y))))
    assert same(back, Estimate(x, y, y))


def test_an_interval_that_is_open_above_comes_back_from_what_readers_see():
    unbounded = Estimate(3.0, 2.0, math.inf, n=4)
    assert same(unpack(Estimate, through_json(to_json(unbounded))), unbounded)
    assert str(unpack(Estimate, through_json(to_json(Estimate(math.inf))))) == "inf"


def test_readers_get_none_for_what_json_cannot_hold():
    content = through_json(to_json(everything(math.nan)))
    assert content["number"] is None
    assert content["array"] == [[0.1, None], [None, 1e-320]]
    assert content["estimate"]["value"] is None
    assert math.isnan(unpack(Everything, content).number)


def test_a_result_with_its_own_to_dict_speaks_for_itself():
    class Own:
        def to_dict(self):
            return {"x": np.float32(0.5), "p": Path("a/b")}

    assert to_json([Own()]) == [{"x": 0.5, "p": "a/b"}]
    for value in (object(), lambda: 0, 1j):
        with pytest.raises(TypeError, match="cannot hold"):
            to_json({"a": value})


@pytest.mark.parametrize(
    ("key", "wrong", "message"),
    [
        ("number", "0.1", "Everything.number must be a number, got '0.1'"),
        ("number", True, "must be a number"),
        ("whole", 1.5, "Everything.whole must be a whole number"),
        ("whole", None, "must be a whole number"),
        ("layer", [], "Everything.layer must be a whole number.*or.*one of"),
        ("layers", "embed", "Everything.layers must be a list"),
        ("kind", "c", "must be one of"),
        ("kind", ["a"], "must be one of"),
        ("estimate", {"low": 1.0}, "Everything.estimate lacks 'value'"),
        ("estimate", {"value": 1.0, "level": 3.0}, "level must lie"),
        ("either", 3, "Everything.either"),
        ("array", "x", "Everything.array must be a list"),
        ("array", [[1.0], [1.0, 2.0]], "Everything.array is no array"),
        ("array", ["x"], "Everything.array must be a number"),
        ("counts", [2**80], "Everything.counts is no array"),
        ("vector", {"dtype": "what", "values": []}, "Everything.vector is no tensor"),
        ("vector", {"dtype": "float32", "values": [[1.0], []]}, "Everything.vector is no tensor"),
        ("by_name", [], "Everything.by_name must be an object"),
        ("by_number", {"x": [1.0, 2.0]}, "must be a whole number"),
        ("by_number", {"1": [1.0]}, "must be 2 entries"),
        ("within", 3, "must be the fields of Everything"),
    ],
)
def test_what_does_not_fit_is_named(key, wrong, message):
    with pytest.raises(ValueError, match=message):
        unpack(Everything, through_json(pack(everything())) | {key: wrong})


def test_a_field_that_is_missing_is_named_and_a_key_too_many_is_passed_over():
    content = through_json(pack(everything()))
    assert same(unpack(Everything, content | {"derived": 1}), everything())
    del content["whole"]
    with pytest.raises(ValueError, match="Everything lacks 'whole'"):
        unpack(Everything, content)
