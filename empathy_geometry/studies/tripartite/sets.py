"""The texts of the study: the user's classes, and the sets beside them that default to the packaged ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from empathy_geometry import datasets
from empathy_geometry.foundation.settings import Settings
from empathy_geometry.studies.tripartite.subject import TYPES, Subject
from empathy_geometry.texts.labeled_texts import LabeledTexts

FEWEST_SCENARIOS = 12

_POLES = ("formal", "casual")


@dataclass(frozen=True)
class EmpathyTexts:
    """What only a study of the three kinds of empathy is held against.

    Attributes:
        valence_stripped: Three classes of responses without valence.
        non_empathy: Three classes of responses that concern nobody.
        emotion: Statements of "joy", "sadness", "anger", "fear" and "calm".
        matched: Triplets that a bag of words cannot tell apart.
        languages: Parallel triplets by language, the same scenario names in each.
    """

    valence_stripped: LabeledTexts
    non_empathy: LabeledTexts
    emotion: LabeledTexts
    matched: LabeledTexts
    languages: Mapping[str, LabeledTexts] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for texts in (self.matched, *self.languages.values()):
            _check_scenarios(texts, TYPES)
        _check_classes(self.emotion, ("joy", "sadness", "anger", "fear", "calm"))
        for texts in (self.valence_stripped, self.non_empathy):
            if len(texts.classes) != 3:
                raise ValueError(f"{texts.name} must have three classes, as the triplets, got {list(texts.classes)}")


@dataclass(frozen=True)
class StudyTexts:
    """All texts of a study.

    Attributes:
        concept: Scenarios with a text of each class; a further class "neutral" is used where there is one.
        subject: The classes that are studied.
        formality: "formal" and "casual" pairs; None where these are the classes that are studied.
        empathy: Further sets, where the classes are the three kinds of empathy.
    """

    concept: LabeledTexts
    subject: Subject
    formality: LabeledTexts | None
    empathy: EmpathyTexts | None = None

    def __post_init__(self) -> None:
        _check_scenarios(self.concept, self.subject.classes)
        if self.formality is not None:
            _check_classes(self.formality, _POLES)

    @property
    def has_neutral(self) -> bool:
        """Whether there are neutral texts beside the classes."""
        return "neutral" in self.concept.classes and "neutral" not in self.subject.classes

    def hashes(self) -> dict[str, str]:
        """SHA-256 of every set by its role."""
        found: dict[str, LabeledTexts | None] = {"triplets" if self.subject.is_empathy else "texts": self.concept}
        more = self.empathy
        if more is not None:
            found |= {"valence_stripped": more.valence_stripped, "non_empathy": more.non_empathy}
            found |= {"emotion": more.emotion}
        found |= {"formality": self.formality}
        if more is not None:
            found |= {"matched": more.matched}
            found |= {f"language {name}": texts for name, texts in more.languages.items()}
        return {name: texts.sha256 for name, texts in found.items() if texts is not None}


@dataclass(frozen=True)
class ControlTexts(Settings):
    """Texts that the classes of a study are held against; None takes the packaged set.

    Attributes:
        formality: "formal" and "casual" texts in pairs; the others are for studies of empathy only.
        valence_stripped: Three classes of responses without valence.
        non_empathy: Three classes of responses that concern nobody.
        emotion: Statements of "joy", "sadness", "anger", "fear" and "calm".
        matched: Triplets of nearly the same words.

    Raises:
        TypeError: a name that is no set, or a set that is no `LabeledTexts`.

    Example:
        >>> ControlTexts(emotion=datasets.emotion_statements()).formality is None
        True
    """

    formality: LabeledTexts | None = None
    valence_stripped: LabeledTexts | None = None
    non_empathy: LabeledTexts | None = None
    emotion: LabeledTexts | None = None
    matched: LabeledTexts | None = None

    def __post_init__(self) -> None:
        for name, texts in vars(self).items():
            if not isinstance(texts, LabeledTexts | None):
                raise TypeError(f"{name} must be LabeledTexts, got {type(texts).__name__}")

    def to_dict(self) -> dict[str, Any]:
        """SHA-256 of each set that was given."""
        return {name: None if texts is None else texts.sha256 for name, texts in vars(self).items()}


def study_texts(
    texts: LabeledTexts,
    controls: ControlTexts = ControlTexts(),
    classes: Sequence[str] | None = None,
) -> StudyTexts:
    """The user's sets where there are some, packaged ones elsewhere.

    Args:
        texts: The texts that are studied.
        controls: What they are held against.
        classes: Which classes are studied. None takes the three kinds of empathy where the texts have them, otherwise
            all classes.

    Raises:
        TypeError: not `LabeledTexts`, or classes that are one string.
        ValueError: a set lacks a class or has too few scenarios, or a set for empathy was given to another study.
    """
    given = vars(controls)
    if not isinstance(texts, LabeledTexts):
        raise TypeError(f"texts must be LabeledTexts, got {type(texts).__name__}; try eg.LabeledTexts.from_json(path)")
    subject = Subject(studied_classes(texts, classes))
    packaged: dict[str, Callable[[], LabeledTexts]] = {
        "valence_stripped": datasets.valence_stripped_controls,
        "non_empathy": datasets.non_empathy_controls,
        "emotion": datasets.emotion_statements,
        "matched": datasets.matched_triplets,
    }
    formality = controls.formality
    if formality is None and not set(_POLES) <= set(subject.classes):
        formality = datasets.formality_pairs()
    if not subject.is_empathy:
        misplaced = [name for name in packaged if given[name] is not None]
        if misplaced:
            raise ValueError(
                f"{', '.join(misplaced)} belong to the study of {', '.join(TYPES)}; this one is of "
                f"{', '.join(subject.classes)}. Leave them out"
            )
        return StudyTexts(texts, subject, formality)
    sets = {name: given[name] for name in packaged}
    chosen = {name: make() if sets[name] is None else sets[name] for name, make in packaged.items()}
    languages = {name: datasets.crosslingual_triplets(name) for name in datasets.LANGUAGES}
    return StudyTexts(texts, subject, formality, EmpathyTexts(**chosen, languages=languages))


def studied_classes(texts: LabeledTexts, classes: Sequence[str] | None) -> tuple[str, ...]:
    """What a study of these texts is of, in the order of the reference study, of the caller, or of the texts.

    Raises:
        TypeError: classes are one string.
        ValueError: fewer than two different classes.

    Example:
        >>> studied_classes(LabeledTexts(["Oh.", "So."], ["warm", "plain"], ["1", "1"]), None)
        ('warm', 'plain')
    """
    if isinstance(classes, str):
        raise TypeError(f"classes must be a list of labels, got the string {classes!r}; try [{classes!r}, ...]")
    if classes is None:
        named = TYPES if set(TYPES) <= set(texts.classes) else tuple(dict.fromkeys(texts.labels.tolist()))
    else:
        named = TYPES if set(classes) == set(TYPES) else tuple(str(c) for c in classes)
    if len(named) < 2 or len(set(named)) < len(named):
        raise ValueError(f"{texts.name}: the study needs two different classes at least, got {list(named)}")
    return named


def _check_scenarios(texts: LabeledTexts, classes: tuple[str, ...]) -> None:
    if not isinstance(texts, LabeledTexts):
        raise TypeError(f"texts must be LabeledTexts, got {type(texts).__name__}; try eg.LabeledTexts.from_json(path)")
    _check_classes(texts, classes)
    having = [set(texts.groups[texts.labels == name].tolist()) for name in classes]
    whole, some = set.intersection(*having), set.union(*having)
    if whole != some:
        raise ValueError(
            f"{texts.name}: every scenario needs all of {', '.join(classes)}; {len(some - whole)} lack one, such as "
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
