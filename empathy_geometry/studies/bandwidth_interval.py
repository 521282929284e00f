"""Both factors of bandwidth with the same scenarios left out, so that their product has one interval.

Dimensionality and steering range are not independent: the unit of alpha (the class gap) is estimated on the scenarios
that give the dimensionality, and the prompts are messages of scenarios that enter it too. Leaving out a block of
scenarios changes all of them at once, so the jackknife on ln D + ln R holds Var ln D + Var ln R + 2 Cov.
What it leaves out: the direction that was steered is taken as it is (each replicate would have to be generated anew),
and so is the layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isinf
from typing import Any

import numpy as np

from empathy_geometry.activations.pairing import paired_means
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.dimensionality.participation import corrected_participation
from empathy_geometry.dimensionality.spectrum import gram, subset
from empathy_geometry.foundation._types import FloatArray, Layer
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.jackknife import jackknife_interval
from empathy_geometry.foundation.json_codec import to_json
from empathy_geometry.geometry.direction_quality import measure_scales
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.steering.range import crossing
from empathy_geometry.steering.sweep import SteeringSweep

N_BLOCKS = 50


@dataclass(frozen=True, eq=False)
class Replicates:
    """Dimensionality and steering range with one block of scenarios left out each.

    Attributes:
        blocks: Names of the scenarios that were left out together; the same texts, prompts and seed give the same
            blocks for every model, by which results are paired.
        dimensionality: Corrected participation ratio without each block, [n_blocks].
        steering_range: Positive steering range without each block, [n_blocks].
    """

    blocks: tuple[tuple[str, ...], ...]
    dimensionality: FloatArray
    steering_range: FloatArray

    @property
    def correlation(self) -> float | None:
        """Of ln D and ln R over the replicates; None where one of them does not vary or is not finite."""
        with np.errstate(divide="ignore", invalid="ignore"):
            d, r = np.log(self.dimensionality), np.log(self.steering_range)
        if not np.isfinite([*d, *r]).all() or d.std() == 0 or r.std() == 0:
            return None
        return float(np.corrcoef(d, r)[0, 1])

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON; what is not finite is None."""
        described: dict[str, Any] = to_json({**self.__dict__, "correlation": self.correlation})
        return described


def scenario_blocks(
    names: Sequence[str], prompt_names: Sequence[str], *, n_blocks: int = N_BLOCKS, seed: int = 0
) -> tuple[tuple[str, ...], ...]:
    """Scenarios in blocks of about equal size, those of the prompts each in a block of its own as far as they go.

    Prompt k is in block k whether or not its scenario is among `names` (a control concept is steered on the concept's
    prompts), so that concept and control can be compared block by block.

    Example:
        >>> scenario_blocks(["a", "b", "c", "d", "e", "f"], ["e", "z"], n_blocks=3, seed=0)[1]
        ('z', 'f', 'a')
    """
    count = min(n_blocks, len(names))
    blocks: list[list[str]] = [[] for _ in range(count)]
    for k, name in enumerate(prompt_names):
        blocks[k % count].append(name)
    known = set(names)
    rest = [str(name) for name in np.random.default_rng(seed).permutation(sorted(known - set(prompt_names)))]
    for name in rest:
        # To the block that holds fewest of `names`; among equals the last, since the prompts begin with the first.
        sizes = [sum(member in known for member in block) for block in blocks]
        blocks[count - 1 - int(np.argmin(sizes[::-1]))].append(name)
    return tuple(tuple(block) for block in blocks)


