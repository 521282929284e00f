"""A report as Markdown, with its figures as PNG beside it."""

from pathlib import Path

from empathy_geometry.reports.document import Document, StudyPart, Table

_MOST_ROWS = 400


def markdown_report(document: Document, figures: dict[tuple[str, str], Path], root: Path) -> str:
    """The whole report.

    Args:
        document: What it holds.
        figures: Files of the pictures, by part's key and picture's name.
        root: The folder that the report lies in, for relative links.
    """
    lines = [f"# {escape(document.title)}", "", f"Made from results of {escape(document.created)}.", ""]
    for part in document.parts:
        lines += _part(part, figures, root)
    return "\n".join(lines).rstrip() + "\n"


def _part(part: StudyPart, figures: dict[tuple[str, str], Path], root: Path) -> list[str]:
    lines = [f"## {escape(part.title)}", "", escape(part.lead), ""]
    for table in part.headline:
        lines += _table(table)
    if part.pictures:
        lines += ["### Figures", ""]
    for picture in part.pictures:
        link = figures[part.key, picture.name].relative_to(root).as_posix()
        lines += [f"![{escape(picture.title)}]({link})", "", f"{escape(picture.title)}. {escape(picture.caption)}", ""]
    for table in part.more:
        lines += _table(table)
    for block in (part.methods, part.limitations):
        lines += [f"### {block.title}", "", *(f"- {escape(line)}" for line in block.lines), ""]
    return lines + _table(part.provenance)


def _table(table: Table) -> list[str]:
    lines = [f"### {escape(table.title)}", ""] if table.title else []
    lines += ["| " + " | ".join(map(escape, table.columns)) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(map(escape, row)) + " |" for row in table.rows[:_MOST_ROWS]]
    if len(table.rows) > _MOST_ROWS:
        lines += ["", f"{len(table.rows) - _MOST_ROWS} further rows are in the JSON and in the HTML report."]
    return [*lines, "", *([escape(table.note), ""] if table.note else [])]


def escape(text: str) -> str:
    r"""Text that Markdown shows as it is, on one line: no markup of its own, no HTML, no broken table.

    Example:
        >>> print(escape("a|b <script> *c*"))
        a\|b &lt;script&gt; \*c\*
    """
    text = " ".join(text.split()).replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "|*_`~$#":
        text = text.replace(mark, "\\" + mark)
    return text.replace("](", "]\\(").replace("![", "!\\[")
