"""`compare`: results that are there, or models that are measured first."""

import argparse
from pathlib import Path

from empathy_geometry.command_line.bandwidth_command import measure_all
from empathy_geometry.command_line.console import Console
from empathy_geometry.command_line.exit_codes import BAD_INPUT, DONE
from empathy_geometry.studies.compare import compare


def run_compare(arguments: argparse.Namespace, console: Console) -> int:
    """Compare, after measuring what --models names.

    Raises:
        ValueError: neither results nor models, or both kinds of data together.
    """
    if arguments.planted:
        from empathy_geometry.command_line.planted_command import run_planted_compare

        return run_planted_compare(arguments, console)
    code, folders = DONE, [Path(p) for p in arguments.input or ()]
    if arguments.models:
        code, measured = measure_all(arguments, console)
        folders += measured
        if code == BAD_INPUT:
            return code
    if not folders:
        raise ValueError("say what to compare: --input with folders of results, or --models to measure first")
    result = compare(folders, controls=not arguments.no_control_contrast, unsigned=arguments.unsigned)
    folder = result.save(arguments.output)
    stem = "compare" if result.provenance.kind == "measured" else "PLANTED_compare"
    console.result(f"{result}\n\n{stem}.json and its report are in {folder}/")
    return code
