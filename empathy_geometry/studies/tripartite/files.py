"""A tripartite result as files: JSON with everything, Markdown with the table, figures."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from empathy_geometry.foundation.durable_file import write_bytes, write_text
from empathy_geometry.foundation.result_file import file_stem, title, write_result
from empathy_geometry.plots import cosine_floor, layer_emergence, null_distribution, specificity_heatmap
from empathy_geometry.plots.style import png_bytes

if TYPE_CHECKING:
    from empathy_geometry.studies.tripartite.result import Tripartite

Figure = tuple[str, Callable[..., Any], tuple[Any, ...], dict[str, Any]]


def save_tripartite(result: "Tripartite", folder: str | Path) -> Path:
    """Write JSON, Markdown and PNG figures; numbers first, so that a missing matplotlib loses nothing.

    The files are called after the study, tripartite or concept_study; a planted result's begin with "PLANTED_".

    Returns:
        The folder.

    Raises:
        ImportError: matplotlib is missing (JSON and Markdown are written by then).
    """
    folder, kind = Path(folder), result.provenance.kind
    stem = file_stem(result.subject.study, kind)
    write_result(folder / f"{stem}.json", result)
    figures = _figures(result)
    names = [file_stem(name, kind) for name, *_ in figures]
    write_text(folder / f"{stem}.md", markdown(result, names))
    for name, (_, draw, arguments, options) in zip(names, figures, strict=True):
        axes = draw(*arguments, **options)
        if kind != "measured":
            # The figure's own title stands at the left of the axes; this goes above it.
            axes.figure.suptitle(title("made to have a known answer", kind), fontsize=9, color="#D55E00")
        write_bytes(folder / f"{name}.png", png_bytes(axes.figure))
    return folder


def markdown(result: "Tripartite", figures: list[str]) -> str:
    """The result as Markdown: the table, rules of the verdicts, provenance."""
    p = result.provenance
    rules: dict[str, list[str]] = {}
    for f in result.findings:
        rules.setdefault(f.rule, []).append(f.key)
    notes = [f for f in result.findings if f.note]
    return "\n".join(
        [
            f"# {result.heading}",
            "",
            *table(result),
            "",
            "Brackets are 95 % intervals over scenarios. Every AUROC is held out; for "
            + ("three types" if result.subject.is_empathy else "more than two classes")
            + " it is the mean over one against the rest.",
            "",
            *_left_out(result),
            "## Notes",
            "",
            *(f"- {f.key}: {_cell(f.note)}" for f in notes),
            "",
            "## How a verdict follows",
            "",
            *(f"- {', '.join(keys)}: {rule}" for rule, keys in rules.items()),
            "",
            "## Figures",
            "",
            *(f"![{name.replace('_', ' ')}]({name}.png)" for name in figures),
            "",
            "## Where the numbers come from",
            "",
            f"- kind: {p.kind}; created {p.created}; seed {p.seed}",
            *(f"- model {k}: {v}" for k, v in p.model.items() if not isinstance(v, dict | list)),
            *(f"- texts {k}: SHA-256 {v}" for k, v in p.texts.items()),
            *(f"- {k}: {v}" for k, v in p.settings.items()),
            "- versions: " + ", ".join(f"{k} {v}" for k, v in p.versions.items()),
            "",
        ]
    )


def _left_out(result: "Tripartite") -> list[str]:
    if not result.left_out:
        return []
    return ["## Left out", "", *(f"- {name}: {reason}" for name, reason in result.left_out.items()), ""]


def table(result: "Tripartite") -> list[str]:
    """The lines of the Markdown table."""
    from empathy_geometry.studies.tripartite.result import COLUMNS

    head = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    return [*head, *(f"| {' | '.join(_cell(c) for c in row)} |" for row in result.rows())]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _figures(result: "Tripartite") -> list[Figure]:
    by_name: dict[str, Mapping[str, Any]] = {s.name: s.to_dict()["numbers"] for s in result.sections}
    found: list[Figure] = []
    if "emergence" in by_name:
        for position in ("last", "response_mean"):
            at = by_name["emergence"][position]
            found.append(
                (f"emergence_{position}", layer_emergence, (at["permutation"],), {"evaluation": at["evaluation"]})
            )
    if "classification" in by_name:
        whole = by_name["classification"][result.subject.whole]
        found.append(("null_distribution", null_distribution, (whole["permutation"],), {}))
    if "random_weights" in by_name:
        at = by_name["random_weights"]["random"]
        options = {"evaluation": at["evaluation"]}
        found.append(("emergence_random_weights", layer_emergence, (at["permutation"],), options))
    if "one_vs_rest" in by_name.get("cosines", {}):
        found.append(("one_vs_rest_cosines", cosine_floor, (by_name["cosines"]["one_vs_rest"],), {}))
    for readout, matrix in by_name.get("causal", {}).get("specificity", {}).items():
        name = f"specificity_{readout.replace(' ', '_')}"
        found.append((name, specificity_heatmap, (matrix,), {"readout": readout}))
    return found
