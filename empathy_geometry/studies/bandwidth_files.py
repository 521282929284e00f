"""A bandwidth result as files: JSON with everything, Markdown to read, figures, and the report of its folder."""

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from empathy_geometry.foundation.durable_file import write_bytes, write_text
from empathy_geometry.foundation.result_file import file_stem, title, write_result
from empathy_geometry.plots import (
    coherence_curve,
    layer_emergence,
    null_distribution,
    rarefaction_curve,
    transfer_heatmap,
)
from empathy_geometry.reports.build import Format, report
from empathy_geometry.reports.document import Picture
from empathy_geometry.reports.drawing import Drawings
from empathy_geometry.reports.markdown import escape

if TYPE_CHECKING:
    from empathy_geometry.studies.bandwidth import Bandwidth


def save_bandwidth(result: "Bandwidth", folder: str | Path) -> Path:
    """Write bandwidth.json, bandwidth.md and PNG figures, and report.html and report.pdf of the whole folder.

    Numbers come first, so that a missing package loses nothing. The HTML and PDF reports are left out where jinja2 or
    fpdf2 is not installed. A planted result's files begin with "PLANTED_".

    Returns:
        The folder.

    Raises:
        ValueError: the folder holds results of the other kind (planted, measured), or damaged ones, so that there is no
            report of it (everything else is written by then).
        ImportError: matplotlib is missing (JSON is written by then).
    """
    folder, kind = Path(folder), result.provenance.kind
    stem = file_stem("bandwidth", kind)
    write_result(folder / f"{stem}.json", result)
    pictures = _pictures(result)
    drawings = Drawings(planted=kind == "planted")
    for picture in pictures:
        write_bytes(folder / f"{file_stem(picture.name, kind)}.png", drawings.png(picture))
    write_text(folder / f"{stem}.md", markdown(result, [file_stem(p.name, kind) for p in pictures]))
    needs: dict[Format, str] = {"html": "jinja2", "pdf": "fpdf"}
    report(folder, formats=[name for name, package in needs.items() if find_spec(package) is not None])
    return folder


def markdown(result: "Bandwidth", figures: list[str]) -> str:
    """The result as Markdown: headline table, what was written, provenance, limitations."""
    p = result.provenance
    lines = [
        "# " + title(f"Bandwidth of {result.concept.name} in {p.model.get('name', 'an unnamed model')}", p.kind),
        "",
        f"Measured at layer {result.layer} ({result.layer_choice}). Brackets are 95 % intervals.",
        "",
        "| quantity | concept | control or null |",
        "|---|---|---|",
        *(f"| {escape(a)} | {escape(b)} | {escape(c)} |" for a, b, c in result.rows()),
        "",
        "## What the model wrote",
        "",
        *_excerpts(result),
        "## Figures",
        "",
        *(f"![{name.replace('_', ' ')}]({name}.png)" for name in figures),
        "",
        "## What these numbers are",
        "",
        "- Probe: fitted in training scenarios, scored in others; layer chosen inside the training part; the excess is "
        "over the best baseline that sees only the text.",
        "- Dimensionality: participation ratio of the paired differences within scenarios, corrected for finite n.",
        "- Steering range: |alpha| at which the smallest coherence part falls below "
        f"{result.concept.threshold:g}; '>=' means that no crossing was found in the grid.",
        "- The control is steered on the same prompts as the concept.",
        "- Bandwidth: its interval leaves out the same scenarios in both factors (joint jackknife); the steered "
        "direction and the layer are taken as they are.",
        "- Bandwidth depends on the unit of alpha; compare models and concepts in the same unit only.",
        "",
        "## Where they come from",
        "",
        f"- kind: {p.kind}; created {p.created}; seed {p.seed}",
        *(f"- model {k}: {v}" for k, v in p.model.items() if not isinstance(v, dict | list)),
        *(f"- texts {k}: SHA-256 {v}" for k, v in p.texts.items()),
        *(f"- {k}: {v}" for k, v in p.settings.items()),
        "- versions: " + ", ".join(f"{k} {v}" for k, v in p.versions.items()),
        "",
    ]
    return "\n".join(lines)


def _excerpts(result: "Bandwidth") -> list[str]:
    sweep = result.concept.sweep
    lines = [f"Prompt: {escape(sweep.prompts[0])}", "", "| alpha | coherence | text |", "|---|---|---|"]
    for a, alpha in enumerate(sweep.alphas):
        lines.append(f"| {alpha:.2f} | {sweep.coherence[a, 0]:.2f} | {escape(sweep.texts[a][0])} |")
    return [*lines, ""]


def _pictures(result: "Bandwidth") -> list[Picture]:
    threshold = result.concept.threshold
    found = [
        ("layer_emergence", partial(layer_emergence, result.permutation, evaluation=result.evaluation)),
        ("null_distribution", partial(null_distribution, result.permutation)),
        ("dimensionality", partial(rarefaction_curve, result.concept.dimensionality)),
        ("coherence_concept", partial(coherence_curve, result.concept.sweep, threshold=threshold)),
    ]
    if result.control is not None:
        found.append(("coherence_control", partial(coherence_curve, result.control.sweep, threshold=threshold)))
    if result.transfer is not None:
        found.append(("transfer", partial(transfer_heatmap, result.transfer)))
    return [Picture(name, name.replace("_", " "), "", draw) for name, draw in found]
