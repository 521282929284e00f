"""The choice of a layer inside the folds is part of an interval's width."""

import numpy as np
import pytest
import torch
from planted import pairs, triplets

from empathy_geometry.evaluation.choice import choice_inflation, contributions
from empathy_geometry.evaluation.classification import classification
from empathy_geometry.evaluation.cross_validation import cross_validate
from empathy_geometry.evaluation.placements import auroc_contributions
from empathy_geometry.evaluation.selection import Contest, candidates, contest
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.texts.splits import grouped_folds


@pytest.mark.parametrize("n_classes", [2, 3])
def test_contributions_equal_those_of_one_score_vector_at_a_time(n_classes):
    rng = np.random.default_rng(0)
    codes, groups = rng.integers(n_classes, size=60), np.repeat(np.arange(20), 3)
    scores = rng.normal(size=(4, 1 if n_classes == 2 else 3, 60)).round(1)
    found = contributions(torch.from_numpy(scores), codes, groups, 20)
    for of_candidate, parts in zip(scores, found, strict=True):
        problems = [(s, codes == (1 if n_classes == 2 else k)) for k, s in enumerate(of_candidate)]
        assert np.allclose(parts, auroc_contributions(problems, groups))


def inflation_of(X, y, groups, kind="ridge"):
    data = classification(X, y, groups=groups)
    competing = candidates(data, None)
    folds = grouped_folds(y, groups=groups)
    contests = [contest(Probe(kind), data, f.train, competing, inner_splits=4, seed=0) for f in folds]
    scores = cross_validate(Probe(kind), X, y, groups=groups).scores
    return choice_inflation(Probe(kind), data, folds, competing, contests, scores, inflation=1.5, seed=0)


def test_a_certain_choice_costs_nothing_and_an_uncertain_one_does():
    """Among equal layers any wins; one layer that has it all is always chosen."""
    X, y, groups = pairs(30, 6, layers=6, strength=6.0)
    assert inflation_of(X, y, groups) == 1.0
    X, y, groups = pairs(30, 6, layers=6, strength=1.2)
    assert inflation_of(X, y, groups) > 1.2
    assert inflation_of(X[:, -1:], y, groups) == 1.0


def test_layers_that_are_copies_of_one_another_cost_nothing():
    """Whichever is chosen, the scores are the same."""
    X, y, groups = pairs(30, 6, strength=1.0)
    assert inflation_of(np.stack([X] * 5, axis=1), y, groups) == pytest.approx(1.0, abs=0.35)


def test_several_classes_and_several_kinds():
    X, y, groups = triplets(15, strength=0.7)
    noise = np.random.default_rng(1).normal(size=X.shape)
    for kind in ("ridge", "logistic"):
        assert 1.0 <= inflation_of(np.stack([X, noise], axis=1), y, groups, kind) < 10


def test_the_evaluation_multiplies_both_factors_and_repeats_with_its_seed():
    X, y, groups = pairs(30, 6, layers=6, strength=1.2)
    several = cross_validate(Probe("ridge"), X, y, groups=groups)
    assert several.variance_inflation > cross_validate(Probe("ridge"), X[:, -1], y, groups=groups).variance_inflation
    assert several.auroc == cross_validate(Probe("ridge"), X, y, groups=groups).auroc


def test_one_candidate_needs_no_draws():
    X, y, groups = pairs(6, 3)
    data = classification(X, y, groups=groups)
    alone = [Contest(0, None, np.arange(12))]
    assert choice_inflation(None, data, [], candidates(data, None), alone, X[:, 0], inflation=2.0, seed=0) == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("strength", [0.0, 1.0, 1.5, 2.0])
def test_a_weak_signal_at_one_of_several_layers_is_covered(strength):
    """With the choices taken as given about 0.85 of the intervals hold the procedure's mean."""
    ends = []
    for seed in range(200):
        X, y, groups = pairs(40, 16, layers=6, strength=strength, seed=seed)
        area = cross_validate(Probe("ridge"), X, y, groups=groups, seed=seed).auroc
        ends.append((area.value, area.low, area.high))
    value, low, high = np.array(ends).T
    assert np.mean((low <= value.mean()) & (value.mean() <= high)) >= 0.92
