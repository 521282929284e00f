"""Agreement against published values and planted noise; correlations against scipy and their coverage."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from empathy_geometry.ratings.items import Item, Key, Source
from empathy_geometry.ratings.ratings import Ratings


def ratings_of(values, measures=None, *, groups=None):
    values = np.asarray(values, dtype=float)
    n = values.shape[1]
    groups = [f"g{i}" for i in range(n)] if groups is None else [str(g) for g in groups]
    each = [{k: float(v[i]) for k, v in (measures or {}).items()} for i in range(n)]
    items = tuple(Item(f"i{i}", f"text {i}", "", groups[i], (Source("", each[i]),)) for i in range(n))
    names = tuple(f"rater {r}" for r in range(len(values)))
    return Ratings(Key("sheet", "How warm?", (1, 7), items), names, values)


def test_krippendorffs_own_example():
    """Krippendorff (2011), example C: four observers, twelve units, with missing values."""
    x = np.nan
    values = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, x, x, x],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, x, 3],
        [x, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, x],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, x],
    ]
    found = ratings_of(values)
    for measurement, expected in (("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)):
        estimate = found.agreement(measurement=measurement, n_resamples=200)
        assert estimate.value == pytest.approx(expected, abs=1e-3)
        assert estimate.low < estimate.value < estimate.high <= 1


def noisy(n_prompts, noise, seed, *, n_raters=3, each=3):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_prompts), each)
    quality = rng.normal(size=n_prompts)[groups] + rng.normal(size=len(groups))
    values = np.clip(np.round(4 + 1.2 * quality + noise * rng.normal(size=(n_raters, len(groups)))), 1, 7)
    return values, quality, groups


def test_agreement_falls_with_noise_and_is_zero_by_chance():
    found = [
        ratings_of(v, groups=g).agreement(n_resamples=50).value
        for v, _, g in (noisy(40, noise, 0) for noise in (0.1, 1.0, 3.0))
    ]
    assert found[0] > 0.9 > found[1] > 0.4 > found[2]
    rng = np.random.default_rng(1)
    chance = ratings_of(rng.integers(1, 8, size=(3, 200))).agreement(n_resamples=200)
    assert chance.low < 0 < chance.high


def test_the_interval_is_wider_over_prompts_when_texts_of_a_prompt_are_alike():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 6)
    easy = np.where(rng.random(12) < 0.5, 0.1, 2.5)[groups]
    values = np.clip(np.round(4 + 1.5 * rng.normal(size=72) + easy * rng.normal(size=(2, 72))), 1, 7)
    found = ratings_of(values, groups=groups)
    over = {u: found.agreement(over=u, n_resamples=400) for u in ("prompts", "items")}
    assert over["prompts"].value == over["items"].value
    assert (over["prompts"].n_groups, over["items"].n_groups) == (12, 72)
    assert over["prompts"].high - over["prompts"].low > over["items"].high - over["items"].low


def test_correlations_equal_scipys_and_cover_what_was_planted():
    truth = spearmanr(*(lambda v, q, g: (v.mean(axis=0), q))(*noisy(20_000, 1.0, 999))).statistic
    hits = 0
    for seed in range(25):
        values, quality, groups = noisy(20, 1.0, seed)
        found = ratings_of(values, {"concept": quality}, groups=groups).correlate(n_resamples=150, seed=seed)["concept"]
        assert found.value == pytest.approx(spearmanr(values.mean(axis=0), quality).statistic)
        assert (found.n, found.n_groups) == (60, 20)
        hits += found.low <= truth <= found.high
    assert hits >= 20


def test_a_measure_of_noise_has_an_interval_around_zero():
    values, _, groups = noisy(30, 1.0, 0)
    noise = np.random.default_rng(5).normal(size=90)
    found = ratings_of(values, {"noise": noise}, groups=groups).correlate(n_resamples=300)["noise"]
    assert found.low < 0 < found.high


def test_means_ignore_what_is_missing():
    found = ratings_of([[1, np.nan, np.nan], [3, 4, np.nan]])
    assert found.means[:2].tolist() == [2, 4]
    assert np.isnan(found.means[2])


def test_what_cannot_be_estimated_is_named():
    with pytest.raises(ValueError, match="two raters or more"):
        ratings_of([[1, 2, 3]]).agreement()
    with pytest.raises(ValueError, match="agreement is not defined"):
        ratings_of([[4, 4, 4], [4, 4, 4]]).agreement()
    with pytest.raises(ValueError, match="agreement is not defined"):
        ratings_of([[1, np.nan], [np.nan, 2]]).agreement()
    with pytest.raises(ValueError, match="at least 3 groups"):
        ratings_of([[1, 2, 3, 4], [2, 2, 3, 5]], groups=[0, 0, 1, 1]).agreement()
    with pytest.raises(ValueError, match="no measures"):
        ratings_of([[1, 2, 3]]).correlate()
    some = ratings_of([[1, 2, 3, 4]], {"concept": [1, 1, 1, 1], "alpha": [1, 2, 3, 5]})
    assert set(some.correlate(n_resamples=50)) == {"alpha"}
    with pytest.raises(ValueError, match="'concept' are the same for every text"):
        some.correlate(["concept"])
    with pytest.raises(ValueError, match="measures must be one of"):
        some.correlate(["warmth"])


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "krippendorff", None)
    with pytest.raises(ImportError, match=r"empathy-geometry\[ratings\]"):
        ratings_of([[1, 2, 3], [1, 2, 4]]).agreement()
