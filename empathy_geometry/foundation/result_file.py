"""Results of studies as JSON: named and titled by kind, written so that any program can read them, never mixed."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from empathy_geometry.foundation.checked_json import content_sha256, dump_checked, parse_json
from empathy_geometry.foundation.durable_file import write_text
from empathy_geometry.foundation.json_codec import to_json, unpack
from empathy_geometry.foundation.provenance import Kind, Provenance, package_versions
from empathy_geometry.foundation.result import Result

PLANTED = "PLANTED"
"""First word of every title and file name of a result that is not a measurement."""


FORMAT_VERSION = 1
"""Of result files; rises when a reader of older files would misread them."""

_MARKS = ("study", "type", "provenance")
"""Keys by which a result is known; a damaged file has lost at most some of them."""


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


def write_result(path: str | Path, result: Result) -> Path:
    """Write what `result.to_dict()` gives, with the versions that wrote it, its tables, and a checksum over all of it.

    Args:
        path: The JSON file.
        result: Of a study; its JSON has "study" and "provenance".

    Raises:
        OSError: it could not be written; what was there before is untouched.
    """
    written_by = package_versions().get("empathy-geometry", "unknown")
    head = {"type": type(result).__name__, "version": {"format": FORMAT_VERSION, "empathy_geometry": written_by}}
    content = head | to_json(result) | {"tables": [asdict(table) for table in result.tables()]}
    return write_text(path, dump_checked(content, indent=2) + "\n")


def read_result(path: str | Path, *, unsigned: bool = False) -> dict[str, Any]:
    """One result of a study from its JSON file, its checksum verified.

    Args:
        path: The file.
        unsigned: Also take a file without a checksum, made by hand or by a version that wrote none; what it says is
            then as it stands. One whose checksum does not fit is refused all the same.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, unsigned, of a newer version, or no result of this library (no "study", no
            provenance with its kind); names the file.
    """
    content = verified(read_json(path), path, unsigned=unsigned)
    if not isinstance(content.get("study"), str):
        raise ValueError(f"{path} is no result of this library: it lacks 'study'")
    provenance = content.get("provenance")
    kind = provenance.get("kind") if isinstance(provenance, dict) else None
    if kind not in ("measured", "planted"):
        raise ValueError(f"{path} must say in provenance.kind whether it is 'measured' or 'planted', got {kind!r}")
    with naming(path):
        unpack(Provenance, provenance)
    return content


@contextmanager
def naming(path: str | Path, kind: str = "result") -> Iterator[None]:
    """Whatever breaks while the content of a result file is made into something is said of that file.

    A file that somebody made or changed by hand (`unsigned`) may hold anything under the names that readers look for.

    Args:
        path: The file.
        kind: What it says it holds.

    Raises:
        ValueError: the block raised an error that comes of its content; names the file.
    """
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        if str(path) in str(error):
            raise
        what = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{path} does not hold a {kind} as this version writes it: {what}; measure again, or take it out of the "
            f"folder"
        ) from error


def verified(content: Any, path: str | Path, *, unsigned: bool) -> dict[str, Any]:
    """A result's content without its checksum.

    Args:
        content: What JSON held.
        path: What errors call it.
        unsigned: As in `read_result`.

    Raises:
        ValueError: no object, without a checksum, or with one that does not fit; or of a newer version.
    """
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no result of this library: it holds no JSON object")
    if "sha256" not in content:
        if not unsigned:
            raise ValueError(
                f"{path} has no checksum, so that nobody can say whether its numbers are those that were measured; "
                f"measure again, or say unsigned=True (--unsigned) if you made or trust it"
            )
        return dict(content)
    signed: dict[str, Any] = dict(content)
    digest = signed.pop("sha256")
    if digest != content_sha256(signed):
        raise ValueError(
            f"{path} is damaged or was changed: its content does not fit its checksum; measure again, or take it out "
            f"of the folder"
        )
    version = signed.get("version")
    written = version.get("format") if isinstance(version, dict) else None
    if written != FORMAT_VERSION:
        raise ValueError(
            f"{path} is of result format {written!r}, this version of empathy_geometry reads {FORMAT_VERSION}; use the "
            f"version that wrote it"
        )
    return signed


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
    """Whether what a JSON file holds is, or was before it was damaged, a result of a study."""
    return isinstance(content, dict) and any(mark in content for mark in _MARKS)


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


def read_folder(folder: str | Path, *, unsigned: bool = False) -> dict[Path, dict[str, Any]]:
    """Every result that lies directly in a folder, by file.

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
    found = {
        path: read_result(path, unsigned=unsigned)
        for path in sorted(folder.glob("*.json"))
        if is_result(read_json(path))
    }
    if not found:
        raise ValueError(
            f"no result in {folder}: expected JSON files of studies, such as bandwidth.json; measure first"
        )
    one_kind({path.name: content for path, content in found.items()})
    return found


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
