"""Figures: axes in, axes out, one style, colour-blind safe; chance and nulls are drawn wherever a score is.

Every function takes the library's results or the JSON that they were saved as.
"""

from typing import TYPE_CHECKING

from empathy_geometry.foundation.public_names import public_names
from empathy_geometry.plots.bandwidth_comparison import bandwidth_comparison as bandwidth_comparison
from empathy_geometry.plots.class_projection import class_projection as class_projection
from empathy_geometry.plots.coherence_curve import coherence_curve as coherence_curve
from empathy_geometry.plots.cosine_floor import cosine_floor as cosine_floor
from empathy_geometry.plots.depth_curve import depth_curve as depth_curve
from empathy_geometry.plots.dose_response import dose_response as dose_response
from empathy_geometry.plots.layer_emergence import layer_emergence as layer_emergence
from empathy_geometry.plots.layer_profile import layer_profile as layer_profile
from empathy_geometry.plots.null_distribution import null_distribution as null_distribution
from empathy_geometry.plots.rarefaction_curve import rarefaction_curve as rarefaction_curve
from empathy_geometry.plots.roc_curve import roc_curve as roc_curve
from empathy_geometry.plots.specificity_heatmap import specificity_heatmap as specificity_heatmap
from empathy_geometry.plots.token_scores import token_scores as token_scores
from empathy_geometry.plots.transfer_heatmap import transfer_heatmap as transfer_heatmap

if not TYPE_CHECKING:
    __getattr__, __dir__, __all__ = public_names(__name__)
