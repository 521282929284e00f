"""A bandwidth result as files: JSON with everything, Markdown to read, figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from empathy_geometry.foundation.provenance import write_json, write_text_atomically
from empathy_geometry.plots import (
    coherence_curve,
    layer_emergence,
    null_distribution,
    rarefaction_curve,
    transfer_heatmap,
)
from empathy_geometry.studies.result_files import file_stem, title

if TYPE_CHECKING:
    from empathy_geometry.studies.bandwidth import Bandwidth


def save_bandwidth(result: "Bandwidth", folder: str | Path) -> Path:
    """Write bandwidth.json, bandwidth.md and PNG figures; numbers first, so that a missing matplotlib loses nothing.

    A planted result's files begin with "PLANTED_".

    Returns:
        The folder.

    Raises:
        ImportError: matplotlib is missing (JSON and Markdown are written by then).
    """
    folder, kind = Path(folder), result.provenance.kind
    stem = file_stem("bandwidth", kind)
    write_json(folder / f"{stem}.json", result.to_dict())
    figures = _figures(result)
    names = [file_stem(name, kind) for name, _, _ in figures]
    write_text_atomically(folder / f"{stem}.md", markdown(result, names))
    for name, (_, draw, arguments) in zip(names, figures, strict=True):
        axes = draw(*arguments[0], **arguments[1])
        if kind != "measured":
            axes.set_title(title(axes.get_title(), kind))
        axes.figure.savefig(folder / f"{name}.png", dpi=150)
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
        *(f"| {_cell(a)} | {_cell(b)} | {_cell(c)} |" for a, b, c in result.rows()),
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
        *(f"- model {k}: {v}" for k, v in p.model.items()),
        *(f"- texts {k}: SHA-256 {v}" for k, v in p.texts.items()),
        *(f"- {k}: {v}" for k, v in p.settings.items()),
        "- versions: " + ", ".join(f"{k} {v}" for k, v in p.versions.items()),
        "",
    ]
    return "\n".join(lines)


def _excerpts(result: "Bandwidth") -> list[str]:
    sweep = result.concept.sweep
    lines = [f"Prompt: {_cell(sweep.prompts[0])}", "", "| alpha | coherence | text |", "|---|---|---|"]
    for a, alpha in enumerate(sweep.alphas):
        lines.append(f"| {alpha:.2f} | {sweep.coherence[a, 0]:.2f} | {_cell(sweep.texts[a][0])} |")
    return [*lines, ""]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _figures(result: "Bandwidth") -> list[tuple[str, Any, tuple[tuple[Any, ...], dict[str, Any]]]]:
    threshold = {"threshold": result.concept.threshold}
    found: list[tuple[str, Any, tuple[tuple[Any, ...], dict[str, Any]]]] = [
        ("layer_emergence", layer_emergence, ((result.permutation,), {"evaluation": result.evaluation})),
        ("null_distribution", null_distribution, ((result.permutation,), {})),
        ("dimensionality", rarefaction_curve, ((result.concept.dimensionality,), {})),
        ("coherence_concept", coherence_curve, ((result.concept.sweep,), threshold)),
    ]
    if result.control is not None:
        found.append(("coherence_control", coherence_curve, ((result.control.sweep,), threshold)))
    if result.transfer is not None:
        found.append(("transfer", transfer_heatmap, ((result.transfer,), {})))
    return found
