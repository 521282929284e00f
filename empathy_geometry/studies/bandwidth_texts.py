"""What a bandwidth study needs of its texts: two classes, pairs within scenarios, prompts to steer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from empathy_geometry.activations.extraction import extract_activations
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.activations.positions import Position
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation._validation import class_name
from empathy_geometry.models.hooked_model import HookedModel
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.text_records import RESPONSE_SEPARATOR

FEWEST_SCENARIOS = 12
"""Below this neither dimensionality nor its interval means anything."""


def two_classes(texts: LabeledTexts, positive: str | None, negative: str | None) -> tuple[str, str]:
    """The concept's class and the neutral one; where not given, the class that comes first is the concept's.

    Raises:
        ValueError: more (or fewer) than two classes and not both named.

    Example:
        >>> two_classes(LabeledTexts(["Oh.", "So."], ["warm", "plain"], ["1", "1"]), None, None)
        ('warm', 'plain')
    """
    order = list(dict.fromkeys(texts.labels.tolist()))
    if len(order) != 2 and (positive is None or negative is None):
        raise ValueError(f"texts have the classes {order}; say which two with positive=... and negative=...")
    given = {"positive": positive, "negative": negative}
    named = {k: class_name(texts.labels, v, k, "the labels") for k, v in given.items() if v is not None}
    up = named["positive"] if "positive" in named else next(c for c in order if c != named.get("negative"))
    down = named["negative"] if "negative" in named else next(c for c in order if c != up)
    return up, down


def check_pairs(texts: LabeledTexts, positive: str, negative: str) -> None:
    """Raise ValueError before anything is computed if dimensionality could not be measured on these texts."""
    chosen = [set(texts.groups[texts.labels == c].tolist()) for c in (positive, negative)]
    lonely = sorted(chosen[0] ^ chosen[1])
    if lonely:
        raise ValueError(
            f"{texts.name}: every scenario needs both {positive!r} and {negative!r}; {len(lonely)} have only one, "
            f"such as {lonely[0]!r}. Drop them with texts.where(group=[...])"
        )
    if len(chosen[0]) < FEWEST_SCENARIOS:
        raise ValueError(
            f"{texts.name}: bandwidth needs at least {FEWEST_SCENARIOS} scenarios, got {len(chosen[0])}; write more"
        )


def fewest_scenarios(texts: LabeledTexts) -> int:
    """Scenarios of the smallest context; 0 where there are not two contexts to transfer between."""
    if texts.contexts is None or len(np.unique(texts.contexts)) < 2:
        return 0
    return min(len(np.unique(texts.groups[texts.contexts == c])) for c in np.unique(texts.contexts))


def steering_prompts(
    texts: LabeledTexts, negative: str, n_prompts: int, seed: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Neutral messages of scenarios spread over the contexts, and the scenario of each.

    The direction must not see these scenarios.

    Raises:
        ValueError: fewer than two prompts, or more than half the scenarios.
    """
    neutral = texts.where(label=negative)
    if n_prompts < 2 or n_prompts > len(np.unique(neutral.groups)) // 2:
        most = len(np.unique(neutral.groups)) // 2
        raise ValueError(f"n_prompts must be from 2 to half the number of scenarios ({most}), got {n_prompts}")
    contexts = np.full(len(neutral), "") if neutral.contexts is None else neutral.contexts
    order = np.random.default_rng(seed).permutation(len(neutral))
    names = np.unique(contexts)
    queues = {c: [int(i) for i in order if contexts[i] == c] for c in names.tolist()}
    chosen: list[int] = []
    seen: set[str] = set()
    while len(chosen) < n_prompts:
        for c in names.tolist():
            while queues[c] and str(neutral.groups[queues[c][0]]) in seen:
                queues[c].pop(0)
            if queues[c] and len(chosen) < n_prompts:
                chosen.append(queues[c].pop(0))
                seen.add(str(neutral.groups[chosen[-1]]))
    return tuple(_user_message(neutral, i) for i in chosen), tuple(str(neutral.groups[i]) for i in chosen)


def _user_message(texts: LabeledTexts, row: int) -> str:
    """What the user says: the prompt of a prompt + response text, else the text itself."""
    prompt = "" if texts.prompts is None else texts.prompts[row].removesuffix(RESPONSE_SEPARATOR).strip()
    return prompt or texts.texts[row]


def stored_activations(
    model: HookedModel,
    texts: LabeledTexts,
    layers: Literal["all"] | Sequence[Layer],
    position: Position,
    folder: Path | None,
    name: str,
    progress: bool,
) -> Activations:
    """Activations of a study's texts, kept under `name` in its folder where it has one."""
    if folder is None:
        return extract_activations(model, texts, layers=layers, position=position, progress=progress)
    kept = extract_activations(model, texts, layers=layers, position=position, progress=progress, store=folder / name)
    return kept.activations()
