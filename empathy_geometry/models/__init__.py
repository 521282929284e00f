"""Hooked models: loading, names of hooks, tokens."""

from typing import TYPE_CHECKING

from empathy_geometry.foundation.public_names import public_names

if TYPE_CHECKING:
    from empathy_geometry.models.random_weights import randomise_weights as randomise_weights
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
