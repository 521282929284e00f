"""The classes of what functions return: for annotations and `isinstance`."""

from typing import TYPE_CHECKING

from empathy_geometry.foundation.public_names import public_names

if TYPE_CHECKING:
    from empathy_geometry.audit.audit_result import TextAudit as TextAudit
    from empathy_geometry.causal.result import CausalEffects as CausalEffects
    from empathy_geometry.evaluation.cross_validation import Evaluation as Evaluation
    from empathy_geometry.evaluation.erasing import Erasure as Erasure
    from empathy_geometry.evaluation.permutation import PermutationTest as PermutationTest
    from empathy_geometry.evaluation.transfer import TransferMatrix as TransferMatrix
    from empathy_geometry.foundation.estimate import Estimate as Estimate
    from empathy_geometry.foundation.provenance import Provenance as Provenance
    from empathy_geometry.generation.continuations import Continuations as Continuations
    from empathy_geometry.sae.agreement_result import SaeAgreement as SaeAgreement
    from empathy_geometry.steering.bits import BandwidthInBits as BandwidthInBits
    from empathy_geometry.steering.calibration import Calibration as Calibration
    from empathy_geometry.steering.coherence import Coherence as Coherence
    from empathy_geometry.steering.interval_censored import Crossings as Crossings
    from empathy_geometry.steering.reference import UnsteeredReference as UnsteeredReference
    from empathy_geometry.steering.sweep import SteeringSweep as SteeringSweep
    from empathy_geometry.steering.token_scores import TokenScores as TokenScores
    from empathy_geometry.studies.bandwidth import Bandwidth as Bandwidth
    from empathy_geometry.studies.compare import Comparison as Comparison
    from empathy_geometry.studies.depth_profile import DepthProfile as DepthProfile
    from empathy_geometry.studies.load_result import SavedResult as SavedResult
    from empathy_geometry.studies.planted_study import PlantedRun as PlantedRun
    from empathy_geometry.studies.tripartite.result import Tripartite as Tripartite
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
