"""The results of a folder, read as JSON; planted and measured ones are kept apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from empathy_geometry.foundation.result_file import is_result, one_kind, read_json, read_result


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


def read_folder(folder: str | Path, *, unsigned: bool = False) -> tuple[SavedStudy, ...]:
    """Every result that lies directly in a folder, by file name.

    JSON files that are no results (with neither "study" nor "type" nor "provenance" in them) are passed over.

    Args:
        folder: Where.
        unsigned: Also read results without a checksum; see `read_result`.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: a damaged or unsigned file, a result without provenance, no result at all, or planted beside
            measured.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; give the folder that a study's .save(folder) wrote")
    studies = [
        SavedStudy(path, read_result(path, unsigned=unsigned))
        for path in sorted(folder.glob("*.json"))
        if is_result(read_json(path))
    ]
    if not studies:
        raise ValueError(
            f"no result in {folder}: expected JSON files of studies, such as bandwidth.json; measure first"
        )
    one_kind({study.path.name: study.content for study in studies})
    return tuple(studies)
