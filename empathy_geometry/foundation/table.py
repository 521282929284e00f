"""A table, and the one way in which it becomes text for a terminal, Markdown or HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from textwrap import wrap
from typing import Any

from empathy_geometry.foundation.terminal import printable, terminal_text

WIDTH = 100
"""Columns of a printed table, at most."""

_GAP = "  "
_NARROWEST = 8
"""Below this a column is not squeezed; the table goes on in a second block instead."""


@dataclass(frozen=True)
class Table:
    """Cells as they are shown, whatever shows them.

    Attributes:
        title: Heading; may be empty.
        columns: Names.
        rows: Cells, as many in each row as there are columns.
        notes: Sentences below.
        appendix: Whether it is for looking up, not for reading: at the end of a report, folded in HTML.

    Example:
        >>> print(Table.of("Scores", [{"probe": "ridge", "AUROC": 0.5}, {"probe": "lda", "n": 12}], notes=["held out"]))
        Scores
          probe  AUROC  n
          ridge  0.500
          lda           12
          held out
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    appendix: bool = False

    def __post_init__(self) -> None:
        # Results that were changed by hand bring anything; what is shown is text.
        for name in ("columns", "notes"):
            object.__setattr__(self, name, tuple(map(cell, getattr(self, name))))
        object.__setattr__(self, "title", cell(self.title))
        object.__setattr__(self, "rows", tuple(tuple(map(cell, row)) for row in self.rows))
        wrong = [row for row in self.rows if len(row) != len(self.columns)]
        if wrong:
            raise ValueError(f"{self.title!r} has {len(self.columns)} columns, but a row has {len(wrong[0])} cells")

    @classmethod
    def of(
        cls, title: str, rows: Sequence[Mapping[str, object]], *, notes: Sequence[str] = (), appendix: bool = False
    ) -> "Table":
        """A table of dictionaries: columns in the order of their first appearance, a missing cell is empty.

        Args:
            title: Heading.
            rows: One dictionary for each row; see `cell` for how values are shown.
            notes: Sentences below.
            appendix: Whether it is for looking up.
        """
        columns = tuple(dict.fromkeys(name for row in rows for name in row))
        cells = tuple(tuple(cell(row.get(name, "")) for name in columns) for row in rows)
        return cls(title, columns, cells, tuple(notes), appendix)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Table":
        """What `dataclasses.asdict` was given, from JSON."""
        notes, appendix = content.get("notes", ()), bool(content.get("appendix", False))
        return cls(content.get("title", ""), content["columns"], content["rows"], notes, appendix)

    def to_frame(self) -> Any:
        """The cells as a pandas DataFrame (pandas must be installed)."""
        import pandas as pd

        return pd.DataFrame(self.rows, columns=list(self.columns))

    @printable
    def __str__(self) -> str:
        return self.text()

    def text(self, width: int = WIDTH) -> str:
        """For a terminal: aligned columns, no line longer than `width`; long cells go on in the next line.

        Args:
            width: Characters of a line.
        """
        lines = [part for line in terminal_text(self.title).splitlines() for part in wrap(line, width) or [""]]
        for block in self._blocks(width - 2):
            lines += _aligned(block, width - 2)
        for note in self.notes:
            lines += wrap(terminal_text(note), width, initial_indent="  ", subsequent_indent="    ")
        return "\n".join(lines)

    def markdown(self, most: int | None = None) -> str:
        """For Markdown: title in the line above, notes in paragraphs below.

        Args:
            most: Rows to show; None shows all.
        """
        shown = self.rows if most is None else self.rows[:most]
        lines = ["| " + " | ".join(map(markdown_text, row)) + " |" for row in (self.columns, *shown)]
        lines.insert(1, "|" + "---|" * len(self.columns))
        title = [markdown_text(self.title), ""] if self.title else []
        notes = list(self.notes)
        if len(shown) < len(self.rows):
            notes.append(f"{len(self.rows) - len(shown)} further rows are in the JSON.")
        return "\n".join([*title, *(lines if self.rows else []), *(p for n in notes for p in ("", markdown_text(n)))])

    def html(self) -> str:
        """For a notebook: escaped, without a style sheet, readable on light and dark pages."""
        style = 'style="text-align:left;padding:0.15em 0.8em 0.15em 0"'

        def row(cells: Sequence[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag} {style}>{escape(c)}</{tag}>" for c in cells) + "</tr>"

        caption = (
            f'<caption style="text-align:left;font-weight:bold;white-space:pre-line">{escape(self.title)}</caption>'
        )
        head = f"<thead>{row(self.columns, 'th')}</thead>" if self.rows else ""
        body = "".join(row(cells, "td") for cells in self.rows)
        notes = "".join(f'<p style="margin:0.3em 0">{escape(note)}</p>' for note in self.notes)
        return f"<div><table>{caption}{head}<tbody>{body}</tbody></table>{notes}</div>"

    def _blocks(self, width: int) -> list[list[tuple[str, ...]]]:
        """The rows with their head, in blocks of as many columns as fit; the first column leads each block."""
        if not self.rows:
            return []
        rows = [tuple(terminal_text(" ".join(c.split())) for c in row) for row in (self.columns, *self.rows)]
        fit = max((width - _least(rows, 0)) // (_NARROWEST + len(_GAP)), 1)
        needed = sum(_least(rows, i) + len(_GAP) for i in range(len(self.columns))) - len(_GAP)
        if needed <= width:
            return [rows]
        starts = range(1, len(self.columns), fit)
        return [[(row[0], *row[start : start + fit]) for row in rows] for start in starts]


def cell(value: object) -> str:
    """A value as it is shown in a table.

    Example:
        >>> cell(0.12345), cell(2e-5), cell(None), cell(True), cell(3), cell(["a", 2])
        ('0.123', '2e-05', '-', 'yes', '3', 'a, 2')
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(cell, value))
    return str(value)


def markdown_text(text: str) -> str:
    r"""Text that Markdown shows as it is, on one line: no markup of its own, no HTML, no broken table.

    Example:
        >>> print(markdown_text("a|b <script> *c*"))
        a\|b &lt;script&gt; \*c\*
    """
    text = " ".join(text.split()).replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "|*_`~$#":
        text = text.replace(mark, "\\" + mark)
    return text.replace("](", "]\\(").replace("![", "!\\[")


def _least(rows: Sequence[tuple[str, ...]], column: int) -> int:
    return min(max(len(row[column]) for row in rows), _NARROWEST)


def _aligned(rows: Sequence[tuple[str, ...]], width: int) -> list[str]:
    """Lines of rows whose columns begin at the same place, indented."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    room = width - len(_GAP) * (len(widths) - 1)
    limit = max(widths)
    while sum(min(w, limit) for w in widths) > room and limit > 1:
        limit -= 1
    widths = [min(w, limit) for w in widths]
    lines = []
    for row in rows:
        parts = [wrap(c, max(w, 1)) or [""] for c, w in zip(row, widths, strict=True)]
        for k in range(max(map(len, parts))):
            shown = ((p[k] if k < len(p) else "").ljust(w) for p, w in zip(parts, widths, strict=True))
            lines.append(("  " + _GAP.join(shown)).rstrip())
    return lines
