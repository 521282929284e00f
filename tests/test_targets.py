"""Graded targets and several labels travel with their texts and rows, and bad ones are named."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.saved_texts import texts_from_dict, texts_to_dict
from empathy_geometry.texts.several_labels import join_labels, label_columns

RATED = {"empathy": [1.0, 7.0, 4.5], "distress": [2, 3, 4]}


def some_texts() -> LabeledTexts:
    return LabeledTexts(["one", "two", "three"], ["a", "b", "a"], ["g", "g", "h"], targets=RATED)


def test_targets_follow_every_selection() -> None:
    texts = some_texts()
    assert texts.where(label="a").targets["empathy"].tolist() == [1.0, 4.5]
    assert texts[1].targets == {"empathy": 7.0, "distress": 3.0}
    assert texts[::-1].targets["distress"].tolist() == [4, 3, 2]
    assert (texts + texts).targets["distress"].tolist() == [2, 3, 4, 2, 3, 4]
    assert (texts + texts.with_targets(None)).targets is None
    assert list((texts + texts.with_targets({"empathy": [1, 2, 3]})).targets) == ["empathy"]
    with pytest.raises(ValueError, match="read-only"):
        texts.targets["empathy"][0] = 3


def test_the_hash_knows_the_targets() -> None:
    texts = some_texts()
    assert texts.sha256 != texts.with_targets(None).sha256
    assert texts.sha256 != texts.with_targets({**RATED, "distress": [2, 3, 5]}).sha256
    assert texts_from_dict(json.loads(json.dumps(texts_to_dict(texts)))).sha256 == texts.sha256


def test_activations_carry_targets(tmp_path: Path) -> None:
    acts = Activations(torch.ones(3, 1, 2), (0,), ["a", "b", "a"], ["g", "g", "h"], texts=some_texts())
    assert acts.where(label="a").targets["empathy"].tolist() == [1.0, 4.5]
    assert acts.only(0)[[2, 0]].targets["distress"].tolist() == [4, 2]
    assert Activations.concat([acts, acts]).targets["empathy"].tolist() == [1, 7, 4.5] * 2
    assert Activations.load(acts.save(tmp_path / "acts.safetensors")).targets["empathy"].tolist() == [1, 7, 4.5]
    bare = Activations(torch.ones(3, 1, 2), (0,), ["a", "b", "a"], ["g", "g", "h"]).with_targets({"x": [1, 2, 3]})
    assert Activations.load(bare.save(tmp_path / "bare.safetensors")).targets["x"].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("targets", "error", "message"),
    [
        ({"x": [1, 2]}, ValueError, "one number for each of 3"),
        ({"x": [1, float("nan"), 2]}, ValueError, "row 1"),
        ({"x": ["a", "b", "c"]}, TypeError, "real numbers"),
        ({"": [1, 2, 3]}, ValueError, "name of a target"),
        ([1, 2, 3], TypeError, "columns by name"),
    ],
)
def test_bad_targets_are_refused(targets: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LabeledTexts(["one", "two", "three"], ["a", "b", "a"], ["g", "g", "h"], targets=targets)  # type: ignore[arg-type]


def records() -> list[dict[str, object]]:
    return [{"id": i, "text": f"text {i}", "label": "ab"[i % 2], "empathy": i + 0.5} for i in range(4)]


def test_every_reader_reads_targets(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(records())
    frame.to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, records())))
    (tmp_path / "t.json").write_text(json.dumps(records()))
    (tmp_path / "said.json").write_text(json.dumps({"items": records(), "targets": ["empathy"]}))
    named = {"targets": ["empathy"]}
    read = [
        LabeledTexts.from_frame(frame, **named),
        LabeledTexts.from_csv(tmp_path / "t.csv", **named),
        LabeledTexts.from_jsonl(tmp_path / "t.jsonl", **named),
        LabeledTexts.from_json(tmp_path / "t.json", **named),
        LabeledTexts.from_json(tmp_path / "said.json"),
        LabeledTexts.from_dataset(records(), **named),
    ]
    if pytest.importorskip("pyarrow"):
        frame.to_parquet(tmp_path / "t.parquet")
        read.append(LabeledTexts.from_parquet(tmp_path / "t.parquet", **named))
    assert {texts.sha256 for texts in read} == {read[0].sha256}
    assert read[0].targets["empathy"].tolist() == [0.5, 1.5, 2.5, 3.5]


def test_targets_without_classes() -> None:
    rows = [{"id": i, "text": f"text {i}", "empathy": i} for i in range(3)]
    assert LabeledTexts.from_dataset(rows, label=None, targets=["empathy"]).classes == ("text",)
    with pytest.raises(ValueError, match="label=None needs targets"):
        LabeledTexts.from_dataset(rows, label=None)


@pytest.mark.parametrize("value", ["", "none", None, float("inf"), True])
def test_a_target_that_is_no_number_is_named(value: object) -> None:
    rows = records()
    rows[2]["empathy"] = value
    with pytest.raises(ValueError, match=r"row 2.*'empathy' must be a finite number"):
        LabeledTexts.from_dataset(rows, targets=["empathy"])
    with pytest.raises(ValueError, match="has no 'other'"):
        LabeledTexts.from_dataset(records(), targets=["other"])
    wide = [{"id": 1, "cognitive": "x", "affective": "y", "instrumental": "z", "empathy": 1}]
    with pytest.raises(ValueError, match="one text in each record"):
        LabeledTexts.from_dataset(wide, targets=["empathy"])


def test_several_labels_a_row() -> None:
    texts = LabeledTexts(["one", "two"], [["warmth", "question"], "warmth"], ["g", "h"])
    assert texts.labels.tolist() == ["question+warmth", "warmth"]
    rows = [{"id": 1, "text": "one", "label": ["warmth", "question"]}, {"id": 2, "text": "two", "label": "warmth"}]
    assert (
        LabeledTexts.from_dataset(rows).sha256
        == LabeledTexts(["one", "two"], [["warmth", "question"], "warmth"], ["1", "2"]).sha256
    )
    columns = label_columns(texts.labels)
    assert {name: column.tolist() for name, column in columns.items()} == {"question": [1, 0], "warmth": [1, 1]}
    graded = texts.with_targets(columns).targets
    assert np.array_equal(graded["question"], [1, 0])


@pytest.mark.parametrize("labels", [[], ["a", "a"], ["a+b", "c"]])
def test_labels_that_cannot_be_joined(labels: list[str]) -> None:
    with pytest.raises(ValueError, match="label"):
        join_labels(labels)
