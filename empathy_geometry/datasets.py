"""The packaged texts; docs/datasets.md says how they were written and what is known about their biases."""

from collections.abc import Callable
from functools import cache
from importlib.resources import as_file, files

from empathy_geometry.text_files import read_json
from empathy_geometry.texts import LabeledTexts


@cache
def _packaged(name: str) -> LabeledTexts:
    with as_file(files("empathy_geometry") / "data" / f"{name}.json") as path:
        return read_json(path)


def empathy_pairs() -> LabeledTexts:
    """250 pairs of user messages, one need in an "empathetic" and a "neutral" wording, 50 in each of five contexts.

    "empathetic" means that the message discloses emotion and so calls for empathy; "neutral" states the same need
    matter-of-factly. Contexts: crisis_support, emotional_disclosure, frustration, casual_conversation,
    technical_assistance.

    Example:
        >>> empathy_pairs().classes
        ('empathetic', 'neutral')
    """
    return _packaged("empathy_pairs")


def formality_pairs() -> LabeledTexts:
    """100 pairs of the same message in "formal" and "casual" register: a control concept without empathy.

    Example:
        >>> formality_pairs().classes
        ('casual', 'formal')
    """
    return _packaged("formality_pairs")


ALL: dict[str, Callable[[], LabeledTexts]] = {
    "empathy_pairs": empathy_pairs,
    "formality_pairs": formality_pairs,
}
"""Every packaged set by name."""
