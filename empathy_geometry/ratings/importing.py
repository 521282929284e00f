"""Ratings read back from what raters send: CSV or JSON, checked against the key."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from empathy_geometry.foundation._types import FloatArray
from empathy_geometry.foundation.checked_json import parse_json
from empathy_geometry.foundation.csv_cells import cell_text
from empathy_geometry.foundation.names import as_name, is_missing
from empathy_geometry.ratings.items import Key
from empathy_geometry.ratings.ratings import Ratings
from empathy_geometry.ratings.tables import rating_matrix
from empathy_geometry.texts.file_contents import read_text, set_name

FORMAT = "empathy_geometry.ratings/1"


def import_ratings(
    paths: str | Path | Sequence[str | Path], key: str | Path, *, allow_missing: bool = False
) -> Ratings:
    """Ratings of one or several raters, one file each or several in one CSV.

    Args:
        paths: Files that the form saved (JSON or CSV), or the CSV tables, filled in.
        key: What `export_rating_sheet` wrote beside the folder.
        allow_missing: Accept raters who left texts out; agreement and correlations use what there is.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file is of another kind or sheet; an item is unknown, rated twice by one rater, out of scale or
            (unless `allow_missing`) not rated. Names file and line.
    """
    files = [Path(paths)] if isinstance(paths, str | Path) else [Path(p) for p in paths]
    if not files:
        raise ValueError("paths is empty; give at least one file of ratings")
    known = Key.load(key)
    index = {item.id: i for i, item in enumerate(known.items)}
    rated: list[tuple[str, str, str, float]] = []
    heard: dict[str, None] = {}
    comments: dict[str, dict[int, str]] = {}
    for path in files:
        for where, sheet, rater, item, given, comment in _rows(path):
            if sheet != known.sheet:
                raise ValueError(f"{where}: belongs to sheet {sheet!r}, the key to {known.sheet!r}; wrong key or file?")
            if item not in index:
                raise ValueError(f"{where}: item {item!r} is not in the key")
            heard[rater] = None
            if comment:
                comments.setdefault(rater, {})[index[item]] = comment
            if not given:
                continue
            rated.append((where, rater, item, _rating(given, known.scale, where)))
    raters, values = _with_silent(rating_matrix(rated, index), list(heard), len(index))
    for r, rater in enumerate(raters):
        missing = [known.items[i].id for i in np.flatnonzero(np.isnan(values[r]))]
        if missing and not allow_missing:
            raise ValueError(
                f"rater {rater!r} left {len(missing)} of {len(known.items)} items without a rating (first: "
                f"{missing[0]!r}); ask for them, or pass allow_missing=True"
            )
    if np.isnan(values).all():
        raise ValueError(f"there is no rating in {', '.join(map(str, files))}")
    said = tuple(tuple(comments.get(rater, {}).get(i, "") for i in range(len(known.items))) for rater in raters)
    return Ratings(known, raters, values, said)


def _with_silent(
    found: tuple[tuple[str, ...], FloatArray], heard: Sequence[str], n_items: int
) -> tuple[tuple[str, ...], FloatArray]:
    """The matrix with an empty row for each rater who sent a file and rated nothing, in the order of the files."""
    rows = dict(zip(*found, strict=True))
    silent = np.full(n_items, np.nan)
    return tuple(heard), np.array([rows.get(rater, silent) for rater in heard]).reshape(len(heard), n_items)


def _rows(path: Path) -> list[tuple[str, str, str, str, str, str]]:
    """(where, sheet, rater, item, rating, comment) of each row of a file, as text."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of ratings at {path}")
    text = read_text(path)
    return _json_rows(path, text) if path.suffix.lower() == ".json" else _csv_rows(path, text)


def _json_rows(path: Path, text: str) -> list[tuple[str, str, str, str, str, str]]:
    content = parse_json(text, str(path))
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path} does not hold ratings ({FORMAT}); is it the file that the form saved?")
    listed = content.get("ratings")
    if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
        raise ValueError(f"{path} has no list of ratings; is it the file that the form saved?")
    rows = []
    for number, row in enumerate(listed):
        given = "" if row.get("rating") is None else str(row["rating"])
        named = (str(content.get("sheet")), _name(content.get("rater"), path), str(row.get("item")))
        rows.append((f"{path}, rating {number}", *named, given, str(row.get("comment") or "")))
    return rows


def _csv_rows(path: Path, text: str) -> list[tuple[str, str, str, str, str, str]]:
    first = text.partition("\n")[0]
    # Spreadsheet programs write semicolons where the comma is the decimal mark.
    delimiter = max((",", ";", "\t"), key=first.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    needed = ("sheet", "item", "rating")
    try:
        missing = [name for name in needed if name not in (reader.fieldnames or [])]
        if missing:
            raise ValueError(f"{path} lacks the columns {missing}; it has {reader.fieldnames}")
        found = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num + 1}: not valid CSV: {error}") from error
    rows = []
    for line, row in found:
        where = f"{path}, line {line}"
        values = {name: cell_text(row.get(name) or "").strip() for name in (*needed, "rater", "comment")}
        if not values["item"]:
            continue
        rater = _name(values["rater"], path)
        rows.append((where, values["sheet"], rater, values["item"], values["rating"], values["comment"]))
    return rows


def _name(rater: object, path: Path) -> str:
    """The rater as the file says, or as it is called."""
    if is_missing(rater):
        return set_name(path)
    return str(as_name(rater, f"{path}: the rater"))


def _rating(given: str, scale: tuple[int, int], where: str) -> float:
    try:
        value = float(given.replace(",", "."))
    except ValueError:
        value = float("nan")
    if not value.is_integer() or not scale[0] <= value <= scale[1]:
        raise ValueError(f"{where}: a rating must be a whole number from {scale[0]} to {scale[1]}, got {given!r}")
    return value
