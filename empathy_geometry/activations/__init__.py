"""From texts to pooled activations: positions, extraction, the store on disk."""

from typing import TYPE_CHECKING

from empathy_geometry.foundation.public_names import public_names

if TYPE_CHECKING:
    from empathy_geometry.activations.dominance import DominantScenarioWarning as DominantScenarioWarning
    from empathy_geometry.activations.pairing import paired_differences as paired_differences
    from empathy_geometry.activations.store import ActivationStore as ActivationStore
    from empathy_geometry.activations.store_writer import StoreDesign as StoreDesign
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
