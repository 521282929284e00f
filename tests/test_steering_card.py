"""A steering card writes the same texts again, or says what differs."""

import json

import pytest
import torch
from tiny_models import D_MODEL, tiny_bridge

import empathy_geometry as eg
from empathy_geometry.steering.card import SteeringCard, steering_card

pytestmark = pytest.mark.usefixtures("one_thread")

PROMPTS = ["abc erI", "the pot", "abc er pot I"]


def direction(layer=1, seed=7, **fields):
    vector = torch.randn(D_MODEL, generator=torch.Generator().manual_seed(seed))
    return eg.ConceptDirection(vector, layer=layer, **{"scales": {"class_gap": 2.0}, **fields})


HOOKS = {
    "one alpha": lambda: eg.SteeringHook(direction(), alpha=3.0),
    "an alpha for each prompt": lambda: eg.SteeringHook(direction(), alpha=[0.0, 2.0, 4.0], positions="generated"),
    "a span for each prompt": lambda: eg.SteeringHook(direction(), alpha=60.0, positions=[(1, 2), (0, 2), (2, 4)]),
    "one span": lambda: eg.SteeringHook(direction(), alpha=60.0, positions=(0, 2)),
    "several layers": lambda: eg.SteeringHook(eg.Directions([direction(0, 1), direction(2, 2)]), alpha=2.0),
    "clamp": lambda: eg.SteeringHook(direction(), operation="clamp", target=9.0),
    "response": lambda: eg.SteeringHook(direction(), alpha=4.0, positions="response"),
}


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("name", HOOKS)
def test_the_same_texts_are_written_again(tmp_path, tiny_llama, name, temperature):
    path = tmp_path / "card.json"
    card = steering_card(
        path, tiny_llama, HOOKS[name](), PROMPTS, max_new_tokens=5, temperature=temperature, seed=4, chat=False
    )
    assert card.texts != card.unsteered
    again = eg.replay(path, model=tiny_llama)
    assert (again.same, again.differences, again.now) == (True, (), card.texts)
    assert SteeringCard.load(path).to_dict() == card.to_dict()


def test_the_texts_are_those_that_a_hook_writes(tmp_path, tiny_llama):
    card = steering_card(tmp_path / "c.json", tiny_llama, HOOKS["one alpha"](), PROMPTS, max_new_tokens=5)
    with HOOKS["one alpha"]().attached(tiny_llama):
        assert eg.generate(tiny_llama, PROMPTS, max_new_tokens=5).texts == card.texts
    assert card.unit_lengths == {"1": pytest.approx(2.0)}


def test_another_model_is_named_and_its_texts_compared(tmp_path, tiny_llama):
    path = tmp_path / "card.json"
    steering_card(path, tiny_llama, HOOKS["one alpha"](), PROMPTS, max_new_tokens=8)
    other = eg.replay(path, model=tiny_bridge("llama", seed=5))
    assert not other.same
    assert any("parameters" in difference for difference in other.differences)
    assert max(other.first_difference) >= 0
    assert "up to token" in str(other)


def test_other_versions_are_named(tmp_path, tiny_llama, monkeypatch):
    path = tmp_path / "card.json"
    steering_card(path, tiny_llama, HOOKS["one alpha"](), PROMPTS, max_new_tokens=3)
    monkeypatch.setattr("empathy_geometry.steering.card.package_versions", lambda: {"torch": "0.1"})
    again = eg.replay(path, model=tiny_llama)
    assert again.same
    assert any(d.startswith("torch: ") and d.endswith("0.1 now") for d in again.differences)


def test_other_vectors_and_damaged_cards_are_refused(tmp_path, tiny_llama):
    path = tmp_path / "card.json"
    steering_card(path, tiny_llama, HOOKS["one alpha"](), PROMPTS, max_new_tokens=3)
    with pytest.raises(ValueError, match="not the vectors of"):
        eg.replay(path, model=tiny_llama, direction=direction(seed=8))
    with pytest.raises(ValueError, match="not the vectors of"):
        eg.replay(path, model=tiny_llama, direction=direction(layer=2))
    assert eg.replay(path, model=tiny_llama, direction=direction()).same
    content = json.loads(path.read_text())
    content["card"]["steering"]["alpha"] = 3.5
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="damaged"):
        eg.replay(path, model=tiny_llama)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="no steering card"):
        eg.replay(path, model=tiny_llama)


def test_vectors_that_were_moved_away_are_asked_for(tmp_path, tiny_llama):
    path = tmp_path / "card.json"
    steering_card(path, tiny_llama, HOOKS["one alpha"](), PROMPTS, max_new_tokens=3)
    (tmp_path / "card.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"card\.safetensors.*direction="):
        eg.replay(path, model=tiny_llama)


@pytest.mark.parametrize(
    ("hook", "error", "message"),
    [
        (lambda: eg.SteeringHook(torch.ones(D_MODEL), layers=[1]), TypeError, "a card needs a ConceptDirection"),
        (lambda: eg.SteeringHook(direction(), alpha=[1.0, 2.0]), ValueError, "2 entries for 3 prompts"),
        (lambda: eg.SteeringHook(direction(layer=99)), ValueError, "index from 0"),
    ],
)
def test_what_no_card_can_hold_is_named_before_anything_is_written(tmp_path, tiny_llama, hook, error, message):
    with pytest.raises(error, match=message):
        steering_card(tmp_path / "card.json", tiny_llama, hook(), PROMPTS, max_new_tokens=3)
    assert not list(tmp_path.iterdir())
