import json

import numpy as np
import pytest
import torch
from planted import constant_groups, pairs, triplets
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_permutation import Foreign

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.baselines import CHOSEN, text_baselines
from empathy_geometry.evaluation.cross_validation import cross_validate
from empathy_geometry.evaluation.fold_scores import standardise
from empathy_geometry.evaluation.metrics import accuracy, auroc, auroc_excess, balanced_accuracy, d_prime, forced_choice
from empathy_geometry.evaluation.text_features import BASELINES
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.splits import Fold, grouped_folds


def warm_and_cold(strength=4.0) -> Activations:
    X, y, groups = pairs(20, 10, strength=strength, layers=3)
    labels = np.where(y == 1, "warm", "cold")
    texts = LabeledTexts([f"{'oh' if k % 5 else 'well'} row {k // 4}" for k in range(40)], labels, groups)
    return Activations(
        torch.tensor(X),
        ("embed", 0, 1),
        labels,
        groups,
        texts=texts,
        token_embeddings=torch.tensor(X[:, 0]),
        token_ids=[[k % 7, k % 3] for k in range(40)],
    )


def test_out_of_fold_scores_equal_a_plain_loop_over_sklearn():
    X, y, groups = pairs(20, 30, strength=1.0)
    found = cross_validate(Probe("logistic"), X, y, groups=groups, seed=2)
    expected = np.zeros(40)
    for fold in grouped_folds(y, groups=groups, seed=2, content=X):
        plain = make_pipeline(StandardScaler(), LogisticRegression(solver="newton-cholesky", tol=1e-10))
        plain.fit(X[fold.train], y[fold.train])
        expected[fold.test] = standardise(plain.decision_function(X[fold.test]), plain.decision_function(X[fold.train]))
    assert np.allclose(found.scores, expected, atol=1e-6)
    assert found.auroc.value == pytest.approx(roc_auc_score(y, expected))
    assert found.auroc.value == auroc(found.scores, y).value


@pytest.mark.parametrize("kind", ["ridge", "lda", "logistic"])
@pytest.mark.parametrize("data", [pairs, triplets])
def test_nested_selection_equals_a_plain_loop(kind, data):
    X, y, groups = data(14, strength=0.8)
    X = np.stack([X[:, ::-1], X, X + np.random.default_rng(0).normal(size=X.shape)], axis=1)  # the first two tie
    fast = cross_validate(Probe(kind), X, y, groups=groups)
    slow = cross_validate(Foreign(kind), X, y, groups=groups)
    assert fast.chosen_layers == slow.chosen_layers
    assert np.allclose(fast.scores, slow.scores)


def test_activations_bring_everything():
    found = cross_validate(Probe("logistic"), warm_and_cold(), positive="warm", negative="cold")
    assert found.chosen_layers == (1,) * 5
    assert set(found.baselines) == {*BASELINES, CHOSEN}
    assert found.excess.low == min(e.low for e in found.excesses.values())
    assert found.excess.value == found.auroc.value - found.baselines[found.best_baseline].value
    assert found.groups_given
    assert found.classes == ("cold", "warm")
    assert found.forced_choice.n_groups == 20
    assert found.macro_auroc == found.auroc


def test_orientation_follows_positive():
    acts = warm_and_cold()
    warm, cold = (cross_validate(Probe("ridge"), acts, positive=p, layers=(1,)) for p in ("warm", "cold"))
    assert warm.auroc.value > 0.8
    assert np.allclose(warm.scores, -cold.scores)


def test_positions_and_grid_are_chosen_inside():
    X, y, groups = pairs(20, 6, strength=3.0)
    noise = np.random.default_rng(1).normal(size=X.shape)
    stacked = np.stack([noise, X], axis=1)[:, :, None]
    found = cross_validate(
        Probe("ridge"), stacked, y, groups=groups, grid={"alpha": [1e6, 1.0], "scale": [True, False]}
    )
    assert found.chosen_positions == (1,) * 5
    assert found.n_candidates == 8
    assert {p["alpha"] for p in found.chosen_params} <= {1e6, 1.0}


