"""One model after the other: loaded when it is needed, its failure no end for the others."""

import argparse
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from empathy_geometry.command_line.console import Console
from empathy_geometry.command_line.exit_codes import BAD_INPUT, DONE, PARTLY
from empathy_geometry.command_line.model_names import expand_models, files_of, folder_name
from empathy_geometry.models.loading import load_model
from empathy_geometry.models.random_weights import RANDOM_WEIGHTS, randomise_weights


@dataclass(frozen=True)
class ModelPlan:
    """A model that a command will measure.

    Attributes:
        name: As it was given, with the seed of its weights if they are random.
        source: What `load_model` takes.
        folder: Where its results go.
        random_seed: Of random weights; None for the trained ones.
        device: As `load_model` takes it.
        dtype: As `load_model` takes it.
    """

    name: str
    source: str
    folder: Path
    random_seed: int | None
    device: str
    dtype: str

    def load(self, *, bars: bool) -> Any:
        """The hooked model; `bars` shows those of transformers."""
        with _loading_bars(shown=bars):
            model = load_model(self.source, device=self.device, dtype=self.dtype)
        return model if self.random_seed is None else randomise_weights(model, self.random_seed)

    def request(self) -> dict[str, Any]:
        """What of the model decides the numbers, as far as it is known before loading."""
        return {"model": self.name, "files": files_of(self.source), "dtype": self.dtype}


def plan_models(arguments: argparse.Namespace, output: Path) -> list[ModelPlan]:
    """Every model that the arguments name, each followed by its random-weights control where asked for.

    Raises:
        ValueError: two models would write into one folder.
    """
    plans: list[ModelPlan] = []
    for source in expand_models(arguments.models):
        path = Path(source).expanduser()
        source = str(path) if path.exists() else source
        seeds = [None, arguments.seed] if getattr(arguments, "random_weights", False) else [None]
        for seed in seeds:
            name = source if seed is None else f"{source} ({RANDOM_WEIGHTS} {seed})"
            folder = output / folder_name(name)
            plans.append(ModelPlan(name, source, folder, seed, arguments.device, arguments.dtype))
    folders = [p.folder for p in plans]
    twice = [p.name for p in plans if folders.count(p.folder) > 1]
    if twice:
        raise ValueError(f"{' and '.join(twice)} would write into one folder; rename one, or measure them apart")
    return plans


def in_turn(plans: list[ModelPlan], measure: Callable[[ModelPlan, Callable[[], Any]], None], console: Console) -> int:
    """Call `measure` with each plan and a function that loads its model once.

    Returns:
        An exit code: done, partly, or bad input where none could be measured.

    Raises:
        ValueError, OSError: of a single model, so that the caller reports it.
    """
    failed = 0
    for number, plan in enumerate(plans, start=1):
        console.status(f"model {number} of {len(plans)}: {plan.name}")
        try:
            measure(plan, _once(plan, console))
        except Exception as error:
            # Whatever is wrong with one model (files, memory, an architecture), the others can be measured.
            if len(plans) == 1:
                raise
            failed += 1
            kind = "" if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: "
            console.error(f"{plan.name}: {kind}{error}")
            gc.collect()  # the error held the model's frames
    if not failed:
        return DONE
    return PARTLY if failed < len(plans) else BAD_INPUT


def _once(plan: ModelPlan, console: Console) -> Callable[[], Any]:
    @cache
    def load() -> Any:
        console.status("loading the model")
        return plan.load(bars=console.progress and sys.stderr.isatty())

    return load


@contextmanager
def _loading_bars(*, shown: bool) -> Iterator[None]:
    """Whether transformers draws bars for weights, left as it was afterwards."""
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    if not shown:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if before:
            logging.enable_progress_bar()
