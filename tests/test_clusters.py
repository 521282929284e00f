import numpy as np
import pytest

from empathy_geometry.evaluation.clusters import adjusted_rand, purity, silhouette
from empathy_geometry.evaluation.nulls import label_null


def test_names_of_clusters_do_not_matter():
    y = np.tile(["a", "b"], 10)
    clusters = np.where(y == "a", 7, -3)
    assert purity(clusters, y).value == adjusted_rand(clusters, y).value == 1.0
    assert purity(clusters, y).low == pytest.approx(0.025 ** (1 / 20))
    assert purity(clusters, y).high == 1.0


def test_purity_of_noise_is_not_one_half_and_the_null_knows():
    rng = np.random.default_rng(0)
    y, groups = np.tile([0, 1], 15), np.repeat(np.arange(15), 2)
    clusters = rng.integers(0, 8, 30)
    found = purity(clusters, y, groups=groups)
    null = label_null(lambda labels: float(purity(clusters, labels)), y, groups=groups, n_permutations=200, seed=0)
    assert found.value > 0.6
    assert null.null_distribution.mean() > 0.6
    assert null.pvalue > 0.05
    assert found.low < found.value < found.high


def test_adjusted_rand_of_noise_is_zero():
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(4), 15)
    draws = rng.integers(0, 3, (50, 2, 60))
    values = [adjusted_rand(clusters, labels, groups=groups).value for clusters, labels in draws]
    assert np.mean(values) == pytest.approx(0, abs=0.01)


def test_silhouette_in_many_dimensions_is_small_even_where_a_probe_would_not_err():
    rng = np.random.default_rng(2)
    y = np.tile([0, 1], 20)
    X = rng.normal(size=(40, 300)) + 5 * y[:, None] * np.eye(300)[0]
    found = silhouette(X, y, groups=np.repeat(np.arange(20), 2))
    assert 0 < found.value < 0.15
    assert found.low < found.value < found.high


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="2 to 3 classes"):
        silhouette([[0.0], [1.0], [2.0], [3.0]], [0, 0, 0, 0])
    with pytest.raises(ValueError, match="each of 2 rows"):
        silhouette([[0.0], [1.0]], [0, 1, 1])
    with pytest.raises(ValueError, match="clusters must have"):
        purity([0, 1], [0, 1, 1])
