"""Reading files: each layout, and an error that names the row for each way in which a file is bad."""

import json
from pathlib import Path
from typing import Any

import pytest

from empathy_geometry.texts.labeled_texts import LabeledTexts

TRIPLETS = {
    "triplets": [
        {"id": "t1", "scenario": "I lost it.", "cognitive": "You see.", "affective": "I feel.", "instrumental": "Do."},
        {"id": 2, "scenario": "Again.", "cognitive": "A b.", "affective": "C d.", "instrumental": "E f.", "note": 7},
    ],
    "version": 3,
}


def write(path: Path, content: Any) -> Path:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_reference_triplets(tmp_path: Path) -> None:
    texts = LabeledTexts.from_json(write(tmp_path / "empathy.json", TRIPLETS))
    assert texts.texts[0] == "I lost it.\n\nResponse: You see."
    assert texts.labels.tolist() == ["cognitive", "affective", "instrumental"] * 2
    assert texts.groups.tolist() == ["t1"] * 3 + ["2"] * 3
    assert texts.responses[:3] == ("You see.", "I feel.", "Do.")
    assert texts.name == "empathy"


def test_reference_items(tmp_path: Path) -> None:
    numbered = {"items": [{"id": "a", "scenario": "S", "response_1": "x", "response_10": "z", "response_2": "y"}]}
    assert LabeledTexts.from_json(write(tmp_path / "n.json", numbered)).classes == (
        "response_1",
        "response_10",
        "response_2",
    )
    stripped = {"items": [{"id": "a", "scenario": "S", "factual": "x", "informational": "y", "procedural": "z"}]}
    assert len(LabeledTexts.from_json(write(tmp_path / "s.json", stripped))) == 3


def test_own_layout_and_plain_lists(tmp_path: Path) -> None:
    own = {
        "name": "mine",
        "classes": ["warm", "cool"],
        "items": [{"id": "1", "context": "home", "family": "a", "warm": "Oh.", "cool": "Hm.", "extra": []}],
    }
    texts = LabeledTexts.from_json(write(tmp_path / "own.json", own))
    assert (texts.name, texts.contexts.tolist(), texts.families.tolist()) == ("mine", ["home"] * 2, ["a"] * 2)
    long = [{"id": "1", "text": "Oh.", "label": "warm"}, {"id": "1", "text": "Hm.", "label": "cool"}]
    assert LabeledTexts.from_json(write(tmp_path / "long.json", long)).groups.tolist() == ["1", "1"]
    grouped = [{"id": str(i), "group": "g", "text": f"t{i}", "label": "x"} for i in range(3)]
    assert LabeledTexts.from_json(write(tmp_path / "grouped.json", grouped)).groups.tolist() == ["g"] * 3
    flagged = [
        {"id": "1", "text": "Oh.", "label": "warm", "factual": True},
        {"id": "2", "text": "Hm.", "label": "cool"},
    ]
    assert LabeledTexts.from_json(write(tmp_path / "flagged.json", flagged)).labels.tolist() == ["warm", "cool"]
    pairs = [{"id": "1", "good": "Oh.", "bad": "Hm."}]
    assert LabeledTexts.from_json(write(tmp_path / "p.json", pairs), classes=["good", "bad"]).classes == ("bad", "good")


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbf" + json.dumps(TRIPLETS, indent=1).replace("\n", "\r\n").encode()
    assert len(LabeledTexts.from_json(write(tmp_path / "bom.json", data))) == 6
    lines = b'\xef\xbb\xbf{"id": "1", "text": "a", "label": "x"}\r\n\r\n'
    lines += b'{"id": "2", "text": "b\xe2\x80\xa8c", "label": "y"}\r\n'
    texts = LabeledTexts.from_jsonl(write(tmp_path / "bom.jsonl", lines))
    assert texts.texts == ("a", "b\u2028c")  # a line separator inside a string does not end the line
    table = b'\xef\xbb\xbfid,text,label\r\n1,"a, ""b""\r\nc",x\r\n2,d,y\r\n'
    assert LabeledTexts.from_csv(write(tmp_path / "bom.csv", table)).texts == ('a, "b"\nc', "d")


