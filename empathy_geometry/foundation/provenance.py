"""Where a number came from: model, texts, software, seed, and whether it was measured or planted."""

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from empathy_geometry.foundation.checked_json import plain_number

_PACKAGES = (
    "empathy-geometry",
    "torch",
    "transformer-lens",
    "transformers",
    "numpy",
    "scipy",
    "scikit-learn",
    "sae-lens",
)


@dataclass(frozen=True)
class Provenance:
    """Origin of a result; saved inside every artefact.

    Attributes:
        kind: "measured" on a real model, or "planted" for synthetic data with a known truth.
        model: Identity of the model (name, class, dtype, device, SHA-256 of its weights), if any.
        texts: SHA-256 of each set of texts that entered, by role.
        seed: Seed of every random choice.
        settings: Arguments of the call.
        versions: Python and package versions.
        created: UTC time, ISO 8601.
    """

    kind: Literal["measured", "planted"]
    model: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=lambda: package_versions())
    created: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))

    def __post_init__(self) -> None:
        if self.kind not in ("measured", "planted"):
            raise ValueError(f"kind must be 'measured' or 'planted', got {self.kind!r}")

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Provenance":
        """The inverse of `to_dict`."""
        return cls(**fields)


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages whose behaviour a result depends on.

    Example:
        >>> "torch" in package_versions()
        True
    """
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # noqa: PERF203 - eight names
            continue
    return found


def hash_texts(texts: Sequence[str]) -> str:
    """SHA-256 over texts in order; boundaries count, so ["ab"] and ["a", "b"] differ.

    Example:
        >>> hash_texts(["ab"]) == hash_texts(["a", "b"])
        False
    """
    return hashlib.sha256(json.dumps(list(texts), ensure_ascii=False).encode()).hexdigest()


def write_text_atomically(path: str | Path, text: str) -> Path:
    """Write a file so that a reader sees either the old or the new content, never half of it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own for each process, and the permissions of any other new file (mkstemp's would be private).
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def write_json(path: str | Path, content: Mapping[str, Any]) -> Path:
    """Write JSON atomically, UTF-8, readable, NaN refused (it is not JSON)."""
    return write_text_atomically(
        path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=plain_number) + "\n"
    )