def leave_out(
    acts: Activations,
    direction: ConceptDirection,
    sweep: SteeringSweep,
    *,
    positive: str,
    negative: str,
    layer: Layer,
    prompt_names: Sequence[str],
    threshold: float,
    seed: int = 0,
) -> Replicates:
    """Both factors without each block of scenarios.

    Args:
        acts: All scenarios of the concept.
        direction: What was steered, estimated without the prompts' scenarios.
        sweep: What came of it; `prompt_names` names the scenario of each of its prompts.
        positive: The concept's class.
        negative: The neutral class.
        layer: Where.
        prompt_names: Scenario of each prompt of the sweep.
        threshold: Coherence below which text counts as broken.
        seed: Of the blocks.
    """
    up, down, found = paired_means(acts.layer(layer), acts.labels, acts.groups, positive=positive, negative=negative)
    names = np.asarray(found).astype(str)
    blocks = scenario_blocks(names.tolist(), prompt_names, seed=seed)
    g = gram(up - down)
    side = sweep.alphas >= 0
    raw = sweep.alphas[side] * sweep.unit_length
    of_prompt = np.asarray(prompt_names)
    unit = direction.vector.double().numpy()
    training = ~np.isin(names, of_prompt)
    dimensions, reach = [], []
    for block in blocks:
        kept = np.flatnonzero(~np.isin(names, block))
        dimensions.append(corrected_participation(subset(g, kept), center=False))
        columns = np.flatnonzero(~np.isin(of_prompt, block))
        cross = crossing(raw, sweep.coherence[side][:, columns], threshold=threshold, n_resamples=1).value
        rows = np.flatnonzero(training & ~np.isin(names, block))
        scales = {"raw": 1.0} | measure_scales("mean_difference", up[rows], down[rows], names[rows], names[rows], unit)
        reach.append(cross / scales[sweep.units] if sweep.units in scales else np.nan)
    return Replicates(blocks, np.asarray(dimensions), np.asarray(reach))


def joint_product(dimensions: Estimate, reach: Estimate, replicates: Replicates) -> Estimate:
    """Dimensionality x steering range with the interval that both together have, on the log scale.

    Two constructions, and the wider of both at each end: Var ln B = Var ln D + Var ln R + 2 Cov(ln D, ln R) by a
    jackknife over blocks of scenarios, which knows the unit of alpha that both share; and the factors' own intervals
    put together with that correlation (MOVER), which know how little few prompts say about the range. Where the range
    is open above, the product is.

    Raises:
        ValueError: a factor is not positive.

    Source: Zou & Donner (2008), Statistics in Medicine 27 (MOVER).

    Example:
        >>> left_out = Replicates((("a",), ("b",), ("c",)), np.array([2.0, 1.9, 2.1]), np.array([3.0, 3.1, 2.9]))
        >>> b = joint_product(Estimate(2.0, n_groups=3), Estimate(3.0), left_out)
        >>> float(b), bool(b.low < 6 < b.high)
        (6.0, True)
    """
    value = dimensions.value * reach.value
    if not value > 0:
        raise ValueError(f"both factors must be positive, got {dimensions.value} and {reach.value}")
    interval = jackknife_interval(
        value, replicates.dimensionality * replicates.steering_range, level=reach.level, scale="log"
    )
    method = "dimensionality x steering range"
    low: float | None = None
    high: float | None = None
    if interval is None:
        method = f"{method}; no interval: a replicate is not finite"
    else:
        low, high = interval
        method = f"{method}; joint jackknife over scenarios, log scale"
        both = _from_factors(value, dimensions, reach, replicates.correlation or 0.0)
        if both is not None:
            low, high = min(low, both[0]), max(high, both[1])
            method = f"{method}, or the factors' intervals where wider"
        if reach.is_open or reach.censored == "right":
            high = inf
    return Estimate(value, low, high, reach.level, reach.n, dimensions.n_groups, method, reach.censored)


def _from_factors(
    value: float, dimensions: Estimate, reach: Estimate, correlation: float
) -> tuple[float, float] | None:
    """Interval of a product from those of its factors, on the log scale; None where a factor has none."""
    ends = (dimensions.low, dimensions.high, reach.low, reach.high)
    if any(end is None or end < 0 for end in ends):
        return None
    with np.errstate(divide="ignore"):
        d_low, d_high, r_low, r_high = np.log(np.array(ends, dtype=np.float64))
    d, r = np.log(dimensions.value), np.log(reach.value)

    def combined(a: float, b: float) -> float:
        # Infinite arms stay infinite whatever the correlation.
        return inf if isinf(a) or isinf(b) else float(np.sqrt(max(a * a + b * b + 2 * correlation * a * b, 0.0)))

    return value * float(np.exp(-combined(d - d_low, r - r_low))), value * float(
        np.exp(combined(d_high - d, r_high - r))
    )
