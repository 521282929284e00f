"""Results of studies in folders, and what kind the results of a model are."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from empathy_geometry.foundation.result_file import Kind, file_stem, read_result
from empathy_geometry.models.loading import HookedModel


def kind_of(model: HookedModel) -> Kind:
    """What results of this model are: "planted" if its name begins with "planted" (a truth was installed into it)."""
    return "planted" if str(model.cfg.model_name).lower().startswith("planted") else "measured"


def find_results(folders: Iterable[str | Path], study: str) -> dict[str, dict[str, Any]]:
    """All results of one study in and below folders (or files), by path.

    Raises:
        FileNotFoundError: a folder does not exist.
        ValueError: a file of that name that is no result.
    """
    found = {}
    for folder in map(Path, folders):
        if not folder.exists():
            raise FileNotFoundError(f"there is no {folder}; give a folder that holds results, or a result's JSON file")
        names = (f"{file_stem(study, 'measured')}.json", f"{file_stem(study, 'planted')}.json")
        files = [folder] if folder.is_file() else sorted(p for name in names for p in folder.rglob(name))
        for file in files:
            result = read_result(file)
            if result["study"] == study:
                found[str(file)] = result
    return found
