"""Batched generation equals one by one; the KV cache changes nothing (fails on transformers 5.24)."""

import pytest
import torch
from tiny_models import tiny_bridge

from empathy_geometry.generation import cached_rows, decoding
from empathy_geometry.generation.cached_rows import CachedRows
from empathy_geometry.generation.continuations import Continuations, generate
from empathy_geometry.generation.decoding import end_tokens
from empathy_geometry.generation.likelihood import read_continuations

PROMPTS = ["abc erI", "pot", "I walked home and the rain abc", "<|im_end|> er"]
OPTIONS = {"do_sample": False, "verbose": False, "return_type": "tokens", "stop_at_eos": False}


def test_batched_equals_one_by_one(tiny_model):
    """The last prompt begins with the padding token, so a mask made from padding ids would be wrong."""
    options = {"max_new_tokens": 10, "chat": False, "control_tokens": "control"}
    together = generate(tiny_model, PROMPTS, **options)
    for row, prompt in enumerate(PROMPTS):
        assert generate(tiny_model, [prompt], **options).new_ids[0] == together.new_ids[row]


def test_greedy_generation_is_the_argmax_of_plain_forward_passes(tiny_model):
    written = generate(tiny_model, ["abc er"], max_new_tokens=6, chat=False)
    ids = list(written.prompt_ids[0])
    for token in written.new_ids[0]:
        with torch.no_grad():
            assert int(tiny_model(torch.tensor([ids]))[0, -1].argmax()) == token
        ids.append(token)


def test_generation_with_and_without_kv_cache_agrees(tiny_model):
    ids = tiny_model.to_tokens("abc erI pot")
    cached = tiny_model.generate(ids, max_new_tokens=12, use_past_kv_cache=True, **OPTIONS)
    assert torch.equal(cached, tiny_model.generate(ids, max_new_tokens=12, use_past_kv_cache=False, **OPTIONS))


def test_chat_prompts_carry_the_template_once(tiny_model):
    written = generate(tiny_model, ["abc"], max_new_tokens=2)
    text = tiny_model.tokenizer.decode(list(written.prompt_ids[0]))
    assert text.count("<|im_start|>user") == 1
    assert not text.startswith("<|im_start|><|im_start|>")


