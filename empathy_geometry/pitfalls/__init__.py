"""Eight ways to be fooled, each as a function that returns its numbers and draws its figure.

Without arguments they run on planted data in seconds; most also take `Activations`.
"""

from empathy_geometry.pitfalls.best_of_layers import BestOfLayers, best_of_layers
from empathy_geometry.pitfalls.demonstration import Demonstration
from empathy_geometry.pitfalls.first_word_beats_probe import FirstWordBeatsProbe, first_word_beats_probe
from empathy_geometry.pitfalls.in_sample_d_prime import InSampleDPrime, in_sample_d_prime
from empathy_geometry.pitfalls.same_layer_tautology import SameLayerTautology, same_layer_tautology
from empathy_geometry.pitfalls.shared_baseline import SharedBaseline, shared_baseline
from empathy_geometry.pitfalls.simplex_floor import Floor, PairSimilarity, SimplexFloor, simplex_floor
from empathy_geometry.pitfalls.ungrouped_folds import UngroupedFolds, ungrouped_folds
from empathy_geometry.pitfalls.variance_count_follows_n import VarianceCountFollowsN, variance_count_follows_n

__all__ = [
    "BestOfLayers",
    "Demonstration",
    "FirstWordBeatsProbe",
    "Floor",
    "InSampleDPrime",
    "PairSimilarity",
    "SameLayerTautology",
    "SharedBaseline",
    "SimplexFloor",
    "UngroupedFolds",
    "VarianceCountFollowsN",
    "best_of_layers",
    "first_word_beats_probe",
    "in_sample_d_prime",
    "same_layer_tautology",
    "shared_baseline",
    "simplex_floor",
    "ungrouped_folds",
    "variance_count_follows_n",
]
