"""A comparison as files: JSON with everything, Markdown with the table."""

from pathlib import Path
from typing import TYPE_CHECKING

from empathy_geometry.foundation.durable_file import write_text
from empathy_geometry.foundation.result_file import file_stem, title, write_result

if TYPE_CHECKING:
    from empathy_geometry.studies.compare import Comparison

_COLUMNS = ("quantity", "pair", "effect", "p (Holm)", "scenarios", "relation", "note")


def save_comparison(result: "Comparison", folder: str | Path) -> Path:
    """Write compare.json and compare.md (PLANTED_compare.* for planted results).

    Returns:
        The folder.
    """
    folder, kind = Path(folder), result.provenance.kind
    stem = file_stem("compare", kind)
    write_result(folder / f"{stem}.json", result)
    write_text(folder / f"{stem}.md", markdown(result))
    return folder


def markdown(result: "Comparison") -> str:
    """The comparison as Markdown: values, contrasts, how they were made."""
    p = result.provenance
    quantities = list(dict.fromkeys(q for r in result.results.values() for q in r["values"]))
    lines = [
        "# " + title(f"Comparison of {len(result.results)} results", p.kind),
        "",
        "| result | model | concept | " + " | ".join(quantities) + " |",
        "|" + "---|" * (3 + len(quantities)),
    ]
    for name, r in result.results.items():
        values = [r["values"].get(q) for q in quantities]
        cells = [name, r["model"], r["concept"], *("-" if v is None else f"{v:.3f}" for v in values)]
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    lines += ["", "| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in result.rows()]
    lines += [
        "",
        f"Brackets are {100 * result.level:g} % intervals. Differences (-) are 0, ratios (/) 1 where nothing differs. "
        "Results that share scenarios are paired: the same blocks of scenarios are left out of both (grouped "
        "jackknife). p-values are two-sided and corrected for all rows together (Holm).",
        "",
        f"Kind: {p.kind}; created {p.created}; alpha in {p.settings['units']}.",
        "",
    ]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
