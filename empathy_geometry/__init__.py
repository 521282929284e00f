"""Does a language model represent a concept, in how many dimensions, how far can it be steered?"""

from empathy_geometry import datasets, dimensionality, pitfalls, plots, similarity
from empathy_geometry.activations.dominance import DominantScenarioWarning
from empathy_geometry.activations.extraction import extract_activations
from empathy_geometry.activations.pairing import paired_differences
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.activations.store import ActivationStore
from empathy_geometry.audit.audit_result import AuditLimits, TextAudit
from empathy_geometry.audit.text_audit import audit_texts
from empathy_geometry.causal.design import CausalDesign
from empathy_geometry.causal.effects import causal_effects
from empathy_geometry.causal.result import CausalEffects
from empathy_geometry.evaluation.clusters import adjusted_rand, purity, silhouette
from empathy_geometry.evaluation.covariates import length_covariates, residualise
from empathy_geometry.evaluation.cross_validation import Evaluation, cross_validate
from empathy_geometry.evaluation.description_length import description_length
from empathy_geometry.evaluation.erasure import Erasure, erasure
from empathy_geometry.evaluation.metrics import accuracy, auroc, auroc_excess, d_prime, forced_choice, macro_auroc
from empathy_geometry.evaluation.permutation import PermutationTest, permutation_test
from empathy_geometry.evaluation.selectivity import selectivity
from empathy_geometry.evaluation.transfer import TransferMatrix, transfer_matrix
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.generation.continuations import Continuations, generate
from empathy_geometry.geometry.cosine import CosineWarning
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.geometry.subspaces import Subspace
from empathy_geometry.models.loading import load_model
from empathy_geometry.models.random_weights import randomise_weights
from empathy_geometry.ratings.importing import import_ratings
from empathy_geometry.ratings.ratings import Ratings
from empathy_geometry.ratings.sheet import RatingSheet, export_rating_sheet
from empathy_geometry.report.build import report
from empathy_geometry.sae.agreement import sae_agreement
from empathy_geometry.sae.agreement_result import SaeAgreement
from empathy_geometry.sae.autoencoder import SparseAutoencoder
from empathy_geometry.sae.loading import load_sae
from empathy_geometry.sae.training import train_sae
from empathy_geometry.steering.bits import BandwidthInBits, bandwidth_in_bits
from empathy_geometry.steering.calibration import Calibration, calibrate_threshold
from empathy_geometry.steering.coherence import Coherence, coherence
from empathy_geometry.steering.hook import SteeringHook, response_spans
from empathy_geometry.steering.interval_censored import Crossings, crossings
from empathy_geometry.steering.monitoring import TokenScores, token_scores
from empathy_geometry.steering.range import steering_range
from empathy_geometry.steering.reference import UnsteeredReference, unsteered_reference
from empathy_geometry.steering.search import SearchDesign
from empathy_geometry.steering.sweep import SteeringSweep, steering_sweep
from empathy_geometry.studies.bandwidth import Bandwidth, measure_bandwidth
from empathy_geometry.studies.compare import Comparison, compare
from empathy_geometry.studies.depth_profile import DepthProfile, depth_profile
from empathy_geometry.studies.load_result import SavedResult, load_result
from empathy_geometry.studies.planted_run import PlantedRun, planted_run
from empathy_geometry.studies.tripartite.concept_study import concept_study
from empathy_geometry.studies.tripartite.result import Tripartite
from empathy_geometry.studies.tripartite.study import tripartite
from empathy_geometry.texts.families import family_folds, family_split
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.splits import grouped_folds

__version__ = "0.1.0"

__all__ = [
    "ActivationStore",
    "Activations",
    "AuditLimits",
    "Bandwidth",
    "BandwidthInBits",
    "Calibration",
    "CausalDesign",
    "CausalEffects",
    "Coherence",
    "Comparison",
    "ConceptDirection",
    "Continuations",
    "CosineWarning",
    "Crossings",
    "DepthProfile",
    "DominantScenarioWarning",
    "Erasure",
    "Estimate",
    "Evaluation",
    "LabeledTexts",
    "PermutationTest",
    "PlantedRun",
    "Probe",
    "Provenance",
    "RatingSheet",
    "Ratings",
    "SaeAgreement",
    "SavedResult",
    "SearchDesign",
    "SparseAutoencoder",
    "SteeringHook",
    "SteeringSweep",
    "Subspace",
    "TextAudit",
    "TokenScores",
    "TransferMatrix",
    "Tripartite",
    "UnsteeredReference",
    "accuracy",
    "adjusted_rand",
    "audit_texts",
    "auroc",
    "auroc_excess",
    "bandwidth_in_bits",
    "calibrate_threshold",
    "causal_effects",
    "coherence",
    "compare",
    "concept_study",
    "cross_validate",
    "crossings",
    "d_prime",
    "datasets",
    "depth_profile",
    "description_length",
    "dimensionality",
    "erasure",
    "export_rating_sheet",
    "extract_activations",
    "family_folds",
    "family_split",
    "forced_choice",
    "generate",
    "grouped_folds",
    "import_ratings",
    "length_covariates",
    "load_model",
    "load_result",
    "load_sae",
    "macro_auroc",
    "measure_bandwidth",
    "paired_differences",
    "permutation_test",
    "pitfalls",
    "planted_run",
    "plots",
    "purity",
    "randomise_weights",
    "report",
    "residualise",
    "response_spans",
    "sae_agreement",
    "selectivity",
    "silhouette",
    "similarity",
    "steering_range",
    "steering_sweep",
    "token_scores",
    "train_sae",
    "transfer_matrix",
    "tripartite",
    "unsteered_reference",
]
