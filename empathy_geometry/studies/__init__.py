"""Whole studies; they only compose what is below."""

from typing import TYPE_CHECKING

from empathy_geometry.foundation.public_names import public_names

if TYPE_CHECKING:
    from empathy_geometry.studies.planted_study import planted_run as planted_run
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
