"""The results of a folder, read as JSON; planted and measured ones are kept apart."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLANTED = "PLANTED"
"""First word of every title and file name of what is not a measurement."""


@dataclass(frozen=True, eq=False)
class SavedStudy:
    """One result as it was saved.

    Attributes:
        path: Its file.
        content: What its `to_dict()` gave.
    """

    path: Path
    content: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What was studied: "bandwidth", "tripartite", ..."""
        return str(self.content["study"])

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Where the numbers came from."""
        found: Mapping[str, Any] = self.content["provenance"]
        return found

    @property
    def planted(self) -> bool:
        """Whether the data had a truth installed, and so are no measurement."""
        return bool(self.provenance["kind"] == "planted")


def read_folder(folder: str | Path) -> tuple[SavedStudy, ...]:
    """Every result that lies directly in a folder, by file name.

    JSON files that are no results (no "study" in them) are passed over.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: a damaged file, a result without provenance, no result at all, or planted beside measured.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; give the folder that a study's .save(folder) wrote")
    studies = [s for path in sorted(folder.glob("*.json")) if (s := _read(path)) is not None]
    if not studies:
        raise ValueError(
            f"no result in {folder}: expected JSON files of studies, such as bandwidth.json; measure first"
        )
    check_one_kind(studies)
    return tuple(studies)


def check_one_kind(studies: Sequence[SavedStudy]) -> None:
    """Raise ValueError, with the files' names, if planted and measured results lie together."""
    planted = [s.path.name for s in studies if s.planted]
    measured = [s.path.name for s in studies if not s.planted]
    if planted and measured:
        raise ValueError(
            f"planted and measured results do not go into one report: {', '.join(planted)} planted, "
            f"{', '.join(measured)} measured; keep them in folders of their own"
        )


def _read(path: Path) -> SavedStudy | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is not whole JSON ({error}); measure it again, or take it out of the folder"
        ) from error
    if not isinstance(content, dict) or "study" not in content:
        return None
    provenance = content.get("provenance")
    kind = provenance.get("kind") if isinstance(provenance, dict) else None
    if kind not in ("measured", "planted"):
        raise ValueError(f"{path} must say in provenance.kind whether it is 'measured' or 'planted', got {kind!r}")
    return SavedStudy(path, content)
