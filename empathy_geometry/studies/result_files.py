"""Results of studies in folders."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from empathy_geometry.foundation.result_file import file_stem, read_result


def find_results(folders: Iterable[str | Path], study: str, *, unsigned: bool = False) -> dict[str, dict[str, Any]]:
    """All results of one study in and below folders (or files), by path.

    Args:
        folders: Where.
        study: Its name.
        unsigned: Also results without a checksum; see `read_result`.

    Raises:
        FileNotFoundError: a folder does not exist.
        ValueError: a file of that name that is damaged, unsigned or no result.
    """
    found = {}
    for folder in map(Path, folders):
        if not folder.exists():
            raise FileNotFoundError(f"there is no {folder}; give a folder that holds results, or a result's JSON file")
        names = (f"{file_stem(study, 'measured')}.json", f"{file_stem(study, 'planted')}.json")
        files = [folder] if folder.is_file() else sorted(p for name in names for p in folder.rglob(name))
        for file in files:
            result = read_result(file, unsigned=unsigned)
            if result["study"] == study:
                found[str(file)] = result
    return found
