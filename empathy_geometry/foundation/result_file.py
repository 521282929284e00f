"""Results of studies as JSON: named and titled by kind, written so that any program can read them, never mixed."""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from empathy_geometry.foundation.checked_json import parse_json

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
    content = read_json(path)
    if not is_result(content):
        raise ValueError(f"{path} is no result of this library: it lacks 'study'")
    provenance = content.get("provenance")
    kind = provenance.get("kind") if isinstance(provenance, dict) else None
    if kind not in ("measured", "planted"):
        raise ValueError(f"{path} must say in provenance.kind whether it is 'measured' or 'planted', got {kind!r}")
    result: dict[str, Any] = content
    return result


def read_json(path: str | Path) -> Any:
    """What a JSON file holds.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged.
    """
    try:
        return parse_json(Path(path).read_bytes(), str(path))
    except ValueError as error:
        raise ValueError(f"{error}; measure it again, or take it out of the folder") from error


def is_result(content: object) -> bool:
    """Whether what a JSON file holds says of which study it is."""
    return isinstance(content, dict) and "study" in content


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
