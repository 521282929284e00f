"""Mixtures are balanced, reproducible, and hold exactly the responses that their labels name."""

from collections import Counter

import numpy as np
import pytest

from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.mixtures import mix_texts
from empathy_geometry.texts.several_labels import label_columns


def grid(n_groups: int = 4, labels: str = "abc", families: bool = True) -> LabeledTexts:
    rows = [(g, y, f) for g in range(n_groups) for y in labels for f in ("x", "y")]
    return LabeledTexts(
        [f"post {g}: said {y}{g}{f}" for g, y, f in rows],
        [y for _, y, _ in rows],
        [f"s{g}" for g, _, _ in rows],
        prompts=[f"post {g}: " for g, _, _ in rows],
        contexts=["odd" if g % 2 else "even" for g, _, _ in rows],
        families=[f for _, _, f in rows] if families else None,
        name="grid",
    )


def test_rows_hold_the_parts_that_the_label_names() -> None:
    mixed = mix_texts(grid(), n=16)
    assert mixed.name == "grid_mixtures"
    for row in mixed:
        g = row.group.removeprefix("s")
        assert row.prompt == f"post {g}: "
        assert row.context == ("odd" if int(g) % 2 else "even")
        response = row.text.removeprefix(row.prompt)
        said = sorted(f"said {label}{g}{row.family}." for label in row.label.split("+"))
        assert sorted(part + "." for part in response.removesuffix(".").split(". ")) == said


def test_every_mixture_once_when_all_are_asked_for() -> None:
    # 8 scenarios in families, 3 pairs and 1 triple.
    pairs = mix_texts(grid(), n=24, sizes=[2])
    assert len(set(zip(pairs.groups, pairs.families, pairs.labels, strict=True))) == 24
    assert Counter(pairs.labels) == {"a+b": 8, "a+c": 8, "b+c": 8}
    # 6 and 3 have a common factor: in step, the two lists would meet in 6 of the 18 ways only.
    few = mix_texts(grid(3), n=18, sizes=[2])
    assert len(set(zip(few.groups, few.families, few.labels, strict=True))) == 18
    with pytest.raises(ValueError, match="n=25 asks for 25 mixtures of 2, but there are only 24; try a smaller n"):
        mix_texts(grid(), n=25, sizes=[2])


def test_labels_and_scenarios_are_balanced() -> None:
    mixed = mix_texts(grid(6, "abcd"), n=72, sizes=[2, 3], seed=3)
    assert Counter(len(label.split("+")) for label in mixed.labels) == {2: 36, 3: 36}
    assert set(Counter(mixed.groups).values()) == {12}
    assert {int(column.sum()) for column in label_columns(mixed.labels).values()} == {18 + 27}


def test_order_varies_but_openers_stand_first() -> None:
    free = mix_texts(grid(), n=24, sizes=[2])
    assert 4 < sum(text.index("said a") > 8 for text in free.texts if "said a" in text) < 12
    led = mix_texts(grid(), n=24, sizes=[2], openers=["c"])
    assert all(response.startswith("said c") for response in led.responses if "said c" in response)


def test_only_what_ends_openly_gets_a_full_stop() -> None:
    texts = LabeledTexts(["Oh no!", "since when", "same :)"], ["a", "b", "c"], ["g"] * 3)
    words = mix_texts(texts, n=1, sizes=[3]).texts[0]
    assert "Oh no!" in words
    assert "since when." in words
    assert ":)." not in words


def test_seed() -> None:
    assert mix_texts(grid(), n=9, seed=1).sha256 == mix_texts(grid(), n=9, seed=1).sha256
    assert mix_texts(grid(), n=9, seed=1).sha256 != mix_texts(grid(), n=9, seed=2).sha256


def test_label_columns() -> None:
    columns = label_columns(np.array(["b", "a+b", "a+c"]))
    assert {name: column.tolist() for name, column in columns.items()} == {
        "a": [0, 1, 1],
        "b": [1, 1, 0],
        "c": [0, 0, 1],
    }


def test_refusals() -> None:
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        mix_texts(grid(), n=0)
    for sizes in ([], [1], [2, 2], [4]):
        with pytest.raises(ValueError, match="sizes must be different numbers from 2 to 3"):
            mix_texts(grid(), n=4, sizes=sizes)
    with pytest.raises(ValueError, match=r"openers must be a list of labels out of \['a', 'b', 'c'\], got \['d'\]"):
        mix_texts(grid(), n=4, openers=["d"])
    with pytest.raises(ValueError, match="got 'a'"):
        mix_texts(grid(), n=4, openers="a")
    with pytest.raises(ValueError, match="scenario 's3' in family 'y' has no text with label 'c'"):
        mix_texts(grid()[:-1], n=4)
    two = LabeledTexts(["p a", "q b"], ["a", "b"], ["g", "g"], prompts=["p ", "q "])
    with pytest.raises(ValueError, match="scenario 'g' has texts with different prompts"):
        mix_texts(two, n=1, sizes=[2])
    with pytest.raises(ValueError, match="labels must not contain"):
        mix_texts(mix_texts(grid(), n=12, sizes=[2]), n=4)
