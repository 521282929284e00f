"""A chat template that writes today's date writes the day asked for, in everything that renders one."""

import datetime

import pytest
import torch
from tiny_models import D_MODEL, tiny_bridge

import empathy_geometry as eg
from empathy_geometry.activations.reading import ReadingDesign
from empathy_geometry.causal.design import CausalDesign
from empathy_geometry.models import chat_template
from empathy_geometry.sae.token_activations import token_activations
from empathy_geometry.steering.hook import response_spans
from empathy_geometry.steering.reference import unsteered_reference
from empathy_geometry.steering.search import SearchDesign, search_sweep

pytestmark = pytest.mark.usefixtures("one_thread")

DAY = "2026-11-28"
PROMPTS = ["abc erI", "the pot", "I walked home"]


def short(date=None):
    return {"max_new_tokens": 2, "design": eg.SweepDesign(neutral_texts=(), date=date)}


TEXTS = eg.LabeledTexts(["abc er pot", "I walked the pot home"], ["a", "b"], ["1", "2"], prompts=["abc er", "I walked"])


@pytest.fixture(scope="module")
def model():
    made = tiny_bridge("llama", n_ctx=1024)
    made.tokenizer.chat_template = "{{ strftime_now('%d %b %Y') }} " + made.tokenizer.chat_template
    return made


@pytest.fixture
def days(monkeypatch):
    """The days that templates were asked to write."""
    asked = []
    original = chat_template.template_day

    def noted(day):
        asked.append(day)
        return original(day)

    monkeypatch.setattr(chat_template, "template_day", noted)
    return asked


def direction():
    vector = torch.randn(D_MODEL, generator=torch.Generator().manual_seed(0))
    return eg.ConceptDirection(vector, layer=1, scales={"residual_norm": 5.0, "class_gap": 2.0})


CALLS = {
    "steering_sweep": lambda m, d: eg.steering_sweep(m, direction(), PROMPTS, [1.0], **short(d), progress=False),
    "unsteered_reference": lambda m, d: unsteered_reference(m, PROMPTS, **short(d)),
    "search_sweep": lambda m, d: search_sweep(
        m,
        direction(),
        PROMPTS,
        design=SearchDesign(max_new_tokens=2, n_fine=1, date=d),
        sweep=eg.SweepDesign(neutral_texts=()),
        progress=False,
    ),
    "response_spans": lambda m, d: response_spans(m, TEXTS, reading=ReadingDesign(chat_template=True, date=d)),
    "token_scores": lambda m, d: eg.token_scores(
        m, TEXTS, direction(), reading=ReadingDesign(chat_template=True, date=d)
    ),
    "token_activations": lambda m, d: token_activations(
        m, TEXTS, layer=1, reading=ReadingDesign(chat_template=True, date=d), progress=False
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_day_asked_for_is_the_only_one_written(model, days, name):
    CALLS[name](model, DAY)
    assert days
    assert set(days) == {DAY}
    days.clear()
    CALLS[name](model, None)
    assert set(days) == {None}


def test_a_reference_of_another_day_is_refused(model):
    reference = unsteered_reference(model, PROMPTS, **short(DAY))
    assert "28 Nov 2026" in model.tokenizer.decode(reference.written.prompt_ids[0])
    same = datetime.date(2026, 11, 28)
    eg.steering_sweep(model, direction(), PROMPTS, [1.0], **short(same), reference=reference, progress=False)
    with pytest.raises(ValueError, match="the reference was made with date="):
        eg.steering_sweep(model, direction(), PROMPTS, [1.0], **short(), reference=reference, progress=False)


@pytest.mark.parametrize("made", [SearchDesign, CausalDesign])
def test_a_day_that_is_none_is_named_when_the_settings_are_made(made):
    assert made(date=DAY).to_dict()["date"] == DAY
    with pytest.raises(ValueError, match="ISO 8601"):
        made(date="tomorrow")
