"""Steering does what it says and nothing else, whatever the model type, strength, positions, padding and cache."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import D_MODEL, KINDS, N_LAYERS, tiny_model

import empathy_geometry as eg
from empathy_geometry.generation.continuations import generate
from empathy_geometry.models.tokens import pad
from empathy_geometry.steering.hook import OPERATIONS

pytestmark = pytest.mark.usefixtures("one_thread")

few = settings(max_examples=8, deadline=None)
kinds = st.sampled_from(KINDS)
operations = st.sampled_from(OPERATIONS)
seeds = st.integers(0, 10**6)
strengths = st.floats(-3, 3).map(lambda x: round(x, 2))
some_layers = st.lists(st.sampled_from(["embed", *range(N_LAYERS)]), min_size=1, max_size=3, unique=True)
rows_of_ids = st.lists(st.lists(st.integers(0, 250), min_size=4, max_size=9), min_size=2, max_size=4)
places = st.sampled_from(["all", "prompt", "last_prompt", "generated", (0, 2), (1, 4)])

GREEDY = {"do_sample": False, "verbose": False, "return_type": "tokens", "stop_at_eos": False}


def made_hook(seed, *, operation="add", alpha=1.0, layers=(1,), positions="all"):
    vector = torch.randn(D_MODEL, generator=torch.Generator().manual_seed(seed))
    target = {"clamp": 2.0, "cap": -0.5, "floor": 0.5}.get(operation)
    return eg.SteeringHook(vector, alpha=alpha, operation=operation, layers=layers, positions=positions, target=target)


def logits(model, ids, **arguments):
    with torch.no_grad():
        return model(torch.as_tensor(ids), **arguments)


def traces(model):
    """Everything that a hook could leave behind in a model."""
    points = {name: len(point.fwd_hooks) for name, point in model.hook_dict.items()}
    torch_hooks = sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in model.modules())
    return points, torch_hooks, model.context_level


@few
@given(kind=kinds, operation=operations, layers=some_layers, positions=places, seed=seeds, ids=rows_of_ids)
def test_alpha_zero_equals_no_hook_bit_for_bit(kind, operation, layers, positions, seed, ids):
    model = tiny_model(kind)
    ids, mask = pad(ids)
    plain = logits(model, ids, attention_mask=mask)
    with torch.no_grad():
        written = model.generate(ids[:1, :4], max_new_tokens=4, **GREEDY)
    for alpha in (0.0, [0.0] * len(ids)):
        hook = made_hook(seed, operation=operation, alpha=alpha, layers=layers, positions=positions)
        with hook.attached(model), torch.no_grad():
            assert torch.equal(logits(model, ids, attention_mask=mask), plain)
            assert torch.equal(model.run_with_hooks(ids, attention_mask=mask, fwd_hooks=[]), plain)
    with made_hook(seed, operation=operation, alpha=0.0, layers=layers, positions=positions).attached(model):
        assert torch.equal(model.generate(ids[:1, :4], max_new_tokens=4, **GREEDY), written)


@few
@given(kind=kinds, operation=operations, layers=some_layers, positions=places, seed=seeds, data=st.data())
def test_a_vector_of_alphas_equals_the_runs_one_by_one(kind, operation, layers, positions, seed, data):
    model = tiny_model(kind)
    alphas = data.draw(st.lists(strengths, min_size=2, max_size=4))
    ids = torch.tensor(data.draw(rows_of_ids.map(lambda rows: [rows[0]])))
    shared = {"operation": operation, "layers": layers, "positions": positions}
    with made_hook(seed, alpha=alphas, **shared).attached(model):
        together = logits(model, ids.repeat(len(alphas), 1))
        written = model.generate(ids.repeat(len(alphas), 1), max_new_tokens=5, **GREEDY)
    for row, alpha in enumerate(alphas):
        with made_hook(seed, alpha=alpha, **shared).attached(model):
            torch.testing.assert_close(together[row], logits(model, ids)[0], atol=1e-4, rtol=1e-4)
            assert torch.equal(written[row], model.generate(ids, max_new_tokens=5, **GREEDY)[0])


@few
@given(kind=kinds, operation=operations, positions=places, alpha=strengths, seed=seeds, ids=rows_of_ids)
def test_generation_with_kv_cache_equals_generation_without(kind, operation, positions, alpha, seed, ids):
    model = tiny_model(kind)
    with made_hook(seed, operation=operation, alpha=alpha, positions=positions).attached(model):
        cached, plain = (
            model.generate(torch.tensor(ids[:1]), max_new_tokens=7, use_past_kv_cache=cache, **GREEDY)
            for cache in (True, False)
        )
    assert torch.equal(cached, plain)


@few
@given(
    kind=kinds,
    side=st.sampled_from(["left", "right"]),
    operation=operations,
    layers=some_layers,
    positions=places,
    alpha=strengths,
    seed=seeds,
    ids=rows_of_ids,
)
def test_padded_equals_unpadded(kind, side, operation, layers, positions, alpha, seed, ids):
    model = tiny_model(kind)
    padded, mask = pad(ids, side=side, fill=262)
    hook = made_hook(seed, operation=operation, alpha=alpha, layers=layers, positions=positions)
    with hook.attached(model):
        together = logits(model, padded, attention_mask=mask)
        for row, alone in enumerate(ids):
            torch.testing.assert_close(together[row, mask[row]], logits(model, [alone])[0], atol=1e-4, rtol=1e-4)


@few
@given(kind=kinds, side=st.sampled_from(["left", "right"]), seed=seeds, ids=rows_of_ids, data=st.data())
def test_spans_per_row_and_responses_equal_the_rows_alone(kind, side, seed, ids, data):
    model = tiny_model(kind)
    starts = [data.draw(st.integers(0, len(row) - 1)) for row in ids]
    spans = [(start, data.draw(st.integers(start + 1, len(row)))) for start, row in zip(starts, ids, strict=True)]
    padded, mask = pad(ids, side=side, fill=262)
    with made_hook(seed, positions=spans).attached(model):
        together = logits(model, padded, attention_mask=mask)
    with made_hook(seed, positions="response").attached(model, responses=spans):
        assert torch.equal(logits(model, padded, attention_mask=mask), together)
    for row, (alone, span) in enumerate(zip(ids, spans, strict=True)):
        with made_hook(seed, positions=span).attached(model):
            torch.testing.assert_close(together[row, mask[row]], logits(model, [alone])[0], atol=1e-4, rtol=1e-4)


@few
@given(kind=kinds, positions=st.sampled_from(["all", "prompt", "generated"]), seed=seeds, data=st.data())
def test_a_steered_batch_of_ragged_prompts_equals_model_generate_one_by_one(kind, positions, seed, data):
    """Both ends: our batched decoding with its shared prompts, and the model type's own `generate`."""
    model = tiny_model(kind)
    prompts = data.draw(st.lists(st.text("abcer I", min_size=1, max_size=12), min_size=2, max_size=4))
    alphas = [data.draw(strengths) for _ in prompts]
    hook = made_hook(seed, positions=positions)
    together = generate(
        model,
        prompts,
        max_new_tokens=6,
        chat=False,
        edit=lambda rows: hook.with_alpha([alphas[i] for i in rows]).attached(model),
    )
    for row, alpha in enumerate(alphas):
        ids = torch.tensor([together.prompt_ids[row]])
        with hook.with_alpha(alpha).attached(model):
            alone = model.generate(ids, max_new_tokens=6, **GREEDY)[0, ids.shape[1] :].tolist()
        assert alone[: len(together.new_ids[row])] == list(together.new_ids[row])


