"""Where a number came from: model, texts, software, seed, and whether it was measured or planted."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

Kind = Literal["measured", "planted"]

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

    kind: Kind
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


def kind_of(*origins: Provenance | Mapping[str, Any] | None) -> Kind:
    """What a result is that comes from these: "planted" if a truth was installed into any of them.

    The one rule, by what an origin says of itself, never by its name.

    Args:
        origins: Provenances, and identities of models (those into which a truth was planted have "planted": True).

    Example:
        >>> kind_of({"name": "acme/transplanted-llama"}), kind_of({"name": "x", "planted": True})
        ('measured', 'planted')
    """
    planted = any(
        origin.kind == "planted" if isinstance(origin, Provenance) else bool(origin and origin.get("planted") is True)
        for origin in origins
    )
    return "planted" if planted else "measured"


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
