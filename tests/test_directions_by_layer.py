"""Directions of several layers: kept whole, and handed to other programs and back without a changed number."""

import json
import struct

import gguf
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import empathy_geometry as eg
from empathy_geometry.geometry.directions_by_layer import Directions
from empathy_geometry.planted.texts import planted_texts
from empathy_geometry.planted.transformer import planted_model

D_MODEL, LAYERS = 12, (1, 2, 5)


def some(layers=LAYERS, **fields):
    rng = np.random.default_rng(0)
    known = {"scales": {"class_gap": 3.0, "residual_norm": 40.0}, "class_means": {"positive": 2.0, "negative": -1.0}}
    return Directions(
        eg.ConceptDirection(torch.as_tensor(rng.normal(size=D_MODEL)), norm=2.5, layer=k, **{**known, **fields})
        for k in layers
    )


def same(a, b, *, atol=0.0):
    assert list(a) == list(b)
    for layer in a:
        torch.testing.assert_close(a[layer].vector, b[layer].vector, atol=atol, rtol=0)
        assert a[layer].describe() == b[layer].describe()


def test_they_are_a_mapping_in_the_order_of_the_model():
    found = some(("embed", 5, 1))
    assert (list(found), len(found), found.layers) == (["embed", 1, 5], 3, ("embed", 1, 5))
    assert found[5].layer == 5
    assert 2 not in found
    with pytest.raises(KeyError, match="no direction at layer 2"):
        found[2]


def test_from_activations_is_one_layer_at_a_time():
    acts = eg.extract_activations(planted_model()[0], planted_texts(8), progress=False)
    positive, negative = sorted(set(acts.labels))[:2]
    found = Directions.from_activations(acts, positive=positive, negative=negative)
    assert found.layers == acts.layers
    for layer in acts.layers:
        alone = eg.ConceptDirection.from_activations(acts, positive=positive, negative=negative, layer=layer)
        assert torch.equal(found[layer].vector, alone.vector)
        assert found[layer].describe() == alone.describe()


def test_saved_and_loaded_they_are_the_same(tmp_path):
    same(Directions.load(some().save(tmp_path / "d.safetensors")), some())
    with pytest.raises(ValueError, match="does not hold directions"):
        Directions.load(some()[1].save(tmp_path / "one.safetensors"))


@pytest.mark.parametrize(
    ("made", "error", "message"),
    [
        (lambda: Directions([]), ValueError, "is empty"),
        (lambda: Directions([torch.ones(3)]), TypeError, r"got Tensor.*from_vectors"),
        (lambda: Directions([eg.ConceptDirection(torch.ones(3))]), ValueError, "does not say at which layer"),
        (lambda: Directions([some()[1], some()[1]]), ValueError, r"each layer may have one.*\[1, 1\]"),
        (lambda: Directions([some()[1], eg.ConceptDirection(torch.ones(3), layer=2)]), ValueError, "widths 12 and 3"),
        (lambda: some(("embed", 1)).vectors(), ValueError, "stream after a block"),
        (lambda: some(site="attn_out").vectors(), ValueError, "stream after a block"),
        (lambda: some().vectors(units="sd"), ValueError, "knows its sd"),
        (lambda: some().to_gguf("never.gguf", alpha=0), ValueError, "not 0"),
        (lambda: Directions.from_vectors({1: np.zeros(3)}), ValueError, "not zero"),
        (lambda: Directions.from_gguf("nowhere.gguf"), FileNotFoundError, "no file nowhere"),
    ],
)
def test_what_does_not_go_together_is_named(made, error, message):
    with pytest.raises(error, match=message):
        made()


@pytest.mark.parametrize("alpha", [1.0, -2.0])
@pytest.mark.parametrize("form", ["gguf", "safetensors"])
def test_what_others_read_is_what_the_hook_adds_and_comes_back_whole(tmp_path, form, alpha):
    directions = some()
    path = getattr(directions, f"to_{form}")(tmp_path / f"v.{form}", alpha=alpha, units="class_gap")
    same(getattr(Directions, f"from_{form}")(path), directions, atol=1e-6)
    added = {layer: alpha * 3.0 * directions[layer].vector for layer in LAYERS}
    assert directions.vectors(alpha=alpha).keys() == added.keys()
    if form == "gguf":
        read = {t.name: np.array(t.data) for t in gguf.GGUFReader(path).tensors}
        assert set(read) == {f"direction.{layer}" for layer in LAYERS}
        for layer in LAYERS:
            np.testing.assert_allclose(read[f"direction.{layer}"], added[layer], rtol=1e-6)


