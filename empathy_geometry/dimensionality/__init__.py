"""How many dimensions a concept takes up in the residual stream."""

from empathy_geometry.dimensionality.from_activations import dimensionality_of_activations
from empathy_geometry.dimensionality.measure import dimensionality
from empathy_geometry.dimensionality.participation import participation_ratio
from empathy_geometry.dimensionality.rarefaction import Rarefaction, rarefaction
from empathy_geometry.dimensionality.reference import neutral_differences
from empathy_geometry.dimensionality.result import Dimensionality

__all__ = [
    "Dimensionality",
    "Rarefaction",
    "dimensionality",
    "dimensionality_of_activations",
    "neutral_differences",
    "participation_ratio",
    "rarefaction",
]
