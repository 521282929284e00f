"""Finished sections on disk, each a file of its own, so that an interrupted study goes on where it was."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from empathy_geometry.activations.store_manifest import write_new
from empathy_geometry.foundation.checked_json import dump_checked, load_checked
from empathy_geometry.foundation.provenance import write_text_atomically
from empathy_geometry.models.identity import run_differences
from empathy_geometry.studies.tripartite.finding import Section, plain

FORMAT = "empathy_geometry.tripartite/1"


class SectionStore:
    """The sections of one run in a folder.

    Args:
        folder: Where; made if it is not there.
        identity: What a run must share with the one that began the folder: model, texts, settings, versions.

    Raises:
        ValueError: the folder belongs to another run, or its files are damaged.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "run.json"
        wanted = {"format": FORMAT, "identity": plain(identity)}
        if not path.exists():
            write_new(path, dump_checked(wanted, indent=1))
        there = _read(path)
        if there.get("format") != FORMAT:
            raise ValueError(f"{path} is of format {there.get('format')!r}, this version reads {FORMAT!r}")
        differing = run_differences(there["identity"], wanted["identity"])
        if differing:
            raise ValueError(
                f"the study in {folder} is another run ({'; '.join(differing)}); name another folder, or call as it "
                f"was called then"
            )

    def load(self, name: str) -> Section | None:
        """A finished section, None if it is not there yet.

        Raises:
            ValueError: its file is damaged.
        """
        path = self._path(name)
        return Section.from_dict(_read(path)) if path.exists() else None

    def save(self, section: Section) -> None:
        """Write a finished section whole or not at all."""
        write_text_atomically(self._path(section.name), dump_checked(section.to_dict(), indent=1))

    def _path(self, name: str) -> Path:
        return self.folder / "sections" / f"{name}.json"


def _read(path: Path) -> dict[str, Any]:
    try:
        return load_checked(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); delete it and run the study again") from error
