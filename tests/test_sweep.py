"""A sweep: the same numbers however it is shared out, the unsteered model run once, bad input named before anything."""

from types import MappingProxyType

import numpy as np
import pytest
import torch
from tiny_models import D_MODEL, tiny_bridge

import empathy_geometry as eg
from empathy_geometry.generation import continuations, decoding, likelihood
from empathy_geometry.models.hooked_model import is_bridge
from empathy_geometry.steering import reference, sweep
from empathy_geometry.steering.coherence import divergence_part
from empathy_geometry.steering.range import steering_range
from empathy_geometry.steering.reference import unsteered_reference
from empathy_geometry.steering.search import SearchDesign, search_sweep
from empathy_geometry.steering.sweep import steering_sweep
from empathy_geometry.steering.sweep_design import NEUTRAL_TEXTS, SweepDesign

PROMPTS = ["abc erI", "the pot", "I walked home"]
ALPHAS = [-3.0, -1.0, 0.5, 2.0]
OPTIONS = MappingProxyType({"max_new_tokens": 6, "progress": False})


def direction(seed=0, **scales):
    vector = torch.randn(D_MODEL, generator=torch.Generator().manual_seed(seed))
    return eg.ConceptDirection(vector, layer=1, scales={"residual_norm": 5.0, "class_gap": 2.0, **scales})


def same(a, b):
    assert a.texts == b.texts
    np.testing.assert_array_equal(a.alphas, b.alphas)
    for x, y in ((a.nll, b.nll), (a.concept, b.concept), *((a.parts[n], b.parts[n]) for n in a.parts)):
        np.testing.assert_allclose(x, y, atol=2e-4)


def columns_read(model, run):
    """Row-columns that go through the model's first block."""
    read = []
    with model.hooks(fwd_hooks=[("blocks.0.hook_resid_pre", lambda x, hook: read.append(x.shape[0] * x.shape[1]))]):
        run()
    return sum(read)


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_shared_reference_changes_no_number_and_saves_the_unsteered_runs(tiny_model, temperature):
    options = {**OPTIONS, "design": SweepDesign(temperature=temperature), "seed": 3}
    own = steering_sweep(tiny_model, direction(), PROMPTS, ALPHAS, **options)
    shared = {name: value for name, value in options.items() if name != "progress"}
    known = unsteered_reference(tiny_model, PROMPTS, **shared)
    same(own, steering_sweep(tiny_model, direction(), PROMPTS, ALPHAS, reference=known, **options))
    alone = columns_read(tiny_model, lambda: steering_sweep(tiny_model, direction(1), PROMPTS, [1.0], **options))
    given = columns_read(
        tiny_model, lambda: steering_sweep(tiny_model, direction(1), PROMPTS, [1.0], reference=known, **options)
    )
    assert given < 0.75 * alone
    nothing_new = steering_sweep(tiny_model, direction(1), PROMPTS, [0.0], reference=known, **options)
    assert nothing_new.texts == (known.written.texts,)


def test_small_batches_change_no_number(tiny_model, monkeypatch):
    whole = steering_sweep(tiny_model, direction(), PROMPTS, ALPHAS, **OPTIONS)
    for module, name in (
        (decoding, "_CACHE_BYTES"),
        (decoding, "_LOGIT_BYTES"),
        (likelihood, "_CACHE_BYTES"),
        (likelihood, "_LOGIT_BYTES"),
        (reference, "_LOGIT_BYTES"),
    ):
        monkeypatch.setattr(module, name, 30_000)
    same(whole, steering_sweep(tiny_model, direction(), PROMPTS, ALPHAS, **OPTIONS))


def test_what_rows_have_in_common_is_read_once(tiny_model):
    """With a chat template every prompt begins alike: that head is read once per alpha, not once per row."""
    rows = continuations.prompt_tokens(tiny_model, PROMPTS, max_new_tokens=1, chat=True)
    head = next(i for i, column in enumerate(zip(*rows, strict=False)) if len(set(column)) > 1)
    longest = max(map(len, rows))
    assert head > 20
    plain = {"max_new_tokens": 1, "design": SweepDesign(neutral_texts=()), "progress": False}
    read = {
        positions: columns_read(
            tiny_model,
            lambda p=positions: steering_sweep(
                tiny_model, eg.SteeringHook(direction(), positions=p), PROMPTS, ALPHAS, **plain
            ),
        )
        for positions in ("all", "generated")
    }
    scoring = 3 * longest
    written = 15  # each token is scored, unless an equal text was
    # On TransformerBridge the first block is before the edit, and runs once for each prompt (test_edited_prompts.py).
    prompts = head + sum(len(row) - head for row in rows) if is_bridge(tiny_model) else 5 * head + 15 * (longest - head)
    assert scoring < read["all"] - prompts <= scoring + written
    # Nothing of a prompt is edited, so all rows share its one reading, and all first tokens are the unsteered ones.
    assert read["generated"] == head + 3 * (longest - head) + scoring + 3


