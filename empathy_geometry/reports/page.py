"""A report as one HTML page that needs nothing else: styles, script, figures and texts are inside."""

import re
from importlib.resources import files
from typing import Any

import numpy as np

from empathy_geometry.reports.document import Document, StudyPart
from empathy_geometry.reports.drawing import Drawings


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
        verdicts=("supported", "not supported", "cannot tell", "causal", "not causal"),
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
