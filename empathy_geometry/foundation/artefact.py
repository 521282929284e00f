"""Small artefacts on disk: tensors and a JSON description in one safetensors file, never pickle.

The header holds a SHA-256 of each tensor, and one over the description and these, so that damage is found wherever it
lies, and also when only one tensor of a large file is read.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from empathy_geometry.foundation.checked_json import dump_checked, load_checked
from empathy_geometry.foundation.durable_file import whole_file

_HEADER_BYTES = 95 * 2**20

# One key only: safetensors writes several in no fixed order, and equal content shall make equal files.
_KEY = "empathy_geometry"


class ArtefactFile:
    """A file that `save_artefact` wrote, opened without reading its tensors.

    Args:
        path: The file.
        kind: What it must hold.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or holds another kind of artefact.
    """

    def __init__(self, path: str | Path, kind: str) -> None:
        self.path = Path(path)
        self.kind = kind
        if not self.path.is_file():
            raise FileNotFoundError(f"there is no {kind} file at {self.path}")
        try:
            with safe_open(self.path, framework="pt") as file:
                header = (file.metadata() or {}).get(_KEY)
                names = set(file.keys())
        except (SafetensorError, OSError) as error:
            raise self._damaged(error) from error
        if header is None:
            raise ValueError(f"{self.path} does not hold {kind}: it is a safetensors file of another program")
        try:
            content = load_checked(header)
        except ValueError as error:
            raise self._damaged(error) from error
        if content.get("format") != _format(kind):
            raise ValueError(f"{self.path} does not hold {kind} (version 1), but {_named(content.get('format'))}")
        self.described: dict[str, Any] = content["described"]
        self._hashes: dict[str, str] = content["tensors"]
        if names != set(self._hashes):
            raise ValueError(f"{self.path} is damaged: it should hold {sorted(self._hashes)}; make it again")
        self._sound: set[str] = set()

    @property
    def names(self) -> list[str]:
        """Names of its tensors."""
        return sorted(self._hashes)

    def read(self, name: str) -> Tensor:
        """One tensor, memory-mapped, checked against its SHA-256 the first time.

        Raises:
            ValueError: its bytes are not those that were written.
        """
        try:
            with safe_open(self.path, framework="pt") as file:
                tensor: Tensor = file.get_tensor(name)
        except (SafetensorError, RuntimeError, OSError) as error:
            raise self._damaged(error) from error
        if name not in self._sound:
            if _tensor_hash(tensor) != self._hashes[name]:
                raise ValueError(f"{self.path} is damaged: {name!r} does not fit its checksum; make it again")
            self._sound.add(name)
        return tensor

    def _damaged(self, error: Exception) -> ValueError:
        return ValueError(f"{self.path} is damaged or half-written ({type(error).__name__}: {error}); make it again")


def save_artefact(path: str | Path, kind: str, tensors: Mapping[str, Tensor], described: Mapping[str, Any]) -> Path:
    """Write tensors and their description so that the file is there whole or not at all, also after a power cut.

    Raises:
        ValueError: the description is too long for a safetensors header.
        OSError: it could not be written (a full disk, say); what was there before is untouched.
    """
    path = Path(path)
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = dump_checked(
        {
            "format": _format(kind),
            "described": dict(described),
            "tensors": {name: _tensor_hash(tensor) for name, tensor in sorted(contiguous.items())},
        }
    )
    if len(header.encode()) > _HEADER_BYTES:
        raise ValueError(
            f"the description of {path} takes {len(header) >> 20} MiB, a safetensors header holds 95; for that many "
            f"texts use extract_activations(..., store=PATH)"
        )
    with whole_file(path) as temporary:
        try:
            save_file(contiguous, temporary, metadata={_KEY: header})
        except SafetensorError as error:  # its way to say what the system said
            raise OSError(f"{error}; is the disk full?") from error
    return path


def load_artefact(path: str | Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_artefact` wrote, every tensor checked.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or holds another kind of artefact.
    """
    file = ArtefactFile(path, kind)
    return {name: file.read(name) for name in file.names}, file.described


def _format(kind: str) -> str:
    return f"empathy_geometry.{kind}/1"


_READERS = {
    "direction": "ConceptDirection.load",
    "directions": "Directions.load",
    "subspace": "Subspace.load",
    "activations": "Activations.load",
}


def _named(found: object) -> str:
    """What a file holds instead, and what reads it."""
    kind = str(found).removeprefix("empathy_geometry.").removesuffix("/1")
    return f"{found!r}" + (f"; {_READERS[kind]} reads that" if kind in _READERS else "")


def _tensor_hash(tensor: Tensor) -> str:
    digest = hashlib.sha256(f"{tensor.dtype}:{tuple(tensor.shape)}:".encode())
    if tensor.numel():
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
