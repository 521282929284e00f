"""Scores of separation, classification and clustering, each an `Estimate` with an interval."""

from typing import TYPE_CHECKING

from empathy_geometry.foundation.public_names import public_names

if TYPE_CHECKING:
    from empathy_geometry.evaluation.clusters import adjusted_rand as adjusted_rand
    from empathy_geometry.evaluation.clusters import purity as purity
    from empathy_geometry.evaluation.clusters import silhouette as silhouette
    from empathy_geometry.evaluation.metrics import accuracy as accuracy
    from empathy_geometry.evaluation.metrics import auroc as auroc
    from empathy_geometry.evaluation.metrics import auroc_excess as auroc_excess
    from empathy_geometry.evaluation.metrics import balanced_accuracy as balanced_accuracy
    from empathy_geometry.evaluation.metrics import d_prime as d_prime
    from empathy_geometry.evaluation.metrics import forced_choice as forced_choice
    from empathy_geometry.evaluation.metrics import macro_auroc as macro_auroc
    from empathy_geometry.evaluation.rank_correlation import kendall as kendall
    from empathy_geometry.evaluation.rank_correlation import spearman as spearman
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
