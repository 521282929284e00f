"""A planted graded target is recovered with its interval; what only persons carry falls when persons are held apart."""

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr
from sklearn.linear_model import Ridge
from sklearn.utils.estimator_checks import check_estimator

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.cross_validation import cross_validate
from empathy_geometry.evaluation.graded import GradedEvaluation
from empathy_geometry.evaluation.permutation import permutation_test
from empathy_geometry.evaluation.rank_correlation import kendall, spearman
from empathy_geometry.evaluation.ridge_folds import RidgeFold
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.geometry.regression_probe import RegressionProbe
from empathy_geometry.texts.held_apart import held_apart_folds


def planted(seed: int, n_persons: int = 60, each: int = 4, d: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows whose first feature carries the target with correlation 0.71; persons differ in no other way."""
    r = np.random.default_rng(seed)
    X = r.normal(size=(n_persons * each, d))
    return X, X[:, 0] + r.normal(size=len(X)), np.repeat(np.arange(n_persons), each)


def test_the_regression_probe_is_a_scikit_learn_regressor() -> None:
    check_estimator(RegressionProbe(), on_skip=None)


@pytest.mark.parametrize("shape", [(40, 6), (10, 30)])
def test_it_is_ridge_regression(shape: tuple[int, int]) -> None:
    r = np.random.default_rng(0)
    X, y = r.normal(size=shape), r.normal(size=shape[0])
    ours, theirs = RegressionProbe(alpha=3.0, scale=False).fit(X, y), Ridge(alpha=3.0).fit(X, y)
    assert np.allclose(ours.coef_, theirs.coef_)
    assert np.allclose(ours.predict(X), theirs.predict(X))
    with pytest.raises(ValueError, match="alpha must be positive"):
        RegressionProbe(alpha=0.0).fit(X, y)


@pytest.mark.parametrize("shape", [(40, 6), (12, 30)])
def test_folds_solve_as_the_probe_does_and_leave_groups_out_as_a_refit_would(shape: tuple[int, int]) -> None:
    r = np.random.default_rng(1)
    X, y, new = r.normal(size=shape), r.normal(size=shape[0]), r.normal(size=(5, shape[1]))
    groups = np.arange(shape[0]) // 3
    fold = RidgeFold.from_rows(X, new, scale=False)
    assert np.allclose(fold.scores(y, 2.0) + y.mean(), Ridge(alpha=2.0).fit(X, y).predict(new))
    without = fold.scores_without(y, 2.0, groups, int(groups.max()) + 2)
    assert np.allclose(without[-1], fold.scores(y, 2.0))
    for g in range(int(groups.max()) + 1):
        refit = Ridge(alpha=2.0).fit(X[groups != g], y[groups != g])
        # Scores are counted from the mean of all training rows, whichever group is left out.
        assert np.allclose(without[g], (new - X.mean(axis=0)) @ refit.coef_)


def test_planted_correlation_lies_in_its_interval() -> None:
    inside = []
    for seed in range(12):
        X, y, groups = planted(seed)
        found = cross_validate(RegressionProbe(), X, y, groups=groups, grid={"alpha": [1.0, 10.0]}, inner_splits=3)
        inside.append(found.spearman.low <= 0.69 <= found.spearman.high)
        assert isinstance(found, GradedEvaluation)
        assert float(found.spearman) == pytest.approx(spearmanr(found.scores, y).statistic)
        assert float(found.kendall) == pytest.approx(kendalltau(found.scores, y).statistic)
        assert 0.3 < float(found.r2) < 0.65
    assert sum(inside) >= 10


def test_persons_held_apart_and_random_folds_differ_as_they_should() -> None:
    r = np.random.default_rng(0)
    person = np.repeat(np.arange(80), 4)
    style, mood = r.normal(size=(80, 30)), r.normal(size=80)
    X = style[person] + 0.3 * r.normal(size=(320, 30))
    y = mood[person] + 0.3 * r.normal(size=320)
    grid = {"alpha": [1.0, 100.0]}
    random = cross_validate(RegressionProbe(), X, y, groups=None, grid=grid)
    apart = cross_validate(RegressionProbe(), X, y, groups=person, grid=grid)
    assert float(random.spearman) > 0.3
    assert apart.spearman.low < 0 < apart.spearman.high
    assert "groups=None" in str(random)
    assert "groups=None" not in str(apart)


def test_two_columns_are_held_apart_together() -> None:
    r = np.random.default_rng(2)
    person, article = np.repeat(np.arange(24), 6), np.tile(np.arange(12), 12)
    folds = held_apart_folds({"person": person, "article": article}, n_splits=3)
    assert np.array_equal(np.sort(np.concatenate([f.test for f in folds])), np.arange(144))
    for fold in folds:
        for column in (person, article):
            assert not np.intersect1d(column[fold.train], column[fold.test]).size
    # What only articles carry is found where writers alone are held apart, and not where both are.
    topic, weight = r.normal(size=(12, 20)), r.normal(size=12)
    X, y = topic[article] + 0.2 * r.normal(size=(144, 20)), weight[article] + 0.3 * r.normal(size=144)
    one = cross_validate(RegressionProbe(), X, y, groups=person)
    both = cross_validate(RegressionProbe(), X, y, groups={"person": person, "article": article}, n_splits=3)
    assert float(one.spearman) > 0.7
    assert float(both.spearman) < 0.4
    width = both.spearman.high - both.spearman.low
    assert width > 2 * (one.spearman.high - one.spearman.low)


def test_what_words_carry_is_no_excess() -> None:
    r = np.random.default_rng(3)
    groups, marks = np.repeat(np.arange(50), 4), r.integers(0, 4, 200)
    texts = [f"well the day began {'?' * m}." for m in marks]
    X = np.c_[marks + 0.1 * r.normal(size=200), r.normal(size=(200, 6))]
    found = cross_validate(RegressionProbe(), X, marks.astype(float), groups=groups, texts=texts, inner_splits=3)
    assert float(found.spearman) > 0.9
    assert found.excess.low <= 0.01
    silent = cross_validate(RegressionProbe(), X, marks.astype(float), groups=groups, texts=["well"] * 200)
    assert silent.excess.low > 0.5


def test_targets_by_name_and_what_is_refused() -> None:
    X, y, groups = planted(0, n_persons=20)
    import torch

    acts = Activations(torch.tensor(X[:, None]), (7,), ["a"] * 80, groups, targets={"rated": y})
    found = cross_validate(RegressionProbe(), acts, target="rated", grid={"alpha": [10.0]})
    assert found.target == "rated"
    assert found.chosen_layers == (7,) * 5
    assert "rated" in str(found)
    with pytest.raises(ValueError, match="target 'other' is unknown"):
        cross_validate(RegressionProbe(), acts, target="other")
    with pytest.raises(TypeError, match="needs a RegressionProbe"):
        cross_validate(Probe(), acts, target="rated")
    with pytest.raises(TypeError, match="groups is missing"):
        cross_validate(RegressionProbe(), X, y)
    with pytest.raises(TypeError, match="give the graded target"):
        cross_validate(RegressionProbe(), X, groups=groups)
    with pytest.raises(ValueError, match="nothing to predict"):
        cross_validate(RegressionProbe(), X, np.ones(80), groups=groups)
    with pytest.raises(TypeError, match="one column of groups"):
        cross_validate(Probe(), X, y > 0, groups={"person": groups})


def test_permutation_finds_what_is_planted_and_nothing_else() -> None:
    X, y, groups = planted(5, n_persons=30)
    layers = np.stack([np.random.default_rng(9).normal(size=X.shape), X], axis=1)
    for statistic in ("spearman", "kendall", "r2"):
        n = 19 if statistic == "kendall" else 99
        found = permutation_test(
            RegressionProbe(), layers, y, groups=groups, statistic=statistic, n_permutations=n, seed=0
        )
        assert found.pvalue == pytest.approx(1 / (n + 1))
        assert found.layer == 1
        assert found.name == statistic
    nothing = permutation_test(
        RegressionProbe(), X, np.random.default_rng(1).permutation(y), groups=groups, n_permutations=99, seed=0
    )
    assert nothing.pvalue > 0.05
    assert nothing.name == "spearman"
    with pytest.raises(TypeError, match="one column of groups"):
        permutation_test(RegressionProbe(), X, y, groups={"a": groups}, seed=0)


def test_intervals_of_frozen_scores_are_clustered() -> None:
    r = np.random.default_rng(4)
    groups = np.repeat(np.arange(30), 10)
    a = r.normal(size=30)[groups] + 0.05 * r.normal(size=300)
    b = r.normal(size=30)[groups] + 0.05 * r.normal(size=300)
    clustered, naive = spearman(a, b, groups=groups), spearman(a, b)
    assert clustered.high - clustered.low > 2 * (naive.high - naive.low)
    assert clustered.low < 0 < clustered.high
    assert float(spearman(a, b)) == pytest.approx(spearmanr(a, b).statistic)
    assert float(kendall(a[:50], b[:50])) == pytest.approx(kendalltau(a[:50], b[:50]).statistic)
    with pytest.raises(ValueError, match="same in all"):
        spearman(np.ones(5), np.arange(5.0))