@few
@given(kind=kinds, positions=st.sampled_from(["all", "prompt", "generated", (0, 2)]), seed=seeds, data=st.data())
def test_a_sweep_equals_its_texts_written_one_by_one(kind, positions, seed, data):
    """Heads of chat templates and unsteered prompts are read once in a sweep, which must not show."""
    model = tiny_model(kind)
    prompts = data.draw(st.lists(st.text("abcer I", min_size=1, max_size=9), min_size=2, max_size=3, unique=True))
    alphas = data.draw(st.lists(strengths.filter(bool), min_size=1, max_size=2, unique=True))
    vector = torch.randn(D_MODEL, generator=torch.Generator().manual_seed(seed))
    direction = eg.ConceptDirection(vector, layer=1)
    steered = eg.SteeringHook(direction, units="raw", positions=positions)
    sweep = eg.steering_sweep(model, steered, prompts, alphas, max_new_tokens=5, progress=False)
    for a, alpha in enumerate(sweep.alphas):
        hook = eg.SteeringHook(direction, alpha=float(alpha), positions=positions)
        for p, prompt in enumerate(prompts):
            alone = generate(model, [prompt], max_new_tokens=5, edit=lambda rows, hook=hook: hook.attached(model))
            assert alone.texts[0] == sweep.texts[a][p]


