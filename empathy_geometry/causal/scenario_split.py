"""Who may see which scenarios: directions, readout probes and tests each have their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from empathy_geometry.foundation._types import StrArray
from empathy_geometry.foundation._validation import as_names, class_name
from empathy_geometry.foundation.names import as_name
from empathy_geometry.texts.labeled_texts import LabeledTexts

REST = "rest"
"""As a negative class: all other classes."""

FEWEST_TRAINING, FEWEST_TEST = 6, 4


@dataclass(frozen=True, eq=False)
class ScenarioSplit:
    """Texts by what they may be used for; no scenario is in two parts.

    Attributes:
        directions: From which directions are estimated here; None where they were given.
        readouts: On which the readouts (probes, marker tokens) are chosen.
        test: On which every edit is judged.
        notes: What was left out, and what could not be checked.
    """

    directions: LabeledTexts | None
    readouts: LabeledTexts
    test: LabeledTexts
    notes: tuple[str, ...]


def split_scenarios(
    texts: LabeledTexts,
    contrasts: Mapping[str, tuple[str, str]],
    *,
    for_directions: bool,
    direction_texts: LabeledTexts | None,
    seed: int,
) -> ScenarioSplit:
    """Divide the scenarios that hold every class needed: two fifths, three and three tenths, or six and four tenths.

    Scenarios that `direction_texts` shares with `texts`, by name or by a text, are left out. Where directions were
    given without `direction_texts`, nobody but the user knows that their scenarios are not among these; a note says so.

    Args:
        texts: Everything there is.
        contrasts: Positive and negative class of each direction.
        for_directions: Whether directions are to be estimated here.
        direction_texts: What given directions were estimated from.
        seed: Of the division.

    Raises:
        ValueError: a class does not occur, or too few scenarios hold all classes.

    Example:
        >>> texts = LabeledTexts([f"{i}{c}" for i in range(20) for c in "pn"], list("pn") * 20, np.arange(40) // 2)
        >>> split = split_scenarios(texts, {"p": ("p", "n")}, for_directions=True, direction_texts=None, seed=0)
        >>> [len(part) // 2 for part in (split.directions, split.readouts, split.test)]
        [8, 6, 6]
    """
    notes = []
    needed = sorted({label for contrast in contrasts.values() for label in classes_of(texts, contrast)})
    usable = [g for g in np.unique(texts.groups) if set(needed) <= set(texts.labels[texts.groups == g])]
    n_all = len(np.unique(texts.groups))
    if len(usable) < n_all:
        notes.append(f"{n_all - len(usable)} of {n_all} scenarios lack a class and were left out")
    if direction_texts is not None:
        seen = set(direction_texts.texts)
        known = {str(g) for g in direction_texts.groups}
        shared = {str(g) for g, t in zip(texts.groups, texts.texts, strict=True) if t in seen} | known
        kept = [g for g in usable if g not in shared]
        if len(kept) < len(usable):
            notes.append(f"{len(usable) - len(kept)} scenarios were left out because the directions came from them")
        usable = kept
    elif not for_directions:
        notes.append(
            "the directions were given without direction_texts: that their scenarios are not among these texts could "
            "not be checked"
        )
    shares = (0.4, 0.3, 0.3) if for_directions else (0.0, 0.6, 0.4)
    order = np.random.default_rng(seed).permutation(np.array(usable))
    n_test = round(shares[2] * len(order))
    n_readouts = round(shares[1] * len(order))
    n_directions = len(order) - n_test - n_readouts if for_directions else 0
    if n_test < FEWEST_TEST or n_readouts < FEWEST_TRAINING or (for_directions and n_directions < FEWEST_TRAINING):
        least = 20 if for_directions else 10
        raise ValueError(
            f"causal_effects needs about {least} scenarios that hold all of {needed}, so that directions, readouts and "
            f"tests each have their own; there are {len(order)}"
        )
    test, readouts, rest = np.split(order, [n_test, len(order) - n_directions])
    chosen = texts.where(label=needed)
    return ScenarioSplit(
        chosen.where(group=rest.tolist()) if for_directions else None,
        chosen.where(group=readouts.tolist()),
        chosen.where(group=test.tolist()),
        tuple(notes),
    )


def classes_of(texts: LabeledTexts, contrast: tuple[str, str]) -> list[str]:
    """Every class that a contrast needs, the positive one first.

    Raises:
        ValueError: a class does not occur, or both are the same.
    """
    positive, negative = contrast
    return [positive, *negatives_of(texts.labels, positive, negative)]


def negatives_of(labels: StrArray | Sequence[str], positive: str, negative: str) -> list[str]:
    """The negative classes: one, or all but the positive one.

    Example:
        >>> negatives_of(["a", "b", "c", "a"], "a", "rest")
        ['b', 'c']
    """
    column = as_names(labels, "labels")
    present = [str(c) for c in np.unique(column)]
    positive, negative = class_name(column, positive, "positive", "the labels"), str(as_name(negative, "negative"))
    if negative in present:
        if negative == positive:
            raise ValueError(f"positive and negative must differ, both are {positive!r}")
        return [negative]
    if negative == REST and len(present) > 1:
        return [c for c in present if c != positive]
    raise ValueError(f"negative={negative!r} does not occur among the labels {present}; try {REST!r} for all others")
