"""Transfer is near 1 where contexts share a planted direction and near 0 where each has its own."""

import numpy as np
import pytest
import torch

import empathy_geometry as eg


def planted(shared: bool, seed: int = 0) -> eg.Activations:
    rng = np.random.default_rng(seed)
    n, d, contexts = 150, 30, ("home", "work", "road")
    values, labels, groups, where = [], [], [], []
    for c, context in enumerate(contexts):
        axis = np.eye(d)[0 if shared else c]
        for i in range(n):
            topic = rng.normal(size=d)
            for label, sign in (("p", 1.5), ("q", -1.5)):
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
    together = eg.transfer_matrix(probe, planted(True), positive="p", negative="q", n_resamples=100)
    apart = eg.transfer_matrix(probe, planted(False), positive="p", negative="q", n_resamples=100)
    assert together.ratio.low > 0.8
    assert apart.ratio.high < 0.4
    assert np.diag(apart.values).min() > 0.85
    assert abs(apart.values[~np.eye(3, dtype=bool)].mean() - 0.5) < 0.15


def test_off_diagonal_entries_equal_a_plain_fit_and_score():
    acts = planted(True)
    found = eg.transfer_matrix(eg.Probe("ridge"), acts, positive="p", negative="q", n_resamples=10)
    train, test = acts.where(context="home"), acts.where(context="road")
    probe = eg.Probe("ridge").fit(train.layer(3), train.labels == "p")
    expected = float(eg.auroc(probe.decision_function(test.layer(3)), test.labels == "p"))
    assert found.values[0, 2] == pytest.approx(expected, abs=1e-9)


def test_bad_input_is_named():
    acts = planted(True)
    with pytest.raises(ValueError, match="needs two contexts"):
        eg.transfer_matrix(eg.Probe(), acts.where(context="home"), positive="p", negative="q")
    bare = eg.Activations(acts.values, acts.layers, acts.labels, acts.groups)
    with pytest.raises(ValueError, match="have no context"):
        eg.transfer_matrix(eg.Probe(), bare, positive="p", negative="q")
