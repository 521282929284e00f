"""One call from a folder of results to its report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from empathy_geometry.foundation._validation import check_choice
from empathy_geometry.foundation.durable_file import write_bytes, write_text
from empathy_geometry.foundation.result_file import PLANTED
from empathy_geometry.reports.assemble import assemble
from empathy_geometry.reports.document import Document
from empathy_geometry.reports.drawing import Drawings
from empathy_geometry.reports.markdown import markdown_report
from empathy_geometry.reports.page import html_report
from empathy_geometry.reports.pdf import pdf_report
from empathy_geometry.reports.result_folder import read_folder

Format = Literal["md", "html", "pdf"]


def report(
    folder: str | Path,
    *,
    formats: Sequence[Format] = ("md", "html", "pdf"),
    title: str | None = None,
    unsigned: bool = False,
) -> list[Path]:
    """Write a report of every result in a folder, from its JSON files alone.

    The files are report.md (with figures/), report.html (one file that needs no network) and report.pdf; of planted
    results PLANTED_report.md and so on.

    Args:
        folder: Where a study's `.save(folder)` wrote.
        formats: Which to write.
        title: Heading; None names the studies and the model.
        unsigned: Also report on results without a checksum: made by hand, or by a version that wrote none.

    Returns:
        The files that were written, in the order of `formats`.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: no result in it, a damaged or unsigned one, or planted beside measured ones (their files are named).
        ImportError: a package of the extra "report" is missing.
    """
    for name in formats:
        check_choice(name, "formats", ("md", "html", "pdf"))
    folder = Path(folder)
    document = assemble(read_folder(folder, unsigned=unsigned), title=title)
    drawings = Drawings(planted=document.planted)
    written = []
    for name in dict.fromkeys(formats):
        path = folder / f"{PLANTED + '_' if document.planted else ''}report.{name}"
        if name == "md":
            write_text(path, markdown_report(document, _figures(document, drawings, folder), folder))
        elif name == "html":
            write_text(path, html_report(document, drawings))
        else:
            write_bytes(path, pdf_report(document, drawings))
        written.append(path)
    return written


def _figures(document: Document, drawings: Drawings, folder: Path) -> dict[tuple[str, str], Path]:
    """Every picture as PNG below the folder, by part and name."""
    paths = {}
    for part in document.parts:
        for picture in part.pictures:
            mark = f"{PLANTED}_" if document.planted and not part.key.startswith(PLANTED) else ""
            path = folder / "figures" / f"{mark}{part.key}_{picture.name}.png"
            write_bytes(path, drawings.png(picture))
            paths[part.key, picture.name] = path
    return paths