def test_multi_class():
    X, y, groups = triplets(20, strength=2.5)
    found = cross_validate(Probe("lda"), X, np.array(["x", "y", "z"])[y], groups=groups)
    assert found.scores.shape == (60, 3)
    assert found.d_prime is None
    assert found.auroc.value > 0.9
    assert found.accuracy.value > 0.7
    assert found.predicted[0] in ("x", "y", "z")


def test_noise_gives_one_half_after_selection_among_layers():
    values = []
    for seed in range(12):
        X, y, groups = pairs(20, 16, layers=12, seed=seed)
        values.append(float(cross_validate(Probe("ridge"), X, y, groups=groups, seed=seed).auroc))
    assert np.mean(values) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("data", [pairs, constant_groups])
def test_scores_of_noise_carry_no_label_leak(data):
    values = []
    for seed in range(40):
        X, y, groups = data(12, d=30, seed=seed)
        values.append(float(cross_validate(Probe("mean_difference"), X, y, groups=groups, seed=seed).auroc))
    assert np.mean(values) == pytest.approx(0.5, abs=0.05)


def test_given_folds_are_used_and_checked():
    X, y, groups = pairs(10)
    folds = [Fold(np.arange(10, 20), np.arange(10)), Fold(np.arange(10), np.arange(10, 20))]
    assert len(cross_validate(Probe("ridge"), X, y, groups=groups, folds=folds).folds) == 2
    crossing = [Fold(np.arange(9, 20), np.arange(9)), Fold(np.arange(9), np.arange(9, 20))]
    with pytest.raises(ValueError, match="training and test at once"):
        cross_validate(Probe("ridge"), X, y, groups=groups, folds=crossing)


def test_missing_groups_are_refused_and_none_is_recorded():
    X, y, _ = pairs(10)
    with pytest.raises(TypeError, match="groups=None by name"):
        cross_validate(Probe("ridge"), X, y)
    found = cross_validate(Probe("ridge"), X, y, groups=None)
    assert not found.groups_given
    assert "NO GROUPS" in str(found)
    assert any("groups=None" in note for note in found.notes)


def test_foreign_estimators_get_the_widest_interval():
    X, y, groups = pairs(15, strength=1.0)
    own, foreign = (cross_validate(p, X, y, groups=groups) for p in (Probe("ridge"), Foreign("ridge")))
    assert foreign.variance_inflation == 2.0
    assert 1.0 <= own.variance_inflation <= 2.0
    assert any("largest variance inflation" in note for note in foreign.notes)
    with pytest.raises(TypeError, match="decision_function"):
        cross_validate(StandardScaler(), X, y, groups=groups)


def test_constant_layers_and_one_class_folds_are_noted():
    X, y, groups = pairs(10, layers=2)
    X[:, 0] = 1.0
    assert any(
        "layer 0 is the same in every row" in n for n in cross_validate(Probe("ridge"), X, y, groups=groups).notes
    )
    X, y, groups = constant_groups(6, 2)
    folds = [Fold(np.setdiff1d(np.arange(12), rows), rows) for rows in np.arange(12).reshape(6, 2)]
    noted = cross_validate(Probe("ridge"), X, y, groups=groups, folds=folds).notes
    assert any("one class only" in n for n in noted)


def test_constant_activations_are_chance():
    found = cross_validate(Probe("logistic"), np.ones((20, 3)), [0, 1] * 10, groups=np.repeat(np.arange(10), 2))
    assert (found.auroc.value, found.auroc.low, found.d_prime) == (0.5, None, None)


