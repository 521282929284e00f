"""Batched generation equals one by one; the KV cache changes nothing (fails on transformers 5.24)."""

import pytest
import torch

from empathy_geometry.steering.generation import generate

PROMPTS = ["abc erI", "pot", "I walked home and the rain abc", "<|im_end|> er"]
OPTIONS = {"do_sample": False, "verbose": False, "return_type": "tokens", "stop_at_eos": False}


def test_batched_equals_one_by_one(tiny_model):
    """The last prompt begins with the padding token, so a mask made from padding ids would be wrong."""
    together = generate(tiny_model, PROMPTS, max_new_tokens=10, chat=False)
    for row, prompt in enumerate(PROMPTS):
        assert generate(tiny_model, [prompt], max_new_tokens=10, chat=False).new_ids[0] == together.new_ids[row]


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
        return generate(tiny_model, PROMPTS, max_new_tokens=12, chat=False, temperature=1.0, rng=seed).new_ids

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


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
