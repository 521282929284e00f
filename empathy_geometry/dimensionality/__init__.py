"""How many dimensions a concept takes up in the residual stream."""

from typing import TYPE_CHECKING

from empathy_geometry.dimensionality.from_activations import (
    dimensionality_of_activations as dimensionality_of_activations,
)
from empathy_geometry.dimensionality.measure import dimensionality as dimensionality
from empathy_geometry.dimensionality.participation import participation_ratio as participation_ratio
from empathy_geometry.dimensionality.rarefaction import Rarefaction as Rarefaction
from empathy_geometry.dimensionality.rarefaction import rarefaction as rarefaction
from empathy_geometry.dimensionality.reference import neutral_differences as neutral_differences
from empathy_geometry.dimensionality.result import Dimensionality as Dimensionality
from empathy_geometry.foundation.public_names import public_names

if not TYPE_CHECKING:
    __getattr__, __dir__, __all__ = public_names(__name__)
