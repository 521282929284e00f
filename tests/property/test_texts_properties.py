"""Loaders give back what was written, and turn any damage into an error that users can read."""

import csv
import io
import json
import tempfile
import unicodedata
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from empathy_geometry.audit.near_duplicates import near_duplicates
from empathy_geometry.audit.text_problems import character_problems, language, script
from empathy_geometry.audit.words import final_mark, n_sentences, spaced, words
from empathy_geometry.texts.labeled_texts import LabeledTexts

EXPECTED = (ValueError, TypeError, FileNotFoundError)


def says_something(text: str) -> bool:
    return bool(text.strip()) and text.strip().lower() not in ("nan", "nat", "<na>")  # what tables write for a gap


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=40).filter(
    says_something
)
cells = texts.filter(lambda t: "\r" not in t)
# Names have one form (NFC), whatever form they were written in.
names = (
    st.text(st.characters(categories=["Ll", "Nd"]), min_size=1, max_size=8)
    .map(partial(unicodedata.normalize, "NFC"))
    .filter(says_something)
)


@st.composite
def long_rows(draw: st.DrawFn, text: st.SearchStrategy[str] = texts) -> list[dict[str, str]]:
    n = draw(st.integers(1, 8))
    return [{"id": f"i{k}", "text": draw(text), "label": draw(names), "scenario": draw(text)} for k in range(n)]


def folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="texts_"))


def same(read: LabeledTexts, rows: list[dict[str, str]]) -> None:
    assert read.responses == tuple(row["text"] for row in rows)
    assert read.labels.tolist() == [row["label"] for row in rows]
    assert read.groups.tolist() == [row["id"] for row in rows]
    assert read.prompts == tuple(row["scenario"] + "\n\nResponse: " for row in rows)


@given(long_rows(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_json_and_jsonl_round_trip(rows: list[dict[str, str]], ascii_only: bool) -> None:
    at = folder()
    (at / "t.json").write_text(json.dumps({"items": rows}, ensure_ascii=ascii_only), encoding="utf-8", newline="")
    same(LabeledTexts.from_json(at / "t.json"), rows)
    lines = "\n".join(json.dumps(row, ensure_ascii=ascii_only) for row in rows)
    (at / "t.jsonl").write_text(lines, encoding="utf-8", newline="")
    same(LabeledTexts.from_jsonl(at / "t.jsonl"), rows)
    same(LabeledTexts.from_dataset(rows), rows)


@given(long_rows(cells), st.sampled_from(",;\t"), st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=40, deadline=None)
def test_csv_round_trip(rows: list[dict[str, str]], delimiter: str, line_end: str) -> None:
    table = io.StringIO()
    writer = csv.DictWriter(
        table, ["id", "text", "label", "scenario"], delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL
    )
    writer.writeheader()
    writer.writerows(rows)
    path = folder() / "t.csv"
    path.write_text(table.getvalue(), encoding="utf-8", newline="")
    same(LabeledTexts.from_csv(path, delimiter=delimiter), rows)


def read(reader: Any, path: Path) -> None:
    try:
        found = reader(path)
    except EXPECTED as error:
        assert str(error)  # noqa: PT017 - every message says something
    else:
        assert len(found) == len(found.labels) == len(found.groups)


def read_any(path: Path) -> None:
    read(LabeledTexts.from_json, path)
    read(LabeledTexts.from_jsonl, path)
    read(LabeledTexts.from_csv, path)


@given(long_rows(), st.data())
@settings(max_examples=60, deadline=None)
def test_mangled_bytes_never_crash(rows: list[dict[str, str]], data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["json", "jsonl", "csv"]))
    if kind == "json":
        whole = json.dumps({"items": rows}, ensure_ascii=False).encode()
    elif kind == "jsonl":
        whole = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    else:
        whole = ("id,text,label\n" + "\n".join(f'{r["id"]},"{r["text"]}",{r["label"]}' for r in rows)).encode()
    mangled = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(mangled) - 1)))
        edit = data.draw(st.sampled_from(["flip", "cut", "insert", "delete"]))
        if edit == "flip" and mangled:
            mangled[at] = data.draw(st.integers(0, 255))
        elif edit == "cut":
            del mangled[at:]
        elif edit == "insert":
            mangled[at:at] = data.draw(st.binary(max_size=4))
        else:
            del mangled[at : at + 3]
    path = folder() / "t"
    path.write_bytes(bytes(mangled))
    read_any(path)


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_arbitrary_bytes_never_crash(content: bytes) -> None:
    path = folder() / "t"
    path.write_bytes(content)
    read_any(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
KEYS = ["id", "text", "label", "scenario", "group", "cognitive", "affective", "instrumental", "response_1", "context"]


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), json_values, max_size=6), max_size=4))
@settings(max_examples=80, deadline=None)
def test_strange_records_never_crash(records: list[dict[str, Any]]) -> None:
    try:
        LabeledTexts.from_dataset(records)
    except EXPECTED as error:
        assert str(error)  # noqa: PT017
    path = folder() / "t.json"
    path.write_text(json.dumps({"items": records}), encoding="utf-8")
    read_any(path)


@given(st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_text_features_take_any_text(text: str) -> None:
    assert n_sentences(text) >= 1
    assert len(final_mark(text)) >= 1
    assert all(word.strip() for word in words(text))
    assert words(spaced(text)) == words(text)
    character_problems(text)
    assert script(text)
    assert language(text)


@given(
    st.lists(st.text("abc d", min_size=1, max_size=24), min_size=1, max_size=14),
    st.floats(0.1, 0.95),
    st.integers(1, 5),
    st.integers(1, 4),
)
@settings(max_examples=100, deadline=None)
def test_near_duplicates_are_exactly_those_of_brute_force(
    rows: list[str], threshold: float, n: int, n_groups: int
) -> None:
    def grams(text: str) -> set[str]:
        text = " ".join(text.casefold().split())
        return {text[i : i + n] for i in range(max(1, len(text) - n + 1))}

    groups = np.arange(len(rows)) % n_groups
    expected = {}
    for i in range(len(rows)):
        for j in range(i + 1, len(rows)):
            a, b = grams(rows[i]), grams(rows[j])
            similarity = len(a & b) / len(a | b)
            if groups[i] != groups[j] and similarity > threshold:
                expected[i, j] = similarity
    found = {(d.first, d.second): d.similarity for d in near_duplicates(rows, groups=groups, threshold=threshold, n=n)}
    assert found == pytest.approx(expected)
