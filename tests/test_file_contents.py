"""Files as the world writes them are read alike; what is no text is called by its name."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from empathy_geometry.command_line.inputs import read_texts
from empathy_geometry.texts.file_contents import read_text, set_name
from empathy_geometry.texts.labeled_texts import LabeledTexts

ROWS = [{"text": f"text \u00e9 {i}, so", "label": "ab"[i % 2], "id": i // 2, "context": "c"} for i in range(4)]
FRAME = pd.DataFrame(ROWS)
WHOLE = LabeledTexts.from_dataset(ROWS)
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
TABLE = FRAME.to_csv(index=False)

# An id may have one text of each class.
assert len(WHOLE) == 4


def test_the_data_set() -> None:
    assert WHOLE.groups.tolist() == ["0", "0", "1", "1"]


CODINGS: dict[str, Any] = {
    "utf-8": lambda text: text.encode(),
    "byte order mark": lambda text: text.encode("utf-8-sig"),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16, other order": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "utf-32": lambda text: text.encode("utf-32"),
    "CR and LF": lambda text: text.replace("\n", "\r\n").encode(),
    "CR alone": lambda text: text.replace("\n", "\r").encode(),
    "no last line end": lambda text: text.rstrip("\n").encode(),
    "gzip": lambda text: gzip.compress(text.encode()),
    "gzip of utf-16": lambda text: gzip.compress(text.encode("utf-16")),
}


@pytest.mark.parametrize("coding", CODINGS)
def test_one_set_in_any_coding(tmp_path: Path, coding: str) -> None:
    files = {
        "a.csv": TABLE,
        "a.jsonl": LINES,
        "a.json": json.dumps(ROWS, ensure_ascii=False, indent=1),
        "a.tsv": FRAME.to_csv(index=False, sep="\t"),
    }
    for name, text in files.items():
        for ending in ("", ".gz"):
            path = tmp_path / (name + ending)
            path.write_bytes(CODINGS[coding](text))
            found = read_texts(str(path))
            assert found.sha256 == WHOLE.sha256, (name, ending)
            assert found.name == "a"


def test_tables_of_pandas(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "a.csv")
    assert LabeledTexts.from_csv(tmp_path / "a.csv").sha256 == WHOLE.sha256
    pd.read_csv(tmp_path / "a.csv").to_csv(tmp_path / "b.csv.gz")  # brings "Unnamed: 0" beside the nameless column
    assert LabeledTexts.from_csv(tmp_path / "b.csv.gz").sha256 == WHOLE.sha256
    (tmp_path / "c.csv").write_text("text,,label\na,x,y\n")
    with pytest.raises(ValueError, match="column names must differ and not be empty"):
        LabeledTexts.from_csv(tmp_path / "c.csv")


def test_a_carriage_return_inside_a_text_stays(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'text,label,id\n"a\rb",x,1\n')
    assert LabeledTexts.from_csv(tmp_path / "a.csv").texts == ("a\rb",)


def test_frames() -> None:
    odd = FRAME.astype({"text": "string", "label": "category", "id": "float64"}).set_index(np.full(4, 7))
    for frame in (FRAME, odd, FRAME.convert_dtypes()):
        assert LabeledTexts.from_frame(frame).sha256 == WHOLE.sha256
    renamed = FRAME.rename(columns={"text": "said", "label": "kind", "id": "who"})
    assert LabeledTexts.from_frame(renamed, text="said", label="kind", group="who", name="mine").name == "mine"
    for column, message in (
        ("label", "row 2 .*'label' must be a non-empty"),
        ("id", "row 2: 'id' must be a non-empty"),
    ):
        frame = FRAME.astype({column: object})
        frame.loc[2, column] = None
        for kind in (frame, frame.convert_dtypes()):
            with pytest.raises(ValueError, match=message):
                LabeledTexts.from_frame(kind)
    with pytest.raises(ValueError, match=r"column\(s\) \['text'\] more than once"):
        LabeledTexts.from_frame(pd.concat([FRAME, FRAME[["text"]]], axis=1))
    with pytest.raises(TypeError, match="got a DataFrame; try from_frame"):
        LabeledTexts.from_dataset(FRAME)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="frame must be a DataFrame, got list"):
        LabeledTexts.from_frame(ROWS)


def test_a_row_without_its_scenario_does_not_fall_back_on_its_id(tmp_path: Path) -> None:
    rows = [{"id": i, "group": "g", "text": f"t {i}", "label": "ab"[i % 2]} for i in range(3)]
    for third in (
        {**rows[2], "group": None},
        {**rows[2], "group": ""},
        {k: v for k, v in rows[2].items() if k != "group"},
    ):
        with pytest.raises(ValueError, match=r"row 2.*'group'"):
            LabeledTexts.from_dataset([*rows[:2], third])


def test_data_sets_of_hugging_face_in_any_format(tmp_path: Path) -> None:
    hugging = pytest.importorskip("datasets")
    data = hugging.Dataset.from_list(ROWS)
    for kind in (None, "numpy", "torch", "pandas", "arrow"):
        assert LabeledTexts.from_dataset(data.with_format(kind)).sha256 == WHOLE.sha256, kind
    assert LabeledTexts.from_dataset(data.to_iterable_dataset()).sha256 == WHOLE.sha256
    coded = data.cast_column("label", hugging.ClassLabel(names=["a", "b"]))
    assert LabeledTexts.from_dataset(coded).sha256 == WHOLE.sha256
    coded.to_parquet(str(tmp_path / "a.parquet"))
    assert LabeledTexts.from_parquet(tmp_path / "a.parquet").sha256 == WHOLE.sha256
    unlabelled = coded.map(lambda row, i: {"label": -1 if i == 1 else row["label"]}, with_indices=True)
    unlabelled.to_parquet(str(tmp_path / "b.parquet"))
    for read in (
        lambda: LabeledTexts.from_dataset(unlabelled),
        lambda: LabeledTexts.from_parquet(tmp_path / "b.parquet"),
    ):
        with pytest.raises(ValueError, match=r"row 1: 'label' is -1, which is none of the classes \['a', 'b'\]"):
            read()


def test_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    FRAME.to_parquet(path)
    assert LabeledTexts.from_parquet(path).sha256 == read_texts(str(path)).sha256 == WHOLE.sha256
    for read in (LabeledTexts.from_json, LabeledTexts.from_jsonl, LabeledTexts.from_csv):
        with pytest.raises(ValueError, match=r"is a Parquet file and no text; try LabeledTexts\.from_parquet"):
            read(path)
    (tmp_path / "cut.parquet").write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="is a damaged Parquet file"):
        LabeledTexts.from_parquet(tmp_path / "cut.parquet")
    (tmp_path / "b.parquet").write_text(TABLE)
    with pytest.raises(ValueError, match="is no Parquet file; for other files try"):
        LabeledTexts.from_parquet(tmp_path / "b.parquet")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04rest", "a ZIP archive or Excel workbook and no text; export it as CSV"),
        (b"\xd0\xcf\x11\xe0rest", "an Excel 97 workbook"),
        (b"%PDF-1.7", "a PDF file"),
        (b"BZh91AY", "packed with bzip2 and no text; unpack it first"),
        (b"\x28\xb5\x2f\xfd", "packed with zstandard"),
        (b"\x93NUMPY\x01\x00", "a numpy file"),
        (b"ab\x00cd", "is a binary file: byte 2 is 0"),
        (bytes(range(1, 9)) * 20, "is a binary file: 160 of its first bytes are control characters"),
        ("id,text".encode("utf-16-be"), "looks like utf-16-be without a byte order mark"),
        (b"\xff\xfea", "is not UTF-16: byte 2"),
        (b"caf\xe9,", r"is not UTF-8: byte 3 \(line 1\) is 0xe9; it may be cp1252, save it as UTF-8"),
        (gzip.compress(b"x" * 1000)[:-9], "is a damaged or incomplete gzip file"),
        (b"\x1f\x8b\x08rest of something", "is a damaged or incomplete gzip file"),
    ],
)
def test_what_is_no_text_is_called_by_its_name(tmp_path: Path, content: bytes, message: str) -> None:
    for name in ("a.csv", "a.jsonl.gz", "a.json"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_text(tmp_path / name)


def test_a_small_file_that_unpacks_to_much_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(bytes(2**20), 9) * 100)
    with pytest.raises(ValueError, match="unpacks to more than 200 times its"):
        LabeledTexts.from_jsonl(tmp_path / "a.jsonl.gz")


def test_names_of_sets() -> None:
    assert [set_name(Path(p)) for p in ("a/b.csv", "b.jsonl.gz", "nan.json", "x\x1b[31m.csv")] == [
        "b",
        "b",
        "texts",
        "x_[31m",
    ]


def test_texts_are_strings_that_can_be_written() -> None:
    for prompts, error, message in (
        ([None], TypeError, r"prompts\[0\] must be a string, got NoneType"),
        (["a\ud800"], ValueError, r"prompts\[0\] holds half a surrogate pair"),
    ):
        with pytest.raises(error, match=message):
            LabeledTexts(["a b"], ["x"], ["g"], prompts=prompts)  # type: ignore[arg-type]
    for name, message in (("\x1b[31m", "name holds a control character"), ("", "name is missing")):
        with pytest.raises(ValueError, match=message):
            LabeledTexts(["a b"], ["x"], ["g"], name=name)
    with pytest.raises(TypeError, match=r"texts\[1\] must be a string, got NAType"):
        LabeledTexts(pd.Series(["a", None], dtype="string"), ["x", "y"], ["g", "g"])
