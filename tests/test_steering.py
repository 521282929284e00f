"""Steering: exact parities, clear errors, nothing left behind. Effects are shown present before they are shown gone."""

from contextlib import nullcontext

import pytest
import torch
from tiny_models import D_MODEL, N_LAYERS, tiny_bridge

import empathy_geometry as eg
from empathy_geometry.generation.continuations import generate
from empathy_geometry.models.identity import model_identity
from empathy_geometry.models.tokens import pad
from empathy_geometry.steering.hook import OPERATIONS, response_spans
from empathy_geometry.steering.stream_edit import attached_but_outliers


def direction(layer: int = 1, seed: int = 0, **fields) -> eg.ConceptDirection:
    vector = torch.randn(D_MODEL, generator=torch.Generator().manual_seed(seed))
    return eg.ConceptDirection(
        vector, layer=layer, scales={"residual_norm": 5.0, "class_gap": 2.0, "sd": 0.5}, **fields
    )


def logits(model, ids, **kwargs):
    with torch.no_grad():
        return model(ids, **kwargs)


def ids_of(model, text="abc erI the pot"):
    return model.to_tokens(text)


def n_hooks(model) -> int:
    return sum(len(point.fwd_hooks) for point in model.hook_dict.values())


def stream_under(model, hook, ids, name="blocks.1.hook_resid_post", **arguments):
    """The stream after the hook's edit."""
    seen = []
    with hook.attached(model), model.hooks(fwd_hooks=[(name, lambda x, hook: seen.append(x))]):
        logits(model, ids, **arguments)
    return seen[0]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_alpha_zero_is_bit_identical_and_one_is_not(tiny_model, operation):
    target = {"clamp": 3.0, "cap": -3.0, "floor": 3.0}.get(operation)
    plain = logits(tiny_model, ids_of(tiny_model))
    hook = eg.SteeringHook(direction(), alpha=0.0, operation=operation, target=target)
    with hook.attached(tiny_model):
        assert torch.equal(logits(tiny_model, ids_of(tiny_model)), plain)
    with hook.with_alpha(1.0).attached(tiny_model):
        assert not torch.allclose(logits(tiny_model, ids_of(tiny_model)), plain)
    assert torch.equal(logits(tiny_model, ids_of(tiny_model)), plain)


