"""Held-out scores, intervals, baselines, nulls, transfer."""

from typing import TYPE_CHECKING

from empathy_geometry.foundation.public_names import public_names

if TYPE_CHECKING:
    from empathy_geometry.evaluation.control_task import selectivity as selectivity
    from empathy_geometry.evaluation.covariates import length_covariates as length_covariates
    from empathy_geometry.evaluation.covariates import residualise as residualise
    from empathy_geometry.evaluation.erasing import erasure as erasure
    from empathy_geometry.evaluation.graded import GradedEvaluation as GradedEvaluation
    from empathy_geometry.evaluation.online_coding import description_length as description_length
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
