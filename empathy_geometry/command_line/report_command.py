"""`report`: Markdown, HTML and PDF from the results in folders."""

import argparse
from pathlib import Path

from empathy_geometry.command_line.console import Console
from empathy_geometry.command_line.exit_codes import DONE
from empathy_geometry.command_line.model_names import folder_name
from empathy_geometry.foundation.durable_file import write_bytes
from empathy_geometry.foundation.result_file import PLANTED, find_results, one_kind

_STUDIES = (
    "bandwidth",
    "tripartite",
    "concept_study",
    "compare",
    "depth_profile",
    "planted",
    "causal_effects",
    "sae_agreement",
)


def run_report(arguments: argparse.Namespace, console: Console) -> int:
    """Bring the results together and report on them.

    Raises:
        ValueError: no result, or planted and measured ones together.
        ImportError: a package of the extra "report" is missing.
    """
    from empathy_geometry.reports.build import report

    found = {
        path: r
        for study in _STUDIES
        for path, r in find_results(arguments.input, study, unsigned=arguments.unsigned).items()
    }
    if not found:
        raise ValueError(f"no result in {', '.join(arguments.input)}; expected files such as bandwidth.json")
    kind = one_kind(found)
    target = Path(arguments.output or _folder(arguments.input[0]))
    if any(Path(path).parent.resolve() != target.resolve() for path in found):
        # The report reads one folder: bring the results there, named after study and model.
        target = target if arguments.output else target / "report"
        for path, result in found.items():
            if target.resolve() in Path(path).resolve().parents:
                continue  # gathered by an earlier report
            model = folder_name(str(result["provenance"]["model"].get("name", "")) or Path(path).parent.name)
            concept = folder_name(str(result.get("concept", {}).get("name", "")))
            stem = "_".join(part for part in (result["study"], model, concept) if part and part != "model")
            # Byte for byte, so that the checksum stays what it was.
            write_bytes(target / f"{'' if kind == 'measured' else PLANTED + '_'}{stem}.json", Path(path).read_bytes())
    console.status(f"reporting on {len(found)} result(s)")
    for written in report(target, formats=arguments.format, title=arguments.title, unsigned=arguments.unsigned):
        console.result(str(written))
    return DONE


def _folder(given: str) -> Path:
    path = Path(given)
    return path.parent if path.is_file() else path
