"""`tripartite`: the study of three kinds of empathy, or of any classes, for every model."""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from empathy_geometry import __version__
from empathy_geometry.command_line.console import Console
from empathy_geometry.command_line.exit_codes import DONE
from empathy_geometry.command_line.inputs import asked_texts, fewer_scenarios
from empathy_geometry.command_line.models_in_turn import ModelPlan, in_turn, plan_models
from empathy_geometry.command_line.run_record import RunRecord
from empathy_geometry.studies.tripartite.design import ConceptDesign
from empathy_geometry.studies.tripartite.planted import planted_tripartite
from empathy_geometry.studies.tripartite.sets import study_texts
from empathy_geometry.studies.tripartite.study import concept_study
from empathy_geometry.studies.tripartite.subject import Subject

_QUICK_SCENARIOS, _QUICK_PERMUTATIONS = 40, 99


def run_tripartite(arguments: argparse.Namespace, console: Console) -> int:
    """Measure, or dry-run with planted data."""
    output = Path(arguments.output)
    texts = asked_texts(arguments.texts, arguments.concept, arguments.classes)
    if arguments.quick:
        texts = fewer_scenarios(texts, _QUICK_SCENARIOS)
    # What is wrong with the texts is said before a model is loaded.
    subject = study_texts(texts, classes=arguments.classes).subject
    if arguments.planted:
        return _planted(arguments, console, output, subject)
    # Without causal tests and with fewer permutations a quick run shows that everything works, not how things are.
    without = ["causal"] if arguments.no_causal or arguments.quick else []
    without += ["random_weights"] if arguments.no_random_weights else []
    n_permutations = _QUICK_PERMUTATIONS if arguments.quick else ConceptDesign().n_permutations
    design = ConceptDesign(without=without, n_permutations=n_permutations)
    asked: dict[str, Any] = {} if subject.is_empathy else {"classes": list(subject.classes)}

    def measure(plan: ModelPlan, model: Callable[[], Any]) -> None:
        request = plan.request() | {
            "study": subject.study,
            **asked,
            "texts": texts.sha256,
            "layer": arguments.layer,
            "position": arguments.position,
            "seed": arguments.seed,
            "quick": arguments.quick,
            "options": {"without": without, "n_permutations": n_permutations},
            "version": __version__,
        }
        # Beside a bandwidth result of the same model, whose record lies in the folder itself.
        folder = plan.folder / subject.study
        record = RunRecord(folder, request, restart=arguments.restart)
        table = record.table
        if table is None:
            hooked = model()
            console.status(f"measuring {', '.join(subject.classes)} on {len(texts)} texts")
            with record.keeping_count():
                result = concept_study(
                    hooked,
                    texts,
                    layer=arguments.layer,
                    position=arguments.position,
                    folder=folder / "kept",
                    seed=arguments.seed,
                    progress=console.progress,
                    classes=subject.classes,
                    design=design,
                )
                settings = {**result.provenance.settings, "quick": arguments.quick}
                result = replace(result, provenance=replace(result.provenance, settings=settings))
                result.save(folder)
            table = str(result)
            record.finish(table)
        else:
            console.status(f"kept from an earlier run: {folder}")
        console.result(f"{table}\n\n{subject.study}.json and its report are in {folder}/\n")

    return in_turn(plan_models(arguments, output), measure, console)


def _planted(arguments: argparse.Namespace, console: Console, output: Path, subject: Subject) -> int:
    stem = f"PLANTED_{subject.study}"
    folder = output / stem
    console.status("planted activations through the whole study")
    result = planted_tripartite(
        classes=subject.classes,
        n_scenarios=20 if arguments.quick else 40,
        n_permutations=99 if arguments.quick else 199,
        folder=folder / "kept",
        seed=arguments.seed,
        progress=console.progress,
    )
    result.save(folder)
    console.result(f"{result}\n\n{stem}.json and its report are in {folder}/\n")
    return DONE
