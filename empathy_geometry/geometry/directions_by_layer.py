"""One concept's directions at several layers: one object to save, to steer with, and to hand to other programs."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from empathy_geometry.activations.pooled import Activations, check_activations
from empathy_geometry.foundation._types import ArrayLike, FloatArray, Layer, Layers
from empathy_geometry.foundation._validation import as_layer, as_layers
from empathy_geometry.foundation.artefact import load_artefact, save_artefact
from empathy_geometry.foundation.checked_json import dump_checked, load_checked
from empathy_geometry.foundation.layers import depth
from empathy_geometry.foundation.terminal import printable
from empathy_geometry.geometry import control_vector_files as files
from empathy_geometry.geometry.direction_methods import Method
from empathy_geometry.geometry.direction_units import Units, unit_scale, units_of
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.models.identity import identity_differences


class Directions(Mapping[Layer, ConceptDirection]):
    """Directions of one concept in one model, by layer; a mapping from the layer to its `ConceptDirection`.

    `SteeringHook(directions)` steers at all of them, each along its own.

    Args:
        directions: Each with a layer of its own.

    Raises:
        TypeError: something else is among them.
        ValueError: there are none, one has no layer, two have the same one, or they come from different models.

    Example:
        >>> two = Directions([ConceptDirection(torch.eye(3)[k], norm=2.0, layer=k) for k in (1, 2)])
        >>> two, two[1].d_model, two.vectors(units="norm")[2].tolist()
        (Directions(positive - negative, layers 1, 2, d_model 3), 3, [0.0, 0.0, 2.0])
    """

    def __init__(self, directions: Iterable[ConceptDirection]) -> None:
        given = list(directions.values() if isinstance(directions, Mapping) else directions)
        if not given:
            raise ValueError("directions is empty; give one ConceptDirection for each layer")
        for direction in given:
            if not isinstance(direction, ConceptDirection):
                raise TypeError(
                    f"directions must be ConceptDirections, got {type(direction).__name__}; for vectors of another "
                    f"program try Directions.from_vectors({{layer: vector}})"
                )
            if direction.layer is None:
                raise ValueError(f"{direction!r} does not say at which layer it lives; set ConceptDirection(layer=...)")
        layers = [d.layer for d in given if d.layer is not None]
        if len(set(layers)) < len(layers):
            raise ValueError(f"each layer may have one direction, got layers {layers}")
        first = given[0]
        for other in given[1:]:
            if other.d_model != first.d_model:
                raise ValueError(f"the directions have widths {first.d_model} and {other.d_model}; not of one model")
            if other.site != first.site:
                raise ValueError(f"the directions live at {first.site} and {other.site}; take one hook point")
            differing = identity_differences(first.model, other.model)
            if differing:
                raise ValueError(f"the directions come from different models ({'; '.join(differing)})")
        ordered = sorted(zip(layers, given, strict=True), key=lambda pair: depth(pair[0]))
        self._by_layer: dict[Layer, ConceptDirection] = dict(ordered)

    def __getitem__(self, layer: Layer) -> ConceptDirection:
        if layer not in self._by_layer:
            raise KeyError(f"there is no direction at layer {layer!r}; there are {list(self._by_layer)}")
        return self._by_layer[layer]

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._by_layer)

    def __len__(self) -> int:
        return len(self._by_layer)

    @printable
    def __repr__(self) -> str:
        first = next(iter(self.values()))
        layers = ", ".join(map(str, self))
        return f"Directions({first.positive} - {first.negative}, layers {layers}, d_model {self.d_model})"

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, the first in the model first."""
        return tuple(self)

    @property
    def site(self) -> str:
        """Hook point of the blocks."""
        return next(iter(self.values())).site

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return next(iter(self.values())).d_model

    @property
    def model(self) -> Mapping[str, Any]:
        """Identity of the model, empty if unknown."""
        return next(iter(self.values())).model

    @classmethod
    def from_activations(
        cls,
        activations: Activations,
        *,
        positive: str,
        negative: str,
        layers: Layers | None = None,
        method: Method = "mean_difference",
        pos: int | None = None,
    ) -> "Directions":
        """`ConceptDirection.from_activations` at several layers; None takes all that were extracted.

        Raises:
            ValueError: as there.
        """
        check_activations(activations)
        chosen = activations.layers if layers is None else as_layers(layers)
        return cls(
            ConceptDirection.from_activations(
                activations, positive=positive, negative=negative, layer=layer, method=method, pos=pos
            )
            for layer in chosen
        )

    @classmethod
    def from_vectors(
        cls,
        vectors: Mapping[int, ArrayLike],
        *,
        positive: str = "positive",
        negative: str = "negative",
        model: Mapping[str, Any] | None = None,
    ) -> "Directions":
        """Vectors that another program made, to be added after block N, such as `SteeringVector.layer_activations`.

        Their lengths are kept as `norm`, so that `units="norm"` adds each as it came.

        Args:
            vectors: By layer, [d_model] each.
            positive: Name of the class that they point to.
            negative: Name of the other.
            model: Identity of the model (`models.model_identity`), if it is to be checked when steering.

        Raises:
            ValueError: a vector is not [d_model], not finite or zero.
        """
        found = []
        for layer, vector in vectors.items():
            row = torch.as_tensor(np.asarray(vector, dtype=np.float64) if not isinstance(vector, Tensor) else vector)
            length = float(torch.linalg.vector_norm(row.detach().double()))
            found.append(
                ConceptDirection(
                    row, length, layer=as_layer(layer), positive=positive, negative=negative, model=dict(model or {})
                )
            )
        return cls(found)

    def vectors(self, *, alpha: float = 1.0, units: Units | None = None) -> dict[int, Float[Tensor, "d_model"]]:
        """What a hook of this strength adds after each block; what steering-vectors calls `layer_activations`.

        Args:
            alpha: Strength.
            units: As in `SteeringHook`; None is each direction's class gap where all have one, else raw.

        Raises:
            ValueError: a direction lies before block 0 or at another hook point than the stream after a block, or does
                not know this unit.
        """
        if "embed" in self or self.site != "resid_post":
            raise ValueError(
                f"other programs add vectors to the stream after a block; these lie at {self.site}, layers "
                f"{list(self)}. Take layers from 0 of resid_post"
            )
        unit = self._unit(units)
        return {int(layer): d.vector * (alpha * unit_scale(d, unit)) for layer, d in self.items()}

    def save(self, path: str | Path) -> Path:
        """Write all of them as one safetensors file, atomically."""
        described = {"directions": [d.describe() for d in self.values()]}
        return save_artefact(path, "directions", {"vectors": torch.stack([d.vector for d in self.values()])}, described)

    @classmethod
    def load(cls, path: str | Path) -> "Directions":
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is damaged or of another kind.
        """
        tensors, described = load_artefact(path, "directions")
        try:
            rows = zip(tensors["vectors"], described["directions"], strict=True)
            return cls(ConceptDirection.from_description(vector, content) for vector, content in rows)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is damaged ({type(error).__name__}: {error})") from error

    def to_gguf(
        self, path: str | Path, *, alpha: float = 1.0, units: Units | None = None, model_hint: str = "llama"
    ) -> Path:
        """Write a control vector for llama.cpp (`--control-vector-scaled FILE STRENGTH`) and repeng.

        Strength 1 there is `alpha` here. Everything else that a direction knows travels in the same file, and comes
        back by `from_gguf`. llama.cpp reads layers from 1 on: it cannot add after block 0.

        Args:
            path: The file.
            alpha: What strength 1 shall be.
            units: Of alpha, as in `vectors`.
            model_hint: The model's type in its configuration ("llama", "qwen2", "gemma2"); repeng keeps it.

        Raises:
            ImportError: the package gguf is missing.
            ValueError: as `vectors`.
            OSError: it could not be written.
        """
        vectors = self._plain(alpha, units)
        return files.write_gguf(path, vectors, model_hint=model_hint, note=self._note(vectors, alpha, units))

    @classmethod
    def from_gguf(cls, path: str | Path, *, model: Mapping[str, Any] | None = None) -> "Directions":
        """Read a control vector: one of ours with all it knows, or one of repeng or llama.cpp as `from_vectors` does.

        Raises:
            FileNotFoundError: there is no such file.
            ImportError: the package gguf is missing.
            ValueError: another kind of file, damaged, or one of ours whose numbers were changed.
        """
        return cls._from_file(path, *files.read_gguf(path), model)

    def to_safetensors(self, path: str | Path, *, alpha: float = 1.0, units: Units | None = None) -> Path:
        """Write plain tensors `direction.N`, what strength 1 adds after block N; arguments as in `to_gguf`."""
        vectors = self._plain(alpha, units)
        return files.write_safetensors(path, vectors, note=self._note(vectors, alpha, units))

    @classmethod
    def from_safetensors(cls, path: str | Path, *, model: Mapping[str, Any] | None = None) -> "Directions":
        """Read plain tensors `direction.N`; as `from_gguf`."""
        return cls._from_file(path, *files.read_safetensors(path), model)

    def _unit(self, units: Units | None) -> Units:
        if units is not None:
            return units
        own = {units_of(d) for d in self.values()}
        return own.pop() if len(own) == 1 else "raw"

    def _plain(self, alpha: float, units: Units | None) -> dict[int, FloatArray]:
        if not np.isfinite(alpha) or alpha == 0:
            raise ValueError(f"alpha is what strength 1 shall add: a finite number, not 0; got {alpha!r}")
        return {layer: np.asarray(v, dtype=np.float32) for layer, v in self.vectors(alpha=alpha, units=units).items()}

    def _note(self, vectors: Mapping[int, FloatArray], alpha: float, units: Units | None) -> str:
        return dump_checked(
            {
                "directions": [d.describe() for d in self.values()],
                "alpha": alpha,
                "units": self._unit(units),
                "vectors_sha256": vectors_sha256(vectors),
            }
        )

    @classmethod
    def _from_file(
        cls,
        path: str | Path,
        vectors: Mapping[int, FloatArray],
        note: str | None,
        model: Mapping[str, Any] | None,
    ) -> "Directions":
        if note is None:
            return cls.from_vectors(vectors, model=model)
        try:
            content = load_checked(note)
            if content["vectors_sha256"] != vectors_sha256(vectors):
                raise ValueError("its vectors are not those that were written")
            sign = np.sign(content["alpha"])
            return cls(
                ConceptDirection.from_description(torch.as_tensor(sign * v), described)
                for v, described in zip(vectors.values(), content["directions"], strict=True)
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} was written by this library and changed since ({error}); make it anew") from error


def vectors_sha256(vectors: Mapping[Any, FloatArray]) -> str:
    """SHA-256 of vectors and their layers, as float32."""
    digest = hashlib.sha256()
    for layer, vector in sorted(vectors.items(), key=lambda item: str(item[0])):
        digest.update(f"{layer}:".encode() + np.ascontiguousarray(vector, dtype=np.float32).tobytes())
    return digest.hexdigest()
