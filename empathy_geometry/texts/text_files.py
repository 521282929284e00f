"""Columns of labelled texts from JSON, CSV, Parquet, data sets and frames, with errors that name the row."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

from empathy_geometry.foundation.checked_json import parse_json
from empathy_geometry.foundation.names import is_missing
from empathy_geometry.texts.file_contents import PARQUET, read_bytes, read_text, set_name
from empathy_geometry.texts.text_records import RESPONSE_SEPARATOR, Columns, from_records

__all__ = [
    "RESPONSE_SEPARATOR",
    "from_records",
    "read_csv",
    "read_dataset",
    "read_frame",
    "read_json",
    "read_jsonl",
    "read_parquet",
]


def read_json(path: str | Path, *, classes: Sequence[str] | None = None, targets: Sequence[str] = ()) -> dict[str, Any]:
    """Columns of texts from a JSON file.

    Layouts: this library's own ({"name", "classes": [...], "items": [...]}), a plain list of items, and the reference
    study's ({"triplets": [{"id", "scenario", "cognitive", "affective", "instrumental"}]},
    {"items": [{"id", "scenario", "response_1", ...} or {..., "factual", "informational", "procedural"}]}).
    An item holds its id (the group), optionally a scenario (the prompt), a context or domain and a family, and
    one text for each class; or, for sets without pairs, "text" and "label". Other keys are ignored.
    A text with a scenario becomes scenario, blank line, "Response: ", response.

    Args:
        path: The file, UTF-8 or with a byte order mark, gzipped or not.
        classes: Keys that hold the texts; by default those that the file declares or that are known.
        targets: Keys of graded targets, where each item is one text; by default those that the file declares.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: what `read_text` refuses; not JSON, another layout, or an item that lacks an id or a class or
            repeats an id; names the byte, the line and column, or the row (counted from 0).
    """
    path = Path(path)
    try:
        content = parse_json(read_text(path), str(path))
    except ValueError as error:
        hint = "; for one object in each line try from_jsonl" if "Extra data" in str(error) else ""
        raise ValueError(f"{error}{hint}") from error
    name: Any = set_name(path)
    items = content
    if isinstance(content, dict):
        items = content.get("items", content.get("triplets"))
        name = content.get("name") if isinstance(content.get("name"), str) else name
        classes = content.get("classes") if classes is None else classes
        targets = targets or content.get("targets") or ()
    if not isinstance(items, list) or not items:
        found = f"an object with the keys {list(content)[:8]}" if isinstance(content, dict) else type(content).__name__
        raise ValueError(
            f"{path} must be an object with a non-empty list 'items' or 'triplets', or a list; got {found}"
        )
    if classes is not None and (isinstance(classes, str) or not all(isinstance(c, str) for c in classes)):
        raise ValueError(f"{path}: 'classes' must be a list of strings, got {classes!r}")
    if isinstance(targets, str) or not all(isinstance(name, str) for name in targets):
        raise ValueError(f"{path}: 'targets' must be a list of strings, got {targets!r}")
    columns = Columns(classes=None if classes is None else tuple(classes), targets=tuple(targets))
    return from_records(items, columns=columns, name=str(name), source=str(path))


def read_jsonl(path: str | Path, *, columns: Columns | None = None) -> dict[str, Any]:
    """Columns of texts from a file with one JSON object in each line; blank lines are skipped.

    Args:
        path: The file, UTF-8 or with a byte order mark, gzipped or not.
        columns: Which keys hold what.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: what `read_text` refuses; a line that is not JSON, or a record that `from_records` refuses; names
            the line (counted from 1).
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
    return from_records(records, columns=columns, name=set_name(path), source=str(path), places=places)


def read_csv(
    path: str | Path, *, columns: Columns | None = None, delimiter: str | None = None, encoding: str = "utf-8"
) -> dict[str, Any]:
    """Columns of texts from a table with a header, quoted as in RFC 4180; empty optional cells count as absent.

    A first column without a name is taken for the index that `DataFrame.to_csv()` writes, and left out.

    Args:
        path: The file, with or without a byte order mark, any line ends, gzipped or not.
        columns: Which columns hold what.
        delimiter: Between the cells; None takes a tab for names that end in .tsv or .tab (also before .gz), else a
            comma.
        encoding: Of the file, where it has no byte order mark.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: what `read_text` refuses; a row with more or fewer cells than the header, an open quote, a repeated
            or empty column name, or a record that `from_records` refuses; names the line (counted from 1) at which a
            row begins.
    """
    path, columns = Path(path), Columns() if columns is None else columns
    if delimiter is None:
        delimiter = "\t" if path.name.lower().removesuffix(".gz").endswith((".tsv", ".tab")) else ","
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
            record = dict(zip(header, cells, strict=True))
            record.pop("", None)
            records.append(_without_blanks(record, columns))
            places.append(where)
    except (csv.Error, OverflowError) as error:
        raise ValueError(f"{path}, line {begins}: not valid CSV: {error}; look for an open quote") from error
    if not records:
        raise ValueError(f"{path} has no rows below its header; expected one text or scenario in each row")
    return from_records(records, columns=columns, name=set_name(path), source=str(path), places=places)


