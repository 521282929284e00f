"""What a store of activations is of: everything that must be the same when a run is taken up again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from empathy_geometry.foundation.checked_json import content_sha256, dump_checked, read_checked
from empathy_geometry.foundation.differences import differences
from empathy_geometry.foundation.durable_file import create_text
from empathy_geometry.models.identity import run_differences

FORMAT = "empathy_geometry.activation_store/2"
MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """The one description of a store, written before anything else and never changed.

    Attributes:
        identity: What a run must share with the one that began the store; compared field by field.
        record: What is only noted (batch size, device, thread count, when it was begun).
        shard_sizes: Texts in each shard.
    """

    identity: Mapping[str, Any]
    record: Mapping[str, Any]
    shard_sizes: tuple[int, ...]

    @property
    def sha256(self) -> str:
        """Hash of the identity, which every shard bears."""
        return content_sha256({"identity": dict(self.identity), "shard_sizes": list(self.shard_sizes)})

    def create(self, folder: Path) -> "Manifest":
        """Write this as the store's manifest, or find the one that is there already.

        Returns:
            The manifest that the store has: this one, or an earlier one of the same identity.

        Raises:
            ValueError: the folder holds a store of another run, or other files; nothing is overwritten.
            OSError: it cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / MANIFEST_NAME
        if not path.exists():
            strangers = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
            if set(strangers) - {"texts.json"}:
                raise ValueError(
                    f"{folder} is not empty and no store (it holds {', '.join(strangers[:5])}); name a new folder"
                )
            create_text(path, self._to_json())
        found = Manifest.read(folder)
        found.check_same(self, folder)
        return found

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """The manifest of a store.

        Raises:
            FileNotFoundError: the folder has none.
            ValueError: it is damaged, or of another version.
        """
        path = folder / MANIFEST_NAME
        if not path.is_file():
            raise FileNotFoundError(f"there is no activation store at {folder} (it has no {MANIFEST_NAME})")
        content = read_checked(path, FORMAT, "extract again into another folder")
        try:
            return cls(content["identity"], content["record"], tuple(int(n) for n in content["shard_sizes"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is damaged ({type(error).__name__}: {error})") from error

    def check_same(self, other: "Manifest", folder: Path) -> None:
        """Raise ValueError, naming each difference, unless `other` is of the same run."""
        differing = run_differences(self.identity, other.identity)
        if not differing and self.shard_sizes != other.shard_sizes:
            differing = differences({"shard_sizes": self.shard_sizes}, {"shard_sizes": other.shard_sizes})
        if differing:
            raise ValueError(
                f"the store at {folder} was begun by a run that differs from this one ({'; '.join(differing)}); name "
                f"another folder, or call as it was called then"
            )

    def _to_json(self) -> str:
        content = {
            "format": FORMAT,
            "identity": dict(self.identity),
            "record": {**self.record, "created": datetime.now(timezone.utc).isoformat(timespec="seconds")},
            "shard_sizes": list(self.shard_sizes),
        }
        return dump_checked(content, indent=1)
