"""Values as they are printed in a table's cell."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from empathy_geometry.plots.reading import read_estimate
from empathy_geometry.reports.document import Table
from empathy_geometry.reports.shapes import is_estimate

_LONGEST = 300
"""Characters of a nested value in one cell; the JSON has the rest."""


def cell(value: object) -> str:
    """Any JSON value as short text.

    Example:
        >>> cell({"value": 0.5, "low": 0.25, "high": 0.75, "level": 0.95}), cell(0.123456), cell(None), cell(["a", 2])
        ('0.500 [0.250, 0.750]', '0.1235', '-', 'a, 2')
    """
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.3g}"
    if isinstance(value, Mapping):
        if is_estimate(value):
            return str(read_estimate(value))
        joined = "; ".join(f"{str(k).replace('_', ' ')} {_short(v)}" for k, v in value.items() if v is not None)
        return joined if len(joined) <= _LONGEST else joined[: _LONGEST - 4] + " ..."
    if isinstance(value, list | tuple):
        return _short(value)
    return " ".join(str(value).split())


def table_of(title: str, rows: Sequence[Mapping[str, Any]], *, note: str = "", appendix: bool = False) -> Table:
    """A table of dictionaries; columns in the order in which keys first come, empty ones left out."""
    names = [
        n for n in dict.fromkeys(k for row in rows for k in row) if any(row.get(n) not in (None, "") for row in rows)
    ]
    cells = tuple(tuple(cell(row.get(n)) for n in names) for row in rows)
    return Table(title, tuple(n.replace("_", " ") for n in names), cells, note, appendix)


def _short(value: object) -> str:
    if isinstance(value, list | tuple):
        numbers = [v for v in value if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) == len(value) and len(numbers) > 6:
            return f"median {median(numbers):.3g} of {len(numbers)}"
        return ", ".join(cell(v) for v in value)
    return cell(value)
