"""Figures: axes in, axes out, one style, colour-blind safe; chance and nulls are drawn wherever a score is.

Every function takes the library's results or the JSON that they were saved as.
"""

from empathy_geometry.plots.bandwidth_comparison import bandwidth_comparison
from empathy_geometry.plots.class_projection import class_projection
from empathy_geometry.plots.coherence_curve import coherence_curve
from empathy_geometry.plots.cosine_floor import cosine_floor
from empathy_geometry.plots.dose_response import dose_response
from empathy_geometry.plots.layer_emergence import layer_emergence
from empathy_geometry.plots.null_distribution import null_distribution
from empathy_geometry.plots.rarefaction_curve import rarefaction_curve
from empathy_geometry.plots.roc_curve import roc_curve
from empathy_geometry.plots.specificity_heatmap import specificity_heatmap
from empathy_geometry.plots.token_scores import token_scores
from empathy_geometry.plots.transfer_heatmap import transfer_heatmap

__all__ = [
    "bandwidth_comparison",
    "class_projection",
    "coherence_curve",
    "cosine_floor",
    "dose_response",
    "layer_emergence",
    "null_distribution",
    "rarefaction_curve",
    "roc_curve",
    "specificity_heatmap",
    "token_scores",
    "transfer_heatmap",
]
