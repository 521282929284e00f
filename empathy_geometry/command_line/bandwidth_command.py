"""`bandwidth`: the study for every model, and for every class where there are more than two."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from empathy_geometry import __version__
from empathy_geometry.command_line.console import Console
from empathy_geometry.command_line.inputs import (
    asked_texts,
    control_texts,
    fewer_scenarios,
    one_against_rest,
)
from empathy_geometry.command_line.model_names import folder_name
from empathy_geometry.command_line.models_in_turn import ModelPlan, in_turn, plan_models
from empathy_geometry.command_line.run_record import RunRecord
from empathy_geometry.sae.loading import load_sae
from empathy_geometry.steering.search import SearchDesign
from empathy_geometry.studies.bandwidth import measure_bandwidth
from empathy_geometry.studies.bandwidth_design import BandwidthDesign, ProfileDesign
from empathy_geometry.studies.bandwidth_texts import check_pairs, two_classes
from empathy_geometry.studies.depth_profile import depth_profile
from empathy_geometry.texts.labeled_texts import LabeledTexts

_QUICK: dict[str, Any] = {"search": SearchDesign(n_prompts=5, max_new_tokens=12), "n_permutations": 99}
_QUICK_PROFILE: dict[str, Any] = {"search": SearchDesign(n_prompts=3, max_new_tokens=8)}
_QUICK_SCENARIOS, _QUICK_LAYERS = 60, 6


@dataclass(frozen=True)
class Question:
    """One bandwidth to measure.

    Attributes:
        texts: Of the concept.
        positive: The concept's class.
        negative: The neutral class.
        below: Folder below the model's, where there are several questions; else empty.
    """

    texts: LabeledTexts
    positive: str
    negative: str
    below: str


def run_bandwidth(arguments: argparse.Namespace, console: Console) -> int:
    """Measure, or dry-run with planted data."""
    if arguments.planted:
        from empathy_geometry.command_line.planted_command import run_planted

        return run_planted(arguments, console)
    code, _ = measure_all(arguments, console)
    return code


def measure_all(arguments: argparse.Namespace, console: Console) -> tuple[int, list[Path]]:
    """Every model and question; what is there already is kept.

    Returns:
        The exit code, and the folders that hold results.
    """
    output = Path(arguments.output)
    questions, control = ask(arguments)
    plans = plan_models(arguments, output)
    folders: list[Path] = []

    def measure(plan: ModelPlan, model: Callable[[], Any]) -> None:
        for question in questions:
            folder = plan.folder / question.below
            _measure_one(arguments, console, plan, question, control, folder, model)
            folders.append(folder)

    return in_turn(plans, measure, console), folders


def ask(arguments: argparse.Namespace) -> tuple[list[Question], LabeledTexts | None]:
    """Texts of the concept as questions, and of the control; everything is checked before a model is loaded.

    Raises:
        ValueError, FileNotFoundError: texts that cannot be used.
    """
    texts = asked_texts(arguments.texts, arguments.concept, arguments.classes)
    texts = texts.where(label=arguments.classes) if arguments.classes else texts
    concept = None if arguments.texts is not None else arguments.concept
    control = None
    if not arguments.no_control:
        other = "humor" if concept == "formality" else "formality"
        control = control_texts(arguments.control or other)
    if arguments.quick:
        texts = fewer_scenarios(texts, _QUICK_SCENARIOS)
        control = None if control is None else fewer_scenarios(control, _QUICK_SCENARIOS // 2)
    several = len(texts.classes) > 2
    if not several or (arguments.positive and arguments.negative):
        found = [Question(texts, *two_classes(texts, arguments.positive, arguments.negative), "")]
    elif arguments.negative:
        others = [c for c in dict.fromkeys(texts.labels.tolist()) if c != arguments.negative]
        found = [Question(texts, c, arguments.negative, folder_name(c)) for c in others]
    else:
        asked = [arguments.positive] if arguments.positive else list(dict.fromkeys(texts.labels.tolist()))
        found = []
        for c in asked:
            if c not in texts.classes:
                raise ValueError(f"--positive {c!r} is no class of {texts.name}; it has {list(texts.classes)}")
            found.append(Question(one_against_rest(texts, c), c, f"not {c}", folder_name(c) if len(asked) > 1 else ""))
    for question in found:
        check_pairs(
            question.texts.where(label=[question.positive, question.negative]), question.positive, question.negative
        )
    return found, control


def _measure_one(
    arguments: argparse.Namespace,
    console: Console,
    plan: ModelPlan,
    question: Question,
    control: LabeledTexts | None,
    folder: Path,
    model: Callable[[], Any],
) -> None:
    texts = question.texts.where(label=[question.positive, question.negative])
    options: dict[str, Any] = {"n_random": 0 if arguments.no_random_directions else 1}
    if arguments.quick:
        options |= _QUICK
    request = plan.request() | {
        "study": "bandwidth",
        "texts": texts.sha256,
        "control": None if control is None else control.sha256,
        "positive": question.positive,
        "negative": question.negative,
        "layer": arguments.layer,
        "position": arguments.position,
        "seed": arguments.seed,
        "quick": arguments.quick,
        "options": options,
        "depth_profile": arguments.depth_profile,
        "sae": arguments.sae,
        "version": __version__,
    }
    record = RunRecord(folder, request, restart=arguments.restart)
    table = record.table
    if table is None:
        hooked = model()
        with record.keeping_count():
            n_layers = int(hooked.cfg.n_layers)
            step = max(1, n_layers // _QUICK_LAYERS)
            console.status(f"measuring {question.positive} - {question.negative} on {len(texts)} texts")
            result = measure_bandwidth(
                hooked,
                texts,
                control=control,
                layer=arguments.layer,
                position=arguments.position,
                design=BandwidthDesign(
                    question.positive, question.negative, layers=_layers(arguments, n_layers, step), **options
                ),
                folder=folder / "kept",
                sae=None if arguments.sae is None else load_sae(*_sae_source(arguments.sae)),
                seed=arguments.seed,
                progress=console.progress,
            )
            settings = {**result.provenance.settings, "quick": arguments.quick}
            result = replace(result, provenance=replace(result.provenance, settings=settings))
            result.save(folder)
            table = str(result)
            if result.transfer is not None:
                table += f"\n\nTransfer between contexts (AUROC)\n{result.transfer}"
            if arguments.depth_profile:
                console.status("layer by layer")
                profile = depth_profile(
                    hooked,
                    texts,
                    position=arguments.position,
                    design=ProfileDesign(
                        question.positive, question.negative, **_QUICK_PROFILE if arguments.quick else {}
                    ),
                    folder=folder / "kept" / "depth_profile",
                    seed=arguments.seed,
                    progress=console.progress,
                )
                profile.save(folder)
                table += f"\n\n{profile}"
        record.finish(table)
    else:
        console.status(f"kept from an earlier run: {folder}")
    console.result(f"{table}\n\nbandwidth.json and its report are in {folder}/\n")


def _sae_source(given: list[str]) -> tuple[str, str | None]:
    if len(given) > 2:
        raise ValueError(f"--sae takes a folder, or a release and an id; got {len(given)} words: {' '.join(given)}")
    return given[0], given[1] if len(given) == 2 else None


def _layers(arguments: argparse.Namespace, n_layers: int, step: int) -> Any:
    """Layers that compete; a layer that was given is always among them."""
    if not arguments.quick:
        return "all" if arguments.layer != "embed" else ["embed", *range(n_layers)]
    some = list(range(step - 1, n_layers, step))
    return some if arguments.layer == "nested" or arguments.layer in some else [arguments.layer, *some]
