"""Where a study's activations come from: a model, each set of texts read once and kept."""

import re
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from empathy_geometry.activations.extraction import extract_activations
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.activations.positions import Position, position_name
from empathy_geometry.activations.store import ActivationStore
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.provenance import Kind, kind_of
from empathy_geometry.models.hooked_model import HookedModel
from empathy_geometry.models.identity import model_identity
from empathy_geometry.models.loading import check_model
from empathy_geometry.models.random_weights import randomise_weights
from empathy_geometry.texts.labeled_texts import LabeledTexts


@runtime_checkable
class Source(Protocol):
    """What the sections need: activations of texts, and whose they are."""

    @property
    def kind(self) -> Kind:
        """Whether the activations are a model's."""

    @property
    def model(self) -> HookedModel | None:
        """The model; None for planted data."""

    def identity(self) -> dict[str, Any]:
        """What tells this source from another."""

    def activations(self, texts: LabeledTexts, position: Position, *, random: bool = False) -> Activations:
        """The texts at every layer, the embedding included; `random`: through random weights."""


class ModelSource:
    """A model's activations, kept in memory and, with a folder, in stores that a later run reads.

    Args:
        model: HookedTransformer or TransformerBridge.
        folder: Where stores go; None keeps nothing on disk.
        seed: Of the random weights.
        progress: Show bars.
    """

    def __init__(self, model: HookedModel, folder: Path | None, *, seed: int, progress: bool) -> None:
        check_model(model)
        self.model = model
        self.folder, self.seed, self.progress = folder, seed, progress
        self.layers: tuple[Layer, ...] = ("embed", *range(int(model.cfg.n_layers)))
        self._identity = model_identity(model)
        self.kind = kind_of(self._identity)
        self._kept: dict[tuple[str, str, bool], Activations] = {}

    def identity(self) -> dict[str, Any]:
        """Name, class, shape and weights of the model."""
        return dict(self._identity)

    def activations(self, texts: LabeledTexts, position: Position, *, random: bool = False) -> Activations:
        """The texts at every layer, the embedding included."""
        key = (texts.sha256, position_name(position), random)
        if key not in self._kept:
            self._kept[key] = self._extract(texts, position, random)
        return self._kept[key]

    def _extract(self, texts: LabeledTexts, position: Position, random: bool) -> Activations:
        options: dict[str, Any] = {"layers": self.layers, "position": position, "progress": self.progress}
        model: HookedModel = randomise_weights(self.model, self.seed) if random else self.model
        if self.folder is None:
            acts: Activations = extract_activations(model, texts, **options)
            return acts
        weights = f"-random-{self.seed}" if random else ""
        name = re.sub(r"[^\w.-]+", "_", texts.name)[:60]
        place = self.folder / f"{name}-{texts.sha256[:8]}-{position_name(position)}{weights}"
        store: ActivationStore = extract_activations(model, texts, store=place, **options)
        return store.activations()