@pytest.mark.parametrize(("operation", "layers"), [("add", None), ("project_out", [2, "embed"])])
def test_divergence_equals_the_texts_run_alpha_by_alpha(tiny_model, operation, layers):
    d = direction()
    hook = eg.SteeringHook(d, units="raw", operation=operation, layers=layers)
    found = steering_sweep(tiny_model, hook, PROMPTS[:1], ALPHAS, **OPTIONS)
    for a, alpha in enumerate(found.alphas):
        expected = []
        for text in NEUTRAL_TEXTS:
            ids = tiny_model.to_tokens(text)
            mask = torch.ones_like(ids)
            mask[:, 0] = 0
            with torch.no_grad():
                plain = tiny_model(ids)
                with hook.with_alpha(float(alpha)).attached(tiny_model):
                    expected.append(divergence_part(tiny_model(ids), plain, mask)[0])
        assert found.parts["divergence"][a, 0] == pytest.approx(np.mean(expected), abs=1e-4)


def test_the_concept_read_back_is_counted_in_class_gaps(tiny_model):
    """What the unsteered model reads in the written tokens, token by token, against the unsteered text's."""
    plain = {**OPTIONS, "units": "raw", "design": SweepDesign(neutral_texts=())}
    in_gaps = steering_sweep(tiny_model, direction(), PROMPTS, [4.0], **plain)
    unscaled = eg.ConceptDirection(direction().vector, layer=1)
    in_activation_units = steering_sweep(tiny_model, unscaled, PROMPTS, [4.0], **plain)
    assert in_gaps.texts == in_activation_units.texts
    assert np.abs(in_gaps.concept[1]).max() > 0.05
    np.testing.assert_allclose(in_gaps.concept, in_activation_units.concept / 2, atol=1e-5)
    assert (in_gaps.concept[0] == 0).all()
    rows = continuations.prompt_tokens(tiny_model, PROMPTS, max_new_tokens=6, chat=True)

    def projected(prompt, alpha):
        read = []
        with eg.SteeringHook(direction(), alpha=alpha, units="raw").attached(tiny_model):
            ids = list(prompt)
            for _ in range(6):
                with torch.no_grad():
                    ids.append(int(tiny_model(torch.tensor([ids]))[0, -1].argmax()))
        name = "blocks.1.hook_resid_post" if not is_bridge(tiny_model) else "blocks.1.hook_out"
        with torch.no_grad(), tiny_model.hooks(fwd_hooks=[(name, lambda x, hook: read.append(x[0].clone()))]):
            tiny_model(torch.tensor([ids]))
        return float((read[0][len(prompt) :] @ direction().vector).mean())

    expected = [(projected(row, 4.0) - projected(row, 0.0)) / 2 for row in rows]
    np.testing.assert_allclose(in_gaps.concept[1], expected, atol=1e-4)


def test_sampled_texts_of_one_prompt_share_their_draws(tiny_model):
    """So that a steering too weak to matter changes no text."""
    options = {**OPTIONS, "design": SweepDesign(temperature=1.0), "max_new_tokens": 12}
    found = steering_sweep(tiny_model, direction(), PROMPTS, [1e-7], seed=5, **options)
    assert found.texts[0] == found.texts[1]
    assert found.texts != steering_sweep(tiny_model, direction(), PROMPTS, [1e-7], seed=6, **options).texts


def test_a_search_runs_the_unsteered_model_once(tiny_model, monkeypatch):
    made = []
    monkeypatch.setattr(
        "empathy_geometry.steering.search.unsteered_reference",
        lambda *a, **k: made.append(1) or unsteered_reference(*a, **k),
    )
    options = {"design": SearchDesign(max_new_tokens=5), "progress": False}
    first = search_sweep(tiny_model, direction(), PROMPTS, **options)
    assert made == [1]
    known = unsteered_reference(tiny_model, PROMPTS, max_new_tokens=5)
    same(first, search_sweep(tiny_model, direction(), PROMPTS, reference=known, **options))
    assert made == [1]


def test_the_fine_grid_lies_between_the_two_coarse_alphas_around_the_crossing(tiny_llama):
    grids = {}

    def keep(name, make):
        return grids.setdefault(name, make())

    search_sweep(tiny_llama, direction(), PROMPTS, design=SearchDesign(n_fine=3), progress=False, keep=keep)
    for sign in (1, -1):
        crossing = steering_range(grids["coarse"], sign=sign, n_resamples=1)
        assert not crossing.censored
        sides = {name: sign * grid.alphas[sign * grid.alphas > 0] for name, grid in grids.items()}
        coarse = np.array([0.0, *sides["coarse"]])
        assert len(sides["fine"]) == 3
        assert coarse[coarse < crossing.value].max() < sides["fine"].min()
        assert sides["fine"].max() < coarse[coarse > crossing.value].min()


