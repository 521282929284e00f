"""Each operation of a hook against its formula, in batches as alone, with a KV cache as without."""

import numpy as np
import pytest
import torch
from tiny_models import D_MODEL

import empathy_geometry as eg
from empathy_geometry.generation.continuations import generate
from empathy_geometry.geometry.directions_by_layer import Directions
from empathy_geometry.models.tokens import pad

pytestmark = pytest.mark.usefixtures("one_thread")

UNIT = torch.nn.functional.normalize(torch.randn(D_MODEL, generator=torch.Generator().manual_seed(7)), dim=0)
STREAM = torch.randn(3, 5, D_MODEL, generator=torch.Generator().manual_seed(8)) * 3


def direction(layer=1, seed=7, **fields):
    return eg.ConceptDirection(
        torch.randn(D_MODEL, generator=torch.Generator().manual_seed(seed)), layer=layer, **fields
    )


def angle(rows, to=UNIT):
    return torch.rad2deg(torch.arccos((torch.nn.functional.normalize(rows, dim=-1) @ to).clamp(-1, 1)))


@pytest.mark.parametrize(("operation", "beyond"), [("cap", torch.gt), ("floor", torch.lt)])
def test_cap_and_floor_set_only_projections_beyond_the_target(operation, beyond):
    target = float((STREAM @ UNIT).median())
    edited = eg.SteeringHook(direction(), operation=operation, target=target).edit(STREAM)
    lies_beyond = beyond(STREAM @ UNIT, target)
    assert 0 < int(lies_beyond.sum()) < lies_beyond.numel()
    torch.testing.assert_close((edited @ UNIT)[lies_beyond], torch.full_like((edited @ UNIT)[lies_beyond], target))
    assert torch.equal(edited[~lies_beyond], STREAM[~lies_beyond])
    half = eg.SteeringHook(direction(), alpha=0.5, operation=operation, target=target).edit(STREAM)
    torch.testing.assert_close(half, (STREAM + edited) / 2)


def test_a_subspace_is_capped_row_by_row():
    space = eg.Subspace.from_directions(torch.randn(2, D_MODEL, generator=torch.Generator().manual_seed(1)), layer=1)
    edited = eg.SteeringHook(space, operation="cap", target=[0.5, -0.5]).edit(STREAM)
    torch.testing.assert_close(
        space.coordinates(edited),
        torch.minimum(space.coordinates(STREAM), torch.tensor([0.5, -0.5])),
        atol=1e-5,
        rtol=0,
    )


@pytest.mark.parametrize("degrees", [-30.0, 10.0, 45.0])
def test_rotation_turns_by_the_angle_and_keeps_the_norm_and_the_plane(degrees):
    edited = eg.SteeringHook(direction(), alpha=degrees, operation="rotate").edit(STREAM)
    torch.testing.assert_close(edited.norm(dim=-1), STREAM.norm(dim=-1))
    torch.testing.assert_close(angle(edited), angle(STREAM) - degrees, atol=2e-3, rtol=0)
    across = [rows - (rows @ UNIT)[..., None] * UNIT for rows in (STREAM, edited)]
    assert float(torch.nn.functional.cosine_similarity(*across, dim=-1).min()) > 1 - 1e-5


def test_rotation_ends_at_the_direction_and_leaves_what_lies_along_it():
    edited = eg.SteeringHook(direction(), alpha=400.0, operation="rotate").edit(STREAM)
    torch.testing.assert_close(edited, STREAM.norm(dim=-1, keepdim=True) * UNIT, atol=1e-4, rtol=0)
    along = (2.0 * UNIT).expand(1, 1, -1)
    torch.testing.assert_close(eg.SteeringHook(direction(), alpha=20.0, operation="rotate").edit(along), along)


@pytest.mark.parametrize(
    "arguments", [{"operation": "rotate"}, {"operation": "cap", "target": 0.2}, {"operation": "floor", "target": 0.2}]
)
def test_each_row_has_its_own_alpha_and_zero_keeps_every_bit(arguments):
    alphas = torch.tensor([0.0, 0.4, 1.0])
    together = eg.SteeringHook(direction(), alpha=alphas, **arguments).edit(STREAM)
    assert torch.equal(together[0], STREAM[0])
    for row in (1, 2):
        alone = eg.SteeringHook(direction(), alpha=float(alphas[row]), **arguments).edit(STREAM[row : row + 1])
        torch.testing.assert_close(together[row], alone[0])


