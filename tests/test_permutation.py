import numpy as np
import pytest
import torch
from planted import constant_groups, pairs, triplets
from scipy.stats import chisquare
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import roc_auc_score

from empathy_geometry.evaluation.cross_validation import cross_validate
from empathy_geometry.evaluation.fold_scores import standardise
from empathy_geometry.evaluation.label_permutations import label_permutations
from empathy_geometry.evaluation.permutation import _draw, permutation_test
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.texts.content_order import content_order
from empathy_geometry.texts.splits import Fold, grouped_folds


class Foreign(ClassifierMixin, BaseEstimator):
    """A `Probe` that the batched solvers do not recognise."""

    def __init__(self, kind="ridge"):
        self.kind = kind

    def fit(self, X, y):
        self.fitted_ = Probe(self.kind).fit(X, y)
        self.classes_ = self.fitted_.classes_
        return self

    def decision_function(self, X):
        return self.fitted_.decision_function(X)

    def predict(self, X):
        return self.fitted_.predict(X)


@pytest.mark.parametrize("kind", ["ridge", "lda", "mean_difference", "logistic"])
@pytest.mark.parametrize("data", [pairs, constant_groups])
def test_null_distribution_equals_a_loop_over_fits(kind, data):
    X, y, groups = data(20, d=60)
    found = permutation_test(Probe(kind), X, y, groups=groups, n_permutations=15, seed=3)
    ordered = content_order(groups, [X])
    allowed = label_permutations(y, groups=ordered.groups, order=ordered.rows)
    labels = allowed.draw(15, generator=np.random.default_rng(3))
    folds = grouped_folds(y, groups=groups, seed=3, content=X)
    for permuted, value in zip([y, *labels], [found.statistic, *found.null_distribution], strict=True):
        scores = np.zeros(len(y))
        for fold in folds:
            fitted = Probe(kind).fit(X[fold.train], permuted[fold.train])
            scores[fold.test] = standardise(
                fitted.decision_function(X[fold.test]), fitted.decision_function(X[fold.train])
            )
        tolerance = 6e-3 if kind == "logistic" else 1e-9
        assert value == pytest.approx(roc_auc_score(permuted, scores), abs=tolerance)


@pytest.mark.parametrize("statistic", ["auroc", "accuracy", "d_prime"])
@pytest.mark.parametrize("data", [pairs, triplets])
def test_batched_equals_one_by_one(statistic, data):
    if data is triplets and statistic == "d_prime":
        statistic = "macro_auroc"
    X, y, groups = data(15)
    arguments = {"groups": groups, "n_permutations": 12, "seed": 0, "statistic": statistic}
    fast, slow = permutation_test(Probe("lda"), X, y, **arguments), permutation_test(Foreign("lda"), X, y, **arguments)
    assert (fast.solver, slow.solver) == ("batched", "one by one")
    assert np.allclose(fast.null_distribution, slow.null_distribution, atol=1e-9)
    assert fast.pvalue == slow.pvalue


def test_statistic_is_that_of_cross_validate():
    X, y, groups = pairs(strength=1.0)
    test = permutation_test(Probe("ridge"), X, y, groups=groups, n_permutations=5, seed=4)
    assert test.statistic == pytest.approx(float(cross_validate(Probe("ridge"), X, y, groups=groups, seed=4).auroc))


@pytest.mark.parametrize("kind", ["ridge", "logistic"])
def test_chunks_do_not_change_the_result(kind):
    X, y, groups = pairs(layers=3)
    whole = permutation_test(Probe(kind), X, y, groups=groups, n_permutations=100, seed=1)
    for size in (1, 17, 1000):
        part = permutation_test(Probe(kind), X, y, groups=groups, n_permutations=100, seed=1, chunk_size=size)
        assert (part.null_distribution == whole.null_distribution).all()


def test_planted_layer_is_found_and_noise_is_not():
    X, y, groups = pairs(strength=3.0, layers=4)
    found = permutation_test(Probe("logistic"), X, y, groups=groups, n_permutations=199, seed=0)
    assert (found.layer, found.pvalue) == (3, 1 / 200)
    assert found.significant_layers() == (3,)
    assert found.statistic > found.critical_value() > found.null_distribution.mean()
    assert found.layer_pvalues[:3].min() > 0.05


def test_max_t_pays_for_the_number_of_layers():
    X, y, groups = pairs(layers=6)
    found = permutation_test(Probe("ridge"), X, y, groups=groups, n_permutations=99, seed=0)
    assert (found.null_distribution == found.layer_null.max(axis=0)).all()
    uncorrected = (1 + (found.layer_null >= found.layer_statistics[:, None]).sum(axis=1)) / 100
    assert (found.layer_pvalues >= uncorrected).all()


def test_few_permutations_are_said():
    X, y, groups = pairs(5)
    found = permutation_test(Probe("ridge"), X, y, groups=groups, n_permutations=50, seed=0)
    assert found.n_distinct == pytest.approx(32)
    assert "allows 32 permutations" in str(found)


