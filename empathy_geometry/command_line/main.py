"""Arguments in, exit code out: no traceback for what a user can put right."""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence

from empathy_geometry.command_line.console import Console
from empathy_geometry.command_line.exit_codes import BAD_INPUT, INTERRUPTED, MISSING_PACKAGE
from empathy_geometry.command_line.parser import build_parser, program


def _command(name: str) -> Callable[[argparse.Namespace, Console], int]:
    """The function of a command; imported here, so that --help and --version do not wait for torch."""
    if name == "bandwidth":
        from empathy_geometry.command_line.bandwidth_command import run_bandwidth

        return run_bandwidth
    if name == "tripartite":
        from empathy_geometry.command_line.tripartite_command import run_tripartite

        return run_tripartite
    if name == "human-truth":
        from empathy_geometry.command_line.human_truth_command import run_human_truth

        return run_human_truth
    if name == "compare":
        from empathy_geometry.command_line.compare_command import run_compare

        return run_compare
    from empathy_geometry.command_line.report_command import run_report

    return run_report


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments after the program's name; None takes those of the process.

    Returns:
        An exit code, see `exit_codes`.
    """
    given = sys.argv[1:] if argv is None else list(argv)
    try:
        arguments = build_parser().parse_args(given)
    except SystemExit as stop:  # argparse has written what was wrong, or the help
        return stop.code if isinstance(stop.code, int) else BAD_INPUT
    if getattr(arguments, "output", None) is None and arguments.command != "report":
        # A dry run must not lie among measurements.
        arguments.output = "PLANTED_results" if getattr(arguments, "planted", False) else "results"
    console = Console(quiet=arguments.quiet)
    try:
        return _command(arguments.command)(arguments, console)
    except KeyboardInterrupt:
        again = f"{program()} {shlex.join(a for a in given if a != '--restart')}"
        console.error(f"interrupted; what was finished is kept. To go on: {again}")
        return INTERRUPTED
    except ImportError as error:
        console.error(str(error))
        return MISSING_PACKAGE
    except (ValueError, OSError) as error:
        if os.environ.get("EMPATHY_GEOMETRY_TRACEBACK"):
            raise
        console.error(str(error))
        return BAD_INPUT
