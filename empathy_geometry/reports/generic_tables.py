"""Tables of a study's JSON, whatever it holds: every estimate, and every field of a file that brings no tables."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from empathy_geometry.foundation.table import Table, cell
from empathy_geometry.plots.reading import is_estimate, read_estimate

_LONGEST = 300
"""Characters of a nested value in one cell; the JSON has the rest."""

# Told elsewhere in the report.
_ELSEWHERE = ("study", "type", "version", "provenance", "title", "notes", "limitations", "methods", "texts", "prompts")


def generic_tables(content: Mapping[str, Any]) -> tuple[Table, ...]:
    """Single values in one table, then each list of dictionaries and each mapping as a table; verdicts first.

    For results made by hand, or by a version that wrote no tables. {"columns": [...], "rows": [[...]]} is a table.

    Example:
        >>> for t in generic_tables({"study": "x", "verdict": "cannot tell", "checks": [{"a": 1}, {"a": 2}]}):
        ...     print(t.title, t.columns, t.rows)
        Results ('what', 'value') (('verdict', 'cannot tell'),)
        Checks ('a',) (('1',), ('2',))
    """
    single: dict[str, Any] = {}
    tables: list[tuple[bool, Table]] = []
    for key, value in content.items():
        title = key.replace("_", " ").capitalize()
        if key in _ELSEWHERE or value is None or value in ([], {}, ""):
            continue
        if isinstance(value, Mapping) and {"columns", "rows"} <= set(value):
            cells = tuple(tuple(map(json_cell, row)) for row in value["rows"])
            tables.append((False, Table(title, tuple(map(str, value["columns"])), cells)))
        elif not isinstance(value, list | Mapping) or is_estimate(value) or _plain_list(value):
            single[key] = value
        elif not (isinstance(value, Mapping) and "type" in value) and (rows := _rows(value)):
            tables.append(("verdict" not in key, table_of(title, rows)))
    if single:
        facts = tuple((k.replace("_", " "), json_cell(v)) for k, v in single.items())
        tables.insert(0, ("verdict" not in single, Table("Results", ("what", "value"), facts)))
    # Sorting is stable: verdicts first, the rest in the study's order.
    return tuple(table for _, table in sorted(tables, key=lambda pair: pair[0]))


def estimates_table(content: Mapping[str, Any]) -> Table:
    """Every estimate with its level, its sizes and the method of its interval."""
    rows = []
    for path, fields in find_estimates(content):
        e = read_estimate(fields)
        name = " / ".join(p.replace("_", " ") for p in path)
        rows.append((name, str(e), f"{100 * e.level:g} %", str(e.n), str(e.n_groups), e.method or "-"))
    columns = ("estimate", "value and interval", "level", "n", "independent units", "method of the interval")
    return Table("Every estimate", columns, tuple(rows), appendix=True)


def find_estimates(content: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Every estimate in a study's JSON, with the keys that lead to it."""
    if isinstance(content, Mapping):
        if is_estimate(content):
            yield path, content
            return
        for key, value in content.items():
            yield from find_estimates(value, (*path, str(key)))
    elif isinstance(content, list):
        for i, value in enumerate(content):
            # A named row is called by its name.
            name = value.get("key", value.get("name")) if isinstance(value, Mapping) else None
            yield from find_estimates(value, (*path, str(name or i + 1)))


def table_of(title: str, rows: Sequence[Mapping[str, Any]], *, appendix: bool = False) -> Table:
    """A table of JSON objects; columns in the order in which keys first come, empty ones left out."""
    names = [
        n for n in dict.fromkeys(k for row in rows for k in row) if any(row.get(n) not in (None, "") for row in rows)
    ]
    cells = tuple(tuple(json_cell(row.get(n)) for n in names) for row in rows)
    return Table(title, tuple(n.replace("_", " ") for n in names), cells, appendix=appendix)


def json_cell(value: object) -> str:
    """Any JSON value as short text.

    Example:
        >>> json_cell({"value": 0.5, "low": 0.25, "high": 0.75, "level": 0.95}), json_cell({"a_b": [1, 2]})
        ('0.500 [0.250, 0.750]', 'a b 1, 2')
    """
    if isinstance(value, Mapping):
        if is_estimate(value):
            return str(read_estimate(value))
        joined = "; ".join(f"{str(k).replace('_', ' ')} {json_cell(v)}" for k, v in value.items() if v is not None)
        return joined if len(joined) <= _LONGEST else joined[: _LONGEST - 4] + " ..."
    if isinstance(value, list):
        numbers = [v for v in value if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) == len(value) and len(numbers) > 6:
            return f"median {median(numbers):.3g} of {len(numbers)}"
        return ", ".join(json_cell(v) for v in value)
    return " ".join(cell(value).split()) or "-"


def _plain_list(value: object) -> bool:
    return isinstance(value, list) and not any(isinstance(v, list | Mapping) for v in value)


def _rows(value: list[Any] | Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if isinstance(value, list):
        return [v if isinstance(v, Mapping) else {"value": v} for v in value]
    named = {k: v if isinstance(v, Mapping) and not is_estimate(v) else {"value": v} for k, v in value.items()}
    return [{"name": k, **{n: x for n, x in v.items() if n != "name"}} for k, v in named.items()]
