"""A grid of alphas that brackets the point where text breaks, found on the model itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from empathy_geometry.foundation._validation import check_choice
from empathy_geometry.foundation.settings import Settings, check_count, takes_settings
from empathy_geometry.geometry.direction_units import UNITS, Units
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.models.chat_template import template_day
from empathy_geometry.models.hooked_model import HookedModel
from empathy_geometry.steering.hook import SteeringHook
from empathy_geometry.steering.range import DEFAULT_THRESHOLD, steering_range
from empathy_geometry.steering.reference import UnsteeredReference, unsteered_reference
from empathy_geometry.steering.sweep import SteeringSweep, steering_sweep
from empathy_geometry.steering.sweep_design import SweepDesign

COARSE = (0.04, 0.08, 0.16, 0.32, 0.64)
"""First grid, in multiples of the mean residual norm: text survives the first and breaks before the last."""


@dataclass(frozen=True)
class SearchDesign(Settings):
    """How far a direction is steered in search of the point where text breaks.

    Attributes:
        units: Unit of alpha. The class gap is insisted on, so that studies are counted alike: a direction that has none
            on held-out scenarios is an error and is not steered in raw units.
        threshold: Coherence below which text counts as broken.
        n_prompts: Prompts to steer, where a study chooses them.
        max_new_tokens: Length of the steered continuations.
        n_fine: Alphas to add inside each bracket of the coarse grid.
        date: The day that a chat template writes, as in `generate`.

    Raises:
        TypeError: a name that is no setting, or a count that is no whole number.
        ValueError: an unknown unit, a threshold outside (0, 1), or too small a count.

    Example:
        >>> SearchDesign(n_prompts=4).threshold
        0.7
    """

    units: Units = "class_gap"
    threshold: float = DEFAULT_THRESHOLD
    n_prompts: int = 8
    max_new_tokens: int = 24
    n_fine: int = 3
    date: str | None = None

    def __post_init__(self) -> None:
        check_choice(self.units, "units", UNITS)
        template_day(self.date)
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold must lie strictly between 0 and 1, got {self.threshold}")
        for name, least in (("n_prompts", 2), ("max_new_tokens", 1), ("n_fine", 1)):
            check_count(getattr(self, name), name, least)


@takes_settings(design=SearchDesign, sweep=SweepDesign)
def search_sweep(
    model: HookedModel,
    direction: ConceptDirection,
    prompts: Sequence[str],
    *,
    design: SearchDesign = SearchDesign(),
    sweep: SweepDesign | None = None,
    reference: UnsteeredReference | None = None,
    signs: Sequence[int] = (1, -1),
    keep: Callable[[str, Callable[[], SteeringSweep]], SteeringSweep] = lambda _, make: make(),
    progress: bool = True,
) -> SteeringSweep:
    """A coarse sweep over the sizes that the residual stream itself suggests, then a fine one around the crossing.

    Class gaps differ by orders of magnitude between concepts, layers and models, so no fixed grid in them serves; a
    grid in residual norms does, and is expressed in the unit that is asked for.

    Args:
        model: What to steer.
        direction: Along what; needs the scale "residual_norm" and that of `units`.
        prompts: User messages.
        design: Unit of the result, threshold, length of the texts, alphas to add inside each bracket.
        sweep: How texts are written, but for the date, which is the search's; None writes as `steering_sweep`.
        reference: As in `steering_sweep`; None runs the unsteered model, once.
        signs: Which sides.
        keep: Called with the name of each grid, "coarse" and "fine", and what sweeps it; a study that keeps its steps
            gives back the sweep that it has.
        progress: Show bars.

    Raises:
        ValueError: the direction lacks a scale.
    """
    written = replace(SweepDesign() if sweep is None else sweep, date=design.date)
    if "residual_norm" not in direction.scales:
        raise ValueError("the direction has no scale 'residual_norm'; make it from activations, or call steering_sweep")
    length = SteeringHook(direction, units=design.units).unit_length
    unit = direction.scales["residual_norm"] / length
    if reference is None:
        reference = unsteered_reference(model, prompts, max_new_tokens=design.max_new_tokens, design=written)

    def swept(alphas: list[float]) -> SteeringSweep:
        return steering_sweep(
            model,
            direction,
            prompts,
            alphas,
            units=design.units,
            max_new_tokens=design.max_new_tokens,
            design=written,
            reference=reference,
            progress=progress,
        )

    coarse = [s * c * unit for s in signs for c in COARSE]
    found = keep("coarse", lambda: swept(coarse))
    fine: list[float] = []
    for sign in signs:
        side = np.sort(np.abs(found.alphas[(sign * found.alphas) >= 0]))
        estimate = steering_range(found, sign=sign, threshold=design.threshold, n_resamples=1)
        if estimate.censored:
            fine.append(sign * 2 * float(side[-1]))
            continue
        above = int(np.searchsorted(side, estimate.value))
        low, high = side[max(above - 1, 0)], side[min(above, len(side) - 1)]
        fine += [sign * float(a) for a in np.linspace(low, high, design.n_fine + 2)[1:-1]]
    return found + keep("fine", lambda: swept(fine))
