"""Artefact files: whole or not at all, and every damage is noticed."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from empathy_geometry.foundation import artefact
from empathy_geometry.foundation.artefact import ArtefactFile, load_artefact, save_artefact

TENSORS = {
    "values": torch.arange(12.0).reshape(3, 4),
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "rows": torch.tensor([3, 1, 2]),
    "one": torch.tensor(2.0),
    "none": torch.empty(0, 4),
}
DESCRIBED = {"layers": [0, 1], "name": "Ünïcode", "nested": {"n": None}}


def _outcome(path: Path) -> tuple[Any, ValueError | None]:
    try:
        return load_artefact(path, "thing"), None
    except ValueError as error:
        return None, error


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return save_artefact(tmp_path / "deep" / "a.safetensors", "thing", TENSORS, DESCRIBED)


def test_what_is_saved_comes_back(path: Path) -> None:
    tensors, described = load_artefact(path, "thing")
    assert described == DESCRIBED
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


def test_tensors_are_read_one_by_one(path: Path) -> None:
    file = ArtefactFile(path, "thing")
    assert file.names == sorted(TENSORS)
    assert torch.equal(file.read("rows"), TENSORS["rows"])


def test_strided_tensors_and_gradients_are_saved_as_values(tmp_path: Path) -> None:
    tensor = torch.randn(4, 6, requires_grad=True).T[:, ::2]
    save_artefact(tmp_path / "a", "thing", {"x": tensor}, {})
    assert torch.equal(load_artefact(tmp_path / "a", "thing")[0]["x"], tensor.detach())


def test_missing_and_of_another_kind(path: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no thing file"):
        load_artefact(tmp_path / "no", "thing")
    with pytest.raises(ValueError, match=r"does not hold probe \(version 1\), but 'empathy_geometry.thing/1'"):
        load_artefact(path, "probe")
    save_file({"x": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="a safetensors file of another program"):
        load_artefact(tmp_path / "other.safetensors", "thing")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damage_goes_unnoticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Cut off, flipped, overwritten or extended: a ValueError, or the very same content."""
    folder = tmp_path_factory.mktemp("damage")
    path = save_artefact(folder / "a.safetensors", "thing", TENSORS, DESCRIBED)
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    kind = data.draw(st.sampled_from(["cut", "flip", "zero", "extend"]))
    damaged = bytearray(whole)
    if kind == "cut":
        del damaged[at:]
    elif kind == "flip":
        damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "zero":
        damaged[at : at + 64] = bytes(min(64, len(whole) - at))
    else:
        damaged += b"more"
    path.write_bytes(damaged)
    found, error = _outcome(path)
    if error is not None:
        assert str(path) in str(error)
    else:
        tensors, described = found
        assert described == DESCRIBED
        assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())
    assert path.read_bytes() == damaged  # reading never writes


def test_a_swapped_tensor_is_noticed(path: Path) -> None:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file({**TENSORS, "values": TENSORS["values"] + 1}, path, metadata=metadata)
    with pytest.raises(ValueError, match=r"damaged: 'values' does not fit its checksum"):
        load_artefact(path, "thing")
    save_file({name: TENSORS[name] for name in ("values", "half")}, path, metadata=metadata)
    with pytest.raises(ValueError, match=r"damaged: it should hold \['half', 'none', 'one', 'rows', 'values'\]"):
        load_artefact(path, "thing")


def test_equal_content_makes_equal_files(path: Path) -> None:
    for i in range(5):
        again = save_artefact(path.with_name(str(i)), "thing", dict(reversed(TENSORS.items())), DESCRIBED)
        assert again.read_bytes() == path.read_bytes()


def test_a_full_disk_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors import SafetensorError

    old = path.read_bytes()

    def full(tensors: Any, filename: Any, metadata: Any = None) -> None:
        Path(filename).write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(artefact, "save_file", full)
    with pytest.raises(OSError, match="is the disk full"):
        save_artefact(path, "thing", TENSORS, {})
    assert path.read_bytes() == old
    assert os.listdir(path.parent) == [path.name]


def test_a_description_that_no_header_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artefact, "_HEADER_BYTES", 100)
    with pytest.raises(ValueError, match="store=PATH"):
        save_artefact(tmp_path / "a", "thing", TENSORS, {"texts": ["x" * 200]})