def foreign_gguf(path, tensors, architecture="controlvector"):
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_string("controlvector.model_hint", "llama")
    for name, value in tensors.items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_foreign_control_vector_keeps_its_lengths(tmp_path, dtype):
    rows = {k: np.random.default_rng(k).normal(size=D_MODEL).astype(dtype) for k in (7, 3)}
    found = Directions.from_gguf(foreign_gguf(tmp_path / "f.gguf", {f"direction.{k}": v for k, v in rows.items()}))
    assert list(found) == [3, 7]
    for layer, vector in found.vectors(units="norm").items():
        np.testing.assert_allclose(vector, rows[layer].astype(np.float64), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("tensors", "architecture", "message"),
    [
        ({"blk.0.weight": np.ones(3, np.float32)}, "llama", "holds a 'llama', not a control vector"),
        ({"weights": np.ones(3, np.float32)}, "controlvector", "tensor 'weights'; expected only direction.N"),
        ({"direction.1": np.ones((2, 3), np.float32)}, "controlvector", r"must be numbers \[d_model\]"),
        ({"direction.1": np.ones(3, np.float32), "direction.2": np.ones(4, np.float32)}, "controlvector", "widths"),
        ({"direction.1": np.full(3, np.nan, np.float32)}, "controlvector", "finite"),
    ],
)
def test_other_gguf_files_are_named(tmp_path, tensors, architecture, message):
    path = foreign_gguf(tmp_path / "f.gguf", tensors, architecture)
    with pytest.raises(ValueError, match=message):
        Directions.from_gguf(path)


def test_foreign_safetensors_are_read_and_others_named(tmp_path):
    save_file({"direction.4": np.arange(1, 4, dtype=np.float32)}, tmp_path / "v.safetensors")
    np.testing.assert_allclose(
        Directions.from_safetensors(tmp_path / "v.safetensors").vectors(units="norm")[4], [1, 2, 3]
    )
    save_file({"w": np.ones(3, dtype=np.float32)}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="tensor 'w'"):
        Directions.from_safetensors(tmp_path / "w.safetensors")


@pytest.mark.parametrize("form", ["gguf", "safetensors"])
def test_no_changed_number_is_accepted_from_our_own_files(tmp_path, form):
    """Each byte of the vectors, and bytes all over the file, flipped: named, or nothing of what is read has changed."""
    directions = some()
    path = getattr(directions, f"to_{form}")(tmp_path / f"v.{form}")
    whole = path.read_bytes()
    first = next(iter(directions.vectors().values())).numpy().tobytes()[:4]
    at_vectors = whole.rindex(first)
    rng = np.random.default_rng(0)
    places = [*range(at_vectors, at_vectors + 48), *rng.integers(0, len(whole), 150)]
    refused: list[str] = []
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(damaged))
        try:
            found = getattr(Directions, f"from_{form}")(path)
        except ValueError as error:
            refused.append(str(error))
        else:
            for layer, vector in found.vectors(units="norm" if not found[layer_of(found)].scales else None).items():
                torch.testing.assert_close(vector, directions.vectors()[layer], rtol=1e-5, atol=1e-6)
    assert len(refused) >= 48
    assert all(str(path) in said for said in refused)


def layer_of(directions):
    return next(iter(directions))


def test_repeng_reads_ours_and_we_read_theirs(tmp_path):
    repeng = pytest.importorskip("repeng")
    directions = some()
    theirs = repeng.ControlVector.import_gguf(directions.to_gguf(tmp_path / "ours.gguf"))
    assert theirs.model_type == "llama"
    for layer, vector in directions.vectors().items():
        np.testing.assert_allclose(theirs.directions[layer], vector, rtol=1e-6)
    theirs.export_gguf(tmp_path / "theirs.gguf")
    back = Directions.from_gguf(tmp_path / "theirs.gguf").vectors(units="norm")
    for layer, vector in directions.vectors().items():
        torch.testing.assert_close(back[layer], vector, rtol=1e-5, atol=1e-6)


def test_the_header_names_the_kind_as_llama_cpp_asks_for_it(tmp_path):
    path = some().to_gguf(tmp_path / "v.gguf", model_hint="qwen2")
    reader = gguf.GGUFReader(path)
    assert reader.get_field("general.architecture").contents() == "controlvector"
    assert reader.get_field("controlvector.model_hint").contents() == "qwen2"
    assert reader.get_field("controlvector.layer_count").contents() == len(LAYERS)
    assert struct.unpack("<4sI", path.read_bytes()[:8]) == (b"GGUF", 3)
    note = json.loads(reader.get_field("empathy_geometry.directions").contents())
    assert (note["alpha"], note["units"]) == (1.0, "class_gap")
