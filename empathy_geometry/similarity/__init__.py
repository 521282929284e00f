"""Comparing directions and subspaces without the traps of a plain cosine."""

from typing import TYPE_CHECKING

from empathy_geometry.foundation.public_names import public_names
from empathy_geometry.geometry.directions import CosineWarning as CosineWarning
from empathy_geometry.geometry.directions import cosine as cosine
from empathy_geometry.similarity.angles import PrincipalAngles as PrincipalAngles
from empathy_geometry.similarity.angles import principal_angles as principal_angles
from empathy_geometry.similarity.disattenuated import DisattenuatedCosine as DisattenuatedCosine
from empathy_geometry.similarity.disattenuated import disattenuated_cosine as disattenuated_cosine
from empathy_geometry.similarity.disattenuated import disattenuated_cosine_of as disattenuated_cosine_of
from empathy_geometry.similarity.mahalanobis import crossnobis as crossnobis
from empathy_geometry.similarity.mahalanobis import mahalanobis_cosine as mahalanobis_cosine
from empathy_geometry.similarity.random_cosine import RandomCosine as RandomCosine
from empathy_geometry.similarity.random_cosine import random_cosine as random_cosine

if not TYPE_CHECKING:
    __getattr__, __dir__, __all__ = public_names(__name__)
