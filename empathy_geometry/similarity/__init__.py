"""Comparing directions and subspaces without the traps of a plain cosine."""

from empathy_geometry.geometry.cosine import CosineWarning, cosine
from empathy_geometry.similarity.angles import PrincipalAngles, principal_angles
from empathy_geometry.similarity.disattenuated import (
    DisattenuatedCosine,
    disattenuated_cosine,
    disattenuated_cosine_of,
)
from empathy_geometry.similarity.mahalanobis import crossnobis, mahalanobis_cosine
from empathy_geometry.similarity.random_cosine import RandomCosine, random_cosine

__all__ = [
    "CosineWarning",
    "DisattenuatedCosine",
    "PrincipalAngles",
    "RandomCosine",
    "cosine",
    "crossnobis",
    "disattenuated_cosine",
    "disattenuated_cosine_of",
    "mahalanobis_cosine",
    "principal_angles",
    "random_cosine",
]