def test_add_changes_the_stream_by_exactly_alpha_v_at_its_layer(tiny_model):
    d = direction(layer=1)
    name = "blocks.1.hook_resid_post"
    _, before = tiny_model.run_with_cache(ids_of(tiny_model), names_filter=[name])
    with eg.SteeringHook(d, alpha=1.5, units="class_gap").attached(tiny_model):
        seen = []
        with tiny_model.hooks(fwd_hooks=[(name, lambda x, hook: seen.append(x))]):
            logits(tiny_model, ids_of(tiny_model))
    torch.testing.assert_close(seen[0] - before[name], (3.0 * d.vector).expand_as(seen[0]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("use_past_kv_cache", [True, False])
def test_prompt_and_generated_positions_are_told_apart_also_for_a_second_prompt(tiny_model, use_past_kv_cache):
    edited = []

    class Spy(eg.SteeringHook):
        def edit(self, stream, *, columns=None, layer=None):
            edited.append(columns[0].tolist())
            return stream

    spy = Spy(direction(), positions="generated")
    options = {"max_new_tokens": 3, "do_sample": False, "verbose": False, "return_type": "tokens", "stop_at_eos": False}
    with spy.attached(tiny_model):
        for text in ("abcd", "abcdefg"):  # the second prompt is as long as the first one's last step plus one
            tiny_model.generate(tiny_model.to_tokens(text), use_past_kv_cache=use_past_kv_cache, **options)
    assert len(edited) == 6
    for step, columns in enumerate(edited):
        generated = step % 3
        assert sum(columns) == (min(generated, 1) if use_past_kv_cache else generated)


def test_project_out_leaves_nothing_along_the_direction_and_clamp_sets_it(tiny_model):
    d = direction(layer=2)
    name = "blocks.2.hook_resid_post"

    def projection(hook):
        seen = []
        with hook.attached(tiny_model), tiny_model.hooks(fwd_hooks=[(name, lambda x, hook: seen.append(d.project(x)))]):
            logits(tiny_model, ids_of(tiny_model))
        return seen[0]

    nothing = eg.SteeringHook(d, alpha=0.0)
    assert projection(nothing).abs().max() > 0.1
    assert projection(eg.SteeringHook(d, operation="project_out")).abs().max() < 1e-5
    clamped = projection(eg.SteeringHook(d, operation="clamp", target=2.5))
    torch.testing.assert_close(clamped, torch.full_like(clamped, 2.5), atol=1e-5, rtol=0)


def test_a_subspace_is_projected_out_entirely(tiny_model):
    space = eg.Subspace.from_directions(torch.randn(3, D_MODEL, generator=torch.Generator().manual_seed(1)), layer=1)
    seen = []
    hook = eg.SteeringHook(space, operation="project_out")
    with (
        hook.attached(tiny_model),
        tiny_model.hooks(fwd_hooks=[("blocks.1.hook_resid_post", lambda x, hook: seen.append(space.coordinates(x)))]),
    ):
        logits(tiny_model, ids_of(tiny_model))
    assert seen[0].abs().max() < 1e-5


def test_hooks_come_off_after_an_exception_and_nested_blocks_compose(tiny_model):
    before = n_hooks(tiny_model)
    plain = logits(tiny_model, ids_of(tiny_model))
    a, b = direction(seed=1), direction(seed=2)
    with eg.SteeringHook(a, alpha=1.0, units="raw").attached(tiny_model):
        with eg.SteeringHook(b, alpha=2.0, units="raw").attached(tiny_model):
            nested = logits(tiny_model, ids_of(tiny_model))
        with pytest.raises(KeyError, match="mine"), eg.SteeringHook(b).attached(tiny_model):
            raise KeyError("mine")
        outer_only = logits(tiny_model, ids_of(tiny_model))
    summed = eg.SteeringHook(a.vector + 2.0 * b.vector, layers=[1])
    with summed.attached(tiny_model):
        torch.testing.assert_close(nested, logits(tiny_model, ids_of(tiny_model)), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(outer_only, nested)
    assert n_hooks(tiny_model) == before
    assert torch.equal(logits(tiny_model, ids_of(tiny_model)), plain)


def test_clamp_reaches_the_other_classs_mean_and_each_coordinate_of_a_subspace(tiny_model):
    ids = ids_of(tiny_model)
    d = direction(class_means={"positive": 4.0, "negative": -1.5})
    assert stream_under(tiny_model, eg.SteeringHook(d, alpha=0.0), ids).matmul(d.vector).sub(-1.5).abs().max() > 0.1
    for name, mean in d.class_means.items():
        reached = d.project(stream_under(tiny_model, eg.SteeringHook(d, operation="clamp", target=name), ids))
        torch.testing.assert_close(reached, torch.full_like(reached, mean), atol=1e-5, rtol=0)
    space = eg.Subspace.from_directions(torch.randn(2, D_MODEL, generator=torch.Generator().manual_seed(1)), layer=1)
    hook = eg.SteeringHook(space, operation="clamp", target=[2.0, -3.0])
    reached = space.coordinates(stream_under(tiny_model, hook, ids))
    torch.testing.assert_close(reached, torch.tensor([2.0, -3.0]).expand_as(reached), atol=1e-5, rtol=0)


def test_several_layers_are_edited_each(tiny_model):
    ids, d = ids_of(tiny_model), direction()
    hook = eg.SteeringHook(d, operation="project_out", layers=["embed", 0, 2])
    for name in ("blocks.0.hook_resid_pre", "blocks.0.hook_resid_post", "blocks.2.hook_resid_post"):
        assert d.project(stream_under(tiny_model, hook, ids, name)).abs().max() < 1e-5
    assert d.project(stream_under(tiny_model, hook, ids, "blocks.1.hook_resid_post")).abs().max() > 0.01


def test_a_hook_edits_once_in_compatibility_mode():
    """There, a point has two names, and TransformerLens calls a hook once for each when asked by one of them."""
    model = tiny_bridge("gpt2")
    model.enable_compatibility_mode(disable_warnings=True)
    d = direction()
    before = stream_under(model, eg.SteeringHook(d, alpha=0.0), ids_of(model))
    after = stream_under(model, eg.SteeringHook(d, alpha=1.5, units="raw"), ids_of(model))
    torch.testing.assert_close(after - before, (1.5 * d.vector).expand_as(after), atol=1e-5, rtol=0)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_response_of_labeled_texts_is_edited_and_nothing_else(tiny_model, side):
    texts = eg.LabeledTexts(
        ["abc er pot", "I walked the pot home"], ["a", "b"], ["1", "2"], prompts=["abc er", "I walked"]
    )
    spans = response_spans(tiny_model, texts)
    ids, mask = pad([tiny_model.to_tokens(t)[0].tolist() for t in texts.texts], side=side)
    d = direction()
    before = stream_under(tiny_model, eg.SteeringHook(d, alpha=0.0), ids, attention_mask=mask)
    seen = []
    hook = eg.SteeringHook(d, alpha=2.0, positions="response", units="raw")
    with (
        hook.attached(tiny_model, responses=spans),
        tiny_model.hooks(fwd_hooks=[("blocks.1.hook_resid_post", lambda x, hook: seen.append(x))]),
    ):
        logits(tiny_model, ids, attention_mask=mask)
    moved = (seen[0] - before).norm(dim=-1)
    for row, (start, stop) in enumerate(spans):
        real = moved[row, mask[row]]
        assert 0 < start < stop == len(real)
        torch.testing.assert_close(real[start:], torch.full((stop - start,), 2.0), atol=1e-4, rtol=0)
        assert not real[:start].any()
        assert not moved[row, ~mask[row]].any()


def test_response_without_spans_warns_where_nothing_was_written_and_edits_what_is(tiny_model):
    hook = eg.SteeringHook(direction(), alpha=5.0, positions="response")
    ids = ids_of(tiny_model)
    with pytest.warns(UserWarning, match="edited nothing"), hook.attached(tiny_model):
        logits(tiny_model, ids)
    options = {"max_new_tokens": 6, "do_sample": False, "verbose": False, "return_type": "tokens", "stop_at_eos": False}
    with hook.attached(tiny_model):
        response = tiny_model.generate(ids, **options)
    with hook.with_positions("generated").attached(tiny_model):
        assert torch.equal(response, tiny_model.generate(ids, **options))
    with (
        pytest.raises(ValueError, match="responses only apply"),
        eg.SteeringHook(direction()).attached(tiny_model, responses=[(0, 1)]),
    ):
        pass


def test_passes_that_do_not_fit_stop_before_any_layer_runs(tiny_model):
    ids = ids_of(tiny_model)
    length = ids.shape[1]
    ran = []
    count = [(lambda name: name.endswith("hook_resid_pre"), lambda x, hook: ran.append(1))]
    masked = torch.ones_like(ids)
    masked[0, -2:] = 0
    for hook, arguments, message in (
        (eg.SteeringHook(direction(), alpha=[1.0, 2.0]), {}, "alpha has 2 entries, the batch 1 rows"),
        (eg.SteeringHook(direction(), positions=(1, length + 1)), {}, f"outside row 0, which has {length} tokens"),
        (eg.SteeringHook(direction(), positions=(0, length)), {"attention_mask": masked}, "outside row 0"),
        (eg.SteeringHook(direction(), positions=[(0, 1), (0, 2)]), {}, "2 spans for a batch of 1 rows"),
    ):
        with tiny_model.hooks(fwd_hooks=count), hook.attached(tiny_model), pytest.raises(ValueError, match=message):
            logits(tiny_model, ids, **arguments)
        if not arguments:
            with tiny_model.hooks(fwd_hooks=count), pytest.raises(ValueError, match=message):
                generate(tiny_model, ["abc erI the pot"], chat=False, edit=lambda rows, h=hook: h.attached(tiny_model))
    assert not ran
    with tiny_model.hooks(fwd_hooks=count), eg.SteeringHook(direction(), alpha=[1.0]).attached(tiny_model):
        logits(tiny_model, ids)
    assert ran


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"operation": "multiply"}, "operation must be one of"),
        ({"units": "metres"}, "units must be one of"),
        ({"positions": "everywhere"}, "positions must be one of"),
        ({"positions": (3, 1)}, "span must be"),
        ({"positions": [(0, 2), (3, 3)]}, "span must be"),
        ({"positions": []}, "span must be"),
        ({"alpha": float("nan")}, "alpha must be finite"),
        ({"alpha": [[1.0]]}, "alpha must be a number or"),
        ({"operation": "clamp"}, "needs a target"),
        ({"operation": "clamp", "target": [1.0, 2.0]}, "target must be one finite projection"),
        ({"operation": "clamp", "target": "positive"}, "not among the direction's class means"),
        ({"target": 1.0}, "only applies to operation='clamp'"),
        ({"operation": "project_out", "units": "sd"}, "only applies to operation='add'"),
    ],
)
def test_bad_options_are_named_before_anything_runs(arguments, message):
    with pytest.raises(ValueError, match=message):
        eg.SteeringHook(direction(), **arguments)