def test_sampling_repeats_with_its_seed_and_differs_without(tiny_model):
    def draw(seed):
        return generate(
            tiny_model, PROMPTS, max_new_tokens=12, chat=False, control_tokens="control", temperature=1.0, seed=seed
        ).new_ids

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_rows_read_piece_by_piece_repeated_and_left_out_give_the_logits_of_plain_passes(tiny_model):
    head, ends = [5, 17, 80], ([9, 101, 3], [44, 2])
    with torch.no_grad():
        rows = CachedRows(tiny_model, 1)
        rows.read(torch.tensor([head]), torch.ones(1, 3, dtype=torch.bool), logits="last")
        both = rows.select([0, 0, 0])
        ids, mask = torch.tensor([ends[0], [0, *ends[1]], ends[0]]), torch.tensor([[1, 1, 1], [0, 1, 1], [1, 1, 1]])
        logits = both.read(ids, mask.bool(), logits="all")
        one = both.select([1])
        after = one.read(torch.tensor([[7]]), torch.ones(1, 1, dtype=torch.bool), logits="last")
        for row, end in enumerate((*ends, ends[0])):
            plain = tiny_model(torch.tensor([head + end]))[0, len(head) :]
            torch.testing.assert_close(logits[row, mask[row].bool()], plain, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(
            after[0, 0], tiny_model(torch.tensor([head + ends[1] + [7]]))[0, -1], atol=1e-4, rtol=1e-4
        )
    assert len(rows) == 1
    assert rows.ids.tolist() == [head]


def test_a_model_that_leaves_its_cache_empty_is_read_whole_and_right_and_says_so_once(monkeypatch):
    """As transformers 5.24 does under TransformerBridge: the cache stays empty, without an error."""
    from transformers import DynamicCache

    model = tiny_bridge("llama")
    expected = generate(model, PROMPTS, max_new_tokens=6, chat=False, control_tokens="control")
    scores = read_continuations(model, expected)
    monkeypatch.setattr(DynamicCache, "update", lambda self, keys, values, layer_idx, *a, **k: (keys, values))
    with pytest.warns(UserWarning, match="leaves the cache of keys and values empty.*several times longer"):
        found = generate(model, PROMPTS, max_new_tokens=6, chat=False, control_tokens="control")
    assert found.new_ids == expected.new_ids
    # Said already; a second warning would be an error here.
    for again, before in zip(read_continuations(model, expected).nll, scores.nll, strict=True):
        torch.testing.assert_close(again, before, atol=1e-4, rtol=1e-4)


def test_a_text_ends_at_any_of_the_models_end_tokens(tiny_llama, tiny_gpt2, monkeypatch):
    """A chat model's turn may end with another token than the tokenizer's end of text."""
    assert end_tokens(tiny_llama) == {tiny_llama.tokenizer.eos_token_id, tiny_llama.cfg.eos_token_id}
    whole = generate(tiny_gpt2, ["abc er"], max_new_tokens=8, chat=False).new_ids[0]
    monkeypatch.setattr(decoding, "end_tokens", lambda model: frozenset({whole[3]}))
    ended = generate(tiny_gpt2, ["abc er", "pot"], max_new_tokens=8, chat=False).new_ids[0]
    assert ended == whole[: whole.index(whole[3]) + 1]


def test_equal_continuations_are_read_once_and_score_as_alone(tiny_model):
    texts = Continuations.from_texts(tiny_model, ["abc", "the pot", "abc", "abc"], [" er", " er", " er", " pot er"])
    passes = []
    with tiny_model.hooks(fwd_hooks=[("blocks.0.hook_resid_pre", lambda x, hook: passes.append(tuple(x.shape[:2])))]):
        together = read_continuations(tiny_model, texts)
    assert [rows for rows, _ in passes] == [2, 3]
    for row in range(4):
        torch.testing.assert_close(
            together.nll[row], read_continuations(tiny_model, texts[[row]]).nll[0], atol=1e-4, rtol=1e-4
        )


def test_keys_and_values_take_the_memory_that_is_counted(tiny_model):
    rows = CachedRows(tiny_model, 2)
    with torch.no_grad():
        rows.read(torch.ones(2, 5, dtype=torch.long), torch.ones(2, 5, dtype=torch.bool), logits="last")
    cache = rows._cache.cache
    layers = getattr(cache, "layers", None)
    held = (
        [(e.past_keys, e.past_values) for e in cache.entries]
        if layers is None
        else [(e.keys, e.values) for e in layers]
    )
    counted = sum(t.numel() * t.element_size() for pair in held for t in pair)
    assert counted == 2 * 5 * cached_rows.cache_bytes_per_column(tiny_model)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompts": []}, "non-empty"),
        ({"prompts": "abc"}, "non-empty sequence"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1"),
        ({"temperature": -1.0}, "temperature must not be negative"),
        ({"max_new_tokens": 10_000}, "context"),
    ],
)
def test_bad_input_is_named(tiny_llama, arguments, message):
    arguments = {"prompts": ["abc"], **arguments}
    with pytest.raises(ValueError, match=message):
        generate(tiny_llama, arguments.pop("prompts"), chat=False, **arguments)


@pytest.mark.integration
def test_the_embedded_model_writes_the_same_with_and_without_kv_cache(embedded):
    ids = embedded.to_tokens("I lost my job today and I am")
    cached = embedded.generate(ids, max_new_tokens=16, use_past_kv_cache=True, **OPTIONS)
    assert torch.equal(cached, embedded.generate(ids, max_new_tokens=16, use_past_kv_cache=False, **OPTIONS))
