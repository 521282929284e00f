"""Files by which other programs take vectors to add to a stream: llama.cpp's control vectors, and plain safetensors.

Both hold one float32 tensor `direction.N` for each layer, to be added after block N (counted from 0). Whoever reads
them adds strength times the tensor.
"""

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from empathy_geometry.foundation._types import FloatArray
from empathy_geometry.foundation.durable_file import whole_file

_ARCHITECTURE = "controlvector"
_NOTE = "empathy_geometry.directions"
_TENSOR = re.compile(r"direction\.([0-9]{1,6})")

_SAYS = '"vectors_sha256"'
"""Stands in every note."""


def write_gguf(path: str | Path, vectors: Mapping[int, FloatArray], *, model_hint: str, note: str) -> Path:
    """Write a control vector as llama.cpp and repeng read it.

    Args:
        path: The file; replaced whole.
        vectors: What strength 1 adds after each block, [d_model].
        model_hint: The model's type ("llama"); repeng keeps it.
        note: What only this library reads.

    Raises:
        ImportError: the package gguf is missing.
        OSError: it could not be written.
    """
    _check_gguf()
    from gguf import GGUFWriter

    with whole_file(path) as temporary:
        writer = GGUFWriter(temporary, _ARCHITECTURE)
        writer.add_string(f"{_ARCHITECTURE}.model_hint", model_hint)
        writer.add_uint32(f"{_ARCHITECTURE}.layer_count", len(vectors))
        writer.add_string(_NOTE, note)
        for layer, vector in vectors.items():
            writer.add_tensor(f"direction.{layer}", np.ascontiguousarray(vector, dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return Path(path)


def read_gguf(path: str | Path) -> tuple[dict[int, FloatArray], str | None]:
    """Vectors by layer, and the note that `write_gguf` left, if it did.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: the package gguf is missing.
        ValueError: no GGUF file, another kind of it, or damaged.
    """
    path = _existing(path)
    _check_gguf()
    from gguf import GGMLQuantizationType, GGUFReader

    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ValueError(f"{path} is no GGUF file (it does not begin with 'GGUF'); was it downloaded whole?")
    try:
        reader = GGUFReader(path)
        architecture = reader.get_field("general.architecture")
        kind = None if architecture is None else architecture.contents()
        notes = {name: field.contents() for name, field in reader.fields.items() if len(field.parts)}
        # Copied, since the reader maps the file into memory.
        tensors = {
            t.name: (t.tensor_type in (GGMLQuantizationType.F32, GGMLQuantizationType.F16), np.array(t.data))
            for t in reader.tensors
        }
    except Exception as error:  # whatever its reader trips over in a damaged file
        raise _damaged(path, error) from error
    if kind != _ARCHITECTURE:
        raise ValueError(f"{path} holds a {kind!r}, not a control vector; models are loaded by load_model")
    packed = [name for name, (plain, _) in tensors.items() if not plain]
    if packed:
        raise ValueError(f"{path} holds quantised tensors ({', '.join(packed[:3])}); export it in float32 or float16")
    return _by_layer(path, {name: data for name, (_, data) in tensors.items()}), _note_among(notes)


def write_safetensors(path: str | Path, vectors: Mapping[int, FloatArray], *, note: str) -> Path:
    """Write the same tensors as one safetensors file."""
    with whole_file(path) as temporary:
        tensors = {f"direction.{layer}": np.ascontiguousarray(v, dtype=np.float32) for layer, v in vectors.items()}
        save_file(tensors, temporary, metadata={_NOTE: note})
    return Path(path)


def read_safetensors(path: str | Path) -> tuple[dict[int, FloatArray], str | None]:
    """Vectors by layer, and the note that `write_safetensors` left, if it did.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no safetensors file, damaged, or tensors of other names.
    """
    path = _existing(path)
    try:
        with safe_open(path, framework="np") as file:
            notes = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dictionary
    except (SafetensorError, OSError, TypeError) as error:
        raise _damaged(path, error) from error
    return _by_layer(path, tensors), _note_among(notes)


def _note_among(entries: Mapping[str, object]) -> str | None:
    """Our note, by its name; or by what it says, where its name is damaged, so that the file still passes for ours."""
    named = entries.get(_NOTE)
    notes = [named] if isinstance(named, str) else [v for v in entries.values() if isinstance(v, str) and _SAYS in v]
    return notes[0] if notes else None


def _by_layer(path: Path, tensors: Mapping[str, np.ndarray]) -> dict[int, FloatArray]:
    found: dict[int, FloatArray] = {}
    for name, tensor in tensors.items():
        layer = _TENSOR.fullmatch(name)
        if layer is None:
            raise ValueError(f"{path} holds a tensor {name!r}; expected only direction.N, one for each layer N")
        if tensor.ndim != 1 or not tensor.size or tensor.dtype.kind != "f":
            raise ValueError(f"{path}: {name} must be numbers [d_model], got {tensor.dtype} {list(tensor.shape)}")
        if int(layer[1]) in found:
            raise ValueError(f"{path} holds layer {int(layer[1])} twice")
        found[int(layer[1])] = tensor.astype(np.float64)
    if not found:
        raise ValueError(f"{path} holds no tensor direction.N, so no vector")
    widths = sorted({len(v) for v in found.values()})
    if len(widths) > 1:
        raise ValueError(f"{path} holds vectors of widths {widths}; they must come from one model")
    return dict(sorted(found.items()))


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path} is damaged or half-written ({type(error).__name__}: {error}); make it again")


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    return path


def _check_gguf() -> None:
    if importlib.util.find_spec("gguf") is None:
        raise ImportError("control vectors in GGUF need the package gguf; try: pip install gguf")
