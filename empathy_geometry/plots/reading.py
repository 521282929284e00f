"""Figures take a result or what its `to_dict()` wrote, so that a report can be drawn from saved JSON alone."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from empathy_geometry.evaluation.permutation import PermutationTest
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.json_codec import unpack


def read_result(result: object, what: str, needed: Iterable[str]) -> Mapping[str, Any]:
    """The fields of a result as plain values, whether it came as an object or as JSON.

    Args:
        result: An object with `to_dict()`, or a mapping of that form.
        what: Name of the result's class, for the error.
        needed: Fields that must be there.

    Raises:
        TypeError: neither a result nor a mapping.
        ValueError: a needed field is missing.
    """
    found = result if isinstance(result, Mapping) else getattr(result, "to_dict", lambda: None)()
    if not isinstance(found, Mapping):
        raise TypeError(f"expected a {what} or what its to_dict() gives, got {type(result).__name__}")
    missing = [name for name in needed if name not in found]
    own = found.get("type")
    if missing and isinstance(own, str) and own != what:
        raise ValueError(f"this figure shows results of type {what}, got {own}: it lacks {', '.join(missing)}")
    if missing:
        raise ValueError(f"this is no {what}: it lacks {', '.join(missing)} (it has {', '.join(map(str, found))})")
    return found


def is_estimate(value: object) -> bool:
    """Whether this is the JSON of an `Estimate`.

    Example:
        >>> is_estimate({"value": 1.0, "low": None, "high": None, "level": 0.95}), is_estimate({"value": 1.0})
        (True, False)
    """
    return isinstance(value, Mapping) and {"value", "low", "high", "level"} <= set(value)


def read_estimate(value: object) -> Estimate:
    """An estimate from an `Estimate`, its JSON, or a number without interval.

    Example:
        >>> read_estimate({"value": 0.5, "low": 0.25, "high": 0.75}).high, float(read_estimate(2))
        (0.75, 2.0)
    """
    if isinstance(value, Estimate):
        return value
    if isinstance(value, Mapping):
        known = {f.name for f in fields(Estimate)}
        given = {k: v for k, v in value.items() if k in known}
        # An unbounded value is None in JSON.
        known_ends = {"low": None, "high": None, "value": np.inf if given.get("value") is None else given["value"]}
        return Estimate.from_dict(given | {k: given.get(k, v) if k != "value" else v for k, v in known_ends.items()})
    return Estimate(float(value))  # type: ignore[arg-type]


def read_permutation(result: object) -> PermutationTest:
    """A permutation test from itself or its JSON; of the latter only the mean of `layer_null` is right."""
    if isinstance(result, PermutationTest):
        return result
    return unpack(PermutationTest, read_result(result, "PermutationTest", ("null_distribution", "layer_null_mean")))


def interval_arms(estimates: Iterable[Estimate]) -> np.ndarray:
    """Lengths below and above each value, [2, n], for matplotlib's `errorbar`; 0 where there is no interval.

    An interval that is open above is drawn as far as the longest of the others, and as long as its value at least.

    Example:
        >>> interval_arms([Estimate(2.0, 1.0, 5.0), Estimate(1.0)]).tolist()
        [[1.0, 0.0], [3.0, 0.0]]
    """
    listed = list(estimates)
    arms = np.array(
        [
            (0.0 if e.low is None else max(e.value - e.low, 0.0), 0.0 if e.high is None else max(e.high - e.value, 0.0))
            for e in listed
        ],
        dtype=float,
    ).reshape(-1, 2)
    longest = np.max(arms, initial=0.0, where=np.isfinite(arms))
    values = np.array([e.value for e in listed])[:, None]
    return np.where(np.isfinite(arms), arms, np.maximum(longest, np.abs(values))).T


def alpha_axis(sweep: Mapping[str, Any]) -> str:
    """Label of an axis of steering strength, with its unit.

    Example:
        >>> alpha_axis({"units": "class_gap", "unit_length": 6.0})
        'alpha (class gaps; one is 6 activation units)'
    """
    unit = {"raw": "activation units", "sd": "standard deviations"}.get(sweep["units"], f"{sweep['units']}s")
    length = "" if sweep["units"] == "raw" else f"; one is {sweep['unit_length']:.3g} activation units"
    return f"alpha ({unit.replace('_', ' ')}{length})"
