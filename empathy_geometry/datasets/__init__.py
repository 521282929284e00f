"""The packaged texts; docs/datasets.md says how they were written and what is known about their biases."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.resources import as_file, files

from empathy_geometry.foundation._validation import check_choice
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.mixtures import mix_texts

LANGUAGES = ("en", "es", "fr", "de", "zh")
"""Languages of `crosslingual_triplets`."""


@cache
def _packaged(name: str) -> LabeledTexts:
    with as_file(files("empathy_geometry") / "data" / f"{name}.json") as path:
        return LabeledTexts.from_json(path)


def empathy_pairs() -> LabeledTexts:
    """250 pairs of user messages, one need in an "empathetic" and a "neutral" wording, 50 in each of five contexts.

    "empathetic" means that the message discloses emotion and so calls for empathy; "neutral" states the same need
    matter-of-factly. Contexts: crisis_support, emotional_disclosure, frustration, casual_conversation,
    technical_assistance. Families "a" (direct) and "b" (indirect), half of the pairs each.

    Example:
        >>> empathy_pairs()
        LabeledTexts('empathy_pairs', 500 texts; 250 groups; empathetic: 250, neutral: 250; contexts: ...)
    """
    return _packaged("empathy_pairs")


def empathy_triplets() -> LabeledTexts:
    """96 scenarios with four responses each: "cognitive", "affective", "instrumental" and "neutral".

    "cognitive" takes the other's perspective, "affective" resonates, "instrumental" acts, and "neutral" keeps the
    conversation going without doing any of these. Contexts are 16 life domains, six scenarios in each; families "a"
    and "b". The prompt of each text is its scenario.

    Example:
        >>> triplets = empathy_triplets()
        >>> len(triplets), triplets.classes
        (384, ('affective', 'cognitive', 'instrumental', 'neutral'))
    """
    return _packaged("empathy_triplets")


def valence_stripped_controls() -> LabeledTexts:
    """The 96 scenarios of `empathy_triplets` with "factual", "informational" and "procedural" responses.

    Three ways to respond that differ in kind and not in warmth: does a geometry of three response types need empathy?
    The responses carry no valence; the scenarios before them, which are the same in all classes, still do.

    Example:
        >>> set(valence_stripped_controls().groups) == set(empathy_triplets().groups)
        True
    """
    return _packaged("valence_stripped_controls")


def non_empathy_controls() -> LabeledTexts:
    """60 scenarios of no personal concern with "descriptive", "historical" and "practical" responses.

    Contexts are ten topics from bread to tides, six scenarios in each; families "a" and "b".

    Example:
        >>> len(non_empathy_controls())
        180
    """
    return _packaged("non_empathy_controls")


def formality_pairs() -> LabeledTexts:
    """100 pairs of the same message in "formal" and "casual" register: a control concept without empathy.

    Contexts: work, school, shop, home, travel, 20 pairs in each; families "a" and "b".

    Example:
        >>> formality_pairs().classes
        ('casual', 'formal')
    """
    return _packaged("formality_pairs")


def humor_pairs() -> LabeledTexts:
    """60 pairs of short anecdotes that begin alike, one "humorous" and one "plain": another concept without empathy.

    Contexts: home, work, travel, food, 15 pairs in each; families "a" and "b".

    Example:
        >>> humor_pairs().classes
        ('humorous', 'plain')
    """
    return _packaged("humor_pairs")


def emotion_statements() -> LabeledTexts:
    """200 statements that show "joy", "sadness", "anger", "fear" or "calm" without naming it, 40 each.

    Each group is one topic (a message from the manager, a key, a plum tree) with one statement for each emotion, half
    of them in the first person. Contexts are eight settings with five topics each; families "a" and "b".

    Example:
        >>> emotion_statements().classes
        ('anger', 'calm', 'fear', 'joy', 'sadness')
    """
    return _packaged("emotion_statements")


def matched_pairs() -> LabeledTexts:
    """100 pairs, "empathetic" and "neutral", built from nearly the same words: whose feeling it is carries the label.

    In both texts someone is upset and someone is not; only in the "empathetic" one is it the speaker, now, and in
    earnest. Devices (key "device" of the data file), 25 pairs each: perspective, negation, order, attribution.
    Contexts as in `empathy_pairs`, 20 pairs in each; families "a" and "b".

    Example:
        >>> len(matched_pairs().where(context="frustration"))
        40
    """
    return _packaged("matched_pairs")


def matched_triplets() -> LabeledTexts:
    """84 scenarios with "cognitive", "affective" and "instrumental" responses built from nearly the same words.

    Every response holds all three offers; the label is the one that the speaker makes, or makes now. Devices (key
    "device" of the data file), 21 scenarios each: perspective, negation, order, attribution. Contexts are 12 life
    domains; families "a" and "b". The prompt of each text is its scenario.

    Example:
        >>> len(matched_triplets())
        252
    """
    return _packaged("matched_triplets")


def crosslingual_triplets(language: str) -> LabeledTexts:
    """30 scenarios of `empathy_triplets` with "cognitive", "affective" and "instrumental" responses, in five languages.

    Scenarios and responses are parallel by group. Fourteen of the 16 life domains have two scenarios each, leisure and
    community one; families "a" and "b", 15 scenarios each.

    Args:
        language: "es", "fr", "de" or "zh"; "en" gives the English originals.

    Raises:
        ValueError: another language.

    Example:
        >>> crosslingual_triplets("fr").groups.tolist() == crosslingual_triplets("en").groups.tolist()
        True
    """
    check_choice(language, "language", LANGUAGES)
    return _english_originals() if language == "en" else _packaged(f"crosslingual_triplets.{language}")


@cache
def support_moves() -> LabeledTexts:
    """64 posts by people in some trouble, each with eight kinds of reply in two hands: plain texts, as people type.

    The moves are "warmth", "naming_feelings", "paraphrase", "own_experience", "question", "advice", "greeting" and
    "off_topic", written from published definitions of speech acts; docs/datasets.md has them. Unlike the other sets
    these keep the words and marks that go with each act, so that a bag of words tells them apart: report a probe as its
    excess over words. Contexts are 16 themes, four scenarios in each. Every scenario has every move in family "a"
    (short, typed on a phone) and in family "b" (whole sentences, for the most part). The prompt of each text is the
    post.

    Example:
        >>> moves = support_moves()
        >>> len(moves), len(moves.classes), len(set(moves.groups)), len(moves.where(label="warmth", family="a"))
        (1024, 8, 64, 64)
    """
    return replace(_packaged("support_moves.a") + _packaged("support_moves.b"), name="support_moves")


def support_moves_mixtures(n: int = 192, *, seed: int = 0) -> LabeledTexts:
    """Replies that make two or three moves at once, put together from `support_moves` with all their labels.

    Half of them have two moves, half three, all of one scenario and one family; a greeting comes first. The label
    names all moves, sorted: "question+warmth". `texts.several_labels.label_columns` turns labels into columns of 0
    and 1.

    Args:
        n: Number of mixtures.
        seed: Of their choice.

    Raises:
        ValueError: n is not positive, or there are not so many.

    Example:
        >>> from empathy_geometry.texts.several_labels import label_columns
        >>> mixtures = support_moves_mixtures(seed=0)
        >>> len(mixtures), sorted({label.count("+") + 1 for label in mixtures.labels})
        (192, [2, 3])
        >>> label_columns(mixtures.labels)["warmth"].shape
        (192,)
    """
    return mix_texts(support_moves(), n=n, seed=seed, openers=["greeting"])


@cache
def _english_originals() -> LabeledTexts:
    translated, originals = _packaged("crosslingual_triplets.es"), empathy_triplets()
    rows = {(g, y): i for i, (g, y) in enumerate(zip(originals.groups, originals.labels, strict=True))}
    chosen = [rows[g, y] for g, y in zip(translated.groups, translated.labels, strict=True)]
    return replace(originals[chosen], name="crosslingual_triplets.en")


ALL: dict[str, Callable[[], LabeledTexts]] = {
    "empathy_pairs": empathy_pairs,
    "empathy_triplets": empathy_triplets,
    "valence_stripped_controls": valence_stripped_controls,
    "non_empathy_controls": non_empathy_controls,
    "formality_pairs": formality_pairs,
    "humor_pairs": humor_pairs,
    "emotion_statements": emotion_statements,
    "matched_pairs": matched_pairs,
    "matched_triplets": matched_triplets,
    "support_moves": support_moves,
}
"""Every packaged English set by name."""

__all__ = [
    "ALL",
    "LANGUAGES",
    "crosslingual_triplets",
    "emotion_statements",
    "empathy_pairs",
    "empathy_triplets",
    "formality_pairs",
    "humor_pairs",
    "matched_pairs",
    "matched_triplets",
    "non_empathy_controls",
    "support_moves",
    "support_moves_mixtures",
    "valence_stripped_controls",
]


def __dir__() -> list[str]:
    return __all__


from empathy_geometry.datasets import public as public  # noqa: E402 - after what it must not shadow
