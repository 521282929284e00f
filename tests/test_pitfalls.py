import json
import sys

import numpy as np
import pytest
import torch

from empathy_geometry import pitfalls
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.texts.labeled_texts import LabeledTexts

QUICK = {
    "simplex_floor": {"n_draws": 3},
    "in_sample_d_prime": {"n_draws": 8},
    "first_word_beats_probe": {},
    "variance_count_follows_n": {"n_draws": 2},
    "ungrouped_folds": {"n_draws": 2},
    "same_layer_tautology": {},
    "shared_baseline": {"n_draws": 200},
    "best_of_layers": {"n_permutations": 200, "n_nested": 4},
}


@pytest.fixture(scope="module")
def planted():
    return {name: getattr(pitfalls, name)(**arguments) for name, arguments in QUICK.items()}


def activations(*, provenance=None):
    """Three classes and a neutral one in each of 30 scenarios, three layers, with texts."""
    rng = np.random.default_rng(0)
    labels, groups = np.tile(["a", "b", "c", "n"], 30), np.repeat([f"s{i}" for i in range(30)], 4)
    shifts = {"a": 0, "b": 1, "c": 2}
    values = rng.standard_normal((120, 3, 32)) + rng.standard_normal((30, 3, 32)).repeat(4, axis=0)
    for i, label in enumerate(labels):
        if label in shifts:
            values[i, :, shifts[label]] += 4
    texts = LabeledTexts([f"{label} {i} words" for i, label in enumerate(labels)], labels, groups)
    return Activations(
        torch.as_tensor(values, dtype=torch.float32), (0, 1, 2), labels, groups, texts=texts, provenance=provenance
    )


@pytest.mark.parametrize("name", QUICK)
def test_each_prints_saves_and_draws(planted, name):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    demo = planted[name]
    assert demo.provenance.kind == "planted"
    assert "(planted data)" in str(demo)
    assert " ".join(demo.lesson.split()) in " ".join(str(demo).split())
    json.dumps(demo.to_dict(), allow_nan=False)
    assert len(demo.to_frame()) == len(demo.rows())
    _, given = plt.subplots()
    assert demo.plot(given) is given
    assert demo.plot().get_xlabel() or demo.plot().get_ylabel()
    plt.close("all")


def test_simplex_floor_reversal_and_the_quantity_that_follows_the_angle(planted):
    demo = planted["simplex_floor"]
    for floor in demo.floors:
        assert floor.null == pytest.approx(floor.bound, abs=0.03)
    ab = [p for p in demo.pairs if p.pair == ("a", "b")]
    ac = [p for p in demo.pairs if p.pair == ("a", "c")]
    # The closer pair looks more opposed than the far one, at every angle.
    assert all(near.one_vs_rest < far.one_vs_rest - 0.1 for near, far in zip(ab[2:], ac[2:], strict=True))
    assert ab[-1].truth == 0.9
    assert ab[-1].one_vs_rest < -0.5
    for pair in demo.pairs:
        assert pair.disattenuated.value == pytest.approx(pair.truth, abs=0.15)
    distances = [p.distance.value for p in ab]
    assert distances == sorted(distances, reverse=True)


def test_in_sample_d_prime_follows_its_formula_and_held_out_is_zero(planted):
    demo = planted["in_sample_d_prime"]
    assert np.allclose(demo.in_sample, demo.predicted, rtol=0.25)
    assert np.max(np.abs(demo.held_out)) < 0.4


def test_the_first_word_wins_and_layer_one_is_an_artefact(planted):
    demo = planted["first_word_beats_probe"]
    assert demo.baselines["first_word"].value == 1.0
    assert demo.constant == ("embed",)
    assert demo.last[0].value == 0.5
    assert demo.last[1].low > 0.5
    assert demo.pooled[0].low > 0.5
    assert max(e.value for e in demo.last) < 1.0


def test_variance_count_follows_n_and_the_ratio_does_not(planted):
    r = planted["variance_count_follows_n"].rarefaction
    assert planted["variance_count_follows_n"].true_k90 == 902
    assert r.at(50)["k90"] == pytest.approx(38, abs=2)
    assert r.at(250)["k90"] == pytest.approx(153, abs=5)
    assert r.at(50)["participation_ratio"] == pytest.approx(r.at(500)["participation_ratio"], rel=0.15)


