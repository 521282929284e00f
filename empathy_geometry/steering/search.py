"""A grid of alphas that brackets the point where text breaks, found on the model itself."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.models.loading import HookedModel
from empathy_geometry.steering.hook import SteeringHook, Units
from empathy_geometry.steering.range import DEFAULT_THRESHOLD, steering_range
from empathy_geometry.steering.reference import unsteered_reference
from empathy_geometry.steering.sweep import SteeringSweep, steering_sweep

COARSE = (0.04, 0.08, 0.16, 0.32, 0.64)
"""First grid, in multiples of the mean residual norm: text survives the first and breaks before the last."""

_SHARED = ("max_new_tokens", "chat", "temperature", "rng", "neutral_texts")


def search_sweep(
    model: HookedModel,
    direction: ConceptDirection,
    prompts: Sequence[str],
    *,
    units: Units = "class_gap",
    signs: Sequence[int] = (1, -1),
    threshold: float = DEFAULT_THRESHOLD,
    n_fine: int = 3,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> SteeringSweep:
    """A coarse sweep over the sizes that the residual stream itself suggests, then a fine one around the crossing.

    Class gaps differ by orders of magnitude between concepts, layers and models, so no fixed grid in them serves; a
    grid in residual norms does, and is expressed in `units`.

    Args:
        model: What to steer.
        direction: Along what; needs the scale "residual_norm" and that of `units`.
        prompts: User messages.
        units: Unit of the result.
        signs: Which sides.
        threshold: Coherence at which text counts as broken.
        n_fine: Alphas to add inside each bracket.
        options: Further arguments of `steering_sweep`; with a `reference` the unsteered model is not run again.

    Raises:
        ValueError: the direction lacks a scale.
    """
    if "residual_norm" not in direction.scales:
        raise ValueError("the direction has no scale 'residual_norm'; make it from activations, or call steering_sweep")
    length = SteeringHook(direction, layers=options.get("layers"), units=units).unit_length
    unit = direction.scales["residual_norm"] / length
    if options.get("reference") is None:
        shared = {name: options[name] for name in _SHARED if name in options}
        options = {**options, "reference": unsteered_reference(model, prompts, **shared)}
    sweep = steering_sweep(
        model, direction, prompts, [s * c * unit for s in signs for c in COARSE], units=units, **options
    )
    fine: list[float] = []
    for sign in signs:
        side = np.sort(np.abs(sweep.alphas[(sign * sweep.alphas) >= 0]))
        estimate = steering_range(sweep, sign=sign, threshold=threshold, n_resamples=1)
        if estimate.censored:
            fine.append(sign * 2 * float(side[-1]))
            continue
        above = int(np.searchsorted(side, estimate.value))
        low, high = side[max(above - 1, 0)], side[min(above, len(side) - 1)]
        fine += [sign * float(a) for a in np.linspace(low, high, n_fine + 2)[1:-1]]
    return sweep + steering_sweep(model, direction, prompts, fine, units=units, **options)