def test_directions_edit_each_layer_along_its_own_as_nested_hooks_do(tiny_model):
    several = Directions([direction(layer, seed=layer, norm=2.0) for layer in (0, 2)])
    ids = tiny_model.to_tokens("abc erI the pot")
    plain = tiny_model(ids)
    with eg.SteeringHook(several, alpha=1.5, units="norm").attached(tiny_model):
        together = tiny_model(ids)
    first, last = (eg.SteeringHook(several[layer], alpha=1.5, units="norm") for layer in (0, 2))
    with first.attached(tiny_model), last.attached(tiny_model):
        nested = tiny_model(ids)
    torch.testing.assert_close(together, nested)
    assert not torch.allclose(together, plain)
    swapped = Directions([direction(layer, seed=2 - layer, norm=2.0) for layer in (0, 2)])
    with eg.SteeringHook(swapped, alpha=1.5, units="norm").attached(tiny_model):
        assert not torch.allclose(together, tiny_model(ids))
    with eg.SteeringHook(several, layers=[2], alpha=1.5, units="norm").attached(tiny_model):
        only_last = tiny_model(ids)
    with last.attached(tiny_model):
        torch.testing.assert_close(only_last, tiny_model(ids))


def test_what_directions_cannot_do_is_said(tiny_llama):
    several = Directions([direction(layer, seed=layer) for layer in (0, 2)])
    with pytest.raises(ValueError, match=r"no direction at layers \[1\]; there are \[0, 2\]"):
        eg.SteeringHook(several, layers=[1])
    with pytest.raises(ValueError, match="say which"):
        eg.SteeringHook(several).edit(STREAM)
    with pytest.raises(TypeError, match=r"along which the effect is measured, got Directions"):
        eg.steering_sweep(tiny_llama, several, ["a"], [1.0])


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_last_token_of_the_prompt_is_edited_and_no_other(tiny_model, side):
    ids, mask = pad([tiny_model.to_tokens(t)[0].tolist() for t in ("abc", "abc er pot")], side=side)
    d, seen = direction(), []

    def read(alpha):
        hook = eg.SteeringHook(d, alpha=alpha, positions="last_prompt", units="raw")
        name = "blocks.1.hook_resid_post"
        with hook.attached(tiny_model), tiny_model.hooks(fwd_hooks=[(name, lambda x, hook: seen.append(x))]):
            tiny_model(ids, attention_mask=mask)

    read(0.0)
    read(2.0)
    moved = (seen[1] - seen[0]).norm(dim=-1)
    for row in range(2):
        real = moved[row, mask[row]]
        assert not real[:-1].any()
        assert float(real[-1]) == pytest.approx(2.0, abs=1e-4)
        assert not moved[row, ~mask[row]].any()


def test_the_last_token_of_the_prompt_alike_in_batch_alone_and_without_a_cache(tiny_model):
    hook = eg.SteeringHook(direction(), alpha=8.0, positions="last_prompt", units="raw")
    prompts = ["abc", "abc er", "abc er pot I"]
    plain = generate(tiny_model, prompts, max_new_tokens=4, chat=False)
    with hook.attached(tiny_model):
        together = generate(tiny_model, prompts, max_new_tokens=4, chat=False)
        alone = [generate(tiny_model, [p], max_new_tokens=4, chat=False).texts[0] for p in prompts]
        options = {"max_new_tokens": 4, "do_sample": False, "verbose": False, "return_type": "tokens"}
        ids = tiny_model.to_tokens(prompts[2])
        cached, uncached = (tiny_model.generate(ids, use_past_kv_cache=c, **options) for c in (True, False))
    assert list(together.texts) == alone
    assert together.texts != plain.texts
    assert torch.equal(cached, uncached)
    steered = eg.SteeringHook(hook.direction, positions="last_prompt", units="raw")
    design = eg.SweepDesign(chat=False, neutral_texts=())
    sweep = eg.steering_sweep(tiny_model, steered, prompts, [8.0], max_new_tokens=4, design=design, progress=False)
    assert sweep.texts[-1] == together.texts


def test_a_score_of_a_direction_is_what_token_scores_say(tiny_model):
    d = direction(scales={"class_gap": 2.0}, class_means={"positive": 1.5, "negative": -0.5})
    texts = ["abc erI the pot"]
    acts = eg.extract_activations(
        tiny_model, eg.LabeledTexts(texts, ["a"], ["1"]), layers=[1], position="last", progress=False
    )
    found = eg.token_scores(tiny_model, texts, d)
    assert float(d.score(acts.layer(1))[0]) == pytest.approx(float(found.scores[0][-1]), abs=1e-4)
    np.testing.assert_allclose(d.score(acts.layer(1), units="raw"), d.project(acts.layer(1)))


def test_a_sweep_edits_the_last_token_of_each_prompt_and_not_of_what_prompts_share(tiny_llama):
    """In a chat template prompts begin alike; that beginning is no prompt of its own."""
    prompts, hook = ["abc", "the pot", "er I er"], eg.SteeringHook(direction(), positions="last_prompt", units="raw")
    sweep = eg.steering_sweep(tiny_llama, hook, prompts, [40.0], max_new_tokens=6, progress=False)
    with hook.with_alpha(40.0).attached(tiny_llama):
        assert sweep.texts[-1] == generate(tiny_llama, prompts, max_new_tokens=6).texts
    assert sweep.texts[-1] != sweep.texts[0]
