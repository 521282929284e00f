"""A report as PDF, with the same tables as the other formats; pure Python, fonts embedded."""

import logging
import unicodedata
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from empathy_geometry.foundation.result_file import PLANTED
from empathy_geometry.foundation.table import Table
from empathy_geometry.reports.document import Document, Lines, Picture, StudyPart
from empathy_geometry.reports.figures import DPI, Drawings

_FONT = "DejaVu"
_INK, _MUTED, _WARNING = (27, 31, 39), (87, 93, 104), (163, 68, 0)
_MOST_ROWS = 400
_MOST_LINES = 30
_PICTURE_WIDTH = 118.0
_MILLIMETRES = 25.4


def pdf_report(document: Document, drawings: Drawings) -> bytes:
    """The whole report on A4 pages.

    Raises:
        ImportError: fpdf2 is missing.
    """
    try:
        from fpdf import FPDF
    except ImportError as error:
        raise ImportError("the PDF report needs fpdf2; try: pip install 'empathy-geometry[report]'") from error
    # fontTools reports each table that it leaves out of the embedded font.
    logging.getLogger("fontTools.subset").setLevel(logging.ERROR)
    pages = _Pages(FPDF(format="A4", unit="mm"), document, drawings)
    for part in document.parts:
        pages.part(part)
    return bytes(pages.pdf.output())


