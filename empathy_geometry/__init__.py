"""Does a language model represent a concept, in how many dimensions, how far can it be steered?"""

from typing import TYPE_CHECKING

from empathy_geometry.foundation.public_names import public_names

__version__ = "0.1.0"

if TYPE_CHECKING:
    from empathy_geometry import activations as activations
    from empathy_geometry import audit as audit
    from empathy_geometry import datasets as datasets
    from empathy_geometry import dimensionality as dimensionality
    from empathy_geometry import evaluation as evaluation
    from empathy_geometry import metrics as metrics
    from empathy_geometry import models as models
    from empathy_geometry import pitfalls as pitfalls
    from empathy_geometry import plots as plots
    from empathy_geometry import ratings as ratings
    from empathy_geometry import results as results
    from empathy_geometry import sae as sae
    from empathy_geometry import similarity as similarity
    from empathy_geometry import steering as steering
    from empathy_geometry import studies as studies
    from empathy_geometry import texts as texts
    from empathy_geometry.activations.extraction import extract_activations as extract_activations
    from empathy_geometry.activations.pooled import Activations as Activations
    from empathy_geometry.activations.reading import ReadingDesign as ReadingDesign
    from empathy_geometry.audit.text_audit import audit_texts as audit_texts
    from empathy_geometry.causal.design import CausalDesign as CausalDesign
    from empathy_geometry.causal.effects import causal_effects as causal_effects
    from empathy_geometry.engines.loading import load_engine as load_engine
    from empathy_geometry.evaluation.clusters import purity as purity
    from empathy_geometry.evaluation.cross_validation import Evaluation as Evaluation
    from empathy_geometry.evaluation.cross_validation import cross_validate as cross_validate
    from empathy_geometry.evaluation.metrics import auroc as auroc
    from empathy_geometry.evaluation.metrics import d_prime as d_prime
    from empathy_geometry.evaluation.metrics import macro_auroc as macro_auroc
    from empathy_geometry.evaluation.permutation import permutation_test as permutation_test
    from empathy_geometry.evaluation.scenario_plan import plan_scenarios as plan_scenarios
    from empathy_geometry.evaluation.transfer import transfer_matrix as transfer_matrix
    from empathy_geometry.foundation.estimate import Estimate as Estimate
    from empathy_geometry.generation.continuations import generate as generate
    from empathy_geometry.geometry.directions import ConceptDirection as ConceptDirection
    from empathy_geometry.geometry.directions_by_layer import Directions as Directions
    from empathy_geometry.geometry.probes import Probe as Probe
    from empathy_geometry.geometry.regression_probe import RegressionProbe as RegressionProbe
    from empathy_geometry.geometry.subspaces import Subspace as Subspace
    from empathy_geometry.models.loading import load_model as load_model
    from empathy_geometry.reports.build import report as report
    from empathy_geometry.sae.agreement import sae_agreement as sae_agreement
    from empathy_geometry.sae.design import AgreementDesign as AgreementDesign
    from empathy_geometry.sae.design import SaeDesign as SaeDesign
    from empathy_geometry.sae.loading import load_sae as load_sae
    from empathy_geometry.sae.training import train_sae as train_sae
    from empathy_geometry.steering.card import replay as replay
    from empathy_geometry.steering.coherence import coherence as coherence
    from empathy_geometry.steering.hook import SteeringHook as SteeringHook
    from empathy_geometry.steering.monitoring import token_scores as token_scores
    from empathy_geometry.steering.range import steering_range as steering_range
    from empathy_geometry.steering.search import SearchDesign as SearchDesign
    from empathy_geometry.steering.sweep import steering_sweep as steering_sweep
    from empathy_geometry.steering.sweep_design import SweepDesign as SweepDesign
    from empathy_geometry.studies.bandwidth import measure_bandwidth as measure_bandwidth
    from empathy_geometry.studies.bandwidth_design import BandwidthDesign as BandwidthDesign
    from empathy_geometry.studies.bandwidth_design import ProfileDesign as ProfileDesign
    from empathy_geometry.studies.compare import compare as compare
    from empathy_geometry.studies.depth_profile import depth_profile as depth_profile
    from empathy_geometry.studies.layer_profile import layer_profile as layer_profile
    from empathy_geometry.studies.load_result import load_result as load_result
    from empathy_geometry.studies.tripartite.design import ConceptDesign as ConceptDesign
    from empathy_geometry.studies.tripartite.sets import ControlTexts as ControlTexts
    from empathy_geometry.studies.tripartite.study import concept_study as concept_study
    from empathy_geometry.studies.tripartite.study import tripartite as tripartite
    from empathy_geometry.texts.labeled_texts import LabeledTexts as LabeledTexts
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
