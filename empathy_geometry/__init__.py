"""Does a language model represent a concept, in how many dimensions, how far can it be steered?"""

from empathy_geometry import datasets
from empathy_geometry.activations import Activations
from empathy_geometry.directions import ConceptDirection
from empathy_geometry.estimate import Estimate
from empathy_geometry.extraction import extract_activations
from empathy_geometry.metrics import accuracy, auroc, d_prime, forced_choice
from empathy_geometry.models import load_model
from empathy_geometry.probes import Probe
from empathy_geometry.provenance import Provenance
from empathy_geometry.subspaces import Subspace
from empathy_geometry.texts import LabeledTexts

__version__ = "0.1.0"

__all__ = [
    "Activations",
    "ConceptDirection",
    "Estimate",
    "LabeledTexts",
    "Probe",
    "Provenance",
    "Subspace",
    "accuracy",
    "auroc",
    "d_prime",
    "datasets",
    "extract_activations",
    "forced_choice",
    "load_model",
]
