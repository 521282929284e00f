"""The calibrated threshold is the quantile of sound text, and shuffled text is recognised where order matters."""

import numpy as np
import pytest

import empathy_geometry as eg
from empathy_geometry.generation.continuations import Continuations
from empathy_geometry.steering.calibration import _ordered_pairs, _shuffled

pytestmark = pytest.mark.usefixtures("one_thread")

PROMPTS = ["abc", "the pot er", "I am", "a b c d"]


def calibrate(model, **options):
    options = {"chat": False, "shuffle": "tokens", "max_new_tokens": 8, "n_resamples": 100, **options}
    return eg.steering.calibrate_threshold(model, PROMPTS, **options)


def test_the_threshold_is_the_quantile_of_the_coherence_function_itself(tiny_model):
    found = calibrate(tiny_model, n_reseeds=3, quantile=0.1)
    assert found.reseeds.shape == found.shuffled.shape == (4, 6)
    assert found.threshold.value == pytest.approx(np.quantile(found.reseeds, 0.1))
    assert found.shares_below(found.threshold.value)[0] <= 0.1 + 1 / 24
    written = eg.generate(
        tiny_model,
        [p for p in PROMPTS for _ in range(3)],
        max_new_tokens=8,
        chat=False,
        temperature=1.0,
        seed=0,
    )
    first, second = _ordered_pairs(4, 3)
    expected = eg.coherence(tiny_model, written[first], written[second])
    np.testing.assert_allclose(found.reseeds.reshape(-1), expected.headline, rtol=1e-4)
    np.testing.assert_allclose(found.reseed_parts["perplexity"].reshape(-1), expected.parts["perplexity"], rtol=1e-4)


def test_pairs_are_of_one_prompt_and_never_a_text_with_itself():
    first, second = _ordered_pairs(5, 3)
    assert len(first) == 5 * 6
    assert (first // 3 == second // 3).all()
    assert (first != second).all()
    assert len(set(zip(first.tolist(), second.tolist(), strict=True))) == 30


def test_the_same_seed_gives_the_same_calibration(tiny_llama):
    first, second, other = (calibrate(tiny_llama, seed=seed) for seed in (1, 1, 2))
    assert (first.reseeds == second.reseeds).all()
    assert (first.shuffled == second.shuffled).all()
    assert (first.reseeds != other.reseeds).any()


def test_words_are_reordered_and_nothing_else(tiny_llama):
    texts = [" one two three four", "five six\nseven"]
    written = Continuations.from_texts(tiny_llama, ["abc", "I"], texts)
    broken, usable = _shuffled(tiny_llama, written, "words", np.random.default_rng(0))
    assert usable.all()
    for before, after, ids in zip(texts, broken.texts, broken.new_ids, strict=True):
        assert sorted(before.split()) == sorted(after.split())
        assert before.split() != after.split()
        assert tiny_llama.tokenizer.decode(list(ids)) == after
    assert broken.texts[0].startswith(" ")
    assert broken.prompt_ids == written.prompt_ids


def test_texts_too_short_to_be_shuffled_are_left_out_of_the_anchor_and_most_may_not_be(tiny_llama):
    written = Continuations.from_texts(tiny_llama, ["abc"] * 3, ["one two three", "Yes.", "four five"])
    broken, usable = _shuffled(tiny_llama, written, "words", np.random.default_rng(0))
    assert usable.tolist() == [True, False, True]
    assert broken.texts[1] == "Yes."
    with pytest.raises(ValueError, match="2 of 3 continuations have fewer than two different words"):
        _shuffled(tiny_llama, written[[1, 1, 0]], "words", np.random.default_rng(0))


def test_a_part_that_knows_order_separates_sound_from_shuffled(tiny_llama):
    """A random model cannot tell order; a user's part can, and the separation must show it."""
    seen = []

    def first_call_is_sound(steered, unsteered):
        seen.append(len(steered))
        return [0.9 if len(seen) == 1 else 0.1] * len(steered)

    found = calibrate(tiny_llama, parts={"judge": first_call_is_sound})
    assert (found.reseed_parts["judge"] == 0.9).all()
    assert (found.shuffled_parts["judge"] == 0.1).all()
    assert (found.shuffled <= 0.1).all()
    assert found.separation.value > calibrate(tiny_llama).separation.value


def test_the_table_says_what_the_reference_threshold_means(tiny_llama):
    found = calibrate(tiny_llama)
    sound, broken = found.shares_below(0.7)
    assert f"threshold 0.700 calls {sound:.0%} of the re-seeds broken and {broken:.0%} of the shuffled" in str(found)
    assert found.to_dict()["threshold"]["value"] == found.threshold.value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "greedy decoding has no re-seeds"),
        ({"n_reseeds": 1}, "n_reseeds must be at least 2"),
        ({"quantile": 0.7}, "quantile must lie between"),
        ({"shuffle": "letters"}, "shuffle must be one of"),
        ({"shuffle": "words", "max_new_tokens": 1}, "fewer than two different words"),
    ],
)
def test_bad_options_are_named(tiny_llama, options, message):
    with pytest.raises(ValueError, match=message):
        calibrate(tiny_llama, **options)


def test_too_few_prompts_are_refused(tiny_llama):
    with pytest.raises(ValueError, match="at least three prompts"):
        eg.steering.calibrate_threshold(tiny_llama, ["abc", "I"])