def test_bad_directions_are_named_before_anything_runs(tiny_model):
    with pytest.raises(ValueError, match="pass layers"):
        eg.SteeringHook(torch.ones(D_MODEL))
    with pytest.raises(ValueError, match="knows its class_gap"):
        eg.SteeringHook(torch.ones(D_MODEL), layers=[0], units="class_gap")
    with pytest.raises(TypeError, match="ConceptDirection, Directions, a Subspace or a tensor"):
        eg.SteeringHook([1.0, 2.0], layers=[0])
    with pytest.raises(ValueError, match="needs one direction"):
        eg.SteeringHook(eg.Subspace(torch.eye(D_MODEL)[:2], layer=0))
    narrow = eg.SteeringHook(torch.ones(4), layers=[0])
    with pytest.raises(ValueError, match="of another model"), narrow.attached(tiny_model):
        pass
    deep = eg.SteeringHook(direction(layer=99))
    with pytest.raises(ValueError, match=f"index from 0 to {N_LAYERS - 1}"), deep.attached(tiny_model):
        pass
    three = eg.SteeringHook(direction(), alpha=[1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="alpha has 3 entries, the batch 1 rows"), three.attached(tiny_model):
        logits(tiny_model, ids_of(tiny_model))
    with pytest.raises(TypeError, match="must be a TransformerLens model"), three.attached(torch.nn.Linear(2, 2)):
        pass


def test_a_direction_of_other_weights_is_refused(tiny_llama):
    other = tiny_bridge("llama", seed=7)
    made_here = direction(model=model_identity(tiny_llama))
    with eg.SteeringHook(made_here).attached(tiny_llama):
        logits(tiny_llama, ids_of(tiny_llama))
    with pytest.raises(ValueError, match=r"parameters of .* changed"), eg.SteeringHook(made_here).attached(other):
        pass


def test_a_direction_of_other_weight_processing_is_refused():
    folded = tiny_bridge("gpt2")
    made_before = direction(model=model_identity(folded))
    folded.enable_compatibility_mode(disable_warnings=True)
    with (
        pytest.raises(ValueError, match=r"normalization|compatibility_mode"),
        eg.SteeringHook(made_before).attached(folded),
    ):
        pass


def test_all_tokens_means_the_first_too_and_a_causal_test_spares_it(tiny_model):
    hook = eg.SteeringHook(torch.ones(D_MODEL), alpha=3.0, layers=[0])
    ids = tiny_model.to_tokens("the pot")
    name = "blocks.0.hook_resid_post"

    def stream(attach):
        with torch.no_grad(), attach:
            return tiny_model.run_with_cache(ids, names_filter=name)[1][name][0]

    plain = stream(nullcontext())
    everywhere = stream(hook.attached(tiny_model))
    spared = stream(attached_but_outliers(tiny_model, 0, hook.stream_edit()))
    torch.testing.assert_close(everywhere, plain + 3.0)
    torch.testing.assert_close(spared[0], plain[0])
    torch.testing.assert_close(spared[1:], plain[1:] + 3.0)