class _Pages:
    """Writes blocks down the pages and breaks where a block would be torn."""

    def __init__(self, pdf: Any, document: Document, drawings: Drawings) -> None:
        self.pdf, self.document, self.drawings = pdf, document, drawings
        self.glyphs = _add_fonts(pdf)
        pdf.set_title(self.known(document.title))
        pdf.set_creator("empathy_geometry")
        pdf.set_margins(18, 20, 18)
        pdf.set_auto_page_break(True, margin=18)
        pdf.header, pdf.footer = self.header, self.footer
        pdf.add_page()
        self.text(document.title, 18, bold=True, after=2)
        self.text(f"Made from results of {document.created}.", 9, colour=_MUTED, after=4)

    def header(self) -> None:
        if self.document.planted:
            self.pdf.set_xy(18, 8)
            self.style(13, bold=True, colour=_WARNING)
            self.pdf.cell(0, 6, f"{PLANTED} DATA, NOT A MEASUREMENT", align="C")
            self.pdf.set_xy(18, 20)

    def footer(self) -> None:
        self.pdf.set_xy(18, -13)
        self.style(7.5, colour=_MUTED)
        title = self.known(self.document.title)
        self.pdf.cell(150, 5, title if len(title) < 100 else title[:97] + "...")
        self.pdf.set_xy(-38, -13)
        self.pdf.cell(20, 5, str(self.pdf.page_no()), align="R")

    def part(self, part: StudyPart) -> None:
        self.heading(part.title, 15)
        self.text(part.lead, 9, colour=_MUTED, after=2)
        for table in part.headline:
            self.table(table, 8)
        for i, picture in enumerate(part.pictures):
            self.picture(picture, heading="" if i else "Figures")
        for block in (part.methods, part.limitations):
            self.lines(block)
        for table in (*(t for t in part.more if not t.appendix), part.provenance):
            self.table(table, 7.5)
        for table in part.more:
            if table.appendix:
                self.table(table, 6.5)

    def style(self, size: float, *, bold: bool = False, colour: tuple[int, int, int] = _INK) -> None:
        self.pdf.set_font(_FONT, "B" if bold else "", size)
        self.pdf.set_text_color(*colour)

    def text(
        self, text: str, size: float, *, bold: bool = False, colour: tuple[int, int, int] = _INK, after: float = 1
    ) -> None:
        self.style(size, bold=bold, colour=colour)
        self.pdf.set_x(18)
        self.pdf.multi_cell(0, 0.5 * size, self.known(text), align="L", new_x="LMARGIN", new_y="NEXT")
        self.pdf.ln(after)

    def heading(self, text: str, size: float, *, needs: float = 34) -> None:
        """A heading with room for the beginning of what follows, or on a new page."""
        if self.room() < needs:
            self.pdf.add_page()
        self.pdf.ln(3)
        self.text(text, size, bold=True, after=1.5)

    def room(self) -> float:
        return float(self.pdf.h - self.pdf.b_margin - self.pdf.get_y())

    def lines(self, block: Lines) -> None:
        self.heading(block.title, 12)
        for line in block.lines:
            if self.room() < 14:
                self.pdf.add_page()
            self.text(f"\u2022 {line}", 8.5, after=0.8)

    def picture(self, picture: Picture, *, heading: str = "") -> None:
        from PIL import Image

        png = self.drawings.png(picture)
        with Image.open(BytesIO(png)) as image:
            width, height = (pixels / DPI * _MILLIMETRES for pixels in image.size)
        scale = min(1.0, _PICTURE_WIDTH / width, 150 / height)
        needed = scale * height + 16
        if heading:
            self.heading(heading, 12, needs=needed + 14)
        elif self.room() < needed:
            self.pdf.add_page()
        self.pdf.image(BytesIO(png), w=scale * width, h=scale * height, alt_text=self.known(picture.title))
        self.pdf.ln(1)
        self.text(f"{picture.title}. {picture.caption}", 8, colour=_MUTED, after=5)

    def table(self, table: Table, size: float) -> None:
        if not table.rows:
            return
        self.heading(table.title, 12 if not table.appendix else 10)
        rows = [[self.known(c) for c in row] for row in table.rows[:_MOST_ROWS]]
        self.pdf.set_draw_color(200, 202, 207)
        from fpdf.fonts import FontFace

        widths = self.widths([self.known(c) for c in table.columns], rows, size)
        self.style(size)
        with self.pdf.table(
            width=sum(widths),
            col_widths=widths,
            align="LEFT",
            line_height=0.52 * size,
            text_align="LEFT",
            borders_layout="HORIZONTAL_LINES",
            headings_style=FontFace(emphasis="BOLD", color=_INK),
            padding=(0.7, 1.2, 0.7, 0),
        ) as grid:
            grid.row([self.known(c) for c in table.columns])
            for row in rows:
                grid.row([self.clipped(text, width) for text, width in zip(row, widths, strict=True)])
        self.pdf.ln(1.5)
        if len(table.rows) > _MOST_ROWS:
            self.text(f"{len(table.rows) - _MOST_ROWS} further rows are in the JSON and in the HTML report.", 8)
        for note in table.notes:
            self.text(note, 7.5, colour=_MUTED, after=3)

    def widths(self, columns: Sequence[str], rows: Sequence[Sequence[str]], size: float) -> list[float]:
        """Millimetres of each column: its longest word fits, and what is left goes where there is more to say."""
        least, wanted = [], []
        for i, name in enumerate(columns):
            # Bold throughout, which is the wider cut.
            self.style(size, bold=True)
            texts = [name, *(row[i] for row in rows[:200])]
            words = [self.pdf.get_string_width(w) for t in texts for w in (t.split() or [""])]
            least.append(min(max(words), 42.0) + 3.6)
            wanted.append(max(least[-1], min(max(self.pdf.get_string_width(t) for t in texts), 110.0) + 3.6))
        # A hair less than the page, so that rounding never makes the sum too wide.
        page = 0.9999 * float(self.pdf.epw)
        if sum(wanted) <= page:
            return wanted
        if sum(least) >= page:
            return [page * w / sum(least) for w in least]
        share = (page - sum(least)) / (sum(wanted) - sum(least))
        return [a + share * (b - a) for a, b in zip(least, wanted, strict=True)]

    def clipped(self, text: str, width: float) -> str:
        """A cell's text, cut where it would fill more than a page's share of lines; the JSON has the rest."""
        room = _MOST_LINES * max(width - 3.6, 2.0) * 0.7
        length = self.pdf.get_string_width(text)
        return text if length <= room else text[: int(len(text) * room / length)] + " ..."

    def known(self, text: str) -> str:
        """Text with a box for each character that the font lacks; the HTML report has them."""
        composed = unicodedata.normalize("NFC", text)
        return "".join(c if ord(c) in self.glyphs or c in "\n\t" else "\u25af" for c in composed).replace("\t", "    ")


def _add_fonts(pdf: Any) -> frozenset[int]:
    """DejaVu, which comes with matplotlib; returns the characters that both cuts have."""
    from fontTools.ttLib import TTFont
    from matplotlib import get_data_path

    folder = Path(get_data_path()) / "fonts" / "ttf"
    known: set[int] | None = None
    for style, file in (("", "DejaVuSans.ttf"), ("B", "DejaVuSans-Bold.ttf")):
        pdf.add_font(_FONT, style, folder / file)
        with TTFont(folder / file, lazy=True) as font:
            found = set(font.getBestCmap())
        known = found if known is None else known & found
    return frozenset(known or ())