@few
@given(kind=kinds, seed=seeds, temperature=st.floats(0.5, 1.5), data=st.data())
def test_sampled_texts_do_not_depend_on_their_batch(kind, seed, temperature, data):
    model = tiny_model(kind)
    prompts = data.draw(st.lists(st.text("abcer I", min_size=1, max_size=9), min_size=2, max_size=4))
    options = {"max_new_tokens": 6, "chat": False, "temperature": temperature, "seed": seed}
    together = generate(model, prompts, **options)
    # A row's draws depend on its number, so fewer rows after it change nothing.
    assert generate(model, prompts[:1], **options).new_ids[0] == together.new_ids[0]


@few
@given(kind=kinds, seed=seeds, ids=rows_of_ids, alpha=strengths)
def test_saved_and_loaded_directions_steer_identically(tmp_path_factory, kind, seed, ids, alpha):
    model = tiny_model(kind)
    ids = torch.tensor(ids[:1])
    folder = tmp_path_factory.mktemp("saved")
    vector = torch.randn(D_MODEL, generator=torch.Generator().manual_seed(seed))
    direction = eg.ConceptDirection(vector, layer=1, scales={"sd": 1.7})
    space = eg.Subspace.from_directions(torch.stack([vector, vector.flip(0)]), layer=2)
    direction_again = eg.ConceptDirection.load(direction.save(folder / "direction.safetensors"))
    space_again = eg.Subspace.load(space.save(folder / "space.safetensors"))
    for made, again, options in (
        (direction, direction_again, {"units": "sd"}),
        (space, space_again, {"operation": "project_out"}),
    ):
        with eg.SteeringHook(made, alpha=alpha, **options).attached(model):
            expected, written = logits(model, ids), model.generate(ids, max_new_tokens=4, **GREEDY)
        with eg.SteeringHook(again, alpha=alpha, **options).attached(model):
            assert torch.equal(logits(model, ids), expected)
            assert torch.equal(model.generate(ids, max_new_tokens=4, **GREEDY), written)


@few
@given(kind=kinds, seed=seeds, depth=st.integers(1, 3), broken=st.booleans(), positions=places, ids=rows_of_ids)
def test_nested_blocks_and_exceptions_leave_no_trace(kind, seed, depth, broken, positions, ids):
    model = tiny_model(kind)
    ids = torch.tensor(ids[:1])
    before, plain = traces(model), logits(model, ids)

    def nest(level):
        if level == 0:
            if broken:
                with model.hooks(fwd_hooks=[("blocks.2.hook_resid_post", explode)]):
                    logits(model, ids)
            return logits(model, ids)
        with made_hook(seed + level, alpha=float(level), positions=positions, layers=[level - 1]).attached(model):
            return nest(level - 1)

    if broken:
        with pytest.raises(ZeroDivisionError):
            nest(depth)
    else:
        nest(depth)
    assert traces(model) == before
    assert torch.equal(logits(model, ids), plain)


def explode(stream, hook):
    raise ZeroDivisionError("inside the forward pass")
