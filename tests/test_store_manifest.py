"""Manifests: written once, compared field by field, damage noticed."""

from pathlib import Path

import pytest

from empathy_geometry.activations.store_manifest import Manifest
from empathy_geometry.foundation.checked_json import dump_checked

MANIFEST = Manifest({"layers": [0, 1], "model": {"name": "m", "dtype": "float32"}}, {"threads": 1}, (4, 3))


def test_the_first_manifest_stays(tmp_path: Path) -> None:
    created = MANIFEST.create(tmp_path / "store")
    assert created.identity == MANIFEST.identity
    assert created.shard_sizes == (4, 3)
    assert created.sha256 == MANIFEST.sha256
    before = (tmp_path / "store" / "manifest.json").read_bytes()
    again = Manifest(MANIFEST.identity, {"threads": 8}, (4, 3)).create(tmp_path / "store")
    assert again.record["threads"] == 1
    assert (tmp_path / "store" / "manifest.json").read_bytes() == before


def test_differences_are_named(tmp_path: Path) -> None:
    MANIFEST.create(tmp_path)
    other = Manifest({"layers": [0, 1], "model": {"name": "m", "dtype": "bfloat16"}, "new": 1}, {}, (4, 3))
    with pytest.raises(ValueError, match=r"model.dtype: 'float32' there, 'bfloat16' now; new: None there, 1 now"):
        other.create(tmp_path)
    with pytest.raises(ValueError, match=r"shard_sizes: \(4, 3\) there, \(7,\) now"):
        Manifest(MANIFEST.identity, {}, (7,)).create(tmp_path)


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(ValueError, match=r"not empty and no store \(it holds thesis.tex\)"):
        MANIFEST.create(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_no_store_and_another_version(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no activation store"):
        Manifest.read(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text(dump_checked({"format": "empathy_geometry.activation_store/1", "identity": {}}))
    with pytest.raises(ValueError, match=r"is of format 'empathy_geometry.activation_store/1', this version"):
        Manifest.read(tmp_path)
    path.write_text(dump_checked({"format": "empathy_geometry.activation_store/2"}))
    with pytest.raises(ValueError, match=r"damaged \(KeyError"):
        Manifest.read(tmp_path)


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b"\xff\xfe", b'{"format": 1}'])
def test_damage(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"manifest.json is damaged or half-written"):
        Manifest.read(tmp_path)
    with pytest.raises(ValueError, match=r"manifest.json is damaged or half-written"):
        MANIFEST.create(tmp_path)
    assert (tmp_path / "manifest.json").read_bytes() == damaged
