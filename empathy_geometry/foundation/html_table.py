"""A result as an HTML table, for notebooks: what `print` shows, escaped, without a style sheet."""

from collections.abc import Mapping, Sequence
from html import escape


def html_table(title: str, rows: Sequence[Mapping[str, object]], *, notes: Sequence[str] = ()) -> str:
    """Rows as a table with a caption above and notes below; readable on light and dark pages.

    Args:
        title: Caption.
        rows: One dictionary for each row; columns in the order of their first appearance, a missing cell stays empty.
            Floats are shown with three digits.
        notes: Lines below the table.

    Raises:
        ValueError: there are no rows.

    Example:
        >>> html_table("a < b", [{"name": "<x>", "value": 0.5}]).count("&lt;")
        2
    """
    if not rows:
        raise ValueError("a table needs at least one row")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cell = 'style="text-align:left;padding:0.15em 0.8em 0.15em 0"'
    head = "".join(f"<th {cell}>{escape(str(name))}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td {cell}>{escape(_shown(row.get(name, '')))}</td>" for name in columns) + "</tr>"
        for row in rows
    )
    caption = f'<caption style="text-align:left;font-weight:bold;white-space:pre-line">{escape(title)}</caption>'
    below = "".join(f'<p style="margin:0.3em 0">{escape(note)}</p>' for note in notes)
    return f"<div><table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}</div>"


def _shown(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
