"""Results in notebooks: every number that is printed is in the table, and text from outside cannot become markup."""

import numpy as np
import pytest
import torch
from small_result import small_bandwidth
from test_table import Cells

import empathy_geometry as eg


@pytest.fixture(scope="module")
def acts() -> eg.Activations:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(96, 2, 16))
    values[::2, 1, 0] += 3
    scenarios = np.repeat(np.arange(48), 2).astype(str)
    texts = eg.LabeledTexts(
        [f"text {i} <b>" for i in range(96)], ["warm", "plain"] * 48, scenarios, contexts=np.repeat(["a", "<i>"], 48)
    )
    return eg.Activations(torch.as_tensor(values), (3, 7), texts.labels, texts.groups, texts=texts)


def test_evaluation(acts: eg.Activations):
    found = eg.cross_validate(eg.Probe("ridge"), acts, positive="warm")
    table = Cells(found._repr_html_())
    shown = [row[0] for row in table.rows[1:]]
    shown.remove("accuracy of the largest class alone")  # a share without an interval, to read accuracy by
    assert shown == list(found.estimates())
    assert table.rows[1][1] == str(found.auroc)
    assert f"baseline {found.best_baseline}" in table.text


def test_permutation_test(acts: eg.Activations):
    found = eg.permutation_test(eg.Probe("ridge"), acts, positive="warm", n_permutations=19, seed=0)
    table = Cells(found._repr_html_())
    assert [row[0] for row in table.rows[1:]] == ["3", "7"]
    assert table.rows[2][1] == f"{found.layer_statistics[1]:.3f}"
    assert "p = 0.05" in table.text


def test_transfer_matrix(acts: eg.Activations):
    found = eg.transfer_matrix(eg.Probe("ridge"), acts, positive="warm", negative="plain")
    table = Cells(found._repr_html_())
    assert table.rows[0][1:] == ["a", "<i>"]
    assert table.rows[1][2] == str(found.auroc[0][1])
    assert str(found.ratio) in table.text


def test_dimensionality(acts: eg.Activations):
    found = eg.dimensionality.dimensionality_of_activations(acts, positive="warm", negative="plain", layer=7)
    table = Cells(found._repr_html_())
    assert table.rows[1][:3] == [
        "participation ratio",
        str(found.participation_ratio),
        str(found.null.participation_ratio),
    ]


def test_audit(acts: eg.Activations):
    found = eg.audit_texts(acts.texts)
    table = Cells(found._repr_html_())
    names = list(dict.fromkeys(c.name for c in found.checks))
    assert [row[0] for row in table.rows[1 : len(names) + 1]] == names
    assert found.verdict in table.text


def test_pitfall():
    found = eg.pitfalls.shared_baseline(n_draws=20)
    table = Cells(found._repr_html_())
    assert table.rows[0] == list(found.rows()[0])
    assert "(planted data)" in table.text


def test_bandwidth_and_its_sweep():
    found = small_bandwidth()
    table = Cells(found._repr_html_())
    assert [row[0] for row in table.rows[1 : len(found.findings) + 1]] == [f.claim for f in found.findings]
    assert found.heading in table.text
    sweep = found.concept.sweep
    table = Cells(sweep._repr_html_())
    assert [row[0] for row in table.rows[1:]] == [f"{alpha:g}" for alpha in sweep.alphas]
    assert table.rows[1][-1] == sweep.texts[0][0]


def test_erasure(acts: eg.Activations):
    other = np.where(np.arange(96) % 4 < 2, "x", "y")
    found = eg.evaluation.erasure(acts.layer(7).numpy(), acts.labels == "warm", other == "x", groups=acts.groups)
    table = Cells(found._repr_html_())
    assert table.rows[1] == ["nothing", str(found.target), str(found.concept)]
    assert len(table.rows) == 5
