"""One unit of alpha: the same number is the same edit of the stream, wherever it is given."""

import numpy as np
import pytest
import torch
from tiny_models import D_MODEL

import empathy_geometry as eg
from empathy_geometry.causal.design import CausalDesign
from empathy_geometry.generation.continuations import generate
from empathy_geometry.geometry.direction_units import UNITS, unit_scale, units_of
from empathy_geometry.planted.texts import planted_neutral_texts, planted_texts
from empathy_geometry.planted.transformer import LAYER, planted_model
from empathy_geometry.steering.search import SearchDesign, search_sweep

pytestmark = pytest.mark.usefixtures("one_thread")

GAP, ALPHA = 1.7, 3.0
PROMPTS = ["abc erI", "the pot"]


def direction(d_model=D_MODEL, *, layer=1, seed=0, **fields):
    vector = torch.randn(d_model, generator=torch.Generator().manual_seed(seed))
    known = {"scales": {"residual_norm": 5.0, "class_gap": GAP, "sd": 0.5}, **fields}
    return eg.ConceptDirection(vector, layer=layer, **known)


def moved(model, hook, d):
    """How far along the direction each token is moved at its layer."""
    texts = eg.LabeledTexts(PROMPTS, ["a", "b"], ["1", "2"])

    def read():
        acts = eg.extract_activations(model, texts, layers=[d.layer], position="last", progress=False)
        return d.project(acts.layer(d.layer))

    before = read()
    with hook.attached(model):
        return (read() - before).numpy()


@pytest.mark.parametrize("units", [None, *UNITS])
def test_hook_sweep_search_and_scores_count_alpha_alike(tiny_model, units):
    d = direction()
    expected = ALPHA * (GAP if units is None else unit_scale(d, units))
    hook = eg.SteeringHook(d, alpha=ALPHA, units=units)
    np.testing.assert_allclose(moved(tiny_model, hook, d), expected, rtol=1e-3, atol=1e-3)

    plain = {"max_new_tokens": 4, "design": eg.SweepDesign(neutral_texts=()), "progress": False}
    sweep = eg.steering_sweep(tiny_model, d, PROMPTS, [ALPHA], units=units, **plain)
    assert ALPHA * sweep.unit_length == pytest.approx(expected)
    assert sweep.units == hook.units
    with hook.attached(tiny_model):
        written = generate(tiny_model, PROMPTS, max_new_tokens=4)
    assert sweep.texts[-1] == written.texts

    design = SearchDesign(max_new_tokens=4, n_fine=1) if units is None else SearchDesign(units, max_new_tokens=4)
    found = search_sweep(tiny_model, d, PROMPTS, design=design, sweep=eg.SweepDesign(neutral_texts=()), progress=False)
    assert (found.units, found.unit_length) == (sweep.units, pytest.approx(sweep.unit_length))


def test_alpha_moves_a_tokens_score_by_alpha(tiny_llama):
    """With the class means known or not: the gap is the one that alpha is counted in, not their distance."""
    for means in ({}, {"positive": 9.0, "negative": 1.0}):
        d = direction(class_means=means)
        plain = eg.token_scores(tiny_llama, PROMPTS, d)
        steered = eg.token_scores(tiny_llama, PROMPTS, d, hook=eg.SteeringHook(d, alpha=ALPHA))
        assert plain.units == "class gaps"
        for a, b in zip(plain.scores, steered.scores, strict=True):
            np.testing.assert_allclose(b - a, ALPHA, atol=1e-3)


def test_a_bare_tensor_and_a_direction_without_a_gap_are_raw(tiny_llama):
    bare = torch.ones(D_MODEL)
    assert eg.SteeringHook(bare, layers=[1]).unit_length == pytest.approx(float(bare.norm()))
    without = direction(scales={"residual_norm": 5.0})
    assert eg.SteeringHook(without).unit_length == 1.0
    assert eg.token_scores(tiny_llama, PROMPTS, without).units == "activation units"
    sweep = eg.steering_sweep(
        tiny_llama, without, PROMPTS, [1.0], max_new_tokens=2, design=eg.SweepDesign(neutral_texts=()), progress=False
    )
    assert (sweep.units, sweep.unit_length) == ("raw", 1.0)
    assert [units_of(v) for v in (bare, without, direction())] == ["raw", "raw", "class_gap"]


def test_fractions_have_no_unit():
    for operation in ("project_out", "clamp"):
        hook = eg.SteeringHook(direction(), operation=operation, target=1.0 if operation == "clamp" else None)
        assert (hook.units, hook.unit_length) == ("raw", 1.0)


@pytest.fixture(scope="module")
def planted():
    return planted_model()


def causal(planted, directions, **design):
    silent = {"n_prompts": 0, "n_markers": 5, "n_scenarios": 6, "neutral_texts": planted_neutral_texts()}
    return eg.causal_effects(
        planted[0], directions, planted_texts(30), design=CausalDesign(**silent, **design), progress=False
    )


def test_causal_tests_count_alpha_as_the_hook_does(planted):
    d = planted[1].directions["drives"]
    known = eg.ConceptDirection(
        d.vector, layer=LAYER, positive=d.positive, negative=d.negative, scales={"class_gap": GAP, "sd": 0.5}
    )
    for units in (None, "raw", "class_gap", "sd"):
        hook = eg.SteeringHook(known, units=units)
        result = causal(planted, {"drives": known}, alphas=[-ALPHA, ALPHA], units=units)
        assert result.lengths["drives"] == pytest.approx(ALPHA * hook.unit_length)
        assert result.units == hook.units == result.to_dict()["provenance"]["settings"]["units"]


def test_the_default_doses_of_causal_tests_are_parts_of_the_residual_norm():
    assert CausalDesign().dose_units == "residual_norm"
    assert CausalDesign().doses == (-0.1, -0.05, 0.05, 0.1)
    assert CausalDesign(alphas=[3.0]).dose_units is None


def test_directions_of_one_test_share_a_unit(planted):
    d = planted[1].directions["drives"]
    known = eg.ConceptDirection(
        d.vector, layer=LAYER, positive=d.positive, negative=d.negative, scales={"class_gap": GAP}
    )
    with pytest.raises(ValueError, match=r"bare: no class gap.*Say one: units='residual_norm'"):
        causal(planted, {"known": known, "bare": d}, alphas=[1.0])
