"""Sparse autoencoders: fetched, loaded or trained here, and whether their features agree with a concept's subspace."""

from typing import TYPE_CHECKING

from empathy_geometry.foundation.public_names import public_names

if TYPE_CHECKING:
    from empathy_geometry.sae.autoencoder import SparseAutoencoder as SparseAutoencoder
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
