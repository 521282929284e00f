"""What a row gives does not depend on its batch, and is what plain Hugging Face gives for it alone.

At every length around a window of the attention and around a switch of rotary frequencies, with and without shared
prefixes. A few architectures in the default run, all of them with `pytest -m slow`.
"""

import copy
import os
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from tiny_architectures import ARCHITECTURES, SWITCH, WINDOW, tiny_architecture
from tiny_models import D_MODEL, has_hooked_transformer, tiny_hooked_transformer
from transformers.cache_utils import DynamicLayer

import empathy_geometry as eg
from empathy_geometry.generation.continuations import continuations
from empathy_geometry.generation.decoding import decode, end_tokens
from empathy_geometry.generation.edited_prompts import PromptEdit
from empathy_geometry.generation.likelihood import read_streams
from empathy_geometry.models.behaviour_lengths import BehaviourLengths

pytestmark = pytest.mark.usefixtures("one_thread")

FEW = ("mistral", "gpt_neo", "phi3_longrope", "llama_dynamic")
MANY = [pytest.param(name, marks=() if name in FEW else pytest.mark.slow) for name in ARCHITECTURES]
BORDERS = (WINDOW, SWITCH)
NEW = 6
ALPHABET = "qwzxkjvbnmlpoiuyt"


def letters(n, seed):
    return "".join(np.random.default_rng(seed).choice(list(ALPHABET), n))


def lengths_of_interest(few):
    """Lengths of prompts, BOS included, such that they or what is written pass each border."""
    near = [b + d for b in BORDERS for d in ((-NEW - 1, -1, 0, 1) if few else range(-NEW - 2, 3))]
    return sorted({n for n in [*near, 3, 2 * SWITCH + 3] if n >= 3})


def prompt_ids(model, few):
    """Prompts of these lengths, rising, that begin alike as far as they go: all but the last three tokens of each."""
    common = letters(max(lengths_of_interest(few)), 0)
    strings = [common[: max(0, n - 4)] + letters(min(3, n - 1), n) for n in lengths_of_interest(few)]
    return [tuple(model.to_tokens(s)[0].tolist()) for s in strings]


