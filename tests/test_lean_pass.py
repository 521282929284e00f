"""Lean passes compute the same, leave the model as it was, and keep every part that somebody listens to."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import D_MODEL, KINDS, N_LAYERS, tiny_bridge, tiny_model

from empathy_geometry.models.lean_pass import SWITCH, lean_pass, try_lean_passes
from empathy_geometry.models.tokens import pad

pytestmark = pytest.mark.usefixtures("one_thread", "no_gradients")

rows_of_ids = st.lists(st.lists(st.integers(0, 250), min_size=1, max_size=9), min_size=1, max_size=4)
BRIDGES = [kind for kind in KINDS if kind != "hooked_transformer"]


@pytest.fixture
def no_gradients():
    with torch.no_grad():
        yield


def wrappers(model):
    """Every module that runs, by place: what a lean pass must put back."""
    return [(name, id(child)) for name, child in model.original_model.named_modules()]


def logits(model, ids, mask, *, lean):
    with torch.no_grad():
        if not lean:
            return model(ids, attention_mask=mask)[mask]
        with lean_pass(model):
            return model(ids, attention_mask=mask)[mask]


@settings(max_examples=20, deadline=None)
@given(kind=st.sampled_from(KINDS), ids=rows_of_ids, side=st.sampled_from(["left", "right"]))
def test_the_same_logits_and_streams(kind, ids, side):
    model = tiny_model(kind)
    ids, mask = pad(ids, side=side)
    before = wrappers(model) if kind in BRIDGES else None
    streams = {True: [], False: []}
    for lean in (False, True):
        name = f"blocks.{N_LAYERS - 1}.hook_resid_post"
        keep = (name, lambda x, hook, lean=lean: streams[lean].append(x[mask].clone()))
        with model.hooks(fwd_hooks=[keep]):
            logits(model, ids, mask, lean=lean)
    torch.testing.assert_close(streams[True][0], streams[False][0], atol=1e-5, rtol=1e-5)
    found, expected = logits(model, ids, mask, lean=True), logits(model, ids, mask, lean=False)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    if before is not None:
        assert wrappers(model) == before


@pytest.mark.parametrize("kind", BRIDGES)
def test_wrappers_are_gone_inside_and_back_after_an_exception(kind):
    model = tiny_model(kind)
    before = wrappers(model)

    def run():
        with lean_pass(model):
            assert wrappers(model) != before
            raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        run()
    assert wrappers(model) == before


@pytest.mark.parametrize("kind", BRIDGES)
@pytest.mark.parametrize(
    "point",
    ["attn.hook_pattern", "attn.hook_z", "mlp.hook_out", "ln1.hook_normalized", "hook_resid_mid"],
)
def test_a_part_with_a_hook_keeps_its_wrapper(kind, point):
    model = tiny_model(kind)
    ids, mask = pad([[5, 6, 7, 8]])
    heard = {True: [], False: []}
    for lean in (False, True):
        with model.hooks(fwd_hooks=[(f"blocks.1.{point}", lambda x, hook, lean=lean: heard[lean].append(x.clone()))]):
            logits(model, ids, mask, lean=lean)
    assert len(heard[True]) == len(heard[False])
    for a, b in zip(heard[True], heard[False], strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_nothing_is_tried_while_hooks_are_attached():
    """A hook would see tokens that nobody asked for."""
    model, seen = tiny_bridge("llama"), []
    ids, mask = pad([[5, 6, 7]])
    before = wrappers(model)
    with model.hooks(fwd_hooks=[("blocks.0.hook_resid_post", lambda x, hook: seen.append(x.shape))]):
        logits(model, ids, mask, lean=True)
        with lean_pass(model):
            assert wrappers(model) == before
    assert seen == [(1, 3, D_MODEL)]
    with lean_pass(model):
        assert wrappers(model) != before


def test_an_edit_inside_a_block_takes_effect():
    model = tiny_model("bridge_llama")
    ids, mask = pad([[5, 6, 7, 8]])
    with model.hooks(fwd_hooks=[("blocks.1.attn.hook_z", lambda z, hook: 0 * z)]):
        expected, found = (logits(model, ids, mask, lean=lean) for lean in (False, True))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found, logits(model, ids, mask, lean=True))


def test_a_model_that_differs_without_its_wrappers_always_uses_them():
    model = tiny_bridge("llama")
    wrapper = model.blocks[1].mlp

    class Scaled(type(wrapper)):  # as a wrapper with weights processed its own way
        def forward(self, *arguments, **options):
            return 1.5 * super().forward(*arguments, **options)

    wrapper.__class__ = Scaled
    before = wrappers(model)
    try_lean_passes(model)
    with lean_pass(model):
        assert wrappers(model) == before


def test_fused_attention_where_nobody_listens_and_eager_again_after():
    model = tiny_model("bridge_llama")
    config = model.original_model.config
    try_lean_passes(model)
    with lean_pass(model):
        assert config._attn_implementation == "sdpa"
    assert config._attn_implementation == "eager"
    with model.hooks(fwd_hooks=[("blocks.2.attn.hook_pattern", lambda x, hook: None)]), lean_pass(model):
        assert config._attn_implementation == "eager"


def test_with_gradients_the_model_runs_as_it_is():
    model = tiny_model("bridge_llama")
    before = wrappers(model)
    with torch.enable_grad(), lean_pass(model):
        assert wrappers(model) == before


def test_hooks_reset_in_between_are_no_hooks():
    model = tiny_bridge("llama")
    try_lean_passes(model)
    model.reset_hooks()
    model.to_tokens("a")
    before = wrappers(model)
    with lean_pass(model):
        assert model.original_model.config._attn_implementation == "sdpa"
        assert wrappers(model) != before


def test_it_can_be_turned_off(monkeypatch):
    monkeypatch.setenv(SWITCH, "0")
    model = tiny_model("bridge_gpt2")
    before = wrappers(model)
    with lean_pass(model):
        assert wrappers(model) == before