def test_leaks_move_chance_both_ways(planted):
    demo = planted["ungrouped_folds"]
    assert demo.wrong[0].mean() < 0.2
    assert demo.wrong[1].mean() > 0.9
    assert demo.wrong[2].mean() < 0.05
    assert abs(demo.right[0].mean() - 0.5) < 0.2
    assert abs(demo.right[1].mean() - 0.5) < 0.25
    assert demo.right[2].mean() == 0.5


def test_every_direction_moves_its_own_probe_but_only_one_the_output(planted):
    demo = planted["same_layer_tautology"]
    assert np.allclose(demo.random_probe, demo.alpha)
    assert demo.concept_probe == pytest.approx(demo.alpha)
    assert demo.pvalue < 0.01
    assert abs(demo.random_output.mean()) < 0.2


def test_a_shared_baseline_gives_one_half(planted):
    demo = planted["shared_baseline"]
    assert demo.shared.mean() == pytest.approx(0.5, abs=0.02)
    assert demo.disjoint.mean() == pytest.approx(0.0, abs=0.02)


def test_best_of_layers_has_a_high_null(planted):
    demo = planted["best_of_layers"]
    assert demo.n == 30
    assert demo.n_layers == 33
    assert demo.best.mean() == pytest.approx(0.78, abs=0.03)
    assert np.quantile(demo.best, 0.95) == pytest.approx(0.89, abs=0.03)
    assert demo.single.mean() == pytest.approx(0.5, abs=0.02)


def test_measured_activations_are_labelled_so():
    acts = activations(provenance=Provenance("measured", model={"name": "tiny"}))
    demos = [
        pitfalls.simplex_floor(acts, neutral="n", n_draws=2),
        pitfalls.in_sample_d_prime(acts, layer=1, n_draws=2),
        pitfalls.first_word_beats_probe(acts, positive="a", negative="n"),
        pitfalls.variance_count_follows_n(acts, positive="a", negative="n", layer=0, n_draws=2),
        pitfalls.ungrouped_folds(acts, positive="a", negative="n", n_draws=1),
        pitfalls.best_of_layers(acts, positive="a", negative="n", n_permutations=50, n_nested=1),
    ]
    for demo in demos:
        assert demo.provenance.kind == "measured"
        assert demo.provenance.model["name"] == "tiny"
        assert "(measured data)" in str(demo)
        json.dumps(demo.to_dict(), allow_nan=False)
        demo.plot()
    assert demos[0].floors[0].null == pytest.approx(-0.5, abs=0.05)
    assert demos[0].pairs[0].truth is None
    assert abs(demos[0].pairs[0].disattenuated.value) < 0.3
    assert demos[5].observed > 0.9
    assert demos[5].pvalue < 0.05
    import matplotlib.pyplot as plt

    plt.close("all")


def test_shared_baseline_and_tautology_on_given_data():
    rng = np.random.default_rng(0)
    values = torch.as_tensor(rng.standard_normal((80, 1, 64)), dtype=torch.float32)
    acts = Activations(values, (0,), np.array(["n"] * 80), np.arange(80))
    assert pitfalls.shared_baseline(acts, n_draws=50).shared.mean() == pytest.approx(0.5, abs=0.1)
    weights = torch.as_tensor(rng.standard_normal(64), dtype=torch.float32)
    demo = pitfalls.same_layer_tautology(values[:, 0], weights, lambda h: h @ weights, n_random=99)
    assert demo.provenance.kind == "measured"
    assert demo.pvalue == pytest.approx(0.01)


def test_without_matplotlib_the_numbers_come_and_the_figure_explains(monkeypatch, planted):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"empathy-geometry\[report\]"):
        planted["shared_baseline"].plot()


H = torch.ones(4, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pitfalls.simplex_floor(activations(), classes=["a", "b"]), "at least three classes"),
        (lambda: pitfalls.in_sample_d_prime(activations()[:20]), "at least 40 rows"),
        (lambda: pitfalls.shared_baseline(activations()), "at least 40 rows"),
        (lambda: pitfalls.variance_count_follows_n(activations()), "need positive"),
        (lambda: pitfalls.ungrouped_folds(activations()), "need positive"),
        (lambda: pitfalls.ungrouped_folds(activations()[:40], positive="a", negative="n"), "at least 20 scenarios"),
        (lambda: pitfalls.same_layer_tautology(H), "together"),
        (lambda: pitfalls.same_layer_tautology(H, H[0], lambda h: h[:, 0]), "constant"),
        (lambda: pitfalls.same_layer_tautology(H, H[:, 0], lambda h: h[:, 0]), "must be"),
    ],
)
def test_bad_input_is_explained(call, message):
    with pytest.raises(ValueError, match=message):
        call()
