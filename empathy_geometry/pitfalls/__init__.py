"""Eight ways to be fooled, each as a function that returns its numbers and draws its figure.

Without arguments they run on planted data in seconds; most also take `Activations`.
"""

from typing import TYPE_CHECKING

from empathy_geometry.foundation.public_names import public_names
from empathy_geometry.pitfalls.best_of_layers import BestOfLayers as BestOfLayers
from empathy_geometry.pitfalls.best_of_layers import best_of_layers as best_of_layers
from empathy_geometry.pitfalls.demonstration import Demonstration as Demonstration
from empathy_geometry.pitfalls.first_word_beats_probe import FirstWordBeatsProbe as FirstWordBeatsProbe
from empathy_geometry.pitfalls.first_word_beats_probe import first_word_beats_probe as first_word_beats_probe
from empathy_geometry.pitfalls.in_sample_d_prime import InSampleDPrime as InSampleDPrime
from empathy_geometry.pitfalls.in_sample_d_prime import in_sample_d_prime as in_sample_d_prime
from empathy_geometry.pitfalls.same_layer_tautology import SameLayerTautology as SameLayerTautology
from empathy_geometry.pitfalls.same_layer_tautology import same_layer_tautology as same_layer_tautology
from empathy_geometry.pitfalls.shared_baseline import SharedBaseline as SharedBaseline
from empathy_geometry.pitfalls.shared_baseline import shared_baseline as shared_baseline
from empathy_geometry.pitfalls.simplex_floor import Floor as Floor
from empathy_geometry.pitfalls.simplex_floor import PairSimilarity as PairSimilarity
from empathy_geometry.pitfalls.simplex_floor import SimplexFloor as SimplexFloor
from empathy_geometry.pitfalls.simplex_floor import simplex_floor as simplex_floor
from empathy_geometry.pitfalls.ungrouped_folds import UngroupedFolds as UngroupedFolds
from empathy_geometry.pitfalls.ungrouped_folds import ungrouped_folds as ungrouped_folds
from empathy_geometry.pitfalls.variance_count_follows_n import VarianceCountFollowsN as VarianceCountFollowsN
from empathy_geometry.pitfalls.variance_count_follows_n import variance_count_follows_n as variance_count_follows_n

if not TYPE_CHECKING:
    __getattr__, __dir__, __all__ = public_names(__name__)
