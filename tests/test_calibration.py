"""Small versions of benchmarks/calibration.py: fixed seeds, wide bounds, outside which wrong statistics still fall."""

import numpy as np
import pytest
from planted import constant_groups, pairs, triplets
from scipy.stats import kstest, norm

from empathy_geometry.evaluation.metrics import accuracy, auroc, d_prime
from empathy_geometry.evaluation.permutation import permutation_test
from empathy_geometry.geometry.probes import Probe


@pytest.mark.parametrize("data", [pairs, constant_groups, triplets])
def test_permutation_pvalues_are_uniform_on_noise(data):
    smoothed = []
    for seed in range(120):
        X, y, groups = data(16, d=10, seed=seed)
        test = permutation_test(Probe("ridge"), X, y, groups=groups, n_permutations=99, seed=seed, n_splits=4)
        above = (test.null_distribution > test.statistic + 1e-9).sum()
        equal = (np.abs(test.null_distribution - test.statistic) <= 1e-9).sum()
        smoothed.append((above + np.random.default_rng(seed).uniform() * (equal + 1)) / 100)
    assert kstest(smoothed, "uniform").pvalue > 0.01


@pytest.mark.parametrize("design", ["paired", "constant"])
@pytest.mark.parametrize("truth", [0.7, 0.95])
def test_intervals_cover_the_truth(design, truth):
    groups = np.repeat(np.arange(40), 4)
    y = np.tile([1, 1, 0, 0], 40) if design == "paired" else groups % 2
    shift = np.sqrt(2) * norm.ppf(truth)
    hits = np.zeros(3)
    rng = np.random.default_rng(7)
    for _ in range(500):
        noise = np.sqrt(0.5) * (rng.normal(size=40)[groups] + rng.normal(size=160))
        found = (
            (auroc(noise + shift * y, y, groups=groups), truth),
            (d_prime(noise + shift * y, y, groups=groups), shift),
            (accuracy(noise < norm.ppf(truth), np.ones(160, dtype=bool), groups=groups), truth),
        )
        hits += [e.low <= value <= e.high for e, value in found]
    assert (hits / 500 >= 0.925).all()
    assert (hits / 500 <= 0.98).all()