FIRST: dict[str, Any] = TRIPLETS["triplets"][0]  # type: ignore[index]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"rows": []}, r"'items' or 'triplets', or a list; got an object with the keys \['rows'\]"),
        ({"items": []}, "non-empty list"),
        (7, "got int"),
        ({"items": ["x"]}, "row 0: expected an object"),
        ({"items": [{"scenario": "s", "cognitive": "a", "affective": "b", "instrumental": "c"}]}, "row 0: has no 'id'"),
        ({"triplets": [FIRST, {"id": "x", "scenario": "s", "cognitive": "a", "affective": "b"}]},
         r"row 1: lacks the class\(es\) \['instrumental'\]"),
        ({"triplets": [FIRST, FIRST]}, r"row 1 \(id 't1'\): id 't1' was used in .*row 0"),
        ({"triplets": [{**FIRST, "affective": " "}]}, r"row 0 \(id 't1'\): 'affective' must be a non-empty"),
        ({"triplets": [{**FIRST, "scenario": ""}]}, "'scenario' must be a non-empty"),
        ({"triplets": [{**FIRST, "affective": None}]}, "got None"),
        ({"triplets": [{**FIRST, "id": ""}]}, "'id' must be a non-empty"),
        ({"triplets": [{**FIRST, "id": [1]}]}, r"'id' must be a non-empty string \(nan stands for a gap\), got \[1\]"),
        ({"triplets": [{**FIRST, "affective": "\ud83d"}]}, "half a surrogate pair"),
        ({"items": [{"id": "1", "response_1": "a", "response_2": "b"}, {"id": "2", "response_1": "a"}]},
         "row 1: lacks"),
        ({"items": [{"id": "1", "response_1": "a"}]}, "one class only"),
        ({"items": [{"id": "1", "yes": "a", "no": "b"}]}, r"pass classes=\[...\]"),
        ({"items": [{"id": "1", "text": "a"}]}, "has no 'label'"),
        ({"items": [{"id": "1", "label": "a"}]}, "has no 'text'"),
        ({"items": [{"id": "1", "text": "a", "label": "x"}] * 2}, "row 1.*was used in .*row 0"),
        ({"classes": ["a", "b"], "items": [{"id": "1", "a": "x"}]}, r"row 0: lacks the class\(es\) \['b'\]"),
        ({"classes": "ab", "items": [{"id": "1", "a": "x"}]}, "'classes' must be a list of strings"),
        ({"classes": ["a"], "items": [{"id": "1", "a": "x"}]}, "at least two different keys"),
        ({"classes": ["a", "b"], "items": [{"id": "1", "a": "x", "b": "y", "context": "c"},
                                           {"id": "2", "a": "x", "b": "y"}]},
         r"row 1 \(id '2'\): has no context"),
    ],
)  # fmt: skip
def test_bad_items_are_named(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LabeledTexts.from_json(write(tmp_path / "bad.json", content))


def test_damaged_json_is_located(tmp_path: Path) -> None:
    whole = json.dumps(TRIPLETS, indent=1)
    with pytest.raises(ValueError, match=r"not complete JSON: .* at line \d+, column \d+"):
        LabeledTexts.from_json(write(tmp_path / "cut.json", whole[: len(whole) // 2]))
    with pytest.raises(ValueError, match=r"not UTF-8: byte 11 \(line 2\) is 0xe9; it may be cp1252"):
        LabeledTexts.from_json(write(tmp_path / "latin.json", b'{"name":\n"\xe9"}'.replace(b'\n"', b'\n "')))
    with pytest.raises(ValueError, match="looks like utf-16-le without a byte order mark"):
        LabeledTexts.from_json(write(tmp_path / "wide.json", whole.encode("utf-16-le")))
    with pytest.raises(ValueError, match="try from_jsonl"):
        LabeledTexts.from_json(write(tmp_path / "lines.json", '{"id": 1}\n{"id": 2}\n'))
    with pytest.raises(ValueError, match=r"\(id '1'\) has the key\(s\) \['a'\] more than once"):
        LabeledTexts.from_json(write(tmp_path / "twice.json", '[{"id": "1", "a": "x", "a": "y"}]'))
    with pytest.raises(ValueError, match=r"nested too deeply|not complete JSON"):
        LabeledTexts.from_json(write(tmp_path / "deep.json", "[" * 100_000))
    with pytest.raises(FileNotFoundError):
        LabeledTexts.from_json(tmp_path / "none.json")
    with pytest.raises(ValueError, match="is a folder"):
        LabeledTexts.from_json(tmp_path)


def test_jsonl_errors_name_the_line(tmp_path: Path) -> None:
    good = '{"id": "1", "text": "a", "label": "x"}'
    with pytest.raises(ValueError, match=r"line 3 is not complete JSON: .* at column \d+"):
        LabeledTexts.from_jsonl(write(tmp_path / "a.jsonl", f"{good}\n\n{good[:20]}"))
    with pytest.raises(ValueError, match=r"line 2: expected an object with named fields, got list"):
        LabeledTexts.from_jsonl(write(tmp_path / "b.jsonl", f"{good}\n[1]\n"))
    with pytest.raises(ValueError, match=r"line 2 \(id '1'\): id '1' was used in .*line 1 already"):
        LabeledTexts.from_jsonl(write(tmp_path / "c.jsonl", f"{good}\n{good}\n"))
    with pytest.raises(ValueError, match="is empty"):
        LabeledTexts.from_jsonl(write(tmp_path / "d.jsonl", "\n \n"))
    with pytest.raises(ValueError, match=r"has no 'scene'.*group='...'"):
        LabeledTexts.from_jsonl(write(tmp_path / "e.jsonl", good), group="scene")


def test_csv_columns_by_name(tmp_path: Path) -> None:
    table = "scene;said;kind;where\njob;Oh no.;warm;home\njob;Noted.;cool;home\njob;I see.;cool;home\n"
    texts = LabeledTexts.from_csv(
        write(tmp_path / "t.csv", table), text="said", label="kind", group="scene", context="where", delimiter=";"
    )
    assert texts.labels.tolist() == ["warm", "cool", "cool"]
    assert texts.groups.tolist() == ["job"] * 3
    assert texts.contexts is not None
    wide = "id,scenario,warm,cool\n1,I fell.,Oh no.,Noted.\n"
    assert LabeledTexts.from_csv(write(tmp_path / "w.csv", wide), classes=["warm", "cool"]).texts == (
        "I fell.\n\nResponse: Oh no.",
        "I fell.\n\nResponse: Noted.",
    )
    alone = "text,label\na b,x\nc d,y\n"
    assert LabeledTexts.from_csv(write(tmp_path / "o.csv", alone), group=None).groups.tolist() == ["row 0", "row 1"]
    latin = "id,text,label\n1,caf\u00e9,x\n2,th\u00e9,y\n".encode("cp1252")
    assert LabeledTexts.from_csv(write(tmp_path / "l.csv", latin), encoding="cp1252").texts[0] == "caf\u00e9"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("id,text,label\n1,a,x\n2,b, c,y\n", r"line 3: has 4 cells, the header has 3 \(id, text, label\); quote texts"),
        ("id,text,label\n1,a\n", "line 2: has 2 cells"),
        ('id,text,label\n1,"a\nb",x\n2,c\n', "line 4: has 2 cells"),
        ('id,text,label\n1,a,x\n2,"b,y\n', r"line 3: not valid CSV: .*open quote"),
        ("id,text,text\n1,a,x\n", "column names must differ"),
        ("id,,label\n1,a,x\n", "not be empty"),
        ("id;text;label\n1;a;x\n", "try delimiter=';'"),
        ("id,text,label\n", "no rows below its header"),
        ("", "no rows below its header"),
        ("text,label\na,x\n", "line 2: has no 'id'.*group=None"),
        ("id,text,label\n1,a,x\n2, ,y\n", r"line 3 \(id '2'\): 'text' must be a non-empty string"),
        ("id,text,label\n1,a,x\n1,b,x\n", r"line 3 \(id '1'\): id '1' was used in .*line 2"),
        ("id,text,label\n1,a,\n", "line 2 .*'label' must be a non-empty"),
    ],
)
def test_csv_errors_name_the_line(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LabeledTexts.from_csv(write(tmp_path / "bad.csv", table))


def test_csv_arguments_are_checked(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "id,text,label\n1,a,x\n")
    with pytest.raises(ValueError, match="delimiter must be one character"):
        LabeledTexts.from_csv(path, delimiter=";;")
    with pytest.raises(ValueError, match="unknown encoding"):
        LabeledTexts.from_csv(path, encoding="klingon")
    with pytest.raises(ValueError, match=r"line 2: has no 'who' \(context=...\)"):
        LabeledTexts.from_csv(path, context="who")
    with pytest.raises(TypeError, match="classes must be a list"):
        LabeledTexts.from_csv(path, classes="warm")


def test_lists_of_dictionaries() -> None:
    rows = [
        {"id": "1", "text": "a", "label": 0, "context": None},
        {"id": "2", "text": "b", "label": 1, "context": None},
    ]
    texts = LabeledTexts.from_dataset(rows, name="mine")
    assert (texts.classes, texts.contexts, texts.name) == (("0", "1"), None, "mine")
    with pytest.raises(TypeError, match=r"try dataset\['train'\]"):
        LabeledTexts.from_dataset({"train": rows})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="row 0 of the data set must be a dictionary, got str"):
        LabeledTexts.from_dataset(["a"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="try from_json"):
        LabeledTexts.from_dataset("file.csv")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"row 1 .*'text' must be a non-empty string, got 3"):
        LabeledTexts.from_dataset([rows[0], {**rows[1], "text": 3}])


def test_hugging_face_dataset() -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"s": datasets.Value("string"), "t": datasets.Value("string"), "y": datasets.ClassLabel(names=["cool", "warm"])}
    )
    dataset = datasets.Dataset.from_dict({"s": ["1", "1"], "t": ["Oh.", "Hm."], "y": [1, 0]}, features=features)
    texts = LabeledTexts.from_dataset(dataset, text="t", label="y", group="s")
    assert texts.labels.tolist() == ["warm", "cool"]
    assert LabeledTexts.from_dataset(dataset.to_iterable_dataset(), text="t", label="y", group="s").classes == (
        "cool",
        "warm",
    )
    with pytest.raises(TypeError, match="one split"):
        LabeledTexts.from_dataset(datasets.DatasetDict({"train": dataset}))
