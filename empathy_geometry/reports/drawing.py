"""Figures as files: PNG for Markdown and PDF, SVG that follows the page's colours for HTML."""

import re
from io import StringIO
from typing import Any

from empathy_geometry.foundation.result_file import PLANTED
from empathy_geometry.plots.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, png_bytes
from empathy_geometry.reports.document import Picture

DPI = 160
"""Resolution of PNG figures."""

# Colours of the figures that the page may lighten on a dark ground.
_THEMED = {INK: "ink", BLUE: "blue", ORANGE: "orange", GREEN: "green", PURPLE: "purple", GREY: "grey"}


class Drawings:
    """The pictures of a report, each drawn once whatever the number of formats.

    Args:
        planted: Write PLANTED across every figure.
    """

    def __init__(self, *, planted: bool) -> None:
        self._planted = planted
        self._figures: dict[Picture, Any] = {}
        self._pngs: dict[Picture, bytes] = {}

    def png(self, picture: Picture) -> bytes:
        """A figure as PNG on white, of `DPI`."""
        if picture not in self._pngs:
            self._pngs[picture] = png_bytes(self._figure(picture), dpi=DPI)
        return self._pngs[picture]

    def svg(self, picture: Picture, prefix: str) -> str:
        """A figure as an SVG element for HTML: no ground of its own, colours as CSS variables, ids of its own.

        Letters are drawn as shapes, so that they look alike everywhere; what they say must be told beside the figure.

        Args:
            picture: What to draw.
            prefix: For its ids, unique in the page.
        """
        from matplotlib import rc_context

        stream = StringIO()
        with rc_context({"svg.fonttype": "path", "svg.hashsalt": prefix}):
            self._figure(picture).savefig(stream, format="svg", transparent=True, metadata={"Date": None})
        text = stream.getvalue()
        text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
        # Only the view box stays, so that the page decides the size.
        head, rest = text.split(">", 1)
        text = re.sub(r' (?:width|height)="[^"]*"', "", head) + ">" + rest
        text = re.sub(r'\bid="', f'id="{prefix}-', text)
        text = re.sub(r'href="#', f'href="#{prefix}-', text).replace("url(#", f"url(#{prefix}-")
        for colour, name in _THEMED.items():
            text = re.sub(re.escape(colour), f"var(--fig-{name})", text, flags=re.IGNORECASE)
        return text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)

    def _figure(self, picture: Picture) -> Any:
        if picture not in self._figures:
            figure = picture.draw().figure
            if self._planted:
                style = {"fontsize": 46, "fontweight": "bold", "color": ORANGE, "alpha": 0.22}
                figure.text(0.5, 0.5, PLANTED, rotation=28, ha="center", va="center", **style)
            self._figures[picture] = figure
        return self._figures[picture]
