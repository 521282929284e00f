"""The texts of the study: the user's triplets, and control sets that default to the packaged ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from empathy_geometry import datasets
from empathy_geometry.texts.labeled_texts import LabeledTexts

TYPES = ("cognitive", "affective", "instrumental")
"""The three kinds of empathic response."""

FEWEST_SCENARIOS = 12


@dataclass(frozen=True)
class StudyTexts:
    """All texts of a tripartite study.

    Attributes:
        triplets: Scenarios with a response of each of `TYPES`; a class "neutral" is used where there is one.
        valence_stripped: Three classes of responses without valence.
        non_empathy: Three classes of responses that concern nobody.
        emotion: Statements of "joy", "sadness", "anger", "fear" and "calm".
        formality: "formal" and "casual" pairs.
        matched: Triplets that a bag of words cannot tell apart.
        languages: Parallel triplets by language, the same scenario names in each.
    """

    triplets: LabeledTexts
    valence_stripped: LabeledTexts
    non_empathy: LabeledTexts
    emotion: LabeledTexts
    formality: LabeledTexts
    matched: LabeledTexts
    languages: Mapping[str, LabeledTexts] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_triplets(self.triplets)
        _check_triplets(self.matched)
        for texts in self.languages.values():
            _check_triplets(texts)
        _check_classes(self.emotion, ("joy", "sadness", "anger", "fear", "calm"))
        _check_classes(self.formality, ("formal", "casual"))
        for texts in (self.valence_stripped, self.non_empathy):
            if len(texts.classes) != 3:
                raise ValueError(f"{texts.name} must have three classes, as the triplets, got {list(texts.classes)}")

    @property
    def has_neutral(self) -> bool:
        """Whether the triplets come with neutral responses."""
        return "neutral" in self.triplets.classes

    def hashes(self) -> dict[str, str]:
        """SHA-256 of every set by its role."""
        named = {name: value.sha256 for name, value in self.__dict__.items() if isinstance(value, LabeledTexts)}
        return named | {f"language {name}": texts.sha256 for name, texts in self.languages.items()}


def study_texts(triplets: LabeledTexts | None, given: Mapping[str, LabeledTexts | None]) -> StudyTexts:
    """The user's sets where there are some, packaged ones elsewhere.

    Raises:
        ValueError: a set lacks a class or has too few scenarios.
    """
    packaged: dict[str, Callable[[], LabeledTexts]] = {
        "valence_stripped": datasets.valence_stripped_controls,
        "non_empathy": datasets.non_empathy_controls,
        "emotion": datasets.emotion_statements,
        "formality": datasets.formality_pairs,
        "matched": datasets.matched_triplets,
    }
    chosen = {name: make() if given.get(name) is None else given[name] for name, make in packaged.items()}
    return StudyTexts(
        triplets=datasets.empathy_triplets() if triplets is None else triplets,
        languages={name: datasets.crosslingual_triplets(name) for name in datasets.LANGUAGES},
        **chosen,  # type: ignore[arg-type]
    )


def _check_triplets(texts: LabeledTexts) -> None:
    if not isinstance(texts, LabeledTexts):
        raise TypeError(f"texts must be LabeledTexts, got {type(texts).__name__}; try eg.LabeledTexts.from_json(path)")
    _check_classes(texts, TYPES)
    having = [set(texts.groups[texts.labels == name].tolist()) for name in TYPES]
    whole, some = set.intersection(*having), set.union(*having)
    if whole != some:
        raise ValueError(
            f"{texts.name}: every scenario needs all of {', '.join(TYPES)}; {len(some - whole)} lack one, such as "
            f"{sorted(some - whole)[0]!r}. Drop them with texts.where(group=[...])"
        )
    if len(whole) < FEWEST_SCENARIOS:
        raise ValueError(
            f"{texts.name}: the study needs at least {FEWEST_SCENARIOS} scenarios, got {len(whole)}; write more"
        )


def _check_classes(texts: LabeledTexts, needed: tuple[str, ...]) -> None:
    missing = np.setdiff1d(needed, texts.classes).tolist()
    if missing:
        raise ValueError(f"{texts.name} lacks the class(es) {missing}; it has {list(texts.classes)}")
