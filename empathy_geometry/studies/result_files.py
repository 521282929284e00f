"""Results of studies as JSON: written so that any program can read them, read back by kind, never mixed."""

import json
from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from empathy_geometry.models.loading import HookedModel

Kind = Literal["measured", "planted"]
PLANTED = "PLANTED"
"""First word of every title and file name of a result that is not a measurement."""


def jsonable(value: Any) -> Any:
    """The same with None for every number that JSON cannot hold (not finite).

    Example:
        >>> jsonable({"a": [1.0, float("inf")]})
        {'a': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def kind_of(model: HookedModel) -> Kind:
    """What results of this model are: "planted" if its name begins with "planted" (a truth was installed into it)."""
    return "planted" if str(model.cfg.model_name).lower().startswith("planted") else "measured"


def file_stem(study: str, kind: str) -> str:
    """Name of a result's files without the suffix.

    Example:
        >>> file_stem("bandwidth", "measured"), file_stem("bandwidth", "planted")
        ('bandwidth', 'PLANTED_bandwidth')
    """
    return study if kind == "measured" else f"{PLANTED}_{study}"


def title(text: str, kind: str) -> str:
    """A title that says so if the numbers below it are not measured.

    Example:
        >>> title("Bandwidth", "planted")
        'PLANTED DATA, NOT A MEASUREMENT: Bandwidth'
    """
    return text if kind == "measured" else f"{PLANTED} DATA, NOT A MEASUREMENT: {text}"


def read_result(path: str | Path) -> dict[str, Any]:
    """One result of a study from its JSON file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not JSON, or not a result of this library (no "study", no provenance with its kind).
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not complete JSON ({error}); measure it again") from error
    provenance = content.get("provenance") if isinstance(content, dict) else None
    if not isinstance(provenance, dict) or "study" not in content:
        raise ValueError(f"{path} is no result of this library: it lacks 'study' or 'provenance'")
    if provenance.get("kind") not in ("measured", "planted"):
        raise ValueError(f"{path} does not say whether it was measured or planted (kind {provenance.get('kind')!r})")
    result: dict[str, Any] = content
    return result


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


def one_kind(results: Mapping[str, Mapping[str, Any]]) -> Kind:
    """The kind that all results share.

    Args:
        results: By a name for errors, such as the path.

    Raises:
        ValueError: planted and measured results together, or no result.
    """
    if not results:
        raise ValueError("there is no result to read")
    by_kind: dict[Kind, list[str]] = {}
    for name, result in results.items():
        by_kind.setdefault(result["provenance"]["kind"], []).append(name)
    if len(by_kind) > 1:
        raise ValueError(
            f"planted and measured results do not go into one report or comparison: {by_kind['planted'][0]} is "
            f"planted, {by_kind['measured'][0]} is measured; keep them in folders of their own"
        )
    return next(iter(by_kind))
