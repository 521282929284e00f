"""`causal_effects`: edits inside the forward pass, read out at tokens, later layers and written text."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from empathy_geometry.causal.result import CausalEffect, CausalEffects, CausalVerdict
from empathy_geometry.foundation._types import Layer
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.models.loading import HookedModel
from empathy_geometry.steering.hook import Units
from empathy_geometry.steering.sweep import NEUTRAL_TEXTS
from empathy_geometry.texts.labeled_texts import LabeledTexts

__all__ = ["CausalEffect", "CausalEffects", "CausalVerdict", "causal_effects"]

Contrast: TypeAlias = tuple[str, str]
"""A positive and a negative class of the texts; "rest" as the negative class means all other classes."""


def causal_effects(
    model: HookedModel,
    directions: ConceptDirection | Mapping[str, ConceptDirection | Contrast],
    texts: LabeledTexts,
    *,
    layer: Layer | None = None,
    direction_texts: LabeledTexts | None = None,
    prompts: Sequence[str] | None = None,
    alphas: Sequence[float] = (-0.1, -0.05, 0.05, 0.1),
    units: Units = "residual_norm",
    readout_layers: Sequence[int] | None = None,
    probe: Probe | None = None,
    markers: Mapping[str, tuple[Sequence[str], Sequence[str]]] = MappingProxyType({}),
    n_markers: int = 20,
    controls: Mapping[str, ConceptDirection] = MappingProxyType({}),
    n_random: int = 20,
    n_shuffled: int = 20,
    n_scenarios: int = 10,
    n_prompts: int = 8,
    max_new_tokens: int = 24,
    prompt_baselines: Mapping[str, str] | None = None,
    neutral_texts: Sequence[str] = NEUTRAL_TEXTS,
    seed: int = 0,
    progress: bool = True,
) -> CausalEffects:
    """Does a direction drive what the model does? Work in progress: the signature is fixed, the body follows."""
    raise NotImplementedError("causal_effects is being built")
