"""Writing shards: leftovers go, damage stops the run, a full disk loses nothing that was finished."""

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from empathy_geometry.activations.extractor import ShardVectors
from empathy_geometry.activations.store_manifest import Manifest
from empathy_geometry.activations.store_writer import StoreWriter, open_shard, shard_path
from empathy_geometry.foundation import durable_file
from empathy_geometry.texts.labeled_texts import LabeledTexts

TEXTS = LabeledTexts(["a", "b", "c"], ["x", "y", "x"], ["g", "g", "h"])
MANIFEST = Manifest({"texts": {"n": 3, "sha256": TEXTS.sha256}}, {}, (2, 1))


def _vectors(rows: list[int]) -> ShardVectors:
    return ShardVectors(
        np.array(rows), torch.randn(len(rows), 1, 2, 4), torch.randn(len(rows), 4), torch.zeros(len(rows), 2).int()
    )


def _writer(folder: Path) -> StoreWriter:
    return StoreWriter(folder, MANIFEST, TEXTS)


def test_shards_hold_a_tensor_for_each_layer(tmp_path: Path) -> None:
    writer, vectors = _writer(tmp_path), _vectors([0, 2])
    assert not writer.has(0)
    writer.write(0, ["embed", 3], vectors, "float32")
    assert writer.has(0)
    shard = open_shard(tmp_path, 0, MANIFEST.sha256)
    assert shard.names == ["layer.3", "layer.embed", "left_out", "rows", "token_embeddings"]
    assert torch.equal(shard.read("layer.3"), vectors.values[:, :, 1])
    assert shard.read("rows").tolist() == [0, 2]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(tmp_path: Path, dtype: str) -> None:
    writer, vectors = _writer(tmp_path), _vectors([1])
    writer.write(0, [0, 1], vectors, dtype)
    stored = open_shard(tmp_path, 0, MANIFEST.sha256).read("layer.0")
    assert stored.dtype == getattr(torch, dtype)
    torch.testing.assert_close(stored.float(), vectors.values[:, :, 0], rtol=1e-2, atol=1e-2)


def test_what_does_not_fit_the_dtype_is_an_error(tmp_path: Path) -> None:
    vectors = _vectors([7, 9])
    vectors.values[1, 0, 0, 0] = 1e5
    with pytest.raises(
        ValueError, match=r"those of text 9 are not in float16; try StoreDesign\(folder, dtype='bfloat16'\)"
    ):
        _writer(tmp_path).write(0, [0, 1], vectors, "float16")
    assert not shard_path(tmp_path, 0).exists()


def test_a_damaged_shard_stops_the_run_and_stays(tmp_path: Path) -> None:
    writer = _writer(tmp_path)
    writer.write(0, [0, 1], _vectors([0, 1]), "float32")
    path = shard_path(tmp_path, 0)
    damaged = bytearray(path.read_bytes())
    damaged[-5] ^= 4
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"shard-00000.safetensors .* is damaged .*delete this file and run"):
        _writer(tmp_path).has(0)
    assert path.read_bytes() == damaged


def test_a_shard_of_another_place_or_store_is_refused(tmp_path: Path) -> None:
    writer = _writer(tmp_path / "a")
    writer.write(0, [0, 1], _vectors([0, 1]), "float32")
    shard_path(tmp_path / "a", 0).rename(shard_path(tmp_path / "a", 1))
    with pytest.raises(ValueError, match="belongs to another store, or to another place"):
        writer.has(1)
    other = StoreWriter(tmp_path / "b", Manifest({**MANIFEST.identity, "layers": [1]}, {}, (2, 1)), TEXTS)
    shard_path(tmp_path / "a", 1).rename(shard_path(tmp_path / "b", 1))
    with pytest.raises(ValueError, match="belongs to another store"):
        other.has(1)


def test_leftovers_of_dead_processes_go(tmp_path: Path) -> None:
    _writer(tmp_path)
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    dead = tmp_path / f".eg-{durable_file._HOST}-{child.pid}-0.partial"
    dead.write_text("half")
    _writer(tmp_path)
    assert not dead.exists()


def test_a_full_disk_leaves_finished_shards(tmp_path: Path) -> None:
    """The operating system refuses the bytes in the middle of the second shard."""
    writer = _writer(tmp_path)
    writer.write(0, [0, 1], _vectors([0, 1]), "float32")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, before[1]))
    try:
        with pytest.raises(OSError, match=r"could not write .*shard-00001|File too large"):
            writer.write(1, [0, 1], _vectors([2]), "float32")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert writer.has(0)
    assert not writer.has(1)
    assert not list(tmp_path.glob(".*.partial"))
    writer.write(1, [0, 1], _vectors([2]), "float32")
    assert writer.has(1)
