"""Damaged files of texts and ratings: each is read, or refused in words of ours."""

import csv
import gzip
import io
import json
import random
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import empathy_geometry as eg
from empathy_geometry.ratings.items import Key

PACKAGE = str(Path(eg.__file__).parent)
ROWS = [
    {"id": i, "text": f"text \u00e9 {i}, so \U0001f600", "label": "ab"[i % 2], "context": "c", "family": "f"}
    for i in range(6)
]
TRIPLETS = {"triplets": [{"id": f"t{i}", "scenario": "s", "cognitive": "a", "affective": "b", "instrumental": "c"}
                         for i in range(3)]}  # fmt: skip
TOKENS = [b"\x00", b"\xff", b'"', b"'", b",", b"\n", b"\r", b"[", b"{", b"]", b"\\ud800", b"\\u0000", b"NaN", b"-1",
          b"1e999", b"9" * 5000, b"[" * 3000, b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b", b"PAR1",
          b"\x1b[31m", b"null", b"\xe2\x80\xae", b"\x1a", b"true", b"7.0", b"id", b"label"]  # fmt: skip

Reader = Callable[[Path], Any]


def originals(folder: Path) -> dict[str, tuple[bytes, Reader]]:
    """Whole files of every kind and their readers."""
    (folder / "datasets").mkdir(exist_ok=True)
    texts = eg.LabeledTexts.from_dataset(ROWS)
    sheet = eg.ratings.export_rating_sheet(texts, folder / "sheet", seed=1, raters=["=Ann"])
    frame = pd.DataFrame(ROWS)
    table = list(csv.DictReader(io.StringIO(sheet.tables[0].read_text(encoding="utf-8-sig"), newline="")))
    filled = io.StringIO()
    writer = csv.DictWriter(filled, table[0].keys())
    writer.writeheader()
    writer.writerows({**row, "rating": "3"} for row in table)
    content = {"format": "empathy_geometry.ratings/1", "sheet": table[0]["sheet"], "rater": "Bo",
               "ratings": [{"item": row["item"], "rating": 4, "comment": "hm"} for row in table]}  # fmt: skip
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    parquet = io.BytesIO()
    frame.to_parquet(parquet)

    spoken = pd.DataFrame({"statement": [f"The city of X{i} is in Y{i}." for i in range(6)], "label": [0, 1] * 3,
                           "city": [f"X{i}" for i in range(6)]})  # fmt: skip
    rated = pd.DataFrame({"item": list("aabbcc"), "rater": ["r", "s"] * 3, "score": [1, 2, 3, 3, 2, 1]})

    def ratings(path: Path) -> Any:
        return eg.ratings.import_ratings(path, sheet.key, allow_missing=True)

    return {
        "a.json": (json.dumps(TRIPLETS).encode(), eg.LabeledTexts.from_json),
        "b.json": (json.dumps(ROWS, ensure_ascii=False).encode("utf-16"), eg.LabeledTexts.from_json),
        "a.jsonl": (lines, eg.LabeledTexts.from_jsonl),
        "a.jsonl.gz": (gzip.compress(lines), eg.LabeledTexts.from_jsonl),
        "a.csv": (frame.to_csv().encode(), eg.LabeledTexts.from_csv),
        "a.tsv": (frame.to_csv(sep="\t", index=False).encode("utf-8-sig"), eg.LabeledTexts.from_csv),
        "a.parquet": (parquet.getvalue(), eg.LabeledTexts.from_parquet),
        "ratings.csv": (filled.getvalue().encode("utf-8-sig"), ratings),
        "ratings.json": (json.dumps(content).encode(), ratings),
        "rated.csv": (
            rated.to_csv(index=False).encode(),
            lambda path: eg.ratings.Ratings.from_table(path, item="item", rater="rater", score="score"),
        ),
        "datasets/cities.csv": (
            spoken.to_csv(index=False).encode(),
            lambda path: eg.datasets.public.geometry_of_truth(path.parent.parent, path.stem),
        ),
        "key.json": (sheet.key.read_bytes(), Key.load),
    }


def damaged(data: bytes, rng: random.Random) -> bytes:
    """One to three of: bytes changed, cut, doubled, exchanged, tokens put in, coded anew."""
    found = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at, other = rng.randrange(len(found) + 1), rng.randrange(len(found) + 1)
        start, stop = min(at, other), max(at, other)
        how = rng.randrange(8)
        if how == 0 and found:
            found[at % len(found)] = rng.randrange(256)
        elif how == 1 and found:
            found[at % len(found)] ^= 1 << rng.randrange(8)
        elif how == 2:
            del found[start:stop]
        elif how == 3:
            del found[at:]
        elif how == 4:
            found[other:other] = found[start : start + 40]
        elif how == 5:
            found[at:at] = rng.choice(TOKENS)
        elif how == 6:
            parts = bytes(found).split(b",")
            rng.shuffle(parts)
            found = bytearray(b",".join(parts))
        else:
            coding = rng.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "cp1252", "utf-7"])
            found = bytearray(bytes(found).decode("utf-8", "replace").encode(coding, "replace"))
    return bytes(found)


def judge(folder: Path, n: int, seed: int) -> tuple[int, int]:
    """How many of n damaged files were read and how many refused; an error that is not ours fails."""
    rng = random.Random(seed)
    files = originals(folder)
    read = refused = 0
    for _ in range(n):
        name = rng.choice(list(files))
        data, reader = files[name]
        path = folder / name
        path.write_bytes(damaged(data, rng))
        try:
            reader(path)
            read += 1
        except (ValueError, TypeError) as error:
            raised_in = traceback.extract_tb(error.__traceback__)[-1].filename
            if not raised_in.startswith(PACKAGE) or not str(error):
                raise AssertionError(f"{name}: {error!r} of {raised_in} is not in our words") from error
            refused += 1
    return read, refused


def test_whole_files_are_read(tmp_path: Path) -> None:
    for name, (data, reader) in originals(tmp_path).items():
        (tmp_path / name).write_bytes(data)
        assert reader(tmp_path / name) is not None


def test_damaged_files_are_read_or_refused_in_words(tmp_path: Path) -> None:
    read, refused = judge(tmp_path, 400, seed=0)
    assert refused > 200
    assert read > 10


@pytest.mark.slow
def test_ten_thousand_damaged_files(tmp_path: Path) -> None:
    assert sum(judge(tmp_path, 10_000, seed=1)) == 10_000
