"""extract_activations: equal to `run_with_cache`, whatever the option; what it refuses."""

from typing import Any

import pytest
import torch
from tiny_models import N_LAYERS, tiny_bridge

import empathy_geometry as eg
from empathy_geometry.activations.extraction import tokens_per_batch
from empathy_geometry.activations.store_writer import StoreDesign
from empathy_geometry.models.tokens import tokenize
from empathy_geometry.texts.labeled_texts import LabeledTexts

pytestmark = pytest.mark.usefixtures("one_thread")

PROMPTS = ["I was there.\n\nResponse: ", "er abcabc, you and so on.\n\nResponse: "]
RESPONSES = ["one", "two more er", "Is that abc?", "x"]
TEXTS = LabeledTexts(
    [p + r for p in PROMPTS for r in RESPONSES],
    ["a", "b"] * 4,
    ["g"] * 4 + ["h"] * 4,
    prompts=[p for p in PROMPTS for _ in RESPONSES],
    name="little",
)
SITES = ("resid_post", "resid_pre", "resid_mid", "attn_out", "mlp_out")


def _extract(model: Any, texts: LabeledTexts = TEXTS, **options: Any) -> eg.Activations:
    return eg.extract_activations(model, texts, progress=False, **options)


def _close(a: torch.Tensor, b: torch.Tensor) -> None:
    assert a.shape == b.shape
    assert float((a - b).abs().max()) <= 1e-4 * float(b.abs().max())


@pytest.mark.parametrize("site", SITES)
def test_every_site_is_what_run_with_cache_caches(tiny_model: Any, site: str) -> None:
    acts = _extract(tiny_model, site=site)
    assert acts.values.shape == (8, N_LAYERS, 16)
    assert acts.values.dtype == torch.float32
    for i, text in enumerate(TEXTS.texts):
        with torch.no_grad():
            _, cache = tiny_model.run_with_cache(text)
        for layer in range(N_LAYERS):
            _close(acts.layer(layer)[i], cache[f"blocks.{layer}.hook_{site}"][0, -1])


@pytest.mark.parametrize(
    ("position", "pick"),
    [
        ("last", lambda x, t: x[-1]),
        ("mean", lambda x, t: x[1:].mean(0)),
        ("response_mean", lambda x, t: x[t.start :].mean(0)),
        (0, lambda x, t: x[0]),
        (2, lambda x, t: x[2]),
        (-2, lambda x, t: x[-2]),
        (lambda t: [1, t.start], lambda x, t: (x[1] + x[t.start]) / 2),
    ],
)
@pytest.mark.parametrize("share_prefixes", [True, False])
def test_every_position_is_that_of_the_plain_pass(
    tiny_model: Any, position: Any, pick: Any, share_prefixes: bool
) -> None:
    acts = _extract(tiny_model, position=position, share_prefixes=share_prefixes)
    for i, text in enumerate(tokenize(tiny_model, TEXTS)):
        with torch.no_grad():
            _, cache = tiny_model.run_with_cache(torch.tensor([text.ids]))
        _close(acts.layer(1)[i], pick(cache["blocks.1.hook_resid_post"][0], text))


def test_quartiles_give_four_vectors(tiny_model: Any) -> None:
    acts = _extract(tiny_model, position="response_quartiles")
    assert acts.values.shape == (8, 4, N_LAYERS, 16)
    (text,) = tokenize(tiny_model, TEXTS[1:2])
    with torch.no_grad():
        _, cache = tiny_model.run_with_cache(torch.tensor([text.ids]))
    first, last = text.start, text.start + round((text.stop - text.start) / 4)
    _close(acts.layer(2, pos=0)[1], cache["blocks.2.hook_resid_post"][0, first:last].mean(0))


@pytest.mark.parametrize("share_prefixes", [True, False])
def test_chat_reads_the_words_within_the_template(tiny_model: Any, share_prefixes: bool) -> None:
    acts = _extract(
        tiny_model, reading=eg.ReadingDesign(chat_template=True), position="last", share_prefixes=share_prefixes
    )
    turns = [{"role": "user", "content": "I was there."}, {"role": "assistant", "content": RESPONSES[1]}]
    ids = tiny_model.tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False)
    assert ids[0] == tiny_model.tokenizer.bos_token_id
    end = len(ids) - 3  # the end mark and the line break follow the last word
    with torch.no_grad():
        _, cache = tiny_model.run_with_cache(torch.tensor([ids]))
    _close(acts.layer(2)[1], cache["blocks.2.hook_resid_post"][0, end])


def test_messages_in_a_chat_share_the_head(tiny_model: Any) -> None:
    messages = LabeledTexts(["Hello abc", "I am er", "You"], list("aba"), list("ghi"))
    shared = _extract(tiny_model, messages, reading=eg.ReadingDesign(chat_template=True), position="mean")
    assert "1 prefixes shared by 3 texts" in str(shared.provenance and shared.provenance.settings)
    _close(
        shared.values,
        _extract(
            tiny_model, messages, reading=eg.ReadingDesign(chat_template=True), position="mean", batch_size=1
        ).values,
    )


