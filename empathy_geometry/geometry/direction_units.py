"""What one unit of alpha is: decided here, for hooks, sweeps, token scores and causal tests alike."""

from collections.abc import Mapping
from typing import Literal

from empathy_geometry.foundation._validation import check_choice

Units = Literal["raw", "residual_norm", "class_gap", "sd", "norm"]

UNITS: tuple[Units, ...] = ("raw", "residual_norm", "class_gap", "sd", "norm")


def units_of(direction: object, units: Units | None = None) -> Units:
    """The unit that alpha is counted in along a direction.

    Args:
        direction: A `ConceptDirection`, or anything else.
        units: Asked for by name; None is "class_gap" where the direction has a class gap of its own, and "raw" for
            everything else, such as a bare tensor.

    Raises:
        ValueError: there is no such unit.

    Example:
        >>> import torch
        >>> from empathy_geometry.geometry.directions import ConceptDirection
        >>> units_of(torch.ones(2)), units_of(ConceptDirection(torch.ones(2), scales={"class_gap": 6.0}))
        ('raw', 'class_gap')
    """
    if units is None:
        return "class_gap" if "class_gap" in _scales(direction) else "raw"
    check_choice(units, "units", UNITS)
    return units


def unit_scale(direction: object, units: Units) -> float:
    """Lengths of the direction that one unit of alpha is.

    Raises:
        ValueError: the direction does not know this scale.
    """
    if units == "raw":
        return 1.0
    scales = _scales(direction)
    if units not in scales:
        raise ValueError(
            f"units={units!r} needs a direction that knows its {units}; this one has {sorted(scales)} (a class gap is "
            f"known where it is positive on scenarios held out). Try ConceptDirection.from_activations, or units='raw'"
        )
    return float(scales[units])


def _scales(direction: object) -> Mapping[str, float]:
    """Activation units of each unit that a direction knows; "norm" is the length that it was estimated or read with."""
    scales: Mapping[str, float] | None = getattr(direction, "scales", None)
    return {} if scales is None else {**scales, "norm": float(getattr(direction, "norm", 1.0))}
