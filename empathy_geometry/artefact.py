"""Small artefacts on disk: tensors and a JSON description in one safetensors file, never pickle."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor


def save_artefact(path: str | Path, kind: str, tensors: Mapping[str, Tensor], described: Mapping[str, Any]) -> Path:
    """Write tensors and their description atomically."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()},
            temporary,
            metadata={
                "format": f"empathy_geometry.{kind}/1",
                "json": json.dumps(described, ensure_ascii=False),
            },
        )
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def load_artefact(path: str | Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_artefact` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or holds another kind of artefact.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no {kind} file at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != f"empathy_geometry.{kind}/1":
                raise ValueError(f"{path} does not hold {kind} (version 1), but {metadata.get('format')!r}")
            described = json.loads(metadata["json"])
            if not isinstance(described, dict):
                raise ValueError(f"{path} is damaged: its description is not an object")
            return {name: file.get_tensor(name) for name in file.keys()}, described
    except (SafetensorError, KeyError, json.JSONDecodeError, OSError) as error:
        raise ValueError(
            f"{path} is damaged or half-written ({type(error).__name__}: {error}); make it again"
        ) from error
