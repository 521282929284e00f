"""Packaged texts by the name that --concept takes; imports nothing, so that help is quick."""

from collections.abc import Mapping
from types import MappingProxyType

CONCEPTS: Mapping[str, str] = MappingProxyType(
    {
        "empathy": "empathy_pairs",
        "formality": "formality_pairs",
        "humor": "humor_pairs",
        "emotion": "emotion_statements",
        "matched_pairs": "matched_pairs",
        "empathy_triplets": "empathy_triplets",
        "matched_triplets": "matched_triplets",
        "valence_stripped": "valence_stripped_controls",
        "non_empathy": "non_empathy_controls",
        "support_moves": "support_moves",
    }
)
"""Function of `datasets` by the name that --concept takes."""

PAIRS = ("empathy", "formality", "humor", "matched_pairs")
"""Those of two classes, which can serve as control."""
