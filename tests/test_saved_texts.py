"""Labelled texts survive JSON whole."""

import json

import pytest

from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.saved_texts import texts_from_dict, texts_to_dict


@pytest.mark.parametrize("whole", [True, False])
def test_round_trip(whole: bool) -> None:
    optional = {"prompts": ["a", "é"], "contexts": ["c", "d"], "families": ["a", "b"]} if whole else {}
    texts = LabeledTexts(["ab", "éc"], ["x", "y"], ["g", "h"], name="n", **optional)  # type: ignore[arg-type]
    back = texts_from_dict(json.loads(json.dumps(texts_to_dict(texts))))
    assert back.sha256 == texts.sha256
    assert [vars(t) for t in back] == [vars(t) for t in texts]
    assert back.name == "n"


def test_unknown_and_missing_fields() -> None:
    with pytest.raises(TypeError):
        texts_from_dict({"texts": ["a"]})
    with pytest.raises(TypeError):
        texts_from_dict({"texts": ["a"], "labels": ["x"], "groups": ["g"], "more": 1})
