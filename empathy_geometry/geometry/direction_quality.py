"""How far a direction can be trusted: reliability over scenarios, and lengths by which to count alpha."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from empathy_geometry.activations.dominance import dominant_scenarios
from empathy_geometry.activations.outlier_tokens import mean_norm
from empathy_geometry.foundation._types import FloatArray
from empathy_geometry.geometry.direction_methods import Method, fit_vector

_HALVINGS = 20
_FOLDS = 5


@dataclass(frozen=True)
class DirectionQuality:
    """Agreement of the data about a direction.

    Attributes:
        reliability: Mean cosine of the directions estimated on two random halves of the scenarios.
        agreement: Mean cosine of a scenario's own difference with the direction of the other scenarios.
        opposed: Fraction of scenarios whose difference points the other way (projection below zero on the direction
            of the other scenarios). Both predict whether steering works (Tan et al. 2024; Braun et al. 2025).
        n_scenarios: Scenarios behind these numbers.
        dominant: Scenarios whose difference carries more than a fifth of the second moment of all, with their shares.
    """

    reliability: float | None
    agreement: float | None
    opposed: float | None
    n_scenarios: int
    dominant: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return asdict(self)


def measure_quality(
    method: Method,
    up: FloatArray,
    down: FloatArray,
    up_groups: np.ndarray,
    down_groups: np.ndarray,
) -> DirectionQuality:
    """Reliability by halving the scenarios, agreement by leaving scenarios out (in folds)."""
    names = np.union1d(up_groups, down_groups)
    rng = np.random.default_rng(0)
    cosines = []
    for _ in range(_HALVINGS):
        half = rng.permutation(names)[: len(names) // 2]
        in_up, in_down = np.isin(up_groups, half), np.isin(down_groups, half)
        if min(in_up.sum(), (~in_up).sum(), in_down.sum(), (~in_down).sum()) < 2:
            continue
        a = fit_vector(method, up[in_up], down[in_down])
        b = fit_vector(method, up[~in_up], down[~in_down])
        scale = np.linalg.norm(a) * np.linalg.norm(b)
        if scale > 0:
            cosines.append(float(a @ b / scale))
    agreement, projections = [], []
    shared = np.intersect1d(up_groups, down_groups)
    differences = {g: up[up_groups == g].mean(axis=0) - down[down_groups == g].mean(axis=0) for g in shared}
    squares = np.array([float(d @ d) for d in differences.values()])
    for fold in _scenario_folds(shared, rng):
        out_up, out_down = np.isin(up_groups, fold), np.isin(down_groups, fold)
        if min((~out_up).sum(), (~out_down).sum()) < 2:
            continue
        direction = fit_vector(method, up[~out_up], down[~out_down])
        length = np.linalg.norm(direction)
        for g in fold:
            difference = differences[g]
            own = np.linalg.norm(difference)
            if own > 0 and length > 0:
                agreement.append(float(difference @ direction / (own * length)))
                projections.append(float(difference @ direction))
    return DirectionQuality(
        float(np.mean(cosines)) if cosines else None,
        float(np.mean(agreement)) if agreement else None,
        float(np.mean(np.array(projections) < 0)) if projections else None,
        len(names),
        dominant_scenarios(squares, shared),
    )


def measure_scales(
    method: Method,
    up: FloatArray,
    down: FloatArray,
    up_groups: np.ndarray,
    down_groups: np.ndarray,
    unit: FloatArray,
) -> dict[str, float]:
    """Lengths in activation units: mean residual norm, cross-fitted class gap, sd along the direction.

    The class gap in the data that made a direction is biased upward (it is the length of a noisy mean difference), so
    it is measured on scenarios that did not enter the direction.
    """
    scales = {"residual_norm": mean_norm(torch.from_numpy(np.concatenate([up, down])))}
    if len(up) > 1 and len(down) > 1:
        sd = float(np.sqrt(((up @ unit).var(ddof=1) + (down @ unit).var(ddof=1)) / 2))
        if sd > 0:
            scales["sd"] = sd
    gaps, weights = [], []
    for fold in _scenario_folds(np.union1d(up_groups, down_groups), np.random.default_rng(0)):
        out_up, out_down = np.isin(up_groups, fold), np.isin(down_groups, fold)
        if min(out_up.sum(), out_down.sum()) < 1 or min((~out_up).sum(), (~out_down).sum()) < 2:
            continue
        direction = fit_vector(method, up[~out_up], down[~out_down])
        length = np.linalg.norm(direction)
        if length > 0:
            gaps.append(float((up[out_up].mean(axis=0) - down[out_down].mean(axis=0)) @ direction / length))
            weights.append(len(fold))
    if gaps:
        gap = float(np.average(gaps, weights=weights))
        if gap > 0:
            scales["class_gap"] = gap
    return scales


def _scenario_folds(names: np.ndarray, generator: np.random.Generator) -> list[np.ndarray]:
    if len(names) < 2:
        return []
    return list(np.array_split(generator.permutation(names), min(_FOLDS, len(names))))
