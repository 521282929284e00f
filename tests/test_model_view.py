"""Views give what the model gives as it is now, follow every change of it, and leave it alone."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import D_MODEL, KINDS, N_LAYERS, tiny_bridge, tiny_hooked_transformer, tiny_model
from torch import nn
from transformers import MistralConfig, MistralForCausalLM

import empathy_geometry as eg
from empathy_geometry.models.hooked_model import hook_points
from empathy_geometry.models.model_view import SWITCH, is_view, own_view, prepare_view
from empathy_geometry.models.shared_copy import NoSharedCopyError, reachable_modules, shared_copy
from empathy_geometry.models.tokens import pad

pytestmark = pytest.mark.usefixtures("one_thread")

rows_of_ids = st.lists(st.lists(st.integers(0, 250), min_size=1, max_size=9), min_size=1, max_size=4)
BRIDGES = [kind for kind in KINDS if kind != "hooked_transformer"]
LAST = f"blocks.{N_LAYERS - 1}.hook_resid_post"
IDS, MASK = pad([[5, 6, 7, 8], [9, 10]], side="left")
TEXTS = eg.LabeledTexts([f"text number {i}" for i in range(6)], ["a", "b"] * 3, [f"g{i // 2}" for i in range(6)])


def fresh(kind: str) -> Any:
    return tiny_hooked_transformer() if kind == "hooked_transformer" else tiny_bridge(kind.removeprefix("bridge_"))  # type: ignore[arg-type]


def logits(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(ids, attention_mask=mask)[mask]


def through_view(model: Any, names: tuple[str, ...] = (), longest: int = 4) -> torch.Tensor:
    with own_view(model, names, longest=longest) as view:
        return logits(view, IDS, MASK)


def extracted(model: Any) -> torch.Tensor:
    return eg.extract_activations(model, TEXTS, position="mean", layers=[N_LAYERS - 1], progress=False).values


def own_extraction(model: Any) -> torch.Tensor:
    """The same by the model's own passes, one text at a time."""
    found = []
    for text in TEXTS.texts:
        seen: list[torch.Tensor] = []
        with torch.no_grad(), model.hooks(fwd_hooks=[(LAST, lambda x, hook, seen=seen: seen.append(x))]):
            model(model.to_tokens(text))
        found.append(seen[0][0, 1:].mean(0))  # BOS is not pooled
    return torch.stack(found)[:, None]