def test_neutral_texts_are_never_longer_than_what_the_view_was_tried_at(tiny_llama, monkeypatch):
    tried, original = [], reference.own_view

    def noted(model, names=(), *, longest=0):
        tried.append(longest)
        return original(model, names, longest=longest)

    texts = reference.NeutralTexts(tiny_llama, ["abc", "I walked home the pot er abc"])
    monkeypatch.setattr(reference, "own_view", noted)
    texts.divergence(tiny_llama, eg.SteeringHook(direction()), np.array([0.0, 1.0]))
    assert tried[0] == max(tried[1:]) > min(tried[1:])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda m: SweepDesign(temprature=1), TypeError, "mean 'temperature'"),
        (lambda m: SweepDesign(temperature=-1.0), ValueError, "temperature must not be negative"),
        (lambda m: SweepDesign(neutral_texts="one"), TypeError, "got one string"),
        (
            lambda m: search_sweep(m, direction(), PROMPTS, max_new_tokens=5),
            FutureWarning,
            r"write design=SearchDesign\(max_new_tokens=...\)",
        ),
        (
            lambda m: steering_sweep(m, direction(), PROMPTS, [1.0], operation="add"),
            FutureWarning,
            r"'operation' is no keyword any more; write SteeringHook\(direction, operation=...\) in the direction's",
        ),
        (lambda m: SearchDesign(n_promts=3), TypeError, "did you mean 'n_prompts'"),
        (lambda m: SearchDesign(n_prompts=2.5), TypeError, "whole number"),
        (lambda m: SearchDesign(n_prompts=1), ValueError, "n_prompts must be at least 2"),
        (lambda m: SearchDesign(threshold=1.0), ValueError, "threshold must lie"),
        (lambda m: SearchDesign(units="metres"), ValueError, "units must be one of"),
    ],
)
def test_settings_of_a_search_are_checked_when_they_are_made(tiny_model, make, error, message):
    with pytest.raises(error, match=message):
        make(tiny_model)


def test_a_reference_of_something_else_is_refused(tiny_llama):
    known = unsteered_reference(tiny_llama, PROMPTS, max_new_tokens=6)
    for model, prompts, options, message in (
        (tiny_bridge("llama"), PROMPTS, {}, "of another model object"),
        (tiny_llama, PROMPTS[:2], {}, "of other prompts"),
        (tiny_llama, PROMPTS, {"max_new_tokens": 7}, "made with max_new_tokens=6, the sweep asks for 7"),
        (tiny_llama, PROMPTS, {"design": SweepDesign(chat=False)}, "made with chat=True"),
        (tiny_llama, PROMPTS, {"design": SweepDesign(temperature=0.5)}, "made with temperature=0"),
    ):
        with pytest.raises(ValueError, match=message):
            steering_sweep(model, direction(), prompts, [1.0], reference=known, **{**OPTIONS, **options})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alphas": []}, "at least one"),
        ({"alphas": [float("inf")]}, "finite"),
        ({"hook": {"positions": (0, 99)}}, "outside row 0"),
        ({"hook": {"positions": [(0, 1)]}}, "1 spans for a batch of 3 rows"),
        ({"hook": {"layers": [77]}}, "index from 0"),
        ({"hook": {}, "units": "raw"}, "the hook counts alpha in 'class_gap'"),
        ({"units": "sd"}, "knows its sd"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1"),
    ],
)
def test_bad_input_is_named_before_anything_runs(tiny_model, arguments, message):
    given = {"alphas": [1.0], **OPTIONS, **arguments}
    hook = given.pop("hook", None)
    along = direction() if hook is None else eg.SteeringHook(direction(), **hook)

    def run():
        with pytest.raises(ValueError, match=message):
            steering_sweep(tiny_model, along, PROMPTS, given.pop("alphas"), **given)

    assert columns_read(tiny_model, run) == 0


def test_a_sweep_clamps_and_keeps_its_grid(tiny_model):
    hook = eg.SteeringHook(direction(), units="raw", operation="clamp", target=8.0)
    found = steering_sweep(tiny_model, hook, PROMPTS, [0.5, 1.0], **OPTIONS)
    assert found.alphas.tolist() == [0.0, 0.5, 1.0]
    assert found.parts["divergence"][0, 0] == 1
    assert (np.diff(found.parts["divergence"][:, 0]) < 0).all()
    assert isinstance(found, sweep.SteeringSweep)
    with pytest.raises(TypeError, match="the direction must be a ConceptDirection, or the hook of one"):
        steering_sweep(tiny_model, eg.SteeringHook(torch.ones(D_MODEL), layers=[1]), PROMPTS, [1.0], **OPTIONS)
