"""Does a language model represent a concept, in how many dimensions, how far can it be steered?"""

from empathy_geometry import datasets, dimensionality, plots
from empathy_geometry.activations import Activations
from empathy_geometry.bandwidth import Bandwidth, measure_bandwidth
from empathy_geometry.directions import ConceptDirection
from empathy_geometry.estimate import Estimate
from empathy_geometry.evaluation import Evaluation, cross_validate
from empathy_geometry.extraction import extract_activations
from empathy_geometry.generation import Continuations, generate
from empathy_geometry.metrics import accuracy, auroc, d_prime, forced_choice
from empathy_geometry.models import load_model
from empathy_geometry.pairing import paired_differences
from empathy_geometry.permutation import PermutationTest, permutation_test
from empathy_geometry.probes import Probe
from empathy_geometry.provenance import Provenance
from empathy_geometry.sae import sae_agreement
from empathy_geometry.splits import grouped_folds
from empathy_geometry.steering import SteeringHook
from empathy_geometry.steering_range import steering_range
from empathy_geometry.steering_sweep import SteeringSweep, steering_sweep
from empathy_geometry.subspaces import Subspace
from empathy_geometry.text_coherence import Coherence, coherence
from empathy_geometry.texts import LabeledTexts
from empathy_geometry.transfer import TransferMatrix, transfer_matrix

__version__ = "0.1.0"

__all__ = [
    "Activations",
    "Bandwidth",
    "Coherence",
    "ConceptDirection",
    "Continuations",
    "Estimate",
    "Evaluation",
    "LabeledTexts",
    "PermutationTest",
    "Probe",
    "Provenance",
    "SteeringHook",
    "SteeringSweep",
    "Subspace",
    "TransferMatrix",
    "accuracy",
    "auroc",
    "coherence",
    "cross_validate",
    "d_prime",
    "datasets",
    "dimensionality",
    "extract_activations",
    "forced_choice",
    "generate",
    "grouped_folds",
    "load_model",
    "measure_bandwidth",
    "paired_differences",
    "permutation_test",
    "plots",
    "sae_agreement",
    "steering_range",
    "steering_sweep",
    "transfer_matrix",
]