def test_result_reads_and_exports():
    X, y, groups = pairs(layers=2)
    found = permutation_test(Probe("ridge"), X, y, groups=groups, n_permutations=20, seed=0)
    assert found.to_dict()["layer_pvalues"] == found.layer_pvalues.tolist()
    assert len(found.to_frame()) == 2
    assert "largest of 2 layers" in str(found)
    ungrouped = permutation_test(Probe("ridge"), X, y, groups=None, n_permutations=20, seed=0)
    assert not ungrouped.groups_given
    assert "NO GROUPS" in str(ungrouped)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_equals_cpu():
    X, y, groups = pairs()
    cpu, gpu = (
        permutation_test(Probe("ridge"), X, y, groups=groups, n_permutations=50, seed=0, device=d)
        for d in ("cpu", "cuda")
    )
    assert np.allclose(cpu.null_distribution, gpu.null_distribution, atol=1e-9)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"groups": "missing"}, TypeError, "groups=None by name"),
        ({"n_permutations": 0}, ValueError, "at least 1"),
        ({"chunk_size": 0}, ValueError, "chunk_size"),
        ({"statistic": "f1"}, ValueError, "statistic must be one of"),
        ({"seed": None}, TypeError, "try seed=0"),
        ({"scheme": "between"}, ValueError, "one class per group"),
    ],
)
def test_bad_input_is_refused(changed, error, message):
    X, y, groups = pairs(6)
    arguments = {"groups": groups, "seed": 0, "n_permutations": 5, **changed}
    if isinstance(arguments["groups"], str):
        del arguments["groups"]
    with pytest.raises(error, match=message):
        permutation_test(Probe("ridge"), X, y, **arguments)


def test_a_rare_class_is_tested_and_not_refused():
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X, y = rng.normal(size=(44, 6)), np.zeros(44, dtype=int)
        y[rng.choice(44, 4, replace=False)] = 1
        X[y == 1, 0] += 9
        found = permutation_test(Probe("ridge"), X, y, groups=np.arange(44), n_permutations=99, seed=seed)
        assert found.statistic == 1
        assert found.pvalue <= 0.05
        assert len(found.null_distribution) == 99


def test_label_vectors_that_leave_a_training_part_without_a_class_are_drawn_again_and_the_rest_stay_equally_likely():
    """Six groups of two classes, 2 and 4; two folds of three: 15 arrangements, of which 9 keep both in each fold."""
    y = np.array([0, 0, 1, 1, 1, 1])
    folds = [Fold(np.array([1, 3, 5]), np.array([0, 2, 4])), Fold(np.array([0, 2, 4]), np.array([1, 3, 5]))]
    allowed = label_permutations(y, groups=np.arange(6))
    drawn = _draw(allowed, 9000, folds, 2, np.random.default_rng(0))
    assert drawn.shape == (9000, 6)
    assert all(len(np.unique(drawn[:, f.train], axis=0)) == 3 for f in folds)  # one of three is 0 in each part
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(counts) == 9
    assert chisquare(counts).pvalue > 1e-3


def test_a_design_in_which_hardly_any_permutation_can_be_fitted_is_refused_and_says_what_to_try():
    """Three positives of 400, and a training part of two rows, one of them positive."""
    y, rest = np.zeros(400, dtype=int), np.setdiff1d(np.arange(400), [0, 3])
    y[:3] = 1
    folds = [Fold(np.array([0, 3]), rest), Fold(rest, np.array([0, 3]))]
    X = np.random.default_rng(0).normal(size=(400, 4))
    with pytest.raises(ValueError, match="use more folds"):
        permutation_test(Probe("ridge"), X, y, groups=np.arange(400), seed=0, folds=folds)


def test_p_of_each_layer_counts_the_largest_over_layers():
    X, y, groups = pairs(12, strength=0.6, layers=6)
    found = permutation_test(Probe("ridge"), X, y, groups=groups, n_permutations=99, seed=0)
    for k, statistic in enumerate(found.layer_statistics):
        largest = [max(found.layer_null[:, m]) for m in range(99)]
        assert found.layer_pvalues[k] == (1 + sum(value >= statistic - 1e-9 for value in largest)) / 100
    assert found.pvalue == found.layer_pvalues.min()
    # Six layers of noise and one look: p of the best one alone would be far smaller.
    alone = (1 + (found.layer_null >= found.layer_statistics[:, None]).sum(axis=1)) / 100
    assert found.layer_pvalues.sum() > 1.5 * alone.sum()


def test_permutations_that_reach_the_statistic_count():
    """Of 16 arrangements of four pairs, the true one and its mirror image are read without error."""
    _, y, groups = pairs(4)
    X = np.where(y == 1, 1.0, -1.0)[:, None] + np.zeros((8, 3))
    for statistic in ("auroc", "accuracy"):
        found = permutation_test(
            Probe("mean_difference"), X, y, groups=groups, n_permutations=400, seed=0, statistic=statistic, n_splits=4
        )
        assert found.statistic == 1
        assert (found.null_distribution >= 1 - 1e-9).sum() > 20
        assert found.pvalue == pytest.approx(2 / 16, abs=0.06)
