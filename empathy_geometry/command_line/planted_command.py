"""--planted: the same functions on data with a known truth; everything it writes says PLANTED."""

import argparse
from pathlib import Path

from empathy_geometry.command_line.console import Console
from empathy_geometry.command_line.exit_codes import DONE
from empathy_geometry.studies.compare import compare
from empathy_geometry.studies.planted_study import planted_bandwidth, planted_run


def run_planted(arguments: argparse.Namespace, console: Console) -> int:
    """The table of truths, and a bandwidth result of the planted transformer."""
    folder = Path(arguments.output) / "PLANTED_bandwidth"
    console.status("data with a known truth through every part of the analysis")
    run = planted_run(seed=arguments.seed, progress=console.progress)
    run.save(folder)
    console.result(f"{run}\n")
    console.status("the bandwidth study on the planted transformer")
    result = planted_bandwidth(
        seed=arguments.seed, n_scenarios=20 if arguments.quick else 40, progress=console.progress
    )
    result.save(folder)
    console.result(f"{result}\n\nPLANTED_planted.json and PLANTED_bandwidth.json are in {folder}/")
    return DONE


def run_planted_compare(arguments: argparse.Namespace, console: Console) -> int:
    """Two planted transformers that differ in their basis and noise only: no ratio should differ from 1."""
    folder = Path(arguments.output) / "PLANTED_compare"
    n = 20 if arguments.quick else 40
    found = {}
    for seed in (arguments.seed, arguments.seed + 1):
        console.status(f"the bandwidth study on the planted transformer of seed {seed}")
        found[f"planted transformer {seed}"] = planted_bandwidth(
            seed=arguments.seed, model_seed=seed, n_scenarios=n, progress=console.progress
        )
    result = compare(found, controls=not arguments.no_control_contrast)
    result.save(folder)
    console.result(f"{result}\n\nPLANTED_compare.json and its report are in {folder}/")
    return DONE
