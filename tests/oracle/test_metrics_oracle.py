"""Metrics against scikit-learn, scipy, statsmodels, pingouin and their definitions."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu
from sklearn.metrics import accuracy_score, adjusted_rand_score, roc_auc_score, silhouette_score
from statsmodels.stats.proportion import proportion_confint

from empathy_geometry.evaluation.clusters import adjusted_rand, purity, silhouette
from empathy_geometry.evaluation.metrics import accuracy, auroc, d_prime, forced_choice, macro_auroc
from empathy_geometry.evaluation.placements import auroc_contributions


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("tied", [False, True])
def test_auroc_equals_sklearn_and_scipy(seed, tied):
    rng = np.random.default_rng(seed)
    y = rng.random(60) < 0.4
    scores = rng.integers(0, 6, 60).astype(float) if tied else rng.normal(size=60)
    assert auroc(scores, y).value == pytest.approx(roc_auc_score(y, scores), abs=1e-12)
    u = mannwhitneyu(scores[y], scores[~y]).statistic
    assert auroc(scores, y).value == pytest.approx(u / (y.sum() * (~y).sum()), abs=1e-12)


def test_macro_auroc_equals_sklearn():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 80)
    p = rng.dirichlet(np.ones(4), size=80) + 0.2 * np.eye(4)[y]
    p /= p.sum(axis=1, keepdims=True)
    assert macro_auroc(p, y).value == pytest.approx(roc_auc_score(y, p, multi_class="ovr", average="macro"))


def test_singleton_variance_is_delong_by_the_definition():
    rng = np.random.default_rng(1)
    positive, negative = rng.normal(1, 1, 25), rng.normal(0, 1, 40)
    wins = (positive[:, None] > negative[None, :]).astype(float)
    expected = wins.mean(axis=1).var(ddof=1) / 25 + wins.mean(axis=0).var(ddof=1) / 40
    s, y = np.r_[positive, negative], np.repeat([True, False], [25, 40])
    parts = auroc_contributions([(s, y)], np.arange(65))
    assert (parts**2).sum() == pytest.approx(expected, rel=1e-12)


def test_clustered_variance_is_obuchowski_by_the_definition():
    rng = np.random.default_rng(2)
    y, group = np.tile([True, False], 30), np.repeat(np.arange(15), 4)
    s = rng.normal(size=60) + rng.normal(size=15)[group] + y
    wins = (s[y][:, None] > s[~y][None, :]).astype(float)
    area = wins.mean()
    a = np.bincount(group[y], wins.mean(axis=1) - area)
    b = np.bincount(group[~y], wins.mean(axis=0) - area)
    scale = 15 / 14
    expected = scale * ((a**2).sum() / 30**2 + (b**2).sum() / 30**2 + 2 * (a * b).sum() / 30**2)
    assert (auroc_contributions([(s, y)], group) ** 2).sum() == pytest.approx(expected, rel=1e-12)


def test_d_prime_equals_pingouins_cohen_d_for_equal_sizes():
    pingouin = pytest.importorskip("pingouin")
    rng = np.random.default_rng(3)
    a, b = rng.normal(1, 2, 30), rng.normal(0, 1, 30)
    expected = pingouin.compute_effsize(a, b, eftype="cohen")
    assert d_prime(np.r_[a, b], np.repeat([1, 0], 30)).value == pytest.approx(expected)


def test_accuracy_equals_sklearn_and_its_ceiling_is_clopper_pearson():
    rng = np.random.default_rng(4)
    truth, predicted = rng.integers(0, 3, 50), rng.integers(0, 3, 50)
    assert accuracy(predicted, truth).value == accuracy_score(truth, predicted)
    low, _ = proportion_confint(20, 20, alpha=0.05, method="beta")
    assert accuracy([1] * 20, [1] * 20).low == pytest.approx(low)


def test_forced_choice_is_clopper_pearson():
    scores = np.tile([0.0, 1.0], 20)
    scores[:6] = np.tile([1.0, 0.0], 3)
    found = forced_choice(scores, np.tile([0, 1], 20), groups=np.repeat(np.arange(20), 2))
    assert (found.low, found.high) == pytest.approx(proportion_confint(17, 20, alpha=0.05, method="beta"))


def test_clusters_equal_sklearn():
    rng = np.random.default_rng(5)
    X, y, clusters = rng.normal(size=(40, 3)), rng.integers(0, 3, 40), rng.integers(0, 4, 40)
    assert silhouette(X, y).value == pytest.approx(silhouette_score(X, y))
    assert adjusted_rand(clusters, y).value == pytest.approx(adjusted_rand_score(y, clusters))
    table = np.array([[(y[clusters == k] == c).sum() for c in range(3)] for k in range(4)])
    assert purity(clusters, y).value == pytest.approx(table.max(axis=1).sum() / 40)