def families(rows):
    """The prompts from several lengths on, so that their common head is short, or ends around each border."""
    return [rows[start:] for start in range(0, len(rows) - 1, max(1, len(rows) // 4))]


def blocks_of(plain):
    """The decoder blocks of a Hugging Face model."""
    n_layers = next(
        int(getattr(plain.config, name))
        for name in ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
        if hasattr(plain.config, name)
    )
    return next(m for m in plain.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == n_layers)


def plain_pass(plain, ids):
    """Streams after each block and logits, [layer, pos, d_model] and [pos, vocab], by Hugging Face alone."""
    plain = copy.deepcopy(plain)  # dynamic rotary frequencies remember longer texts
    streams = []
    for block in blocks_of(plain):
        block.register_forward_hook(
            lambda module, args, output: streams.append(output[0] if isinstance(output, tuple) else output)
        )
    with torch.no_grad():
        logits = plain(torch.tensor([ids])).logits[0]
    return torch.stack([s.reshape(-1, s.shape[-1]) for s in streams]), logits


def plain_text(plain, ids, ends, new):
    """What Hugging Face's `generate` writes after one prompt by itself."""
    tensor = torch.tensor([ids])
    written = copy.deepcopy(plain).generate(
        tensor,
        attention_mask=torch.ones_like(tensor),
        max_new_tokens=new,
        do_sample=False,
        eos_token_id=sorted(ends),
        pad_token_id=0,
    )
    return tuple(written[0, len(ids) :].tolist())


def relative(found, expected):
    return float((found - expected).norm() / expected.norm())


@contextmanager
def noting(name, **figures):
    """The figures of a check, shown when EMPATHY_GEOMETRY_FIGURES is set."""
    yield figures
    if os.environ.get("EMPATHY_GEOMETRY_FIGURES"):
        print(f"\nFIGURES {name} " + " ".join(f"{key}={value}" for key, value in figures.items()))


@pytest.mark.parametrize("name", MANY)
@pytest.mark.filterwarnings("ignore")
def test_texts(name):
    """Greedy texts of a ragged batch, with what prompts have in common read once and without."""
    model, plain = tiny_architecture(name)
    rows, ends = prompt_ids(model, name in FEW), end_tokens(model)
    expected = [plain_text(plain, ids, ends, NEW) for ids in rows]
    with noting(name, prompts=len(rows)) as figures:
        shared = [(decode(model, some, max_new_tokens=NEW), expected[-len(some) :]) for some in families(rows)]
        alone = decode(model, rows, max_new_tokens=NEW, edit=_no_edit, edit_keys=None)
        single = [decode(model, [ids], max_new_tokens=NEW)[0] for ids in rows]
        figures["heads_shared"] = [sum(a == b for a, b in zip(*pair, strict=True)) for pair in shared]
        figures["not_shared"] = sum(a == b for a, b in zip(alone, expected, strict=True))
        figures["one_by_one"] = sum(a == b for a, b in zip(single, expected, strict=True))
    assert single == expected
    assert alone == expected
    for found, wanted in shared:
        assert found == wanted


def _no_edit(rows):
    return torch.no_grad()


@pytest.mark.parametrize("name", MANY)
@pytest.mark.filterwarnings("ignore")
def test_steered_texts_and_their_scores(name):
    """Prompts under several edits: in one batch, and row by row; scores as of a plain pass over the whole text."""
    model, plain = tiny_architecture(name)
    prompts = prompt_ids(model, name in FEW)
    prompts = prompts[len(prompts) // 2 :]  # with a long common head
    d_model = int(model.cfg.d_model)
    direction = torch.randn(d_model, generator=torch.Generator().manual_seed(1))
    hook, alphas = eg.SteeringHook(direction, layers=[1]), [-2.0, 0.0, 3.0]
    rows = prompts * len(alphas)
    strength = torch.tensor(np.repeat(alphas, len(prompts)), dtype=torch.float32)

    def edit(batch):
        return hook.with_alpha(strength[batch]).attached(model)

    prompt_edit = PromptEdit(hook.names(model), lambda batch: hook.with_alpha(strength[batch]).stream_edit())
    found = decode(model, rows, max_new_tokens=NEW, edit=edit, edit_keys=strength.tolist(), prompt_edit=prompt_edit)
    expected = []
    for ids, alpha in zip(rows, strength.tolist(), strict=True):
        with hook.with_alpha(alpha).attached(model):
            expected.append(decode(model, [ids], max_new_tokens=NEW)[0])
    assert found == expected
    reading, streams = read_streams(model, continuations(model, rows, found), layer=1)
    worst = worst_stream = 0.0
    for row, (ids, new) in enumerate(zip(rows, found, strict=True)):
        plain_streams, logits = plain_pass(plain, [*ids, *new])
        nll = -logits.log_softmax(-1)[len(ids) - 1 : -1].gather(1, torch.tensor(new)[:, None])[:, 0]
        worst = max(worst, relative(reading.nll[row], nll))
        worst_stream = max(worst_stream, relative(streams[row], plain_streams[1, len(ids) :].mean(0)))
    with noting(name, nll_error=f"{worst:.1e}", stream_error=f"{worst_stream:.1e}"):
        pass
    assert worst < 1e-4
    assert worst_stream < 1e-4


@pytest.mark.parametrize("name", MANY)
@pytest.mark.filterwarnings("ignore")
def test_vectors(name):
    """Extraction: texts with and without common prompts, prefixes shared and not, batches of any size."""
    model, plain = tiny_architecture(name)
    prompts, texts = [], []
    for n in lengths_of_interest(name in FEW):
        prompt = letters(n - 1, n)
        for k in (1, 4, 9) if n < WINDOW + 2 or name not in FEW else (1, 4):
            prompts.append(prompt)
            texts.append(prompt + letters(k, 10 * n + k))
    groups = [str(i) for i in range(len(texts))]
    labels = (["x", "y"] * len(texts))[: len(texts)]
    labeled = eg.LabeledTexts(texts, labels, groups, prompts=prompts)
    expected = torch.stack([plain_pass(plain, model.to_tokens(text)[0].tolist())[0][:, -1] for text in texts])
    with noting(name, texts=len(texts)) as figures:
        for label, arguments in {
            "alone": {"share_prefixes": False, "batch_size": 1},
            "batched": {"share_prefixes": False, "batch_size": 7},
            "shared": {"share_prefixes": "auto"},
        }.items():
            found = eg.extract_activations(model, labeled, progress=False, **arguments)
            errors = [relative(a, b) for a, b in zip(found.values, expected, strict=True)]
            figures[label] = f"{max(errors):.1e}"
            figures["sharing"] = str(found.provenance.settings["share_prefixes"]).replace(" ", "_")
            assert max(errors) < 1e-4, (label, errors)


@pytest.mark.skipif(not has_hooked_transformer(), reason="TransformerLens 4 has no HookedTransformer")
def test_hooked_transformer_with_local_attention():
    model = tiny_hooked_transformer(window=WINDOW)
    assert BehaviourLengths.of(model).windows == (WINDOW,)
    rows, ends = prompt_ids(model, True), end_tokens(model)
    expected = []
    for ids in rows:
        written: list[int] = []
        while len(written) < NEW and not ends.intersection(written):
            with torch.no_grad():
                written.append(int(model(torch.tensor([[*ids, *written]]))[0, -1].argmax()))
        expected.append(tuple(written))
    assert decode(model, rows, max_new_tokens=NEW) == expected


def test_a_window_that_shared_heads_get_wrong_is_found_beyond_it(monkeypatch):
    """A cache that loses what is far behind is right on short texts; it is tried on long ones, and not used there."""
    model, plain = tiny_architecture("mistral")
    rows, ends = prompt_ids(model, True), end_tokens(model)
    update = DynamicLayer.update

    def forgetful(self, keys, values, *arguments, **named):
        keys, values = update(self, keys, values, *arguments, **named)
        if keys.shape[-2] > WINDOW + 2:
            keys = torch.cat([torch.zeros_like(keys[..., : -WINDOW // 2, :]), keys[..., -WINDOW // 2 :, :]], dim=-2)
        return keys, values

    monkeypatch.setattr(DynamicLayer, "update", forgetful)
    short = [ids for ids in rows if len(ids) + NEW <= WINDOW]
    assert decode(model, short, max_new_tokens=NEW) == [plain_text(plain, ids, ends, NEW) for ids in short]
    with pytest.warns(UserWarning, match="continues wrongly from a cache.*several times longer"):
        found = decode(model, rows, max_new_tokens=NEW)
    monkeypatch.undo()
    assert found == [plain_text(plain, ids, ends, NEW) for ids in rows]


def test_steering_of_written_tokens_goes_on_where_the_cache_is_dropped():
    """Phi-3 reads everything anew where its rotary frequencies change; what was written then stays edited."""
    model, _ = tiny_architecture("phi3_longrope")
    direction = torch.randn(D_MODEL, generator=torch.Generator().manual_seed(1))
    hook = eg.SteeringHook(direction, alpha=3.0, layers=[1], positions="generated")
    ids = prompt_ids(model, True)[0] + tuple(model.to_tokens(letters(SWITCH - 6, 5))[0].tolist())
    ids = ids[: SWITCH - 2]
    with hook.attached(model):
        (found,) = decode(model, [ids], max_new_tokens=NEW)
    expected: list[int] = []
    point = hook.names(model)[0]

    def edit(stream, hook):
        stream = stream.clone()
        stream[:, len(ids) :] += 3.0 * direction
        return stream

    while len(expected) < len(found):
        with model.hooks(fwd_hooks=[(point, edit)]), torch.no_grad():
            expected.append(int(model(torch.tensor([[*ids, *expected]]))[0, -1].argmax()))
    assert list(found) == expected
