"""Ratings from a table: a planted agreement, its ceiling and a planted correlation come back; bad rows are named."""

from pathlib import Path

import numpy as np
import pytest

from empathy_geometry.ratings.ratings import Ratings
from empathy_geometry.ratings.tables import interval_alpha

pd = pytest.importorskip("pandas")
pytest.importorskip("krippendorff")


def planted(n_items: int = 200, n_raters: int = 4, noise: float = 1.0, lean: float = 0.0):  # type: ignore[no-untyped-def]
    """True scores of variance 1 and raters whose errors have variance noise ** 2."""
    r = np.random.default_rng(0)
    true = r.normal(size=n_items)
    rows = [
        {"item": f"i{i}", "rater": f"r{k}", "score": true[i] + noise * r.normal() + lean * k, "group": i // 2}
        for k in range(n_raters)
        for i in range(n_items)
    ]
    return true, pd.DataFrame(rows)


def read(table: object, **more: str) -> Ratings:
    return Ratings.from_table(table, item="item", rater="rater", score="score", **more)


def test_agreement_and_ceiling_are_those_that_were_planted() -> None:
    _, frame = planted()
    ratings = read(frame, group="group")
    # One rater's reliability is 1 / 2, the mean of four has 4 / 5.
    ceiling = ratings.ceiling(n_resamples=100)
    assert float(ceiling) == pytest.approx(np.sqrt(0.8), abs=0.03)
    assert ceiling.low < np.sqrt(0.8) < ceiling.high


def test_alpha_in_closed_form_is_krippendorffs() -> None:
    from krippendorff import alpha

    values = np.random.default_rng(0).integers(1, 6, (3, 30)).astype(float)
    values[0, 3] = values[1, 3] = values[2, 7] = np.nan
    assert interval_alpha(values) == pytest.approx(alpha(reliability_data=values, level_of_measurement="interval"))


def test_no_score_passes_the_ceiling_and_the_true_one_reaches_it() -> None:
    true, frame = planted(n_items=400)
    ratings = read(frame)
    assert np.corrcoef(true, ratings.means)[0, 1] == pytest.approx(float(ratings.ceiling(n_resamples=50)), abs=0.03)
    followed = ratings.follows({f"i{i}": t for i, t in enumerate(true)})
    assert float(followed) == pytest.approx(np.sqrt(0.8), abs=0.05)
    assert float(ratings.follows(true)) == float(followed)


def test_raters_who_lean_lower_the_ceiling_only_where_they_can_move_an_item() -> None:
    _, frame = planted(lean=3.0)
    assert float(read(frame).ceiling(n_resamples=50)) == pytest.approx(np.sqrt(0.8), abs=0.03)
    some = frame[np.random.default_rng(1).random(len(frame)) < 0.6]
    assert float(read(some).ceiling(n_resamples=50)) < 0.6


def test_a_csv_file_gives_the_same(tmp_path: Path) -> None:
    _, frame = planted(n_items=20)
    frame.to_csv(tmp_path / "ratings.csv", index=False)
    ratings = read(tmp_path / "ratings.csv")
    assert np.allclose(ratings.values, read(frame).values)
    assert ratings.raters == ("r0", "r1", "r2", "r3")
    assert isinstance(ratings.to_dict()["items"][0]["ratings"]["r0"], float)


def test_rows_that_cannot_be_read_are_named() -> None:
    _, frame = planted(n_items=4, n_raters=2)
    with pytest.raises(ValueError, match=r"row 8: rater 'r0' rates item 'i0' a second time"):
        read(pd.concat([frame, frame[:1]], ignore_index=True))
    with pytest.raises(ValueError, match=r"lacks the column\(s\) \['who'\]"):
        Ratings.from_table(frame, item="item", rater="who", score="score")
    with pytest.raises(ValueError, match=r"row 1: 'score' must be a finite number"):
        read(frame.assign(score=["1", "much", *"234567"]))
    with pytest.raises(ValueError, match="is of group"):
        read(frame.assign(group=range(8)), group="group")
    with pytest.raises(ValueError, match="no rating"):
        read(frame.assign(score=None))
    with pytest.raises(TypeError, match="DataFrame or the path"):
        read([1, 2])
    with pytest.raises(FileNotFoundError):
        read("nowhere.csv")
    some = read(frame.assign(score=[1.0, None, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]))
    assert np.isnan(some.values).sum() == 1
    with pytest.raises(ValueError, match="scores lack 3 of 4"):
        some.follows({"i0": 1.0})
