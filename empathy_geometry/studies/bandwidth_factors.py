"""Dimensionality and steering range of one concept, and their product."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.dimensionality import Dimensionality, dimensionality_of_activations
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.models.hooked_model import HookedModel
from empathy_geometry.steering.bits import BandwidthInBits, bandwidth_in_bits
from empathy_geometry.steering.range import steering_range
from empathy_geometry.steering.reference import UnsteeredReference
from empathy_geometry.steering.search import SearchDesign, search_sweep
from empathy_geometry.steering.sweep import SteeringSweep
from empathy_geometry.studies.bandwidth_interval import Replicates, joint_product, leave_out
from empathy_geometry.studies.bandwidth_texts import FEWEST_SCENARIOS

T = TypeVar("T")


@runtime_checkable
class Keep(Protocol):
    """How a study keeps a finished step: `StepStore.keep`, or nothing but making it."""

    def __call__(self, name: str, kind: type[T], make: Callable[[], T], /) -> T:
        """The step of this name, made unless it is kept."""


@dataclass(frozen=True, eq=False)
class BandwidthFactors(Result):
    """Both factors of a concept's bandwidth.

    Attributes:
        name: "positive - negative" classes.
        dimensionality: Of the paired differences within scenarios.
        direction: The mean difference that was steered.
        sweep: Texts and coherence at every alpha.
        threshold: Coherence below which text counts as broken.
        range_positive: Steering range towards the concept, in the sweep's units.
        range_negative: Steering range away from it.
        bandwidth: Participation ratio x range_positive, with the joint interval of both.
        replicates: Both factors with a block of scenarios left out each, for that interval and for comparisons.
        bits: How much of alpha can be read off the text that it made; None where it cannot be told.
        bits_missing: Why not.
    """

    name: str
    dimensionality: Dimensionality
    direction: ConceptDirection
    sweep: SteeringSweep
    threshold: float
    range_positive: Estimate
    range_negative: Estimate
    bandwidth: Estimate
    replicates: Replicates
    bits: BandwidthInBits | None
    bits_missing: str = ""

    @property
    def range_in_norms(self) -> Estimate:
        """`range_positive` in mean residual norms, by which directions of different class gaps can be compared."""
        return scaled(self.range_positive, self.sweep.unit_length / self.direction.scales["residual_norm"])

    def json_content(self) -> dict[str, Any]:
        """Every field and the range in norms."""
        return super().json_content() | {"range_in_norms": self.range_in_norms}

    def tables(self) -> tuple[Table, ...]:
        """Both factors and their product."""
        rows = [
            {"quantity": "dimensionality", "estimate": self.dimensionality.participation_ratio},
            {"quantity": f"range +, {self.sweep.units}", "estimate": self.range_positive},
            {"quantity": f"range -, {self.sweep.units}", "estimate": self.range_negative},
            {"quantity": "bandwidth", "estimate": self.bandwidth},
        ]
        return (Table.of(f"Bandwidth of {self.name}: {self.bandwidth}", rows),)


def measure_factors(
    model: HookedModel,
    acts: Activations,
    *,
    positive: str,
    negative: str,
    layer: Layer,
    prompts: Sequence[str],
    prompt_names: Sequence[str],
    search: SearchDesign,
    reference: UnsteeredReference | None = None,
    seed: int,
    progress: bool,
    keep: Keep = lambda _, __, make: make(),
) -> BandwidthFactors:
    """Dimensionality on all scenarios, then a direction without the prompts' scenarios, steered on the prompts.

    Args:
        model: What to steer.
        acts: Activations of the concept's texts, paired within scenarios.
        positive: The concept's class.
        negative: The neutral class.
        layer: Where.
        prompts: Messages to steer.
        prompt_names: Scenario of each prompt, whether or not it is among those of `acts`.
        search: How far to steer.
        reference: As in `steering_sweep`.
        seed: Of blocks and resampling.
        progress: Show bars.
        keep: Takes the name of a step, the class of what it gives, and what makes it; gives what an earlier run kept,
            or makes it.

    Raises:
        ValueError: the concept has no direction here, so that alpha cannot be counted in `units`.
    """
    units, threshold = search.units, search.threshold
    # The null of neutral-minus-neutral differences takes two neutral rows for each difference.
    null: Literal["neutral"] | None = "neutral" if (acts.labels == negative).sum() >= 2 * FEWEST_SCENARIOS else None
    measured = keep(
        "dimensionality",
        Dimensionality,
        lambda: dimensionality_of_activations(
            acts, positive=positive, negative=negative, layer=layer, null=null, seed=seed
        ),
    )
    training = acts[np.flatnonzero(~np.isin(acts.groups, list(prompt_names)))]
    direction = ConceptDirection.from_activations(training, positive=positive, negative=negative, layer=layer)
    if units != "raw" and units not in direction.scales:
        raise ValueError(
            f"the direction of {positive} - {negative} at layer {layer} has no {units}: its class gap on held-out "
            f"scenarios is not positive, so the concept has no direction here. Try another layer, or "
            f"units='residual_norm'"
        )
    sweep = search_sweep(
        model,
        direction,
        prompts,
        design=search,
        reference=reference,
        progress=progress,
        keep=lambda grid, make: keep(f"{grid} sweep", SteeringSweep, make),
    )
    up = steering_range(sweep, threshold=threshold, sign=1, seed=seed)
    down = steering_range(sweep, threshold=threshold, sign=-1, seed=seed)
    replicates = leave_out(
        acts,
        direction,
        sweep,
        positive=positive,
        negative=negative,
        layer=layer,
        prompt_names=prompt_names,
        threshold=threshold,
        seed=seed,
    )
    bits, missing = _bits(sweep, threshold, seed)
    return BandwidthFactors(
        f"{positive} - {negative}",
        measured,
        direction,
        sweep,
        threshold,
        up,
        down,
        joint_product(measured.participation_ratio, up, replicates),
        replicates,
        bits,
        missing,
    )


def _bits(sweep: SteeringSweep, threshold: float, seed: int) -> tuple[BandwidthInBits | None, str]:
    """Bits, or why there are none (a null model may have none)."""
    try:
        return bandwidth_in_bits(sweep, threshold=threshold, seed=seed), ""
    except ValueError as error:
        return None, str(error)


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """An estimate in another unit."""
    return replace(
        estimate,
        value=estimate.value * factor,
        low=None if estimate.low is None else estimate.low * factor,
        high=None if estimate.high is None else estimate.high * factor,
    )
