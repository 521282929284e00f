"""Steering: exact parities, clear errors, nothing left behind. Effects are shown present before they are shown gone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import D_MODEL, KINDS, N_LAYERS, tiny_bridge, tiny_model

import empathy_geometry as eg
from empathy_geometry.models.loading import model_identity
from empathy_geometry.steering.generation import generate

PROMPTS = ["abc erI", "the pot", "I walked home and the rain"]
KIND = st.sampled_from(KINDS)


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


@pytest.mark.parametrize("operation", ["add", "project_out", "clamp"])
def test_alpha_zero_is_bit_identical_and_one_is_not(tiny_model, operation):
    target = 3.0 if operation == "clamp" else None
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


@settings(max_examples=15, deadline=None)
@given(kind=KIND, alphas=st.lists(st.floats(-4, 4), min_size=2, max_size=4), seed=st.integers(0, 5))
def test_a_vector_of_alphas_equals_the_runs_one_by_one(kind, alphas, seed):
    model = tiny_model(kind)
    ids = ids_of(model)
    d = direction(seed=seed)
    with eg.SteeringHook(d, alpha=alphas).attached(model):
        together = logits(model, ids.repeat(len(alphas), 1))
    for row, alpha in enumerate(alphas):
        with eg.SteeringHook(d, alpha=alpha).attached(model):
            torch.testing.assert_close(together[row], logits(model, ids)[0], atol=1e-4, rtol=1e-4)


@settings(max_examples=8, deadline=None)
@given(kind=KIND, alpha=st.floats(-3, 3), positions=st.sampled_from(["all", "prompt", "generated"]))
def test_generation_with_and_without_kv_cache_agrees_under_steering(kind, alpha, positions):
    model = tiny_model(kind)
    ids = ids_of(model, "abc er")
    options = {"max_new_tokens": 8, "do_sample": False, "verbose": False, "return_type": "tokens", "stop_at_eos": False}
    with eg.SteeringHook(direction(), alpha=alpha, positions=positions).attached(model):
        cached = model.generate(ids, use_past_kv_cache=True, **options)
        uncached = model.generate(ids, use_past_kv_cache=False, **options)
    assert torch.equal(cached, uncached)


@pytest.mark.parametrize("use_past_kv_cache", [True, False])
def test_prompt_and_generated_positions_are_told_apart_also_for_a_second_prompt(tiny_model, use_past_kv_cache):
    edited = []

    class Spy(eg.SteeringHook):
        def edit(self, stream, *, columns=None):
            edited.append(columns.tolist())
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


def test_batched_generation_equals_one_by_one_under_steering(tiny_model):
    alphas = [-2.0, 0.0, 2.5]
    hook = eg.SteeringHook(direction())
    together = generate(
        tiny_model,
        PROMPTS,
        max_new_tokens=8,
        chat=False,
        edit=lambda rows: hook.with_alpha([alphas[i] for i in rows]).attached(tiny_model),
    )
    for row, prompt in enumerate(PROMPTS):
        alone = generate(
            tiny_model,
            [prompt],
            max_new_tokens=8,
            chat=False,
            edit=lambda rows, row=row: hook.with_alpha(alphas[row]).attached(tiny_model),
        )
        assert alone.new_ids[0] == together.new_ids[row]


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
    with eg.SteeringHook(a, alpha=1.0).attached(tiny_model):
        with eg.SteeringHook(b, alpha=2.0).attached(tiny_model):
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


def test_saved_and_loaded_directions_steer_identically(tiny_model, tmp_path):
    d = direction()
    loaded = eg.ConceptDirection.load(d.save(tmp_path / "d.safetensors"))
    with eg.SteeringHook(d, alpha=2.0, units="sd").attached(tiny_model):
        first = logits(tiny_model, ids_of(tiny_model))
    with eg.SteeringHook(loaded, alpha=2.0, units="sd").attached(tiny_model):
        assert torch.equal(first, logits(tiny_model, ids_of(tiny_model)))


def test_padding_changes_nothing_under_steering(tiny_model):
    short, long = ids_of(tiny_model, "abc"), ids_of(tiny_model, "abc er the pot")
    width = long.shape[1]
    padded = torch.cat([short, torch.full((1, width - short.shape[1]), 3)], dim=1)
    mask = torch.tensor([[1] * short.shape[1] + [0] * (width - short.shape[1]), [1] * width])
    with eg.SteeringHook(direction(), alpha=1.0).attached(tiny_model):
        together = logits(tiny_model, torch.cat([padded, long]), attention_mask=mask)
        alone = logits(tiny_model, short)
    torch.testing.assert_close(together[0, : short.shape[1]], alone[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"operation": "multiply"}, "operation must be one of"),
        ({"units": "metres"}, "units must be one of"),
        ({"positions": "everywhere"}, "positions must be one of"),
        ({"positions": (3, 1)}, "span must be"),
        ({"alpha": float("nan")}, "alpha must be finite"),
        ({"alpha": [[1.0]]}, "alpha must be a number or"),
        ({"operation": "clamp"}, "needs a target"),
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
    with pytest.raises(TypeError, match="ConceptDirection, a Subspace or a tensor"):
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
    with pytest.raises(ValueError, match="other weights"), eg.SteeringHook(made_here).attached(other):
        pass
