"""Blocks before the first edited one run once for a prompt, and no number changes by it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import D_MODEL, KINDS, N_LAYERS, tiny_model

import empathy_geometry as eg
from empathy_geometry.generation import decoding, edited_prompts
from empathy_geometry.generation.continuations import prompt_tokens
from empathy_geometry.generation.decoding import decode
from empathy_geometry.generation.edited_prompts import PromptEdit, read_edited_prompts

pytestmark = pytest.mark.usefixtures("one_thread")

prompts = st.lists(st.text("abcdeI .", min_size=1, max_size=9), min_size=1, max_size=4)
strengths = st.lists(st.sampled_from([-3.0, -0.5, 0.0, 1.0, 2.5]), min_size=2, max_size=4, unique=True)
layers = st.lists(st.sampled_from(["embed", *range(N_LAYERS)]), min_size=1, max_size=2, unique=True)


def made_hook(operation="add", layers=(1,), seed=0):
    vector = torch.randn(D_MODEL, generator=torch.Generator().manual_seed(seed))
    return eg.SteeringHook(vector, operation=operation, layers=layers, target=2.0 if operation == "clamp" else None)


def arguments(model, texts, alphas, hook, chat):
    """What `decode` and `read_edited_prompts` need for every prompt at every strength."""
    rows = prompt_tokens(model, texts, max_new_tokens=4, chat=chat) * len(alphas)
    strength = torch.tensor(np.repeat(alphas, len(texts)), dtype=torch.float32)
    prompt_edit = PromptEdit(hook.names(model), lambda batch: hook.with_alpha(strength[batch]).stream_edit())
    return rows, strength, prompt_edit


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    texts=prompts,
    alphas=strengths,
    operation=st.sampled_from(["add", "project_out", "clamp"]),
    layers=layers,
    chat=st.booleans(),
    few_rows=st.booleans(),
)
def test_the_same_tokens_with_and_without(kind, texts, alphas, operation, layers, chat, few_rows):
    model, hook = tiny_model(kind), made_hook(operation, layers)
    rows, strength, prompt_edit = arguments(model, texts, alphas, hook, chat)
    options = {
        "max_new_tokens": 4,
        "edit": lambda batch: hook.with_alpha(strength[batch]).attached(model),
        "edit_keys": strength.tolist(),
    }
    with pytest.MonkeyPatch.context() as patch:
        if few_rows:
            patch.setattr(decoding, "_LOGIT_BYTES", 3 * 4 * int(model.cfg.d_vocab))
        assert decode(model, rows, prompt_edit=prompt_edit, **options) == decode(model, rows, **options)


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "hooked_transformer"])
@pytest.mark.parametrize("chat", [True, False])
def test_logits_are_those_of_each_row_alone(kind, chat):
    model, hook, alphas = tiny_model(kind), made_hook(), [-2.0, 0.0, 1.0]
    rows, strength, prompt_edit = arguments(model, ["abc", "I walked home", "abc"], alphas, hook, chat)
    readers = np.array([4, 0, 1, 7, 3])  # not every prompt at every strength, in no order
    head = decoding._common_head(rows) if chat else 0
    found = read_edited_prompts(model, rows, readers, strength.tolist(), head, prompt_edit)
    assert found is not None
    read, logits = found
    assert len(read) == len(readers)
    for place, row in enumerate(readers):
        with hook.with_alpha(float(strength[row])).attached(model), torch.no_grad():
            alone = model(torch.tensor([rows[row]]))[0, -1]
        torch.testing.assert_close(logits[place], alone, atol=1e-4, rtol=1e-4)
        assert read.ids[place][read.mask[place]].tolist() == list(rows[row])


def test_the_first_blocks_see_each_prompt_once(tiny_llama):
    model, hook, alphas = tiny_llama, made_hook(), [-2.0, 1.0, 3.0]
    rows, strength, prompt_edit = arguments(model, ["abc", "I walked home"], alphas, hook, True)
    seen: dict[str, int] = {}
    names = ("blocks.0.hook_out", "blocks.2.hook_out")
    counters = [(n, lambda x, hook, n=n: seen.update({n: seen.get(n, 0) + x.shape[0] * x.shape[1]})) for n in names]
    head = decoding._common_head(rows)
    with model.hooks(fwd_hooks=counters):
        assert read_edited_prompts(model, rows, np.arange(6), strength.tolist(), head, prompt_edit) is not None
    each = head + sum(len(row) - head for row in rows[:2])
    assert seen == {names[0]: each, names[1]: 3 * each}


def test_layers_that_do_not_broadcast_are_read_row_by_row(tiny_llama, monkeypatch):
    options = {"max_new_tokens": 4, "progress": False}
    direction = eg.ConceptDirection(torch.ones(D_MODEL), layer=1)
    grid = ([-1.0, 2.0], "raw")
    expected = eg.steering_sweep(tiny_llama, direction, ["abc", "the pot"], grid[0], units=grid[1], **options)

    def stubborn(*arguments):
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(edited_prompts, "_together", stubborn)
    found = eg.steering_sweep(tiny_llama, direction, ["abc", "the pot"], grid[0], units=grid[1], **options)
    assert found.texts == expected.texts
    np.testing.assert_allclose(found.nll, expected.nll, atol=1e-4)
