"""Reading labelled texts from JSON, JSON Lines, CSV and data sets, with errors that name the row."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from empathy_geometry.foundation.checked_json import parse_json
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.text_records import RESPONSE_SEPARATOR, Columns, from_records

__all__ = ["RESPONSE_SEPARATOR", "from_records", "read_csv", "read_dataset", "read_json", "read_jsonl"]

_BOMS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def read_json(path: str | Path, *, classes: Sequence[str] | None = None) -> LabeledTexts:
    """Labelled texts from a JSON file.

    Layouts: this library's own ({"name", "classes": [...], "items": [...]}), a plain list of items, and the reference
    study's ({"triplets": [{"id", "scenario", "cognitive", "affective", "instrumental"}]},
    {"items": [{"id", "scenario", "response_1", ...} or {..., "factual", "informational", "procedural"}]}).
    An item holds its id (the group), optionally a scenario (the prompt), a context or domain and a family, and
    one text for each class; or, for sets without pairs, "text" and "label". Other keys are ignored.
    A text with a scenario becomes scenario, blank line, "Response: ", response.

    Args:
        path: The file, UTF-8, with or without a byte order mark.
        classes: Keys that hold the texts; by default those that the file declares or that are known.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not UTF-8, not JSON, another layout, or an item that lacks an id or a class or repeats an id; names
            the byte, the line and column, or the row (counted from 0).
    """
    path = Path(path)
    try:
        content = parse_json(read_text(path), str(path))
    except ValueError as error:
        hint = "; for one object in each line try from_jsonl" if "Extra data" in str(error) else ""
        raise ValueError(f"{error}{hint}") from error
    name: Any = path.stem
    items = content
    if isinstance(content, dict):
        items = content.get("items", content.get("triplets"))
        name = content.get("name") if isinstance(content.get("name"), str) else name
        classes = content.get("classes") if classes is None else classes
    if not isinstance(items, list) or not items:
        found = f"an object with the keys {list(content)[:8]}" if isinstance(content, dict) else type(content).__name__
        raise ValueError(
            f"{path} must be an object with a non-empty list 'items' or 'triplets', or a list; got {found}"
        )
    if classes is not None and (isinstance(classes, str) or not all(isinstance(c, str) for c in classes)):
        raise ValueError(f"{path}: 'classes' must be a list of strings, got {classes!r}")
    return from_records(items, classes=classes, name=str(name), source=str(path))


def read_jsonl(path: str | Path, *, columns: Columns | None = None) -> LabeledTexts:
    """Labelled texts from a file with one JSON object in each line; blank lines are skipped.

    Args:
        path: The file, UTF-8, with or without a byte order mark.
        columns: Which keys hold what.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not UTF-8, a line that is not JSON, or a record that `from_records` refuses; names the line
            (counted from 1).
    """
    path = Path(path)
    records, places = [], []
    # Not splitlines(): it also breaks at characters that JSON allows inside strings.
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            records.append(parse_json(line, f"{path}, line {number}", one_line=True))
            places.append(f"line {number}")
    if not records:
        raise ValueError(f"{path} is empty; expected one JSON object in each line")
    return from_records(records, columns=columns, name=path.stem, source=str(path), places=places)


def read_csv(
    path: str | Path, *, columns: Columns | None = None, delimiter: str = ",", encoding: str = "utf-8"
) -> LabeledTexts:
    """Labelled texts from a table with a header, quoted as in RFC 4180; empty optional cells count as absent.

    Args:
        path: The file, with or without a byte order mark, any line ends.
        columns: Which columns hold what.
        delimiter: Between the cells.
        encoding: Of the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: wrong encoding, a row with more or fewer cells than the header, an open quote, a repeated or empty
            column name, or a record that `from_records` refuses; names the line (counted from 1) at which a row begins.
    """
    path, columns = Path(path), Columns() if columns is None else columns
    lines = io.StringIO(read_text(path, encoding=encoding))
    try:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
    except TypeError as error:
        raise ValueError(f"delimiter must be one character, got {delimiter!r}") from error
    header: list[str] | None = None
    records, places, begins = [], [], 1
    try:
        for cells in reader:
            where = f"line {begins}"
            begins = reader.line_num + 1
            if not cells:
                continue
            if header is None:
                header = _header(cells, columns, path, delimiter)
                continue
            if len(cells) != len(header):
                raise ValueError(
                    f"{path}, {where}: has {len(cells)} cells, the header has {len(header)} ({', '.join(header)}); "
                    f"quote texts that contain {delimiter!r}, a quote or a line break"
                )
            records.append(_without_blanks(dict(zip(header, cells, strict=True)), columns))
            places.append(where)
    except csv.Error as error:
        raise ValueError(f"{path}, line {begins}: not valid CSV: {error}; look for an open quote") from error
    if not records:
        raise ValueError(f"{path} has no rows below its header; expected one text or scenario in each row")
    return from_records(records, columns=columns, name=path.stem, source=str(path), places=places)


def read_dataset(
    dataset: Iterable[Mapping[str, Any]], *, columns: Columns | None = None, name: str | None = None
) -> LabeledTexts:
    """Labelled texts from a Hugging Face `datasets.Dataset` (or its streaming kind), or a list of dictionaries.

    Integer labels with names (`ClassLabel`) become the names.

    Args:
        dataset: One split.
        columns: Which columns hold what.
        name: Name of the set; None takes the data set's own.

    Raises:
        TypeError: several splits at once, or rows that are not dictionaries.
        ValueError: a record that `from_records` refuses; names the row (counted from 0).
    """
    columns = Columns() if columns is None else columns
    if isinstance(dataset, Mapping):
        splits = ", ".join(map(repr, list(dataset)[:5]))
        raise TypeError(f"dataset must be one split, got a mapping with the keys {splits}; try dataset[{splits[:40]}]")
    if isinstance(dataset, str | bytes) or not isinstance(dataset, Iterable):
        raise TypeError(
            f"dataset must be a datasets.Dataset or a list of dictionaries, got {type(dataset).__name__}; "
            f"for a file try from_json, from_jsonl or from_csv"
        )
    feature = (getattr(dataset, "features", None) or {}).get(columns.label)
    names = getattr(feature, "names", None)
    records = []
    for i, row in enumerate(dataset):
        if not isinstance(row, Mapping):
            raise TypeError(
                f"row {i} of the data set must be a dictionary, got {type(row).__name__}; "
                f"for a pandas frame try frame.to_dict('records')"
            )
        record = _without_blanks(row, columns)
        label = record.get(columns.label)
        if names is not None and isinstance(label, int) and 0 <= label < len(names):
            record[columns.label] = names[label]
        records.append(record)
    own = getattr(getattr(dataset, "info", None), "dataset_name", None)
    return from_records(records, columns=columns, name=name or own or "dataset", source=name or own or "dataset")


def read_text(path: Path, *, encoding: str = "utf-8") -> str:
    """The file's text without a byte order mark.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is a folder, or not in this encoding; names the byte and the line.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder, expected a file")
    data = path.read_bytes()
    try:
        return data.decode(encoding).removeprefix("\ufeff").replace("\r\n", "\n")
    except LookupError as error:
        raise ValueError(f"unknown encoding {encoding!r}; try 'utf-8' or 'cp1252'") from error
    except UnicodeDecodeError as error:
        other = next((name for bom, name in _BOMS if data.startswith(bom)), None)
        line = data.count(b"\n", 0, error.start) + 1
        hint = f"it looks like {other}" if other else "it may be cp1252"
        raise ValueError(
            f"{path} is not {encoding.upper()}: byte {error.start} (line {line}) is 0x{data[error.start]:02x}; "
            f"{hint}, save it as UTF-8"
        ) from error


def _header(cells: list[str], columns: Columns, path: Path, delimiter: str) -> list[str]:
    header = [cell.strip() for cell in cells]
    if len(header) == 1 and any(d in header[0] for d in ",;\t|" if d != delimiter):
        other = next(d for d in ",;\t|" if d != delimiter and d in header[0])
        raise ValueError(f"{path} has one column only, {header[0]!r}; try delimiter={other!r}")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice or "" in header:
        raise ValueError(f"{path}, line 1: column names must differ and not be empty, got {header}")
    return header


def _without_blanks(record: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """The record without optional fields that are empty, None or NaN."""
    optional = {columns.prompt, columns.context, columns.family, "domain", "group"}

    def blank(value: Any) -> bool:
        return value is None or value == "" or (isinstance(value, float) and value != value)

    return {k: v for k, v in record.items() if k not in optional or not blank(v)}
