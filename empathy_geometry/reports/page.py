"""A report as Markdown, and as one HTML page that needs nothing else: style, script, figures and texts are inside."""

import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from empathy_geometry.foundation.table import Table, markdown_text
from empathy_geometry.reports.document import Document, StudyPart
from empathy_geometry.reports.figures import Drawings

_MOST_ROWS = 400


def markdown_report(document: Document, figures: dict[tuple[str, str], Path], root: Path) -> str:
    """The whole report.

    Args:
        document: What it holds.
        figures: Files of the pictures, by part's key and picture's name.
        root: The folder that the report lies in, for relative links.
    """
    lines = [f"# {markdown_text(document.title)}", "", f"Made from results of {markdown_text(document.created)}.", ""]
    for part in document.parts:
        lines += _markdown_part(part, figures, root)
    return "\n".join(lines).rstrip() + "\n"


def _markdown_part(part: StudyPart, figures: dict[tuple[str, str], Path], root: Path) -> list[str]:
    lines = [f"## {markdown_text(part.title)}", "", markdown_text(part.lead), ""]
    for table in part.headline:
        lines += _titled(table)
    if part.pictures:
        lines += ["### Figures", ""]
    for picture in part.pictures:
        link = figures[part.key, picture.name].relative_to(root).as_posix()
        title, caption = markdown_text(picture.title), markdown_text(picture.caption)
        lines += [f"![{title}]({link})", "", f"{title}. {caption}", ""]
    for table in part.more:
        lines += _titled(table)
    for block in (part.methods, part.limitations):
        lines += [f"### {block.title}", "", *(f"- {markdown_text(line)}" for line in block.lines), ""]
    return lines + _titled(part.provenance)


def _titled(table: Table) -> list[str]:
    title = [f"### {markdown_text(table.title)}", ""] if table.title else []
    return [*title, replace(table, title="").markdown(_MOST_ROWS), ""]


def html_report(document: Document, drawings: Drawings) -> str:
    """The whole page. Texts are escaped; nothing is asked of the network.

    Raises:
        ImportError: jinja2 is missing.
    """
    try:
        from jinja2 import Environment
        from markupsafe import Markup
    except ImportError as error:
        raise ImportError("the HTML report needs jinja2; try: pip install 'empathy-geometry[report]'") from error
    assets = files("empathy_geometry.reports") / "assets"
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.tests["number_like"] = _number_like
    template = environment.from_string((assets / "page.html.jinja").read_text(encoding="utf-8"))
    svgs = {
        (part.key, picture.name): Markup(drawings.svg(picture, f"f{p}-{i}"))
        for p, part in enumerate(document.parts)
        for i, picture in enumerate(part.pictures)
    }
    return template.render(
        document=document,
        svgs=svgs,
        verdicts=("supported", "not supported", "cannot tell", "causal", "weakly causal", "not causal"),
        explorers={part.key: _explorer(part) for part in document.parts if part.steered},
        style=Markup((assets / "page.css").read_text(encoding="utf-8")),
        script=Markup((assets / "page.js").read_text(encoding="utf-8")),
    )


def _explorer(part: StudyPart) -> list[dict[str, Any]]:
    """What the steering explorer shows, one entry a direction."""
    found = []
    for steered in part.steered:
        s = steered.sweep
        order = np.argsort(s["alphas"]).tolist()
        parts = {name: [values[a] for a in order] for name, values in s["parts"].items()}
        found.append(
            {
                "name": steered.name,
                "threshold": steered.threshold,
                "units": s["units"].replace("_", " ") + "s",
                "alphas": [s["alphas"][a] for a in order],
                "prompts": s["prompts"],
                "texts": [s["texts"][a] for a in order],
                "parts": parts,
                "concept": [s["concept"][a] for a in order],
            }
        )
    return found


def _number_like(text: str) -> bool:
    """A number, with an interval or without, which must not be broken over lines."""
    return len(text) < 32 and re.fullmatch(r"(>= |<= )?-?[\d.]+(e[-+]?\d+)?( \[[^\]]*\])?", text) is not None
