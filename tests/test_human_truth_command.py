"""`human-truth` through `main` on a small model: files of our own in EPITOME's layout, resumed and refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from test_public_sets import write_csv
from tiny_models import tiny_bridge

import empathy_geometry as eg
from empathy_geometry.command_line import main
from empathy_geometry.command_line.human_truth_command import asked_moves
from empathy_geometry.studies.frozen_readings import HumanTruth
from empathy_geometry.studies.labelled_worth import labelled_worth
from empathy_geometry.studies.load_result import load_result
from empathy_geometry.studies.rated_levels import levels_of

pytestmark = pytest.mark.usefixtures("one_thread")

POSTS = [f"My bus never came on day {i}." for i in range(30)]
SAID = ("sorry, that is hard", "when was it due", "try the office", "i failed mine too")


def folder_of_ratings(root: Path) -> Path:
    for k, name in enumerate(("emotional-reactions", "interpretations", "explorations")):
        rows = [
            {
                "sp_id": f"s{i // 4}",
                "rp_id": f"r{i}",
                "seeker_post": POSTS[i // 4],
                "response_post": f"{SAID[i % 4]} {i}",
                "level": (2 - i // 4 % 2) * int(i % 4 == (0, 3, 1)[k]),
            }
            for i in range(120)
        ]
        write_csv(root / f"dataset/{name}-reddit.csv", rows)
    return root


def command(rated: Path, output: Path) -> list[str]:
    return ["human-truth", "--rated", str(rated), "--any-version", "--output", str(output), "--layer", "1"]


@pytest.fixture
def few_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A twelfth of the packaged replies, and a model that is loaded in a moment."""
    moves = eg.datasets.support_moves()
    kept = moves.where(group=list(dict.fromkeys(moves.groups.tolist()))[:4])
    mixed = eg.datasets.support_moves_mixtures(8)
    monkeypatch.setattr("empathy_geometry.datasets.support_moves", lambda: kept)
    monkeypatch.setattr("empathy_geometry.datasets.support_moves_mixtures", lambda seed=0: mixed)
    model = tiny_bridge(n_ctx=2048)
    monkeypatch.setattr("empathy_geometry.command_line.models_in_turn.load_model", lambda *a, **k: model)


@pytest.mark.usefixtures("few_moves")
def test_the_command_measures_saves_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rated = folder_of_ratings(tmp_path / "rated")
    arguments = [
        "human-truth",
        "--rated",
        str(rated),
        "--any-version",
        "--output",
        str(tmp_path / "out"),
        "--layer",
        "1",
    ]
    assert main(arguments) == 0
    told = capsys.readouterr()
    assert "frozen emotional_reactions" in told.err
    assert "follows emotional_reactions" in told.out
    (path,) = (tmp_path / "out").rglob("human_truth.json")
    content = json.loads(path.read_text())
    assert {level["target"] for level in content["levels"]} == set(content["readings"])
    assert sorted({level["level"] for level in content["levels"]}) == [1.0, 2.0]
    found = load_result(path)
    assert isinstance(found, HumanTruth)
    assert all(level.in_domain is not None and level.worth is not None for level in found.levels)
    assert "model_tokens" in found.word_scores["explorations"]
    assert {f.verdict for f in found.findings} <= {"supported", "not supported", "cannot tell"}

    # Again: the finished run is shown, nothing is loaded; other moves are another run; --restart throws it away.
    monkeypatch.setattr("empathy_geometry.command_line.models_in_turn.load_model", pytest.fail)
    assert main(arguments) == 0
    assert "follows emotional_reactions" in capsys.readouterr().out
    assert main([*arguments, "--moves", "explorations=question"]) == 2
    assert "another run (other moves" in capsys.readouterr().err


@pytest.mark.usefixtures("few_moves")
def test_an_interrupted_run_keeps_what_was_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rated = folder_of_ratings(tmp_path / "rated")
    arguments = [
        "human-truth",
        "--rated",
        str(rated),
        "--any-version",
        "--output",
        str(tmp_path / "out"),
        "--layer",
        "1",
    ]
    from empathy_geometry.studies import frozen_readings

    fitted, wanted = frozen_readings.cross_validate_graded, []

    def stopped(*given: object, target: str, **more: object) -> object:
        wanted.append(target)
        if target == "interpretations" and len(wanted) == 2:
            raise KeyboardInterrupt
        return fitted(*given, target=target, **more)

    monkeypatch.setattr(frozen_readings, "cross_validate_graded", stopped)
    assert main(arguments) == 130
    assert main(arguments) == 0
    assert wanted == ["emotional_reactions", "interpretations", "interpretations", "explorations"]


def test_moves_are_read_and_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked_moves(["empathy=warmth+0.5*question"], "epitome") == {"empathy": {"warmth": 1.0, "question": 0.5}}
    for given, says in ((["empathy"], "TARGET=MOVE"), (["empathy=x*warmth"], "no number")):
        with pytest.raises(ValueError, match=says):
            asked_moves(given, "epitome")
    with pytest.raises(ValueError, match="for you to say"):
        asked_moves(None, "empathic_reactions")
    rated = folder_of_ratings(tmp_path / "rated")
    start = ["human-truth", "--rated", str(rated), "--any-version", "--output", str(tmp_path / "o"), "--moves"]
    assert main([*start, "explorations=questions"]) == 2
    assert "questions is no move" in capsys.readouterr().err
    assert main([*start, "wonder=question"]) == 2
    assert "'wonder' is unknown" in capsys.readouterr().err


def test_worth_in_labelled_texts_recovers_what_was_planted() -> None:
    """A direction that is as good as the whole truth is worth many labels, one that is noise none."""
    r = np.random.default_rng(0)
    above, groups = r.random(1200) < 0.4, np.arange(1200) // 3
    rows = r.normal(size=(1200, 40))
    rows[:, 0] += 2 * above
    best = labelled_worth(rows[:, 0], rows, above, groups, n_draws=4)
    poor = labelled_worth(rows[:, 0] + r.normal(scale=3, size=1200), rows, above, groups, n_draws=4)
    nothing = labelled_worth(r.normal(size=1200), rows, above, groups, n_draws=4)
    assert best.sizes == (20, 50, 100, 200, 400)
    assert list(best.trained) == sorted(best.trained)
    assert str(nothing) == "under 20"
    assert int(str(best).split()[-1]) >= 200
    assert int(str(poor).split()[-1]) < int(str(best).split()[-1])


def test_levels() -> None:
    assert levels_of(np.array([0.0, 2.0])) == (2.0,)
    assert levels_of(np.r_[np.zeros(9), np.arange(1, 9)]) == (1.0,)
