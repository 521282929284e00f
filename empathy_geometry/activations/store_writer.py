"""Writing a store of activations, shard by shard, so that a kill at any moment loses one shard at most."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from empathy_geometry.activations.extractor import ShardVectors
from empathy_geometry.activations.store_manifest import Manifest
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation._validation import check_choice, count_or_auto
from empathy_geometry.foundation.artefact import ArtefactFile, save_artefact
from empathy_geometry.foundation.checked_json import dump_checked
from empathy_geometry.foundation.durable_file import create_text, remove_leftovers
from empathy_geometry.foundation.settings import Settings
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.saved_texts import texts_to_dict
from empathy_geometry.texts.token_ids import TokenIds

SHARD_KIND = "activation_shard"
TEXTS_NAME = "texts.json"
_ADVICE = "delete this file and run the same extraction again, which computes this shard only"

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class StoreDesign(Settings):
    """Where and how vectors are kept on disk.

    Attributes:
        folder: Where shards go; made if it is not there.
        dtype: How numbers are kept.
        shard_size: Texts per shard; "auto" makes shards of at most 64 MiB.

    Raises:
        TypeError: a name that is no setting.
        ValueError: an unknown dtype, or a size that is no positive whole number.

    Example:
        >>> StoreDesign("activations", dtype="bfloat16").shard_size
        'auto'
    """

    folder: str | Path
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    shard_size: int | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        check_choice(self.dtype, "dtype", tuple(DTYPES))
        count_or_auto(self.shard_size, "shard_size")


def shard_path(folder: Path, number: int) -> Path:
    """The file of one shard."""
    return folder / f"shard-{number:05d}.safetensors"


def open_shard(folder: Path, number: int, store: str) -> ArtefactFile:
    """A finished shard, its header checked.

    Args:
        folder: The store.
        number: Which shard.
        store: Hash of the store's identity, which the shard must bear.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is damaged, or belongs to another store.
    """
    path = shard_path(folder, number)
    try:
        file = ArtefactFile(path, SHARD_KIND)
    except ValueError as error:
        raise damaged_shard(path, error) from error
    if file.described.get("store") != store or file.described.get("shard") != number:
        raise ValueError(f"{path} belongs to another store, or to another place in it; {_ADVICE}")
    return file


class StoreWriter:
    """A store under construction.

    Args:
        folder: Where; made if it is not there.
        manifest: What the run is.
        texts: Its texts, kept beside the activations.

    Raises:
        ValueError: the folder holds a store of another run, or a damaged shard; nothing is overwritten.
        OSError: it cannot be written.
    """

    def __init__(self, folder: str | Path, manifest: Manifest, texts: LabeledTexts) -> None:
        self.folder = Path(folder)
        self.manifest = manifest.create(self.folder)
        remove_leftovers(self.folder)
        if not (self.folder / TEXTS_NAME).exists():
            create_text(self.folder / TEXTS_NAME, dump_checked(texts_to_dict(texts)))
        self._store = self.manifest.sha256

    def has(self, number: int) -> bool:
        """Whether a shard is finished, every byte of it checked.

        Raises:
            ValueError: it is there, but damaged.
        """
        if not shard_path(self.folder, number).exists():
            return False
        file = open_shard(self.folder, number, self._store)
        try:
            for name in file.names:
                file.read(name)
        except ValueError as error:
            raise damaged_shard(file.path, error) from error
        return True

    def write(
        self, number: int, layers: Sequence[Layer], read: ShardVectors, dtype: str, tokens: TokenIds | None = None
    ) -> None:
        """Write one shard; `tokens` are those of its texts' responses.

        Raises:
            ValueError: an activation is not finite in this dtype.
            OSError: it could not be written (a full disk, say); finished shards are untouched.
        """
        values = read.values.to(DTYPES[dtype])
        finite = torch.isfinite(values).flatten(1).all(1)
        if not finite.all():
            row = int(read.rows[int((~finite).nonzero()[0])])
            raise ValueError(
                f"activations must be finite; those of text {row} are not in {dtype}; try "
                f"StoreDesign(folder, dtype='bfloat16') or 'float32', and a model in one of them"
            )
        tensors = {layer_name(layer): values[:, :, i] for i, layer in enumerate(layers)}
        tensors |= {"rows": torch.as_tensor(read.rows), "token_embeddings": read.token_embeddings.to(DTYPES[dtype])}
        tensors["left_out"] = read.left_out
        if tokens is not None:
            tensors |= {"token_ids": tokens.ids, "token_offsets": tokens.offsets}
        described = {
            "store": self._store,
            "shard": number,
            "dtype": dtype,
            "tokens_left_out": int(read.left_out.sum()),
        }
        save_artefact(shard_path(self.folder, number), SHARD_KIND, tensors, described)


def layer_name(layer: Layer) -> str:
    """The tensor of a layer in a shard."""
    return f"layer.{layer}"


def damaged_shard(path: Path, error: Exception) -> ValueError:
    """The error for a shard that cannot be trusted."""
    return ValueError(f"shard {path.name} of the store at {path.parent} is damaged ({error}); {_ADVICE}")
