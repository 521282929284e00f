"""Scenarios that carry a second moment by themselves: what is then measured is that scenario, not the concept."""

import warnings
from collections.abc import Mapping

import numpy as np

from empathy_geometry.foundation._types import FloatArray

DOMINANT_SHARE = 0.2


class DominantScenarioWarning(UserWarning):
    """One scenario carries more than a fifth of the second moment of paired differences."""


def dominant_scenarios(squares: FloatArray, names: np.ndarray) -> dict[str, float]:
    """Scenarios whose paired difference carries more than a fifth of the second moment, with their shares.

    Below ten scenarios the bound is twice an equal share: a fifth is then nothing unusual.

    Args:
        squares: Squared length of each scenario's difference, [n].
        names: Of the scenarios, [n].

    Example:
        >>> dominant_scenarios(np.array([1.0] * 12 + [6.0]), np.array([f"s{i}" for i in range(13)]))
        {'s12': 0.333...}
    """
    total = float(squares.sum())
    if total <= 0:
        return {}
    shares = squares / total
    bound = max(DOMINANT_SHARE, 2 / len(shares))
    order = np.argsort(-shares, kind="stable")
    return {str(names[i]): float(shares[i]) for i in order if shares[i] > bound}


def dominance_note(dominant: Mapping[str, float]) -> str:
    """The shares in words; "" where there are none."""
    named = ", ".join(f"{name!r} ({share:.0%})" for name, share in dominant.items())
    return f"carried by single scenarios: {named} of the second moment" if dominant else ""


def warn_of_dominance(dominant: Mapping[str, float], what: str, *, stacklevel: int) -> None:
    """Warn, with what to do, where a scenario dominates."""
    if dominant:
        warnings.warn(
            f"{what} is {dominance_note(dominant)}. Look at these texts (a token of massive activation, a mistake in "
            f"the data?), read another position, or leave the scenarios out and say so",
            DominantScenarioWarning,
            stacklevel=stacklevel + 1,
        )
