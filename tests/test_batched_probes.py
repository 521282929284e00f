import numpy as np
import pytest
import torch
from planted import pairs, triplets

from empathy_geometry.evaluation.batched_probes import as_onehot, solvable, solve, solve_each
from empathy_geometry.evaluation.fold_geometry import FoldGeometry
from empathy_geometry.evaluation.fold_scores import standardise
from empathy_geometry.geometry.probes import Probe

PROBES = [
    Probe("ridge"),
    Probe("ridge", alpha=300.0, scale=False),
    Probe("lda"),
    Probe("lda", shrinkage=0.3),
    Probe("lda", shrinkage=1.0),
    Probe("mean_difference"),
    Probe("logistic"),
    Probe("logistic", C=0.01),
    Probe("logistic", C=100.0),
]


@pytest.mark.parametrize("d", [7, 80])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("probe", PROBES, ids=str)
def test_all_at_once_equals_one_by_one(probe, n_classes, d):
    X, y, _ = pairs(18, d) if n_classes == 2 else triplets(12, d)
    rng = np.random.default_rng(0)
    labels = np.stack([y, *(rng.permutation(y) for _ in range(3))])
    train, test = np.arange(6, 36), np.arange(6)
    geometry = FoldGeometry.from_rows(torch.tensor(X[train]), torch.tensor(X[test]), scale=probe.scale)
    found = solve(probe, geometry, as_onehot(torch.tensor(labels[:, train]), n_classes))
    for i, codes in enumerate(labels):
        fitted = Probe(**probe.get_params()).fit(X[train], codes[train])
        expected = standardise(fitted.decision_function(X[test]), fitted.decision_function(X[train]))
        assert np.allclose(found.standardised[i].numpy().T.squeeze(), expected, atol=1e-8)
        assert (found.predicted[i].numpy() == fitted.predict(X[test])).all()


@pytest.mark.parametrize("probe", PROBES[:1] + PROBES[2:3] + PROBES[6:7], ids=str)
def test_layers_at_once_equal_one_by_one(probe):
    X, y, _ = pairs(18, 40, layers=3)
    X[:, 1, 30:] = 0  # another rank
    onehot = as_onehot(torch.tensor(y[None, 6:]), 2)
    geometries = [FoldGeometry.from_rows(torch.tensor(X[6:, k]), torch.tensor(X[:6, k]), scale=True) for k in range(3)]
    for geometry, found in zip(geometries, solve_each(probe, geometries, onehot), strict=True):
        assert torch.allclose(found.standardised, solve(probe, geometry, onehot).standardised, atol=1e-8)


def test_loose_tolerance_changes_little():
    X, y, _ = pairs(30, 100)
    geometry = FoldGeometry.from_rows(torch.tensor(X[12:]), torch.tensor(X[:12]), scale=True)
    onehot = as_onehot(torch.tensor(y[None, 12:]), 2)
    tight = solve(Probe("logistic"), geometry, onehot).standardised
    loose = solve(Probe("logistic"), geometry, onehot, tolerance=3e-3).standardised
    assert 0 < (tight - loose).abs().max() < 0.02


def test_constant_rows_score_zero():
    rows = torch.ones(10, 4, dtype=torch.float64)
    geometry = FoldGeometry.from_rows(rows, rows[:2], scale=True)
    onehot = as_onehot(torch.tensor([[0, 1] * 5]), 2)
    for kind in ("ridge", "mean_difference", "logistic"):
        assert (solve(Probe(kind), geometry, onehot).standardised == 0).all()


def test_what_is_solvable():
    assert solvable(Probe("lda"), 20, 100)
    assert not solvable(Probe("lda", shrinkage=0.0), 20, 100)
    assert solvable(Probe("lda", shrinkage=0.0), 200, 10)
    assert not solvable(object(), 20, 10)


def test_a_missing_class_and_bad_parameters_are_refused():
    geometry = FoldGeometry.from_rows(torch.randn(6, 3).double(), torch.randn(2, 3).double(), scale=True)
    with pytest.raises(ValueError, match="lacks a class"):
        solve(Probe("ridge"), geometry, as_onehot(torch.tensor([[1] * 6]), 2))
    with pytest.raises(ValueError, match="alpha must be positive"):
        solve(Probe("ridge", alpha=-1.0), geometry, as_onehot(torch.tensor([[0, 1] * 3]), 2))
