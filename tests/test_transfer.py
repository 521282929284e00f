"""Transfer is near 1 where contexts share a planted direction and near 0 where each has its own."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

import empathy_geometry as eg
from empathy_geometry.evaluation import transfer_ratio as ratio_module


def planted(shared: bool, seed: int = 0, *, n: int = 150, d: int = 30, size: float = 1.5) -> eg.Activations:
    rng = np.random.default_rng([seed, 81])
    contexts = ("home", "work", "road")
    values, labels, groups, where = [], [], [], []
    for c, context in enumerate(contexts):
        axis = np.eye(d)[0 if shared else c]
        for i in range(n):
            topic = rng.normal(size=d)
            for label, sign in (("p", size), ("q", -size)):
                values.append(topic + sign * axis + 0.5 * rng.normal(size=d))
                labels.append(label)
                groups.append(f"{context}-{i}")
                where.append(context)
    texts = eg.LabeledTexts([f"t {i}" for i in range(len(values))], labels, groups, contexts=where)
    return eg.Activations(
        torch.as_tensor(np.array(values), dtype=torch.float32)[:, None], (3,), labels, groups, texts=texts
    )


def test_a_shared_direction_transfers_and_separate_ones_do_not():
    probe = eg.Probe("ridge")
    together = eg.transfer_matrix(probe, planted(True), positive="p", negative="q")
    apart = eg.transfer_matrix(probe, planted(False), positive="p", negative="q")
    assert together.ratio.low > 0.8
    assert apart.ratio.high < 0.4
    assert np.diag(apart.values).min() > 0.85
    assert abs(apart.values[~np.eye(3, dtype=bool)].mean() - 0.5) < 0.15


def test_off_diagonal_entries_equal_a_plain_fit_and_score():
    acts = planted(True)
    found = eg.transfer_matrix(eg.Probe("ridge"), acts, positive="p", negative="q")
    train, test = acts.where(context="home"), acts.where(context="road")
    probe = eg.Probe("ridge").fit(train.layer(3), train.labels == "p")
    expected = float(eg.auroc(probe.decision_function(test.layer(3)), test.labels == "p"))
    assert found.values[0, 2] == pytest.approx(expected, abs=1e-9)


def test_the_diagonal_has_the_interval_of_cross_validation_on_the_same_rows():
    acts = planted(True, n=40, size=0.4)
    found = eg.transfer_matrix(eg.Probe("ridge"), acts, positive="p", negative="q")
    for i, name in enumerate(found.names):
        own = acts[np.flatnonzero(acts.texts.contexts == name)]
        alone = eg.cross_validate(eg.Probe("ridge"), own, positive="p", negative="q")
        assert alone.variance_inflation > 1.1
        assert found.auroc[i][i].low == pytest.approx(alone.auroc.low)
        assert found.auroc[i][i].high == pytest.approx(alone.auroc.high)


def test_bad_input_is_named():
    acts = planted(True)
    with pytest.raises(ValueError, match="needs two contexts"):
        eg.transfer_matrix(eg.Probe(), acts.where(context="home"), positive="p", negative="q")
    bare = eg.Activations(acts.values, acts.layers, acts.labels, acts.groups)
    with pytest.raises(ValueError, match="have no context"):
        eg.transfer_matrix(eg.Probe(), bare, positive="p", negative="q")


@pytest.mark.parametrize(("shared", "truth", "widest"), [(False, 0.0, 6.0), (True, 1.0, 9.0)])
def test_the_interval_of_the_ratio_covers_as_often_as_it_says(shared, truth, widest):
    """Resampling test scenarios under fixed probes covers 0.5 to 0.9 here; 60 draws at 0.95 miss more than 8 rarely."""
    found = [
        eg.transfer_matrix(
            eg.Probe("ridge"), planted(shared, seed, n=15, d=20, size=0.75), positive="p", negative="q"
        ).ratio
        for seed in range(60)
    ]
    assert sum(e.low <= truth <= e.high for e in found) >= 52
    assert abs(np.median([e.value for e in found]) - truth) < 0.15
    # Exact would be 3.9 standard deviations; it is wider where pairs of scenarios are most of the error.
    assert np.median([e.high - e.low for e in found]) < widest * np.std([e.value for e in found])


def test_probes_of_equally_many_scenarios_are_compared():
    """Few scenarios in many dimensions: a quarter more of them is worth a good deal, and is not transfer."""
    cells, ratios = [], []
    for seed in range(40):
        acts = planted(True, seed, n=12, d=200, size=1.5)
        found = eg.transfer_matrix(eg.Probe("mean_difference", scale=False), acts, positive="p", negative="q")
        excess = found.values - 0.5
        cells.append(3 * excess[~np.eye(3, dtype=bool)].mean() / np.trace(excess))
        ratios.append(found.ratio.value)
    assert np.mean(cells) - np.mean(ratios) > 0.03
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.03)


def test_leaving_out_agrees_with_fitting_again(monkeypatch):
    acts = planted(False, n=20)
    quick = eg.transfer_matrix(eg.Probe("ridge", scale=False), acts, positive="p", negative="q").ratio
    monkeypatch.setattr(ratio_module, "left_out_scores", lambda *arguments: None)
    again = eg.transfer_matrix(eg.Probe("ridge", scale=False), acts, positive="p", negative="q").ratio
    assert (again.low, again.value, again.high) == pytest.approx((quick.low, quick.value, quick.high), abs=1e-9)


def test_any_classifier_and_scenarios_of_one_text():
    acts = planted(True, n=20, d=10)
    alone = eg.Activations(
        acts.values,
        acts.layers,
        acts.labels,
        [f"row {i}" for i in range(len(acts.labels))],
        texts=eg.LabeledTexts(
            acts.texts.texts, acts.labels, [f"row {i}" for i in range(len(acts.labels))], contexts=acts.texts.contexts
        ),
    )
    for rows in (acts, alone):
        ratio = eg.transfer_matrix(LogisticRegression(), rows, positive="p", negative="q").ratio
        assert ratio.low < 1 < ratio.high
        assert ratio.high - ratio.low < 0.6
        assert ratio.n_groups == len(set(rows.groups))


def test_a_perfect_transfer_has_an_interval_and_no_signal_has_no_ratio():
    perfect = eg.transfer_matrix(eg.Probe("ridge"), planted(True, n=12, d=5, size=30.0), positive="p", negative="q")
    assert perfect.ratio.value == pytest.approx(1.0)
    assert 0.5 < perfect.ratio.low < 1 < perfect.ratio.high < 2
    unread = [planted(True, seed, n=12, d=5, size=0.0) for seed in range(6)]
    below = [acts for acts in unread if _below_chance(acts)]
    assert below
    for acts in below:
        with pytest.raises(ValueError, match="not above chance within the contexts"):
            eg.transfer_matrix(eg.Probe("ridge"), acts, positive="p", negative="q")


def _below_chance(acts: eg.Activations) -> bool:
    """Clearly, in every context, by the cross-validation of the library."""
    found = [
        eg.cross_validate(eg.Probe("ridge"), acts.where(context=name), positive="p", negative="q").auroc.value
        for name in ("home", "work", "road")
    ]
    return bool(np.mean(found) < 0.45)
