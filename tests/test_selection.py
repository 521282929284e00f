import numpy as np
import pytest
from planted import pairs

from empathy_geometry.evaluation.classification import classification
from empathy_geometry.evaluation.selection import Candidate, candidates, select
from empathy_geometry.geometry.probes import Probe


def test_every_combination_competes():
    X, y, groups = pairs(6, layers=3)
    data = classification(np.stack([X, X], axis=1), y, groups=groups)
    competing = candidates(data, {"C": [0.1, 1.0], "scale": [True, False]})
    assert len(competing) == 2 * 3 * 4
    assert len({(c.pos, c.layer, c.params["C"], c.params["scale"]) for c in competing}) == 24


def test_ties_in_auroc_go_to_d_prime():
    _, y, groups = pairs(10, 3)
    signal = np.where(y == 1, 1.0, -1.0)[:, None]
    rng = np.random.default_rng(0)
    layers = np.stack([signal * 3 + rng.normal(size=(20, 1)), signal * 30 + rng.normal(size=(20, 1))], axis=1)
    data = classification(layers, y, groups=groups)
    competing = candidates(data, None)
    assert select(Probe("ridge"), data, np.arange(20), competing, inner_splits=4, seed=0) == Candidate(0, 1)


def test_test_rows_are_never_touched():
    X, y, groups = pairs(12, 5, layers=4, strength=1.0)
    train = np.arange(16)
    data = classification(X, y, groups=groups)
    choice = select(Probe("ridge"), data, train, candidates(data, None), inner_splits=4, seed=0)
    X[16:] = 1e6 * np.random.default_rng(0).normal(size=X[16:].shape)
    spoilt = classification(X, y, groups=groups)
    assert select(Probe("ridge"), spoilt, train, candidates(spoilt, None), inner_splits=4, seed=0) == choice


def test_one_candidate_needs_no_inner_folds():
    X, y, groups = pairs(3, 4)
    data = classification(X, y, groups=groups)
    assert select(Probe("ridge"), data, np.arange(4), candidates(data, None), inner_splits=50, seed=0) == Candidate()


def test_too_few_groups_for_inner_folds_say_so():
    X, y, groups = pairs(5, 4, layers=2)
    data = classification(X, y, groups=groups)
    with pytest.raises(ValueError, match="lower inner_splits"):
        select(Probe("ridge"), data, np.arange(6), candidates(data, None), inner_splits=4, seed=0)


def test_inner_folds_keep_scenarios_together():
    """A layer that remembers scenarios looks perfect if rows of one scenario are on both sides, and is useless."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(24), 4)
    y = groups % 2
    memory = 5 * np.eye(24)[groups]
    honest = 0.2 * rng.normal(size=(96, 24))
    honest[:, 0] = y + 0.8 * rng.normal(size=24)[groups]
    data = classification(np.stack([memory, honest], axis=1), y, groups=groups)
    together = select(Probe("ridge"), data, np.arange(96), candidates(data, None), inner_splits=4, seed=0)
    assert together == Candidate(0, 1)
    apart = classification(np.stack([memory, honest], axis=1), y, groups=None)
    assert select(Probe("ridge"), apart, np.arange(96), candidates(apart, None), inner_splits=4, seed=0).layer == 0


def test_of_equal_candidates_the_first_wins():
    X, y, groups = pairs(10, 4, strength=2.0)
    data = classification(np.stack([np.ones_like(X), X, X, X], axis=1), y, groups=groups)
    assert select(Probe("ridge"), data, np.arange(20), candidates(data, None), inner_splits=4, seed=0).layer == 1
