"""Integers of every library are integers, booleans and floats are not, wherever layers and positions are named."""

import numpy as np
import pytest
import torch

import empathy_geometry as eg
from empathy_geometry.causal.readouts import check_readout_layers
from empathy_geometry.foundation._validation import as_layers, whole_number
from empathy_geometry.foundation.checked_json import dump_checked, load_checked
from empathy_geometry.foundation.durable_file import write_text
from empathy_geometry.steering.token_tracking import check_positions
from empathy_geometry.texts.labeled_texts import LabeledTexts

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = LabeledTexts(["so sorry", "noted", "what a pity", "file it"], ["w", "c", "w", "c"], ["a", "a", "b", "b"])
ONES = [np.int64(1), np.uint8(1), np.argmax([0, 1]), torch.tensor(1), torch.arange(3)[1], np.array(1), 1]


@pytest.mark.parametrize("one", ONES, ids=lambda x: type(x).__name__)
def test_one_layer_in_any_form(tiny_llama, one, tmp_path) -> None:
    acts = eg.extract_activations(tiny_llama, TEXTS, layers=one, position=one, batch_size=2, progress=False)
    assert acts.layers == (1,)
    assert type(acts.layers[0]) is int
    assert acts.position == "1"
    direction = eg.ConceptDirection.from_activations(acts, positive="w", negative="c", layer=one)
    assert type(direction.layer) is int
    loaded = eg.ConceptDirection.load(direction.save(tmp_path / "direction.safetensors"))
    assert loaded.layer == 1
    with eg.SteeringHook(loaded, layers=one).attached(tiny_llama):
        pass
    assert type(eg.Subspace.from_activations(acts, positive="w", negative="c", layer=one).layer) is int
    assert acts.save(tmp_path / "acts.safetensors").is_file()


@pytest.mark.parametrize("several", [range(2), np.arange(2), torch.arange(2), [np.int64(0), 1], (0, torch.tensor(1))])
def test_several_layers_in_any_form(tiny_llama, several, tmp_path) -> None:
    store = eg.extract_activations(
        tiny_llama,
        TEXTS,
        layers=several,
        store=eg.activations.StoreDesign(tmp_path / "s", shard_size=2),
        batch_size=np.int64(2),
        progress=False,
    )
    assert store.layers == (0, 1)
    assert store.activations(several).layers == (0, 1)
    assert store.activations(np.int64(1)).layers == (1,)
    assert store.layer(torch.tensor(1)).shape[0] == 4
    assert eg.SteeringHook(torch.ones(16), layers=several).layers == (0, 1)
    assert check_readout_layers(several, "embed", 3) == (0, 1)


@pytest.mark.parametrize("bad", [True, np.bool_(True), 1.0, np.float64(1), "1", torch.tensor(True), None])
def test_booleans_and_floats_are_no_layers(tiny_llama, bad) -> None:
    assert whole_number(bad) is None
    with pytest.raises(ValueError, match="must be 'embed' or"):
        eg.extract_activations(tiny_llama, TEXTS, layers=[bad], progress=False)
    with pytest.raises(ValueError, match="must be 'embed' or"):
        eg.SteeringHook(torch.ones(16), layers=[bad])
    with pytest.raises(ValueError, match="must be 'embed' or"):
        check_readout_layers([bad], 0, 3)
    with pytest.raises(ValueError, match="position must be one of"):
        eg.extract_activations(tiny_llama, TEXTS, position=bad, progress=False)


def test_layers_are_named_once() -> None:
    for bad in ([], [1, np.int64(1)], np.array([], dtype=int)):
        with pytest.raises(ValueError, match="each once"):
            as_layers(bad)


def test_spans_of_numpy_integers() -> None:
    assert check_positions((np.int64(0), np.int64(2))) == (0, 2)
    assert check_positions(np.array([[0, 2], [1, 3]])) == ((0, 2), (1, 3))
    assert check_positions([(np.int64(0), 2), (1, torch.tensor(3))]) == ((0, 2), (1, 3))
    for bad in ((True, 2), (0.0, 2), (2, 1), np.array([[0.0, 2.0]])):
        with pytest.raises(ValueError, match="positions must be"):
            check_positions(bad)


def test_a_callable_position_gives_ints(tiny_llama) -> None:
    options = {"layers": [1], "progress": False}
    found = eg.extract_activations(tiny_llama, TEXTS, position=lambda text: np.array([0, 1]), **options)
    again = eg.extract_activations(tiny_llama, TEXTS, position=lambda text: torch.tensor([0, 1]), **options)
    assert torch.equal(found.values, again.values)
    for bad in (lambda text: [0.5], lambda text: [True], lambda text: 1.0):
        with pytest.raises(ValueError, match=r"must give token indices \(ints\)"):
            eg.extract_activations(tiny_llama, TEXTS, position=bad, **options)


def test_numbers_of_numpy_are_written_as_json(tmp_path) -> None:
    path = write_text(
        tmp_path / "a.json", dump_checked({"n": np.int64(3), "x": np.float32(0.5), "yes": np.bool_(True)})
    )
    assert load_checked(path.read_bytes()) == {"n": 3, "x": 0.5, "yes": True}
    with pytest.raises(TypeError, match="cannot be written as JSON"):
        dump_checked({"x": object()})
