"""Activations on disk, read layer by layer, whatever their number."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.activations.store_manifest import Manifest
from empathy_geometry.activations.store_writer import (
    TEXTS_NAME,
    damaged_shard,
    layer_name,
    open_shard,
    shard_path,
)
from empathy_geometry.foundation._types import IntArray, Layer, StrArray
from empathy_geometry.foundation._validation import as_layer, as_layers
from empathy_geometry.foundation.artefact import ArtefactFile
from empathy_geometry.foundation.checked_json import load_checked
from empathy_geometry.foundation.provenance import Provenance, kind_of
from empathy_geometry.foundation.terminal import printable
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.saved_texts import texts_from_dict
from empathy_geometry.texts.token_ids import TokenIds


class ActivationStore:
    """What `extract_activations(..., store=PATH)` wrote: shards of texts, one tensor a layer, memory-mapped.

    Nothing but texts and row numbers is read before it is asked for; each tensor is checked against its SHA-256 the
    first time.

    Attributes:
        path: The folder.
        identity: What the run was: texts, model, tokenizer, layers, position, padding, dtype, versions.
        rows: The texts that are there, by their number in the run; all of them unless opened with `partial=True`.
        texts: These texts, with labels, groups, prompts.
        layers: What the store holds: block indices or "embed".
        position: Which tokens were read.
        site: Which hook point of the block.
        provenance: Where the values came from.

    Example:
        >>> store = extract_activations(model, texts, store="runs/triplets")  # doctest: +SKIP
        >>> store = ActivationStore.open("runs/triplets")  # doctest: +SKIP
        >>> store.layer(14).shape  # doctest: +SKIP
        torch.Size([672, 576])
    """

    path: Path
    identity: dict[str, Any]
    rows: IntArray
    texts: LabeledTexts
    layers: tuple[Layer, ...]
    position: str
    site: str
    provenance: Provenance

    def __init__(self, path: Path, manifest: Manifest, shards: Sequence[ArtefactFile]) -> None:
        self.path = path
        self.identity = dict(manifest.identity)
        self._shards = tuple(shards)
        self._n = sum(manifest.shard_sizes)
        self.layers = tuple(self.identity["layers"])
        self.position = str(self.identity["position"])
        self.site = str(self.identity["site"])
        numbers = [self._tensor(shard, "rows").numpy() for shard in self._shards]
        self.rows = np.sort(np.concatenate(numbers)) if numbers else np.empty(0, dtype=np.int64)
        if len(np.unique(self.rows)) != len(self.rows) or (len(self.rows) and not 0 <= self.rows[-1] < self._n):
            raise ValueError(f"the shards of the store at {path} overlap; extract again into a new folder")
        self._places = [torch.as_tensor(np.searchsorted(self.rows, rows)) for rows in numbers]
        texts = _read_texts(path, self._n, str(self.identity["texts"]["sha256"]))
        self.texts = texts if len(self.rows) == self._n else texts[self.rows]
        settings = {k: v for k, v in self.identity.items() if k not in ("model", "texts", "versions")}
        settings["tokens_left_out"] = sum(int(shard.described["tokens_left_out"]) for shard in self._shards)
        self.provenance = Provenance(
            kind_of(self.identity["model"]),
            model=dict(self.identity["model"]),
            texts={texts.name: texts.sha256},
            settings={**settings, "record": dict(manifest.record)},
            versions=dict(self.identity["versions"]),
            created=str(manifest.record["created"]),
        )

    @classmethod
    def open(cls, path: str | Path, *, partial: bool = False) -> "ActivationStore":
        """A store on disk.

        Args:
            path: Its folder.
            partial: Take the finished shards of a store that is not complete (a run goes on, or broke off).

        Raises:
            FileNotFoundError: there is no store.
            ValueError: it is not complete (and `partial` is not set), damaged, or of another version.
        """
        folder = Path(path)
        manifest = Manifest.read(folder)
        numbers = range(len(manifest.shard_sizes))
        there = [number for number in numbers if shard_path(folder, number).exists()]
        if len(there) < len(numbers) and not partial:
            raise ValueError(
                f"the store at {folder} is not complete: {len(there)} of {len(numbers)} shards; run the same "
                f"extraction again to finish it, or open(..., partial=True) for the {len(there)}"
            )
        if not there:
            raise ValueError(f"the store at {folder} has no finished shard yet")
        try:
            return cls(folder, manifest, [open_shard(folder, number, manifest.sha256) for number in there])
        except (KeyError, TypeError) as error:
            raise ValueError(f"the store at {folder} is damaged ({type(error).__name__}: {error})") from error

    def __len__(self) -> int:
        return len(self.rows)

    @printable
    def __repr__(self) -> str:
        state = "" if self.complete else f" of {self._n}"
        return (
            f"ActivationStore({str(self.path)!r}, {len(self)}{state} texts, layers {self.layers[0]}.."
            f"{self.layers[-1]}, {self.site} at {self.position}, {self.identity['dtype']}, {len(self._shards)} shards)"
        )

    @property
    def complete(self) -> bool:
        """Whether every text of the run is there."""
        return len(self) == self._n

    @property
    def labels(self) -> StrArray:
        """Class of each row."""
        return self.texts.labels

    @property
    def groups(self) -> StrArray:
        """Scenario of each row."""
        return self.texts.groups

    @property
    def token_embeddings(self) -> Float[Tensor, "n d_model"]:
        """Mean token embedding of each response."""
        return self._gather("token_embeddings")

    @property
    def left_out(self) -> Int[Tensor, "n layer"]:
        """Outlier tokens left out of each row's means at each layer, as `Activations.left_out`."""
        counts = torch.zeros(len(self), len(self.layers), dtype=torch.int32)
        for shard, places in zip(self._shards, self._places, strict=True):
            counts[places] = self._tensor(shard, "left_out")
        return counts

    @property
    def token_ids(self) -> TokenIds | None:
        """Tokens of each response, as `Activations.token_ids`; None in stores of before they were kept."""
        if not all("token_ids" in shard.names for shard in self._shards):
            return None
        found: list[tuple[int, ...]] = [()] * len(self)
        for shard, places in zip(self._shards, self._places, strict=True):
            own = TokenIds(self._tensor(shard, "token_ids"), self._tensor(shard, "token_offsets"))
            for place, row in zip(places.tolist(), own, strict=True):
                found[place] = row
        return TokenIds.from_rows(found)

    def layer(self, layer: Layer, *, pos: int | None = None) -> Float[Tensor, "n d_model"]:
        """The rows at one layer, float32, as `Activations.layer`; only this layer's bytes are read.

        Raises:
            ValueError: the layer was not extracted, `pos` is needed and not given, or a shard is damaged.
        """
        layer = as_layer(layer)
        if layer not in self.layers:
            raise ValueError(f"layer {layer!r} was not extracted; there are {list(self.layers)}")
        values = self._gather(layer_name(layer))
        if values.shape[1] == 1:
            return values[:, 0]
        if pos is None:
            raise ValueError(
                f"each text has {values.shape[1]} vectors ({self.position}); say pos=0..{values.shape[1] - 1}"
            )
        return values[:, pos]

    def activations(self, layers: Literal["all"] | Layer | Sequence[Layer] = "all") -> Activations:
        """Some layers (or all) in memory.

        Raises:
            ValueError: a layer was not extracted, or a shard is damaged.
        """
        chosen = self.layers if isinstance(layers, str) and layers == "all" else as_layers(layers)
        missing = [layer for layer in chosen if layer not in self.layers]
        if missing or not chosen:
            raise ValueError(f"layers {missing} were not extracted; there are {list(self.layers)}")
        values = torch.stack([self._gather(layer_name(layer)) for layer in chosen], dim=2)
        return Activations(
            values[:, 0] if values.shape[1] == 1 else values,
            chosen,
            self.labels,
            self.groups,
            position=self.position,
            site=self.site,
            texts=self.texts,
            token_embeddings=self.token_embeddings,
            left_out=self.left_out[:, [self.layers.index(layer) for layer in chosen]],
            provenance=self.provenance,
            token_ids=self.token_ids,
        )

    def verify(self) -> None:
        """Read every byte and check it.

        Raises:
            ValueError: a shard is damaged; names it.
        """
        for shard in self._shards:
            for name in shard.names:
                self._tensor(shard, name)

    def _gather(self, name: str) -> Tensor:
        """One tensor of all shards, float32, rows in the order of the texts."""
        gathered: Tensor | None = None
        for shard, places in zip(self._shards, self._places, strict=True):
            part = self._tensor(shard, name)
            if gathered is None:
                gathered = torch.empty(len(self), *part.shape[1:])
            gathered[places] = part.float()
        assert gathered is not None  # a store without shards does not open
        return gathered

    def _tensor(self, shard: ArtefactFile, name: str) -> Tensor:
        try:
            return shard.read(name)
        except ValueError as error:
            raise damaged_shard(shard.path, error) from error


def _read_texts(folder: Path, n: int, sha256: str) -> LabeledTexts:
    path = folder / TEXTS_NAME
    advice = "delete it and run the same extraction again, which writes it anew"
    if not path.is_file():
        raise ValueError(f"the store at {folder} has lost its {TEXTS_NAME}; run the same extraction again")
    try:
        texts = texts_from_dict(load_checked(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}); {advice}") from error
    if len(texts) != n or texts.sha256 != sha256:
        raise ValueError(f"{path} holds other texts than the store was made of; {advice}")
    return texts
