"""The words-first table: marks are words, a run goes on where it stopped, and the comparison is the right way round."""

import runpy
from pathlib import Path

import numpy as np
import pytest

import empathy_geometry as eg

MAIN = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "words_first.py"))


def some_texts() -> eg.LabeledTexts:
    said = [f"the bus came at {i}{mark}" for i in range(60) for mark in ("?", ".")]
    return eg.LabeledTexts(said, ["asked", "told"] * 60, np.repeat(np.arange(60), 2))


def test_a_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "words.jsonl"
    first = MAIN["measured"]({"marks": some_texts()}, [0], path)
    assert first["marks"] == [1.0]
    path.write_text(path.read_text().replace("1.0", "0.25"))
    again = MAIN["measured"]({"marks": some_texts()}, [0, 1], path)
    assert again["marks"] == [0.25, 1.0]
    assert len(path.read_text().splitlines()) == 2


def test_the_comparison_is_probe_minus_words() -> None:
    found = MAIN["compared"]({"a": [0.5, 0.7], "b": [0.9], "c": [0.8]}, {"a": 0.9, "b": 0.91, "c": 0.7, "d": 1.0})
    assert found["sets"] == 3
    assert found["excess"] == pytest.approx((0.3 + 0.01 - 0.1) / 3, abs=1e-4)
    assert (found["words_enough"], found["words_ahead_or_equal"]) == (2, 1)
