"""`human-truth`: directions frozen from packaged replies, scored on what people rated, for every model."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from empathy_geometry import __version__, datasets
from empathy_geometry.activations.extraction import extract_activations
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.command_line.console import Console
from empathy_geometry.command_line.models_in_turn import ModelPlan, in_turn, plan_models
from empathy_geometry.command_line.run_record import RunRecord
from empathy_geometry.datasets import public
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.provenance import hash_texts
from empathy_geometry.studies.frozen_readings import MAPPING, freeze_reading, human_truth
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.targets import target_of

READERS: Mapping[str, Callable[..., LabeledTexts]] = {
    "epitome": public.epitome,
    "empathic_reactions": public.empathic_reactions,
}

_DEPTH = 0.63
"""Where in the model is read where --layer does not say: block 19 of the embedded model's 30."""


def run_human_truth(arguments: argparse.Namespace, console: Console) -> int:
    """Read the rated texts, freeze, score."""
    rated = READERS[arguments.set](arguments.rated, any_version=arguments.any_version)
    packaged = datasets.support_moves() + datasets.support_moves_mixtures(seed=arguments.seed)
    moves = asked_moves(arguments.moves, arguments.set)
    known = set(datasets.support_moves().classes)
    for target, weights in moves.items():
        target_of(rated.targets, target)
        if unknown := sorted(set(weights) - known):
            raise ValueError(f"--moves: {', '.join(unknown)} is no move; there are {', '.join(sorted(known))}")

    def measure(plan: ModelPlan, model: Callable[[], Any]) -> None:
        request = plan.request() | {
            "study": "human_truth",
            "set": arguments.set,
            "texts": rated.sha256,
            "targets": {name: hash_texts([repr(x) for x in rated.targets[name].tolist()]) for name in moves},  # type: ignore[index]
            "moves": moves,
            "layer": arguments.layer,
            "seed": arguments.seed,
            "in_domain": not arguments.no_in_domain,
            "version": __version__,
        }
        folder = plan.folder / "human_truth"
        record = RunRecord(folder, request, restart=arguments.restart)
        table = record.table
        if table is None:
            hooked = model()
            at: Layer = round(_DEPTH * int(hooked.cfg.n_layers)) if arguments.layer is None else arguments.layer

            def read(texts: LabeledTexts, name: str) -> Activations:
                console.status(f"reading {len(texts)} texts of {texts.name} at layer {at}")
                return _kept(hooked, texts, at, folder / "kept" / name, progress=console.progress)

            with record.keeping_count():
                own, people = read(packaged, "packaged"), read(rated, "rated")
                readings = [freeze_reading(own, target, weights, layer=at) for target, weights in moves.items()]
                console.status("frozen " + ", ".join(f"{r.target} {r.sha256[:16]}" for r in readings))
                result = human_truth(
                    readings,
                    own,
                    people,
                    in_domain=not arguments.no_in_domain,
                    folder=folder / "kept",
                    seed=arguments.seed,
                )
                result.save(folder)
            table = str(result)
            record.finish(table)
        else:
            console.status(f"kept from an earlier run: {folder}")
        console.result(f"{table}\n\nhuman_truth.json and its report are in {folder}/\n")

    return in_turn(plan_models(arguments, Path(arguments.output)), measure, console)


def asked_moves(given: list[str] | None, name: str) -> dict[str, dict[str, float]]:
    """Moves and weights of each target, as --moves says them or as EPITOME's are known.

    Raises:
        ValueError: an entry that cannot be read, or none for a set without a known mapping.

    Example:
        >>> asked_moves(["interpretations=2*own_experience+naming_feelings"], "epitome")
        {'interpretations': {'own_experience': 2.0, 'naming_feelings': 1.0}}
    """
    if not given:
        if name != "epitome":
            raise ValueError(
                f"which moves stand for the targets of {name} is for you to say before you look: "
                f"--moves empathy=warmth+naming_feelings"
            )
        return {target: dict(weights) for target, weights in MAPPING.items()}
    found: dict[str, dict[str, float]] = {}
    for entry in given:
        target, equals, parts = entry.partition("=")
        if not equals or not target or not parts:
            raise ValueError(f"--moves takes TARGET=MOVE+2*MOVE, got {entry!r}; try empathy=warmth")
        for part in parts.split("+"):
            weight, star, move = part.rpartition("*")
            try:
                found.setdefault(target, {})[move] = float(weight) if star else 1.0
            except ValueError:
                raise ValueError(f"--moves: {weight!r} in {entry!r} is no number; try 2*{move}") from None
    return found


def _kept(model: Any, texts: LabeledTexts, layer: Layer, folder: Path, *, progress: bool) -> Activations:
    store = extract_activations(model, texts, layers=[layer], position="response_mean", store=folder, progress=progress)
    return store.activations()