def test_result_reads_and_exports():
    found = cross_validate(Probe("logistic"), warm_and_cold(), positive="warm")
    stored = json.loads(json.dumps(found.to_dict()))
    assert stored["auroc"]["value"] == found.auroc.value
    assert {"AUROC", "d'", "accuracy", "excess over words"} <= set(found.to_frame()["quantity"])
    for part in ("warm vs cold", "20 groups", "baseline tfidf", "baseline best_in_training"):
        assert part in str(found)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n_splits": 11}, "n_splits=10"),
        ({"inner_splits": 9}, "inner folds"),
        ({"grid": {"alpha": 1.0}}, "sequence of values"),
        ({"grid": {"alpha": []}}, "sequence of values"),
        ({"y": [1] * 20}, "two classes"),
        ({"texts": ["a"] * 3}, "one text for each"),
    ],
)
def test_bad_input_is_refused(changed, message):
    X, y, groups = pairs(10, layers=2)
    arguments = {"y": y, "groups": groups, **changed}
    with pytest.raises(ValueError, match=message):
        cross_validate(Probe("ridge"), X, **arguments)


def test_nan_is_refused():
    X, y, groups = pairs(10)
    X[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"1 of 20 rows \(first: row 3\)"):
        cross_validate(Probe("ridge"), X, y, groups=groups)


def test_every_interval_counts_the_shared_training_rows():
    """Of noise in many dimensions the variance nearly doubles; each estimate must be told, the baselines' their own."""
    X, y, _ = pairs(20, 60, strength=0.5)
    texts = [f"{('oh', 'well', 'so')[k % 3]} row{k % 7} {'a' * (k % 5)}" for k in range(40)]
    found = cross_validate(Probe("ridge"), X, y, groups=np.repeat(np.arange(20), 2), texts=texts)
    groups = found.groups
    words = text_baselines(texts, y, groups=groups, folds=found.folds)
    inflation, theirs = found.variance_inflation, {name: b.inflation for name, b in words.items()}
    assert inflation > 1.2
    assert max(theirs.values()) > 1.05
    options = {"groups": groups, "inflation": inflation}
    expected = {
        "auroc": auroc(found.scores, y, **options),
        "macro_auroc": auroc(found.scores, y, **options),
        "d_prime": d_prime(found.scores, y, **options),
        "accuracy": accuracy(found.predicted, found.labels, **options),
        "forced_choice": forced_choice(found.scores, y, **options),
    }
    for name, estimate in expected.items():
        assert getattr(found, name) == estimate, name
    for name, b in words.items():
        assert found.baselines[name] == auroc(b.scores, y, groups=groups, inflation=b.inflation), name
    excesses = auroc_excess(
        found.scores, {name: b.scores for name, b in words.items()}, y, **options, baseline_inflation=theirs
    )
    assert found.excesses == excesses


def test_accuracy_stands_beside_what_the_largest_class_alone_would_have():
    """Noise with one positive in five: accuracy is high, balanced accuracy is not."""
    rng = np.random.default_rng(0)
    y = (np.arange(120) % 5 == 0).astype(int)
    found = cross_validate(Probe("logistic", C=100.0), rng.normal(size=(120, 20)), y, groups=np.arange(120))
    assert found.majority_share == 0.8
    assert float(found.accuracy) > 0.6
    assert found.balanced_accuracy.low < 0.5 < found.balanced_accuracy.high
    assert float(found.balanced_accuracy) == pytest.approx(balanced_accuracy_score(found.labels, found.predicted))
    assert "accuracy of the largest class alone" in str(found)
    assert "balanced accuracy" in found.estimates()


def test_balanced_accuracy_covers_where_classes_differ_in_size():
    hits = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        y, groups = (np.arange(60) % 4 == 0).astype(int), np.repeat(np.arange(30), 2)
        right = rng.normal(size=60) * np.sqrt(0.6) + (np.sqrt(0.4) * rng.normal(size=30))[groups] < norm.ppf(0.7)
        found = balanced_accuracy(np.where(right, y, 1 - y), y, groups=groups)
        hits += found.low <= 0.7 <= found.high
    assert 0.92 <= hits / 300 <= 0.99
    same = np.tile([0, 1], 30)
    guess = np.where(rng.uniform(size=60) < 0.7, same, 1 - same)
    assert balanced_accuracy(guess, same, groups=groups).low == pytest.approx(accuracy(guess, same, groups=groups).low)
