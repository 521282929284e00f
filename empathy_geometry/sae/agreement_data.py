"""What the agreement of one dictionary with a concept is computed from."""

from dataclasses import dataclass

from empathy_geometry.foundation._types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class AgreementData:
    """What the agreement of one dictionary is computed from.

    Attributes:
        features: Feature activations of the texts, [n, d_sae].
        decoder: [d_sae, d_model].
        rows: Activations of the texts, [n, d_model].
        positive: Which rows have the concept, [n].
        groups: Scenario index of each row, [n].
        frequency: Share of tokens on which each feature fires, [d_sae].
    """

    features: FloatArray
    decoder: FloatArray
    rows: FloatArray
    positive: BoolArray
    groups: IntArray
    frequency: FloatArray