@settings(max_examples=15, deadline=None)
@given(kind=st.sampled_from(KINDS), ids=rows_of_ids, side=st.sampled_from(["left", "right"]))
def test_the_same_logits_and_streams(kind, ids, side):
    model = tiny_model(kind)
    ids, mask = pad(ids, side=side)
    streams, found = {}, {}
    for form in ("own", "view"):
        seen: list[torch.Tensor] = []
        hooks = [(LAST, lambda x, hook, seen=seen: seen.append(x[mask].clone()))]
        if form == "own":
            with model.hooks(fwd_hooks=hooks):
                found[form] = logits(model, ids, mask)
        else:
            with own_view(model, [LAST], longest=9) as view, view.hooks(fwd_hooks=hooks):
                found[form] = logits(view, ids, mask)
        (streams[form],) = seen
    torch.testing.assert_close(streams["view"], streams["own"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found["view"], found["own"], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_view_shares_tensors_and_no_module(kind):
    model = tiny_model(kind)
    with own_view(model) as view:
        assert is_view(view)
        assert not is_view(model)
        assert not {id(m) for m in reachable_modules(view)} & {id(m) for m in reachable_modules(model)}
        held = {id(p) for p in model.parameters()}
        assert {id(p) for m in reachable_modules(view) for p in m._parameters.values() if p is not None} <= held
        with own_view(view, [LAST]) as inner:
            assert inner is view


@pytest.mark.parametrize("kind", BRIDGES)
def test_wrappers_are_left_out_where_no_hook_needs_them(kind, monkeypatch):
    model = tiny_model(kind)
    inside = f"blocks.1.mlp.{'gate.' if kind == 'bridge_llama' else ''}hook_out"
    with own_view(model) as view:
        assert view.original_model.config._attn_implementation == "sdpa"
        assert LAST in hook_points(view)
        assert inside not in hook_points(view)
    with own_view(model, [inside]) as view:
        assert inside in hook_points(view)
        assert view.original_model.config is model.original_model.config
    monkeypatch.setenv(SWITCH, "0")
    with own_view(model) as view:
        assert inside in hook_points(view)
    assert model.original_model.config._attn_implementation == "eager"


@pytest.mark.parametrize("site", ["resid_mid", "attn_out", "mlp_out"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_site_is_read_as_run_with_cache_reads_it(kind, site):
    model = tiny_model(kind)
    acts = eg.extract_activations(model, TEXTS, position="last", layers=[1], site=site, progress=False)
    with torch.no_grad():
        _, cache = model.run_with_cache(model.to_tokens(TEXTS.texts[0]))
    torch.testing.assert_close(acts.values[0, 0], cache[f"blocks.1.hook_{site}"][0, -1], atol=1e-4, rtol=1e-4)


class Thrice(nn.Module):
    """As an adapter or a quantised layer around what was there."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *arguments: Any, **options: Any) -> Any:
        return 3 * self.inner(*arguments, **options)


def layer_of(model: Any, i: int = 1) -> Any:
    layers = (
        model.original_model.model.layers
        if hasattr(model.original_model, "model")
        else model.original_model.transformer.h
    )
    return getattr(layers[i], "original_component", layers[i])


def down(model: Any) -> tuple[Any, str]:
    mlp = model.blocks[1].mlp.original_component
    return mlp, "down_proj" if hasattr(mlp, "down_proj") else "c_proj"


def exchange_component(model):
    wrapper = model.blocks[1].mlp
    wrapper.set_original_component(Thrice(wrapper.original_component))


def exchange_part(model):
    layer_of(model).mlp = Thrice(layer_of(model).mlp)


def exchange_linear(model):
    mlp, name = down(model)
    setattr(mlp, name, Thrice(getattr(mlp, name)))


def exchange_parameter(model):
    mlp, name = down(model)
    linear = getattr(mlp, name)
    linear = getattr(linear, "original_component", linear)
    linear.weight = nn.Parameter(3 * linear.weight.detach(), requires_grad=False)


def exchange_data(model):
    mlp, name = down(model)
    next(getattr(mlp, name).parameters()).data.mul_(3)


def exchange_activation(model):
    mlp = model.blocks[1].mlp.original_component
    setattr(mlp, "act_fn" if hasattr(mlp, "act_fn") else "act", nn.Tanh())


def set_epsilon(model):
    norm = layer_of(model).input_layernorm if hasattr(layer_of(model), "input_layernorm") else layer_of(model).ln_1
    norm = getattr(norm, "original_component", norm)
    setattr(norm, "variance_epsilon" if hasattr(norm, "variance_epsilon") else "eps", 10.0)


def patch_forward(model):
    linear = getattr(*down(model))
    linear = getattr(linear, "original_component", linear)
    old = linear.forward
    linear.forward = lambda *arguments, **options: 3 * old(*arguments, **options)


def swap_class(model):
    wrapper = model.blocks[1].mlp

    class Scaled(type(wrapper)):
        def forward(self, *arguments, **options):
            return 1.5 * super().forward(*arguments, **options)

    wrapper.__class__ = Scaled


def add_torch_hook(model):
    """A forward pre-hook of the user's own is a change too."""
    layer_of(model).register_forward_hook(lambda module, args, out: 2 * out if isinstance(out, torch.Tensor) else out)


CHANGES = [
    exchange_component,
    exchange_part,
    exchange_linear,
    exchange_parameter,
    exchange_data,
    exchange_activation,
    set_epsilon,
    patch_forward,
    swap_class,
    add_torch_hook,
]


@pytest.mark.parametrize("kind", BRIDGES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_after_the_first_extraction_is_computed_with_and_kept(kind, change):
    model = fresh(kind)
    before = extracted(model)
    change(model)
    expected = own_extraction(model)
    torch.testing.assert_close(extracted(model), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(own_extraction(model), expected, atol=0, rtol=0)
    # The change was one; but TransformerBridge's LayerNorm has an epsilon of its own.
    assert torch.allclose(before, expected, atol=1e-3) == (change is set_epsilon and kind == "bridge_gpt2")
    torch.testing.assert_close(extracted(model), expected, atol=1e-4, rtol=1e-4)


def test_a_buffer_exchanged_is_computed_with():
    model = fresh("bridge_llama")
    extracted(model)
    (rotary,) = [m for m in model.original_model.modules() if "inv_freq" in m._buffers]
    rotary.register_buffer("inv_freq", 0.3 * rotary.inv_freq, persistent=False)
    torch.testing.assert_close(extracted(model), own_extraction(model), atol=1e-4, rtol=1e-4)


def test_a_hooked_transformers_parameter_exchanged_is_computed_with():
    model = fresh("hooked_transformer") if "hooked_transformer" in KINDS else pytest.skip("TransformerLens 4")
    extracted(model)
    model.blocks[1].mlp.W_out = nn.Parameter(3 * model.blocks[1].mlp.W_out.detach())
    torch.testing.assert_close(extracted(model), own_extraction(model), atol=1e-4, rtol=1e-4)


def test_the_attention_setting_is_the_users():
    model = fresh("bridge_llama")
    extracted(model)
    model.original_model.config._attn_implementation = "sdpa"
    torch.testing.assert_close(extracted(model), own_extraction(model), atol=1e-4, rtol=1e-4)
    assert model.original_model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("kind", KINDS)
def test_a_users_hook_is_called_as_in_the_models_own_pass(kind):
    model, seen = fresh(kind), []
    plain = extracted(model)
    model.add_hook("blocks.1.hook_resid_post", lambda x, hook: (seen.append((x.shape, hook.name)), 2 * x)[1])
    expected, calls = own_extraction(model), len(seen)
    found = extracted(model)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert len(seen) > calls
    assert not torch.allclose(found, plain, atol=1e-2)
    model.reset_hooks()
    torch.testing.assert_close(extracted(model), plain, atol=1e-4, rtol=1e-4)


def test_nothing_is_tried_while_hooks_are_attached():
    """A hook would see tokens that nobody asked for."""
    model, seen = fresh("bridge_llama"), []
    with model.hooks(fwd_hooks=[("blocks.0.hook_resid_post", lambda x, hook: seen.append(x.shape))]):
        through_view(model)
    assert seen == [(2, 4, D_MODEL)]
    with own_view(model) as view:
        assert is_view(view)


def test_a_global_hook_of_pytorch_sees_the_models_own_modules():
    model, seen = fresh("bridge_llama"), set()
    extracted(model)
    handle = nn.modules.module.register_module_forward_pre_hook(lambda module, args: seen.add(id(module)))
    try:
        extracted(model)
    finally:
        handle.remove()
    assert id(layer_of(model)) in seen


def test_steering_attached_to_the_model_steers_our_passes_and_nothing_else():
    model = fresh("bridge_llama")
    plain = extracted(model)
    hook = eg.SteeringHook(torch.ones(D_MODEL), alpha=2.0, layers=[0])
    with hook.attached(model):
        steered = extracted(model)
        with own_view(model) as view:
            assert is_view(view)
        expected = own_extraction(model)
    torch.testing.assert_close(steered, expected, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(steered, plain, atol=1e-2)
    torch.testing.assert_close(extracted(model), plain, atol=1e-5, rtol=1e-5)


def test_a_view_that_differs_without_wrappers_keeps_them():
    model = fresh("bridge_llama")
    swap_class(model)
    with own_view(model) as view:
        assert "blocks.1.mlp.hook_out" in hook_points(view)
    torch.testing.assert_close(through_view(model), logits(model, IDS, MASK))


def test_a_model_that_cannot_be_copied_runs_itself():
    model = fresh("bridge_llama")
    patch_forward(model)
    with pytest.raises(NoSharedCopyError, match="refers to the model's own modules"):
        shared_copy(model)
    with own_view(model) as view:
        assert view is model


def test_views_are_tried_beyond_the_window_of_a_pass(monkeypatch):
    """A view whose attention forgets its window agrees on short texts and must not be used on long ones."""
    from transformer_lens.model_bridge import TransformerBridge

    from empathy_geometry.models import model_view

    tokenizer = tiny_model("bridge_llama").tokenizer
    config = MistralConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, sliding_window=24, initializer_range=0.3, eos_token_id=257,
        attn_implementation="eager",
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        hf = MistralForCausalLM(config).eval()
    model = TransformerBridge.boot_transformers(
        "tiny-m", hf_model=hf, tokenizer=tokenizer, device="cpu", dtype=torch.float32
    )
    with own_view(model, longest=40) as view:
        assert not any("mlp" in name for name in hook_points(view))  # agreed beyond the window as well
    made = model_view._made

    def forgetful(model: Any, known: Any, form: Any) -> Any:
        view = made(model, known, form)
        if form == "sdpa":
            view.original_model.config.sliding_window = None
        return view

    monkeypatch.setattr(model_view, "_made", forgetful)
    model_view._known.pop(model)
    ids = torch.randint(250, (1, 60), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids, dtype=torch.bool)
    with own_view(model, longest=24) as view:
        assert not any("mlp" in name for name in hook_points(view))
    with own_view(model, longest=60) as view:
        assert any("mlp" in name for name in hook_points(view))
        torch.testing.assert_close(logits(view, ids, mask), logits(model, ids, mask))


def test_dropout_does_not_reach_our_passes_and_flags_stay():
    model = fresh("bridge_gpt2")
    before = extracted(model)
    model.train()
    flags = [m.training for m in reachable_modules(model)]
    state = torch.random.get_rng_state()
    torch.testing.assert_close(extracted(model), before, atol=1e-5, rtol=1e-5)
    assert flags == [m.training for m in reachable_modules(model)]
    assert all(flags)
    assert torch.equal(state, torch.random.get_rng_state())
    model = fresh("bridge_gpt2").train()  # never seen in evaluation mode
    torch.testing.assert_close(extracted(model), before, atol=1e-5, rtol=1e-5)


def test_dropout_does_not_reach_our_passes_where_the_model_itself_must_run():
    model = fresh("bridge_gpt2")
    before = extracted(model)
    model.train()
    model.blocks[0].mlp.eval()  # flags need not be alike
    flags = [m.training for m in reachable_modules(model)]
    model.add_hook(LAST, lambda x, hook: None)
    torch.testing.assert_close(extracted(model), before, atol=1e-5, rtol=1e-5)
    with pytest.raises(ZeroDivisionError), own_view(model):
        raise ZeroDivisionError
    assert flags == [m.training for m in reachable_modules(model)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("position", ["mean", "last"])
def test_autocast_gives_the_same_to_rounding(kind, position):
    model = tiny_model(kind)
    options = {"position": position, "layers": [1], "progress": False}
    plain = eg.extract_activations(model, TEXTS, **options).values
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = eg.extract_activations(fresh(kind), TEXTS, **options).values
    assert cast.dtype == torch.float32
    assert 0 < float((cast - plain).norm() / plain.norm()) < 0.05


@pytest.mark.parametrize("operation", ["add", "project_out", "clamp"])
def test_a_vector_and_a_strength_get_their_gradients(operation):
    model = tiny_model("bridge_llama")
    vector = torch.linspace(-1, 1, D_MODEL).requires_grad_()
    alpha = torch.tensor(0.0 if operation == "add" else 0.5, requires_grad=True)
    target = 1.0 if operation == "clamp" else None
    hook = eg.SteeringHook(vector, alpha=alpha, operation=operation, layers=[1], target=target)

    def loss(hook: eg.SteeringHook) -> torch.Tensor:
        with hook.attached(model):
            return model(IDS, attention_mask=MASK)[MASK].log_softmax(-1)[:, 3].mean()

    loss(hook).backward()
    assert alpha.grad is not None
    assert float(alpha.grad) != 0
    assert vector.grad is not None
    step = 1e-3
    with torch.no_grad():
        up, down = (float(loss(hook.with_alpha(float(alpha) + s))) for s in (step, -step))
    assert float(alpha.grad) == pytest.approx((up - down) / (2 * step), rel=0.05, abs=1e-4)
    hook = eg.SteeringHook(vector, alpha=0.7, operation=operation, layers=[1], target=target)
    vector.grad = None
    loss(hook).backward()
    assert float(vector.grad.norm()) > 0


def test_without_gradients_nothing_is_recorded():
    vector = torch.ones(D_MODEL, requires_grad=True)
    model = fresh("bridge_llama")
    with eg.SteeringHook(vector, layers=[0]).attached(model):
        assert not extracted(model).requires_grad


def test_preparing_a_view_is_harmless_on_anything():
    with own_view(tiny_model("bridge_llama")) as view:
        prepare_view(view)
    assert np.isfinite(through_view(tiny_model("bridge_llama")).numpy()).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_nobody_holds_is_freed(kind):
    model = fresh(kind)
    extracted(model)
    with eg.SteeringHook(torch.ones(D_MODEL), layers=[0]).attached(model):
        extracted(model)
    gone = weakref.ref(model), weakref.ref(next(model.parameters()))
    del model
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


def test_a_view_in_which_a_hook_was_left_is_not_used_again():
    model = tiny_bridge("llama")
    with own_view(model) as view:
        left = next(module for module in view.modules() if isinstance(module, nn.Linear))
        left.register_forward_hook(lambda module, inputs, output: output * 0)
    with own_view(model) as other:
        assert other is not view
    with own_view(model) as again:
        assert again is other