def read_dataset(
    dataset: Iterable[Mapping[str, Any]], *, columns: Columns | None = None, name: str | None = None
) -> dict[str, Any]:
    """Columns of texts from a Hugging Face `datasets.Dataset` (or its streaming kind), or a list of dictionaries.

    Integer labels with names (`ClassLabel`) become the names; -1 there means that there is no label, and is refused.
    `with_format("numpy")`, "torch" or "pandas" make no difference.

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
    if _is_frame(dataset):
        raise TypeError("dataset must be a datasets.Dataset or a list of dictionaries, got a DataFrame; try from_frame")
    feature = None if columns.label is None else (getattr(dataset, "features", None) or {}).get(columns.label)
    names = getattr(feature, "names", None)
    unformatted = getattr(dataset, "with_format", None)
    plain: Iterable[Any] = unformatted(None) if callable(unformatted) else dataset
    records = []
    for i, row in enumerate(plain):
        if not isinstance(row, Mapping):
            raise TypeError(f"row {i} of the data set must be a dictionary, got {type(row).__name__}")
        records.append(_named_label(_without_blanks(row, columns), columns, names, f"data set, row {i}"))
    own = getattr(getattr(dataset, "info", None), "dataset_name", None)
    return from_records(records, columns=columns, name=name or own or "dataset", source=name or own or "dataset")


def read_frame(frame: Any, *, columns: Columns | None = None, name: str | None = None) -> dict[str, Any]:
    """Columns of texts from a pandas DataFrame (or another frame with `columns` and rows by name, such as polars').

    The index plays no part. Missing optional cells count as absent.

    Args:
        frame: One text or one scenario in each row.
        columns: Which columns hold what.
        name: Name of the set; None calls it "frame".

    Raises:
        TypeError: not a frame.
        ValueError: two columns of one name, or a record that `from_records` refuses; names the row (counted from 0).
    """
    columns = Columns() if columns is None else columns
    if not _is_frame(frame):
        raise TypeError(
            f"frame must be a DataFrame, got {type(frame).__name__}; for a list of dictionaries try from_dataset"
        )
    keys = [str(key) for key in frame.columns]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(f"frame has the column(s) {twice} more than once; rename one of them")
    values = [list(frame[key]) for key in frame.columns]
    records = [_without_blanks(dict(zip(keys, row, strict=True)), columns) for row in zip(*values, strict=True)]
    return from_records(records, columns=columns, name=name or "frame", source=name or "frame")


def read_parquet(path: str | Path, *, columns: Columns | None = None) -> dict[str, Any]:
    """Columns of texts from a Parquet file, as pandas, polars and Hugging Face write it; pyarrow must be installed.

    Integer labels to which `datasets` gave names (`ClassLabel`) become the names.

    Args:
        path: The file.
        columns: Which columns hold what.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: pyarrow is not installed.
        ValueError: not a Parquet file, a damaged one, or a record that `from_records` refuses; names the row.
    """
    path, columns = Path(path), Columns() if columns is None else columns
    data = read_bytes(path)
    if not data.startswith(PARQUET):
        raise ValueError(f"{path} is no Parquet file; for other files try from_csv, from_jsonl or from_json")
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError("Parquet files need the package 'pyarrow'; install it, or `datasets`, with pip") from error
    try:
        table = parquet.read_table(pyarrow.BufferReader(data))
        rows = table.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError) as error:
        raise ValueError(
            f"{path} is a damaged Parquet file ({type(error).__name__}: {error}); write it again"
        ) from error
    names = _class_names((table.schema.metadata or {}).get(b"huggingface"), columns.label)
    records = [
        _named_label(_without_blanks(row, columns), columns, names, f"{path}, row {i}") for i, row in enumerate(rows)
    ]
    return from_records(records, columns=columns, name=set_name(path), source=str(path))


def _is_frame(given: Any) -> bool:
    return hasattr(given, "columns") and hasattr(given, "shape") and len(given.shape) == 2


def _class_names(described: bytes | None, label: str | None) -> list[str] | None:
    """The names that `datasets` keeps beside a Parquet file's columns, if it wrote the file."""
    if described is None or label is None:
        return None
    try:
        names = parse_json(described, "features")["info"]["features"][label]["names"]
    except (ValueError, KeyError, TypeError):
        # Another kind of feature, or a note of somebody else's: the column is what it is.
        return None
    return names if isinstance(names, list) else None


def _named_label(record: dict[str, Any], columns: Columns, names: Sequence[str] | None, where: str) -> dict[str, Any]:
    """The record with the name of its class in place of a number, where numbers have names."""
    label: Any = None if columns.label is None else record.get(columns.label)
    if names is None or isinstance(label, bool) or not isinstance(label, Integral):
        return record
    number = int(label)
    if not 0 <= number < len(names):
        raise ValueError(
            f"{where}: {columns.label!r} is {number}, which is none of the classes {list(names)[:8]}; Hugging Face "
            f"writes -1 where a row has no label: leave such rows out, as in dataset.filter(lambda r: "
            f"r[{columns.label!r}] >= 0)"
        )
    return {**record, str(columns.label): names[number]}


def _header(cells: list[str], columns: Columns, path: Path, delimiter: str) -> list[str]:
    header = [cell.strip() for cell in cells]
    if len(header) == 1 and any(d in header[0] for d in ",;\t|" if d != delimiter):
        other = next(d for d in ",;\t|" if d != delimiter and d in header[0])
        raise ValueError(f"{path} has one column only, {header[0]!r}; try delimiter={other!r}")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice or "" in header[1:] or header == [""]:
        raise ValueError(f"{path}, line 1: column names must differ and not be empty, got {header}")
    return header


def _without_blanks(record: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """The record without optional fields that are empty, None or NaN."""
    optional = {columns.prompt, columns.context, columns.family, "domain"}
    return {k: v for k, v in record.items() if k not in optional or not is_missing(v)}
