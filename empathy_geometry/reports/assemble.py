"""From saved studies to a document."""

from collections.abc import Mapping, Sequence
from typing import Any

from empathy_geometry.foundation.result_file import PLANTED
from empathy_geometry.plots.reading import read_estimate
from empathy_geometry.reports.cells import cell, table_of
from empathy_geometry.reports.document import Document, Lines, SteeredTexts, StudyPart, Table
from empathy_geometry.reports.headline import headline_tables, verdict_rules
from empathy_geometry.reports.pictures import pictures_of, threshold_of
from empathy_geometry.reports.result_folder import SavedStudy
from empathy_geometry.reports.shapes import Found, find_estimates, find_shapes
from empathy_geometry.reports.words import limitations_of, methods_of


def assemble(studies: Sequence[SavedStudy], *, title: str | None = None) -> Document:
    """Everything that a report of these studies holds.

    Args:
        studies: All planted or all measured.
        title: None names the studies and the model.
    """
    planted = studies[0].planted
    if title is None:
        models = dict.fromkeys(str(s.provenance.get("model", {}).get("name") or "") for s in studies)
        names = [n for n in models if n]
        title = ", ".join(dict.fromkeys(s.name for s in studies)).capitalize() + (
            f": {', '.join(names)}" if names else ""
        )
    if planted:
        title = f"{PLANTED} DATA, NOT A MEASUREMENT: {title}"
    created = max(str(s.provenance.get("created", "")) for s in studies)
    return Document(title, planted, created, tuple(_part(s) for s in studies))


def _part(study: SavedStudy) -> StudyPart:
    content = study.content
    found = find_shapes(content)
    shapes = [f.shape for f in found]
    pictures, left_out = pictures_of(found)
    more = [_transfer_table(f) for f in found if f.shape == "transfer"]
    more += [t for f in found if (t := _written_table(f)) is not None]
    if (edits := _edits_table(content)) is not None:
        more.append(edits)
    estimates = _estimates_table(content)
    if estimates.rows:
        more.append(estimates)
    methods = [*methods_of(content, shapes), *verdict_rules(content)]
    if left_out:
        methods.append(f"{left_out} further figures of the same kinds are not drawn; their numbers are in the JSON.")
    return StudyPart(
        key=study.path.stem,
        title=_study_title(content),
        lead=_lead(content),
        headline=headline_tables(content),
        more=tuple(more),
        pictures=pictures,
        steered=tuple(SteeredTexts(_direction_name(f), threshold_of(f), f.fields) for f in found if f.shape == "sweep"),
        methods=Lines("What was computed", tuple(methods)),
        limitations=Lines("Limitations", limitations_of(content, shapes, planted=study.planted)),
        provenance=_provenance(study),
    )


def _study_title(content: Mapping[str, Any]) -> str:
    if isinstance(content.get("title"), str):
        return str(content["title"])
    concept = content.get("concept")
    named = f" of {concept['name']}" if isinstance(concept, Mapping) and "name" in concept else ""
    return str(content["study"]).replace("_", " ").capitalize() + named


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


def _transfer_table(item: Found) -> Table:
    names = [str(n).replace("_", " ") for n in item.fields["names"]]
    rows = tuple(
        (name, *(cell(c) if isinstance(c, Mapping) else cell(float(c)) for c in row))
        for name, row in zip(names, item.fields["auroc"], strict=True)
    )
    return Table("Transfer (AUROC): rows train, columns test", ("trained in", *names), rows)


def _written_table(item: Found) -> Table | None:
    """What was written at every alpha to every prompt."""
    if item.shape != "sweep":
        return None
    s = item.fields
    smallest = [
        [min(part[a][p] for part in s["parts"].values()) for p in range(len(s["prompts"]))]
        for a in range(len(s["alphas"]))
    ]
    rows = tuple(
        (str(p + 1), f"{alpha:.2f}", f"{smallest[a][p]:.2f}", f"{s['concept'][a][p]:.2f}", cell(s["texts"][a][p]))
        for p in range(len(s["prompts"]))
        for a, alpha in enumerate(s["alphas"])
    )
    prompts = " ".join(f"({i + 1}) {' '.join(prompt.split())}" for i, prompt in enumerate(s["prompts"]))
    note = f"alpha in {s['units'].replace('_', ' ')}s, {s['unit_length']:.3g} activation units each. Prompts: {prompts}"
    columns = ("prompt", "alpha", "coherence", "concept", "text")
    return Table(f"What the model wrote: {_direction_name(item)}", columns, rows, note, appendix=True)


def _edits_table(content: Mapping[str, Any]) -> Table | None:
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
    return table_of("What the model wrote", rows, appendix=True) if rows else None


def _estimates_table(content: Mapping[str, Any]) -> Table:
    rows = []
    for path, fields in find_estimates(content):
        e = read_estimate(fields)
        name = " / ".join(p.replace("_", " ") for p in path)
        rows.append((name, str(e), f"{100 * e.level:g} %", str(e.n), str(e.n_groups), e.method or "-"))
    columns = ("estimate", "value and interval", "level", "n", "independent units", "method of the interval")
    return Table("Every estimate", columns, tuple(rows), appendix=True)


def _provenance(study: SavedStudy) -> Table:
    p = study.provenance
    rows = [("kind", str(p["kind"])), ("created", cell(p.get("created"))), ("seed", cell(p.get("seed")))]
    rows += [(f"model: {k}", cell(v)) for k, v in (p.get("model") or {}).items()]
    rows += [(f"texts: {k}", f"SHA-256 {v}") for k, v in (p.get("texts") or {}).items()]
    rows += [(k.replace("_", " "), cell(v)) for k, v in (p.get("settings") or {}).items()]
    rows += [(f"version of {k}", cell(v)) for k, v in (p.get("versions") or {}).items()]
    rows.append(("file", study.path.name))
    return Table("Where the numbers come from", ("what", "value"), tuple(rows))