def test_layers_may_be_chosen_in_any_order_and_the_embedding_too(tiny_model: Any) -> None:
    every = _extract(tiny_model)
    some = _extract(tiny_model, layers=[2, "embed", 0])
    assert some.layers == (2, "embed", 0)
    _close(some.layer(2), every.layer(2))
    _close(some.layer(0), every.layer(0))
    with torch.no_grad():
        _, cache = tiny_model.run_with_cache(TEXTS.texts[0])
    _close(some.layer("embed")[0], cache["blocks.0.hook_resid_pre"][0, -1])
    assert _extract(tiny_model, layers=1).layers == (1,)
    assert _extract(tiny_model, layers="embed").layers == ("embed",)


def test_token_embeddings_are_means_of_the_response(tiny_model: Any) -> None:
    acts = _extract(tiny_model, layers=0)
    (text,) = tokenize(tiny_model, TEXTS[2:3])
    with torch.no_grad():
        _, cache = tiny_model.run_with_cache(torch.tensor([text.ids]))
    assert acts.token_embeddings is not None
    _close(acts.token_embeddings[2], cache["blocks.0.hook_resid_pre"][0, text.start :].mean(0))


def test_hooks_of_the_user_stay_act_and_switch_sharing_off(tiny_model: Any) -> None:
    plain = _extract(tiny_model)
    tiny_model.add_hook("blocks.1.hook_resid_post", lambda stream, hook: stream + 1)
    try:
        steered = _extract(tiny_model)
        assert _extract(tiny_model).values.equal(steered.values)
        with pytest.raises(ValueError, match="hooks attached"):
            _extract(tiny_model, share_prefixes=True)
    finally:
        tiny_model.reset_hooks()
    _close(steered.layer(1), plain.layer(1) + 1)
    assert steered.provenance is not None
    assert "hooks attached" in steered.provenance.settings["share_prefixes"]
    assert _extract(tiny_model).values.equal(plain.values)


def test_rows_and_origin(tiny_llama: Any) -> None:
    acts = _extract(tiny_llama)
    assert acts.labels.tolist() == TEXTS.labels.tolist()
    assert acts.groups.tolist() == TEXTS.groups.tolist()
    assert acts.provenance is not None
    assert acts.provenance.kind == "measured"
    assert acts.provenance.texts == {"little": TEXTS.sha256}
    assert acts.provenance.model["name"] == "tiny-llama"
    assert acts.provenance.settings["share_prefixes"] == "2 prefixes shared by 8 texts"
    shuffled = _extract(tiny_llama, TEXTS[[5, 0, 7]])
    _close(shuffled.values, acts.values[[5, 0, 7]])


def test_half_precision_stays_near(tiny_llama: Any) -> None:
    half = _extract(tiny_bridge("llama", dtype=torch.bfloat16), position="mean")
    assert half.values.dtype == torch.float32
    whole = _extract(tiny_llama, position="mean")
    assert float((half.values - whole.values).norm() / whole.values.norm()) < 0.03


def test_gradients_are_not_recorded(tiny_llama: Any) -> None:
    assert not _extract(tiny_llama).values.requires_grad
    weights = torch.zeros(16, requires_grad=True)
    (_extract(tiny_llama).layer(0) @ weights).sum().backward()
    assert weights.grad is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 3}, "index from 0 to 2"),
        ({"layers": -1}, "index from 0 to 2"),
        ({"layers": []}, "layers must name at least one layer"),
        ({"layers": [1, 1]}, "each once"),
        ({"layers": "last"}, "must be 'embed' or the index"),
        ({"site": "resid"}, "site"),
        ({"position": "first"}, "position must be one of"),
        ({"position": 400}, "text 0: position 400 lies outside"),
        ({"batch_size": 0}, "batch_size must be a positive int or 'auto'"),
        ({"batch_size": True}, "batch_size must be"),
        ({"share_prefixes": "yes"}, "share_prefixes must be"),
    ],
)
def test_bad_options(tiny_llama: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _extract(tiny_llama, **options)


def test_a_bad_store_is_named_when_it_is_asked_for() -> None:
    with pytest.raises(ValueError, match="dtype must be one of"):
        StoreDesign("folder", dtype="int8")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="shard_size must be a positive int or 'auto'"):
        StoreDesign("folder", shard_size=0)


def test_bad_models_and_texts(tiny_llama: Any) -> None:
    with pytest.raises(TypeError, match="boot_transformers for a Hugging Face model"):
        _extract(tiny_llama.original_model)
    with pytest.raises(TypeError, match="texts must be LabeledTexts, got list"):
        _extract(tiny_llama, ["a", "b"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"text 1 has 301 tokens, the model's context is 128"):
        _extract(tiny_llama, LabeledTexts(["a", "z" * 300], ["x", "y"], ["g", "h"]))


def test_an_overflowing_model_is_named(tiny_llama: Any) -> None:
    tiny_llama.add_hook("blocks.0.hook_resid_post", lambda stream, hook: stream * float("inf"))
    try:
        with pytest.raises(ValueError, match="values must be finite"):
            _extract(tiny_llama)
    finally:
        tiny_llama.reset_hooks()


def test_batches_suit_the_device(tiny_llama: Any) -> None:
    assert tokens_per_batch(tiny_llama) >= 512
