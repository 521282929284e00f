"""Tables of a study that nobody foresaw: every field that can be one."""

from collections.abc import Mapping
from typing import Any

from empathy_geometry.reports.cells import cell, table_of
from empathy_geometry.reports.document import Table
from empathy_geometry.reports.shapes import find_shapes, is_estimate

# Told elsewhere in the report.
_ELSEWHERE = ("study", "provenance", "title", "notes", "limitations", "methods", "texts", "prompts", "sections")


def generic_tables(content: Mapping[str, Any]) -> tuple[Table, ...]:
    """Single values in one table, then each list of dictionaries and each mapping as a table; verdicts first.

    Example:
        >>> for t in generic_tables({"study": "x", "verdict": "cannot tell", "checks": [{"a": 1}, {"a": 2}]}):
        ...     print(t.title, t.columns, t.rows)
        Results ('what', 'value') (('verdict', 'cannot tell'),)
        Checks ('a',) (('1',), ('2',))
    """
    single: dict[str, Any] = {}
    tables: list[tuple[bool, Table]] = []
    for key, value in content.items():
        if key in _ELSEWHERE or value is None or value in ([], {}, ""):
            continue
        if not isinstance(value, list | Mapping) or is_estimate(value) or _plain_list(value):
            single[key] = value
        elif not find_shapes({key: value}) and (rows := _rows(value)):
            title = key.replace("_", " ").capitalize()
            tables.append(("verdict" not in key, table_of(title, rows)))
    if single:
        facts = tuple((k.replace("_", " "), cell(v)) for k, v in single.items())
        tables.insert(0, ("verdict" not in single, Table("Results", ("what", "value"), facts)))
    # Sorting is stable: verdicts first, the rest in the study's order.
    return tuple(table for _, table in sorted(tables, key=lambda pair: pair[0]))


def _plain_list(value: object) -> bool:
    return isinstance(value, list) and not any(isinstance(v, list | Mapping) for v in value)


def _rows(value: list[Any] | Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if isinstance(value, list):
        return [v if isinstance(v, Mapping) else {"value": v} for v in value]
    named = {k: v if isinstance(v, Mapping) and not is_estimate(v) else {"value": v} for k, v in value.items()}
    return [{"name": k, **{n: x for n, x in v.items() if n != "name"}} for k, v in named.items()]
