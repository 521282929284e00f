"""One call from a folder of results to its report."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from empathy_geometry.evaluation.transfer import TransferMatrix
from empathy_geometry.foundation._validation import check_choice
from empathy_geometry.foundation.durable_file import write_bytes, write_text
from empathy_geometry.foundation.json_codec import unpack
from empathy_geometry.foundation.result_file import PLANTED, naming, read_folder, title
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.foundation.table import Table
from empathy_geometry.reports.document import Document, Lines, SteeredTexts, StudyPart
from empathy_geometry.reports.figures import Drawings, Found, find_typed, pictures_of
from empathy_geometry.reports.generic_tables import estimates_table, find_estimates, generic_tables, json_cell, table_of
from empathy_geometry.reports.page import html_report, markdown_report
from empathy_geometry.reports.pdf import pdf_report
from empathy_geometry.reports.words import limitations_of, methods_of

Format = Literal["md", "html", "pdf"]


@takes_settings()
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
    document = document_of(read_folder(folder, unsigned=unsigned), heading=title)
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


def document_of(results: Mapping[Path, Mapping[str, Any]], *, heading: str | None = None) -> Document:
    """Everything that a report of these results holds.

    Args:
        results: JSON by file; all planted or all measured.
        heading: None names the studies and the model.
    """
    origins = [content["provenance"] for content in results.values()]
    if heading is None:
        models = dict.fromkeys(str(p.get("model", {}).get("name") or "") for p in origins)
        names = ", ".join(n for n in models if n)
        studies = ", ".join(dict.fromkeys(str(content["study"]) for content in results.values())).capitalize()
        heading = f"{studies}: {names}" if names else studies
    kind = origins[0]["kind"]
    created = max(str(p.get("created", "")) for p in origins)
    parts = []
    for path, content in results.items():
        with naming(path):
            parts.append(_part(path, content))
    return Document(title(heading, kind), kind == "planted", created, tuple(parts))


def _part(path: Path, content: Mapping[str, Any]) -> StudyPart:
    found = list(find_typed(content))
    types = [f.type for f in found]
    pictures, left_out = pictures_of(found)
    sweeps = [f for f in found if f.type == "SteeringSweep"]
    more = [
        replace(t, title=f"{t.title}: {f.name}")
        for f in found
        if f.type == "TransferMatrix"
        for t in unpack(TransferMatrix, f.fields).tables()
    ]
    more += [_written(f) for f in sweeps]
    more += [t for t in (_edits(content), estimates_table(content)) if t is not None and t.rows]
    methods = list(methods_of(content, types))
    if left_out:
        methods.append(f"{left_out} further figures of the same kinds are not drawn; their numbers are in the JSON.")
    pictures = tuple(replace(p, draw=naming(path)(p.draw)) for p in pictures)  # drawn later, by each format
    heading, tables = _own_tables(content)
    planted = content["provenance"]["kind"] == "planted"
    return StudyPart(
        key=path.stem,
        title=heading,
        lead=_lead(content),
        headline=tables,
        more=tuple(more),
        pictures=pictures,
        steered=tuple(SteeredTexts(_direction_name(f), f.threshold, f.fields) for f in sweeps),
        methods=Lines("What was computed", tuple(methods)),
        limitations=Lines("Limitations", limitations_of(content, types, planted=planted)),
        provenance=_provenance(content["provenance"], path),
    )


def _own_tables(content: Mapping[str, Any]) -> tuple[str, tuple[Table, ...]]:
    """Heading of a result and the tables that `print` shows; of a file without tables, what its fields say."""
    tables = [Table.from_dict(t) for t in content.get("tables", ())]
    if not tables:
        name = content["concept"].get("name") if isinstance(content.get("concept"), Mapping) else None
        named = f" of {name}" if name else ""
        heading = content.get("title") or str(content["study"]).replace("_", " ").capitalize() + named
        return str(heading), generic_tables(content)
    heading, _, rest = tables[0].title.partition("\n")
    return heading, (replace(tables[0], title=rest or "Results"), *tables[1:])


def _lead(content: Mapping[str, Any]) -> str:
    where = []
    if "layer" in content:
        choice = {"nested": "chosen inside the folds", "given": "given"}.get(str(content.get("layer_choice")), "")
        where.append(f"Layer {content['layer']}" + (f" ({choice})" if choice else ""))
    n = {e["n_groups"] for _, e in find_estimates(content.get("evaluation")) if e.get("n_groups")}
    if n:
        where.append(f"{max(n)} independent scenarios")
    where.append("brackets are intervals")
    text = "; ".join(where) + "."
    return text[0].upper() + text[1:]


def _direction_name(item: Found) -> str:
    name = item.beside.get("name")
    role = item.path[-2] if len(item.path) > 1 else ""
    return f"{name} ({role})" if isinstance(name, str) and role else str(name or item.name or "direction")


def _written(item: Found) -> Table:
    """What was written at every alpha to every prompt."""
    s = item.fields
    scores = s["coherence"], s["concept"]
    rows = tuple(
        (str(p + 1), f"{alpha:.2f}", *(f"{score[a][p]:.2f}" for score in scores), json_cell(s["texts"][a][p]))
        for p in range(len(s["prompts"]))
        for a, alpha in enumerate(s["alphas"])
    )
    prompts = " ".join(f"({i + 1}) {' '.join(prompt.split())}" for i, prompt in enumerate(s["prompts"]))
    note = f"alpha in {s['units'].replace('_', ' ')}s, {s['unit_length']:.3g} activation units each. Prompts: {prompts}"
    columns = ("prompt", "alpha", "coherence", "concept", "text")
    return Table(f"What the model wrote: {_direction_name(item)}", columns, rows, (note,), appendix=True)


def _edits(content: Mapping[str, Any]) -> Table | None:
    """What was written under each edit, where a study keeps that by name."""
    texts, prompts = content.get("texts"), content.get("prompts")
    if not isinstance(texts, Mapping) or not isinstance(prompts, list):
        return None
    rows = [
        {"prompt": prompt, "edit": edit, "text": written[i]}
        for i, prompt in enumerate(prompts)
        for edit, written in texts.items()
        if isinstance(written, list) and i < len(written)
    ]
    return table_of("What the model wrote", rows, appendix=True)


def _provenance(p: Mapping[str, Any], path: Path) -> Table:
    rows = [("kind", str(p["kind"])), ("created", json_cell(p.get("created"))), ("seed", json_cell(p.get("seed")))]
    rows += [(f"model: {k}", json_cell(v)) for k, v in (p.get("model") or {}).items()]
    rows += [(f"texts: {k}", f"SHA-256 {v}") for k, v in (p.get("texts") or {}).items()]
    rows += [(k.replace("_", " "), json_cell(v)) for k, v in (p.get("settings") or {}).items()]
    rows += [(f"version of {k}", json_cell(v)) for k, v in (p.get("versions") or {}).items()]
    rows.append(("file", path.name))
    return Table("Where the numbers come from", ("what", "value"), tuple(rows))
