"""Dimensionality and steering range of one concept, and their product."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import norm

from empathy_geometry.dimensionality import Dimensionality
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.steering.sweep import SteeringSweep


@dataclass(frozen=True, eq=False)
class BandwidthFactors:
    """Both factors of a concept's bandwidth.

    Attributes:
        name: "positive - negative" classes.
        dimensionality: Of the paired differences within scenarios.
        direction: The mean difference that was steered.
        sweep: Texts and coherence at every alpha.
        threshold: Coherence below which text counts as broken.
        range_positive: Steering range towards the concept, in the sweep's units.
        range_negative: Steering range away from it.
        bandwidth: Participation ratio x range_positive.
    """

    name: str
    dimensionality: Dimensionality
    direction: ConceptDirection
    sweep: SteeringSweep
    threshold: float
    range_positive: Estimate
    range_negative: Estimate
    bandwidth: Estimate

    @property
    def range_in_norms(self) -> Estimate:
        """`range_positive` in mean residual norms, by which directions of different class gaps can be compared."""
        return scaled(self.range_positive, self.sweep.unit_length / self.direction.scales["residual_norm"])

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        d = self.direction
        return {
            "name": self.name,
            "dimensionality": self.dimensionality.to_dict(),
            "direction": {
                "method": d.method,
                "layer": d.layer,
                "norm": d.norm,
                "scales": dict(d.scales),
                "quality": None if d.quality is None else d.quality.to_dict(),
            },
            "threshold": self.threshold,
            "range_positive": self.range_positive.to_dict(),
            "range_negative": self.range_negative.to_dict(),
            "range_in_norms": self.range_in_norms.to_dict(),
            "bandwidth": self.bandwidth.to_dict(),
            "sweep": self.sweep.to_dict(),
        }


def product(dimensions: Estimate, reach: Estimate) -> Estimate:
    """Product of two independent positive estimates, with an interval on the log scale.

    Var ln B = Var ln D + Var ln R: the scenarios that give the range did not enter the direction, and the
    dimensionality resamples scenarios while the range resamples prompts, so the covariance is taken as zero.
    Each half of the interval combines the halves of the factors, so that skewness is kept.

    Raises:
        ValueError: a factor is not positive.

    Example:
        >>> b = product(Estimate(4.0, 2.0, 8.0), Estimate(3.0, 3.0, 3.0))
        >>> float(b), round(b.low, 6), round(b.high, 6)
        (12.0, 6.0, 24.0)
    """
    value = dimensions.value * reach.value
    if not value > 0:
        raise ValueError(f"both factors must be positive, got {dimensions.value} and {reach.value}")
    if None in (dimensions.low, dimensions.high, reach.low, reach.high):
        return Estimate(value, None, None, reach.level, reach.n, dimensions.n_groups, "no interval", reach.censored)
    z = float(norm.ppf((1 + reach.level) / 2))

    def half(bound: str) -> float:
        parts = [np.log(max(getattr(e, bound), 1e-12) / e.value) / z for e in (dimensions, reach)]
        return float(np.hypot(*parts)) * z

    return Estimate(
        value,
        float(value * np.exp(-half("low"))),
        float(value * np.exp(half("high"))),
        reach.level,
        reach.n,
        dimensions.n_groups,
        "log scale, factors independent",
        reach.censored,
    )


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """An estimate in another unit."""
    return replace(
        estimate,
        value=estimate.value * factor,
        low=None if estimate.low is None else estimate.low * factor,
        high=None if estimate.high is None else estimate.high * factor,
    )
