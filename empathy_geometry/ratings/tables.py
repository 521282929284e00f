"""Ratings from anywhere: a table with one rating in each row becomes the matrix that all questions are asked of."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from empathy_geometry.foundation._types import FloatArray
from empathy_geometry.foundation.names import as_name, is_missing
from empathy_geometry.ratings.items import Item, Key, Source
from empathy_geometry.texts.file_contents import read_text
from empathy_geometry.texts.targets import target_number


def rating_matrix(
    rows: Iterable[tuple[str, str, str, float]], index: Mapping[str, int]
) -> tuple[tuple[str, ...], FloatArray]:
    """Raters in the order in which they come, and ratings [n_raters, n_items], NaN where there is none.

    The one door for ratings, whether they come from our own sheets or from a table.

    Args:
        rows: (where, rater, item, rating) of each rating; `where` is for errors.
        index: Column of each item.

    Raises:
        ValueError: an item is rated twice by one rater.
    """
    found: dict[str, dict[int, float]] = {}
    for where, rater, item, rating in rows:
        mine = found.setdefault(rater, {})
        if index[item] in mine:
            raise ValueError(f"{where}: rater {rater!r} rates item {item!r} a second time")
        mine[index[item]] = rating
    values = np.full((len(found), len(index)), np.nan)
    for r, given in enumerate(found.values()):
        values[r, list(given)] = list(given.values())
    return tuple(found), values


def interval_alpha(values: FloatArray) -> float:
    """Krippendorff's interval alpha of ratings [n_raters, n_items] in closed form, NaN where there is none.

    1 - (disagreement within items) / (disagreement of all ratings); 1 where all ratings are the same. The general form
    counts every pair of distinct values, which is slow where ratings are continuous.

    Source: Krippendorff (2011), Computing Krippendorff's alpha-reliability.

    Example:
        >>> round(interval_alpha(np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 4.0]])), 3)
        0.878
    """
    known = ~np.isnan(values)
    counts = known.sum(axis=0)
    rows, counts = values[:, counts >= 2], counts[counts >= 2]
    given = rows[~np.isnan(rows)]
    n = given.size
    if n < 2 or np.ptp(given) == 0:
        return 1.0
    sums, squares = np.nansum(rows, axis=0), np.nansum(rows**2, axis=0)
    within = float((2 * (counts * squares - sums**2) / (counts - 1)).sum()) / n
    total = float(2 * (n * (given**2).sum() - given.sum() ** 2)) / (n * (n - 1))
    return 1 - within / total


def key_and_matrix(
    table: Any, *, item: str, rater: str, score: str, group: str | None, text: str | None, question: str
) -> tuple[Key, tuple[str, ...], FloatArray]:
    """What `Ratings` is made of, from a frame or the path of a CSV file; see `Ratings.from_table`."""
    columns, source = _columns(table)
    wanted = [name for name in (item, rater, score, group, text) if name is not None]
    if missing := [name for name in wanted if name not in columns]:
        raise ValueError(f"{source} lacks the column(s) {missing}; it has {list(columns)[:12]}")
    n = len(columns[item])
    kept = [i for i in range(n) if not is_missing(columns[score][i]) and str(columns[score][i]).strip()]
    if not kept:
        raise ValueError(f"{source} holds no rating in {score!r}")
    where = [f"{source}, row {i}" for i in range(n)]
    rows, items = [], dict[str, Item]()
    for i in kept:
        name = str(as_name(columns[item][i], f"{where[i]}: {item!r}"))
        by = str(as_name(columns[rater][i], f"{where[i]}: {rater!r}"))
        belongs = name if group is None else str(as_name(columns[group][i], f"{where[i]}: {group!r}"))
        said = "" if text is None or is_missing(columns[text][i]) else str(columns[text][i])
        known = items.setdefault(name, Item(name, said, "", belongs, (Source(),)))
        if known.group != belongs:
            raise ValueError(f"{where[i]}: item {name!r} is of group {belongs!r} here and of {known.group!r} before")
        rows.append((where[i], by, name, target_number(columns[score][i], f"{where[i]}: {score!r}")))
    raters, values = rating_matrix(rows, {name: i for i, name in enumerate(items)})
    scale = (int(np.floor(np.nanmin(values))), int(np.ceil(np.nanmax(values))))
    return Key(str(source), question, scale, tuple(items.values())), raters, values


def _columns(table: Any) -> tuple[dict[str, Sequence[Any]], str]:
    if isinstance(table, str | Path):
        path = Path(table)
        if not path.is_file():
            raise FileNotFoundError(f"there is no table of ratings at {path}")
        text = read_text(path)
        first = text.partition("\n")[0]
        # Spreadsheet programs write semicolons where the comma is the decimal mark.
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max((",", ";", "\t"), key=first.count))
        rows = list(reader)
        return {name: [row.get(name) for row in rows] for name in reader.fieldnames or []}, str(path)
    if not hasattr(table, "columns"):
        raise TypeError(f"table must be a DataFrame or the path of a CSV file, got {type(table).__name__}")
    return {str(name): list(table[name]) for name in table.columns}, "frame"
