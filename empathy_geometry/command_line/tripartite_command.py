"""`tripartite`: the study for every model."""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from empathy_geometry import __version__
from empathy_geometry.command_line.console import Console
from empathy_geometry.command_line.exit_codes import DONE
from empathy_geometry.command_line.inputs import fewer_scenarios, named_texts, read_texts
from empathy_geometry.command_line.models_in_turn import ModelPlan, in_turn, plan_models
from empathy_geometry.command_line.run_record import RunRecord
from empathy_geometry.studies.tripartite.planted import planted_tripartite
from empathy_geometry.studies.tripartite.study import tripartite

_QUICK_SCENARIOS, _QUICK_PERMUTATIONS = 40, 99


def run_tripartite(arguments: argparse.Namespace, console: Console) -> int:
    """Measure, or dry-run with planted data."""
    output = Path(arguments.output)
    if arguments.planted:
        return _planted(arguments, console, output)
    mine = arguments.texts is not None
    texts = read_texts(arguments.texts, arguments.classes) if mine else named_texts(arguments.concept)
    if arguments.quick:
        texts = fewer_scenarios(texts, _QUICK_SCENARIOS)
    # Without causal tests and with fewer permutations a quick run shows that everything works, not how things are.
    options: dict[str, Any] = {
        "causal": not (arguments.no_causal or arguments.quick),
        "random_weights": not arguments.no_random_weights,
    }
    if arguments.quick:
        options["n_permutations"] = _QUICK_PERMUTATIONS

    def measure(plan: ModelPlan, model: Callable[[], Any]) -> None:
        request = plan.request() | {
            "study": "tripartite",
            "texts": texts.sha256,
            "layer": arguments.layer,
            "position": arguments.position,
            "seed": arguments.seed,
            "quick": arguments.quick,
            "options": options,
            "version": __version__,
        }
        # Beside a bandwidth result of the same model, whose record lies in the folder itself.
        folder = plan.folder / "tripartite"
        record = RunRecord(folder, request, restart=arguments.restart)
        table = record.table
        if table is None:
            hooked = model()
            console.status(f"measuring {', '.join(texts.classes)} on {len(texts)} texts")
            result = tripartite(
                hooked,
                texts,
                layer=arguments.layer,
                position=arguments.position,
                folder=folder / "sections",
                seed=arguments.seed,
                progress=console.progress,
                **options,
            )
            settings = {**result.provenance.settings, "quick": arguments.quick}
            result = replace(result, provenance=replace(result.provenance, settings=settings))
            result.save(folder)
            table = str(result)
            record.finish(table)
        else:
            console.status(f"kept from an earlier run: {folder}")
        console.result(f"{table}\n\ntripartite.json, tripartite.md and figures are in {folder}/\n")

    return in_turn(plan_models(arguments, output), measure, console)


def _planted(arguments: argparse.Namespace, console: Console, output: Path) -> int:
    folder = output / "PLANTED_tripartite"
    console.status("planted activations through the whole study")
    result = planted_tripartite(
        n_scenarios=20 if arguments.quick else 40,
        n_permutations=99 if arguments.quick else 199,
        folder=folder / "sections",
        seed=arguments.seed,
        progress=console.progress,
    )
    result.save(folder)
    console.result(f"{result}\n\nPLANTED_tripartite.json and PLANTED_tripartite.md are in {folder}/\n")
    return DONE
