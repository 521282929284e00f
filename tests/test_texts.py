"""LabeledTexts: construction, selection, and what it refuses."""

import numpy as np
import pytest

from empathy_geometry.texts.labeled_texts import LabeledTexts


def small() -> LabeledTexts:
    return LabeledTexts(
        ["p1 yes", "p1 no", "p2 yes", "p2 no"],
        ["y", "n", "y", "n"],
        ["g1", "g1", "g2", "g2"],
        prompts=["p1 ", "p1 ", "p2 ", "p2 "],
        contexts=["home", "home", "work", "work"],
        families=["a", "a", "b", "b"],
        name="small",
    )


def test_fields_items_and_responses() -> None:
    texts = small()
    assert len(texts) == 4
    assert texts.classes == ("n", "y")
    assert texts.responses == ("yes", "no", "yes", "no")
    item = texts[1]
    assert (item.text, item.label, item.group, item.prompt, item.context, item.family) == (
        "p1 no", "n", "g1", "p1 ", "home", "a",
    )  # fmt: skip
    assert [t.text for t in texts] == list(texts.texts)
    assert texts[-1].group == "g2"
    with pytest.raises(IndexError):
        texts[4]


def test_selection_by_index_mask_and_field() -> None:
    texts = small()
    assert texts[:2].groups.tolist() == ["g1", "g1"]
    assert texts[texts.labels == "y"].responses == ("yes", "yes")
    assert texts.where(family="b", label=["y", "n"]).contexts.tolist() == ["work", "work"]
    with pytest.raises(ValueError, match=r"no row has context 'sea'; there are 'home', 'work'"):
        texts.where(context="sea")
    with pytest.raises(ValueError, match="cannot select by family"):
        LabeledTexts(["x"], ["y"], ["g"]).where(family="a")


def test_hash_depends_on_everything_that_matters() -> None:
    texts = small()
    assert texts.sha256 == small().sha256
    assert texts.sha256 != texts[::-1].sha256
    assert texts.sha256 != LabeledTexts(texts.texts, texts.labels, texts.groups).sha256


def test_sum_keeps_what_both_have() -> None:
    both = small() + small()
    assert len(both) == 8
    assert both.prompts is not None
    assert (small() + LabeledTexts(["x"], ["y"], ["g"])).prompts is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], [], []), "texts is empty"),
        ((["a", "  "], ["x", "y"], ["g", "g"]), r"texts\[1\] is blank"),
        ((["a", "\ud83d"], ["x", "y"], ["g", "g"]), r"texts\[1\] holds half a surrogate pair"),
        ((["a", "b"], ["x"], ["g", "g"]), "labels must have one entry for each of 2 rows"),
        ((["a", "b"], ["x", None], ["g", "g"]), "labels has a missing entry"),
    ],
)
def test_refuses(arguments: tuple[list[str], list[str], list[str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LabeledTexts(*arguments)


def test_refuses_wrong_types_and_prompts() -> None:
    with pytest.raises(TypeError, match="try \\[text\\]"):
        LabeledTexts("one", ["x"], ["g"])
    with pytest.raises(TypeError, match=r"texts\[0\] must be a string"):
        LabeledTexts([3], ["x"], ["g"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"texts\[0\] must begin with prompts\[0\]"):
        LabeledTexts(["abc"], ["x"], ["g"], prompts=["b"])
    with pytest.raises(ValueError, match="has no response"):
        LabeledTexts(["abc"], ["x"], ["g"], prompts=["abc"])


def test_is_frozen() -> None:
    texts = small()
    with pytest.raises(AttributeError):
        texts.name = "other"  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        texts.labels[0] = "z"
    assert np.array_equal(texts.labels, small().labels)
