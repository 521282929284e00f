"""Folds, estimates, intervals and p-values depend on neither the names of groups nor the order of rows."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.control_task import selectivity
from empathy_geometry.evaluation.covariates import residualise
from empathy_geometry.evaluation.cross_validation import cross_validate
from empathy_geometry.evaluation.erasing import erasure
from empathy_geometry.evaluation.permutation import permutation_test
from empathy_geometry.evaluation.transfer import transfer_matrix
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.geometry.regression_probe import RegressionProbe
from empathy_geometry.sae.agreement import sae_agreement
from empathy_geometry.sae.autoencoder import SparseAutoencoder
from empathy_geometry.sae.design import AgreementDesign
from empathy_geometry.similarity.mahalanobis import crossnobis
from empathy_geometry.studies.layer_profile import layer_profile
from empathy_geometry.texts.content_order import content_order
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.splits import grouped_folds

N_GROUPS = 16
Numbers = list[float | None]


def ends(*estimates: Estimate | None) -> Numbers:
    return [x for e in estimates for x in (() if e is None else (e.value, e.low, e.high))]


def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    y, groups = np.tile([0, 1, 0, 1], N_GROUPS), np.repeat(np.arange(N_GROUPS), 4)
    X = rng.normal(size=(len(y), 2, 6)) + rng.normal(size=(N_GROUPS, 1, 6))[groups]
    X[:, 1, 0] += 0.8 * y
    X[:, 0, 1] += 0.7 * y
    return X, y, groups


def of_cross_validation(X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Numbers:
    found = cross_validate(Probe("ridge"), X, y, groups=groups)
    return ends(found.auroc, found.d_prime, found.accuracy)


def of_texts(X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Numbers:
    # One text a row, the same for the same row wherever it stands.
    texts = [f"{'warm' if x > 0.5 else 'cold'} {abs(x):.6f}" for x in X[:, 0, 0]]
    found = cross_validate(Probe("lda"), X, y, groups=groups, texts=texts)
    return ends(found.auroc, found.excess, *found.baselines.values())


def of_permutations(X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Numbers:
    found = permutation_test(Probe("ridge"), X, y, groups=groups, n_permutations=99, progress=False)
    return [found.statistic, found.pvalue, *found.layer_pvalues]


def of_constant_permutations(X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Numbers:
    # One class a scenario, whichever name it has: scenarios exchange their labels.
    high = np.array([X[groups == g].sum() for g in groups]) > 0
    found = permutation_test(Probe("ridge"), X, high, groups=groups, n_permutations=99, progress=False)
    assert found.scheme == "between"
    return [found.statistic, found.pvalue]


def of_transfer(X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Numbers:
    first = np.array([X[groups == g].min() for g in groups])
    context = np.where(first > np.median(first), "home", "away")
    labels = np.where(y == 1, "p", "n")
    texts = LabeledTexts([f"{x!r}" for x in X[:, 0, 0]], labels, groups, contexts=context)
    acts = Activations(torch.from_numpy(X), (0, 1), labels, groups, texts=texts)
    found = transfer_matrix(Probe("ridge"), acts, positive="p", negative="n", n_splits=3)
    at = [found.names.index(name) for name in ("away", "home")]
    return ends(found.ratio, *(found.auroc[i][j] for i in at for j in at))


def of_selectivity(X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Numbers:
    types = (np.abs(X[:, 0, 2]) * 4).astype(int)
    return ends(selectivity(Probe("ridge"), X[:, 1], y, groups=groups, types=types, n_controls=5).selectivity)


def of_residuals(X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Numbers:
    found = residualise(X[:, 1, :4], y, X[:, 1, 4] + y, groups=groups)
    return ends(found.before, found.after, found.surviving)


def of_erasure(X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Numbers:
    return ends(erasure(X[:, 1], y, X[:, 0, 1] > 0, groups=groups).target_without_concept)


def of_graded(X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Numbers:
    target = y + X[:, 0, 5]
    found = cross_validate(RegressionProbe(), X, target, groups=groups)
    test = permutation_test(RegressionProbe(), X, target, groups=groups, n_permutations=49, progress=False)
    return [*ends(found.spearman, found.kendall), test.pvalue]


def of_layers(X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Numbers:
    return ends(*layer_profile(Probe("ridge"), X, y, groups=groups).estimates)


def of_crossnobis(X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Numbers:
    return ends(crossnobis(X[:, 1], y, groups=groups))


def of_features(X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Numbers:
    rng = np.random.default_rng(2)
    decoder = rng.normal(size=(12, 6))
    decoder /= np.linalg.norm(decoder, axis=1, keepdims=True)
    weights = torch.from_numpy(decoder).float()
    sae = SparseAutoencoder(weights, lambda x: (x @ weights.T).relu(), lambda f: f @ weights)
    labels = np.where(y == 1, "p", "n")
    acts = Activations.from_arrays(X[:, 1:], labels, groups, layers=[1])
    design = AgreementDesign(ks=(1, 4), n_draws=5)
    found = sae_agreement(sae, acts, positive="p", negative="n", layer=1, design=design, progress=False)
    return ends(*(e.auroc for e in found.probing.sparse.values()), found.probing.dense.auroc)


ESTIMATORS = [
    of_cross_validation,
    of_texts,
    of_permutations,
    of_constant_permutations,
    of_transfer,
    of_selectivity,
    of_residuals,
    of_erasure,
    of_graded,
    of_layers,
    of_crossnobis,
    of_features,
]


@pytest.mark.parametrize("measure", ESTIMATORS, ids=lambda f: f.__name__)
def test_names_and_order_do_not_decide(measure: Callable[..., Numbers]) -> None:
    X, y, groups = rows()
    expected = measure(X, y, groups)
    rng = np.random.default_rng(3)
    order, names = rng.permutation(len(y)), np.array([f"name {i}" for i in rng.permutation(N_GROUPS)])
    found = measure(X[order], y[order], names[groups][order])
    assert found == pytest.approx(expected, abs=1e-7)


def test_dealing_by_names_does_decide() -> None:
    """The control: what the names would do if they dealt the folds."""
    X, y, groups = rows()
    rng, areas = np.random.default_rng(3), set()
    for _ in range(4):
        names = rng.permutation(N_GROUPS)[groups]
        folds = grouped_folds(y, groups=names)
        areas.add(round(cross_validate(Probe("ridge"), X, y, groups=names, folds=folds).auroc.value, 6))
    assert len(areas) > 1


@given(seed=st.integers(0, 10**6), n_groups=st.integers(2, 12), alike=st.booleans())
def test_an_order_of_contents(seed: int, n_groups: int, alike: bool) -> None:
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), rng.integers(1, 4, size=n_groups))
    # One-hot rows are all equally far from the mean or nearly so, and many are the same.
    X = np.eye(4)[rng.integers(4, size=len(groups))] if alike else rng.normal(size=(len(groups), 3))
    first = content_order(groups, [X])
    order, names = rng.permutation(len(groups)), rng.permutation(n_groups)
    second = content_order(names[groups][order], [X[order]])
    assert np.array_equal(X[first.rows], X[order][second.rows])
    assert np.array_equal(first.groups[first.rows], second.groups[second.rows])
    for g in range(n_groups):
        same = {int(k) for k in first.groups[groups == g]}
        assert len(same) == 1


def test_rotation_and_unit_leave_the_order() -> None:
    rng = np.random.default_rng(0)
    X, groups = rng.normal(size=(60, 5)), np.repeat(np.arange(20), 3)
    turned = 7.0 * (X @ np.linalg.qr(rng.normal(size=(5, 5)))[0])
    assert np.array_equal(content_order(groups, [X]).groups, content_order(groups, [turned]).groups)


def test_texts_come_first_so_that_layers_share_folds() -> None:
    X, y, groups = rows()
    texts = [f"text {i}" for i in range(len(y))]
    first, second = (cross_validate(Probe("ridge"), X[:, k], y, groups=groups, texts=texts).folds for k in (0, 1))
    assert all(np.array_equal(a.test, b.test) for a, b in zip(first, second, strict=True))


def test_labels_do_not_decide() -> None:
    """Folds are the same in all permutations, so the labels that are permuted must not have dealt them."""
    X, y, groups = rows()
    swapped = cross_validate(Probe("ridge"), X, 1 - y, groups=groups)
    assert np.array_equal(cross_validate(Probe("ridge"), X, y, groups=groups).groups, swapped.groups)


def test_content_of_another_length() -> None:
    with pytest.raises(ValueError, match="one entry for each of 4 rows"):
        grouped_folds([0, 1, 0, 1], groups=["a", "a", "b", "b"], n_splits=2, content=np.zeros((3, 2)))
