"""Coherence parts against known answers and against scipy's Jensen-Shannon distance."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

import empathy_geometry as eg
from empathy_geometry.generation import likelihood
from empathy_geometry.generation.cached_rows import CachedRows
from empathy_geometry.generation.continuations import Continuations, generate
from empathy_geometry.generation.likelihood import read_continuations
from empathy_geometry.steering.coherence import distinct_n, divergence_part, perplexity_part, repetition_part

IDS = st.lists(st.integers(0, 5), min_size=1, max_size=30)


@given(IDS, st.integers(1, 4))
def test_distinct_n_is_the_share_of_a_set(ids, n):
    grams = list(zip(*(ids[i:] for i in range(n)), strict=False))
    assert distinct_n(ids, n) == (len(set(grams)) / len(grams) if grams else 1.0)


def test_a_loop_scores_low_on_repetition_though_its_perplexity_is_perfect():
    loop, normal = [7, 8, 9] * 10, list(range(30))
    assert repetition_part([loop], [normal])[0] < 0.15
    assert perplexity_part(np.array([0.1]), np.array([1.5]))[0] == 1.0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 20))
def test_divergence_equals_scipys_jensen_shannon(seed, strength):
    g = torch.Generator().manual_seed(seed)
    a = torch.randn(2, 3, 11, generator=g)
    b = a + strength * torch.randn(2, 3, 11, generator=g)
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    p, q = a.double().softmax(-1).numpy(), b.double().softmax(-1).numpy()
    for row in range(2):
        with np.errstate(invalid="ignore"):  # of equal distributions scipy may take the root of a rounding error
            real = np.nan_to_num([jensenshannon(p[row, i], q[row, i]) ** 2 for i in range(3) if mask[row, i]])
        expected = 1 - np.mean(real) / np.log(2)
        assert divergence_part(a, b, mask)[row] == pytest.approx(expected, abs=1e-4)


def test_unsteered_text_is_perfectly_coherent_with_itself(tiny_model):
    written = generate(tiny_model, ["abc", "the pot"], max_new_tokens=6, chat=False)
    found = eg.coherence(tiny_model, written, written)
    assert set(found.parts) == {"perplexity", "repetition"}
    assert (found.headline == 1).all()


def test_nll_equals_the_models_own_loss(tiny_model):
    written = generate(tiny_model, ["abc", "the pot er"], max_new_tokens=5, chat=False)
    reading = read_continuations(tiny_model, written)
    for row in range(2):
        prompt, new = written.prompt_ids[row], written.new_ids[row]
        with torch.no_grad():
            logits = tiny_model(torch.tensor([[*prompt, *new]]))[0]
        expected = torch.nn.functional.cross_entropy(logits[len(prompt) - 1 : -1], torch.tensor(new), reduction="none")
        torch.testing.assert_close(reading.nll[row], expected, atol=1e-4, rtol=1e-4)


def test_logits_of_likelihoods_stay_within_the_memory_that_is_counted(tiny_llama, monkeypatch):
    written = generate(tiny_llama, ["abc", "the pot er", "I walked", "home"], max_new_tokens=6, chat=False)
    expected = read_continuations(tiny_llama, written)
    sizes, original = [], CachedRows.read

    def noted(rows, ids, mask, *, logits):
        found = original(rows, ids, mask, logits=logits)
        if logits != "last":
            sizes.append(found.shape[0] * found.shape[1])
        return found

    monkeypatch.setattr(CachedRows, "read", noted)
    read_continuations(tiny_llama, written)
    assert max(sizes) > 8  # all at once, where there is room
    sizes.clear()
    monkeypatch.setattr(likelihood, "_LOGIT_BYTES", 4 * int(tiny_llama.cfg.d_vocab) * 8)
    small = read_continuations(tiny_llama, written)
    assert 4 < max(sizes) <= 8
    for a, b in zip(small.nll, expected.nll, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_a_part_of_the_users_own_can_lower_the_headline_and_is_checked(tiny_model):
    written = generate(tiny_model, ["abc", "the pot"], max_new_tokens=4, chat=False)
    judged = eg.coherence(tiny_model, written, written, parts={"judge": lambda steered, plain: [0.25, 1.0]})
    assert judged.headline.tolist() == [0.25, 1.0]
    with pytest.raises(ValueError, match="part 'judge' must give 2 numbers"):
        eg.coherence(tiny_model, written, written, parts={"judge": lambda steered, plain: [2.0, 1.0]})
    with pytest.raises(ValueError, match="must be paired"):
        eg.coherence(tiny_model, written, written[[0]])


def test_texts_written_elsewhere_can_be_scored(tiny_model):
    found = Continuations.from_texts(tiny_model, ["abc"], [" er pot"])
    assert found.prompt_ids[0] == tuple(tiny_model.to_tokens("abc")[0].tolist())
    assert tiny_model.tokenizer.decode(list(found.new_ids[0])) == " er pot"
