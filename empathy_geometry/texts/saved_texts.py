"""Labelled texts as JSON, for files that hold them beside activations."""

from collections.abc import Mapping
from typing import Any

from empathy_geometry.texts.labeled_texts import LabeledTexts


def texts_to_dict(texts: LabeledTexts) -> dict[str, Any]:
    """Everything that makes a `LabeledTexts` again.

    Example:
        >>> texts = LabeledTexts(["I lost my job."], ["felt"], ["job"])
        >>> texts_from_dict(texts_to_dict(texts)).sha256 == texts.sha256
        True
    """
    return {
        "texts": list(texts.texts),
        "labels": texts.labels.tolist(),
        "groups": texts.groups.tolist(),
        "prompts": None if texts.prompts is None else list(texts.prompts),
        "contexts": None if texts.contexts is None else texts.contexts.tolist(),
        "families": None if texts.families is None else texts.families.tolist(),
        "targets": None if texts.targets is None else {name: x.tolist() for name, x in texts.targets.items()},
        "name": texts.name,
    }


def texts_from_dict(fields: Mapping[str, Any]) -> LabeledTexts:
    """The inverse of `texts_to_dict`.

    Raises:
        TypeError: a field is missing or unknown.
        ValueError: the fields do not fit each other.
    """
    return LabeledTexts(**fields)
