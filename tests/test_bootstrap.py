from types import SimpleNamespace

import numpy as np
import pytest
from planted import pairs
from scipy.stats import bootstrap, norm
from scipy.stats import t as student

from empathy_geometry.evaluation.bootstrap import cluster_bootstrap
from empathy_geometry.evaluation.cross_validation import cross_validate
from empathy_geometry.evaluation.metrics import d_prime
from empathy_geometry.geometry.probes import Probe


def test_mean_of_groups_has_its_standard_error():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 3)
    x = rng.normal(size=30)[groups]
    found = cluster_bootstrap(lambda rows: x[rows].mean(), groups=groups, n_resamples=3000, seed=0)
    assert found.standard_error == pytest.approx(x[::3].std() / np.sqrt(30), rel=0.05)
    assert (found.estimate.value, found.estimate.n_groups) == (pytest.approx(x.mean()), 30)


def test_interval_covers():
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.arange(20), 2)
        x = rng.normal(size=20)[groups] + rng.normal(size=40)
        low, high = (lambda e: (e.low, e.high))(
            cluster_bootstrap(lambda rows, x=x: x[rows].mean(), groups=groups, n_resamples=400, seed=seed).estimate
        )
        covered += low <= 0 <= high
    assert 0.91 <= covered / 200 <= 0.985


def test_refitting_keeps_copies_of_a_scenario_on_one_side():
    X, y, groups = pairs(15, 6)
    found = cluster_bootstrap(
        lambda rows: float(cross_validate(Probe("ridge"), X[rows], y[rows], groups=groups[rows]).auroc),
        groups=groups,
        n_resamples=30,
        seed=0,
    )
    assert found.distribution.mean() < 0.75  # split copies would give almost 1


def test_what_cannot_be_resampled_is_refused():
    y = np.repeat([0, 1], 6)
    with pytest.raises(ValueError, match="at least 3 groups"):
        cluster_bootstrap(lambda rows: 0.0, groups=["a", "b"], seed=0)
    with pytest.raises(ValueError, match="not finite"):
        cluster_bootstrap(lambda rows: np.nan if y[rows].all() else 1.0, groups=np.repeat(np.arange(3), 4), seed=0)
    with pytest.raises(ValueError, match=r"two scores|both classes"):
        cluster_bootstrap(
            lambda rows: float(d_prime(np.arange(12.0)[rows], y[rows])), groups=np.repeat(np.arange(3), 4), seed=0
        )


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_interval_is_scipys_bca_with_the_quantile_of_few_groups(level):
    """At t's quantile times sqrt(G / (G - 1)), because resampling understates the variance of G groups."""
    x = np.random.default_rng(1).exponential(size=12) ** 2
    found = cluster_bootstrap(lambda rows: x[rows].mean(), groups=np.arange(12), n_resamples=4000, level=level, seed=0)
    reach = student.ppf((1 + level) / 2, 11) * np.sqrt(12 / 11)
    given = SimpleNamespace(bootstrap_distribution=found.distribution)
    expected = bootstrap(
        (x,), np.mean, n_resamples=0, bootstrap_result=given, confidence_level=2 * norm.cdf(reach) - 1, method="BCa"
    ).confidence_interval
    assert (found.estimate.low, found.estimate.high) == pytest.approx(expected, rel=1e-3)
    symmetric = np.quantile(found.distribution, norm.cdf([-reach, reach]))
    assert found.estimate.high > 1.02 * symmetric[1]  # skewed: the acceleration moves both ends


def test_groups_are_drawn_whole():
    """A statistic that sees half a group, or a group in pieces, would differ."""
    groups = np.array([2, 0, 0, 1, 2, 2, 0, 1, 3])
    sizes = np.bincount(groups)

    def whole(rows):
        assert all(np.sum(groups[rows] == g) % sizes[g] == 0 for g in range(4))
        return float(len(np.unique(rows)))

    found = cluster_bootstrap(whole, groups=groups, n_resamples=200, seed=0)
    assert found.estimate.value == 9
    assert len(np.unique(found.distribution)) > 1
    assert found.standard_error == pytest.approx(np.std(found.distribution, ddof=1))
