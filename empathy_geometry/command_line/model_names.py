"""Which models a command means, and how their folders are called."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from empathy_geometry.foundation.checked_json import parse_json
from empathy_geometry.models.names import EMBEDDED_NAME, MODELS_FOLDER

_WEIGHTS = ("*.safetensors", "*.bin")


def expand_models(names: Sequence[str]) -> list[str]:
    """The names as given, "all" replaced by every model that is here already; doubles dropped.

    "all" is the embedded model, the model folders in $EMPATHY_GEOMETRY_MODELS, and the language models that lie whole
    in the Hugging Face cache. Nothing is downloaded for it.

    Example:
        >>> expand_models(["b", "a", "b"])
        ['b', 'a']
    """
    found: list[str] = []
    for name in names:
        found += [EMBEDDED_NAME, *_local_folders(), *_cached()] if name == "all" else [name]
    return list(dict.fromkeys(found))


def folder_name(model: str) -> str:
    """A folder's name for a model's name or path.

    Example:
        >>> folder_name("org/model-1b"), folder_name("/data/models/mine/"), folder_name("a (random weights, seed 0)")
        ('org--model-1b', 'mine', 'a-random-weights-seed-0')
    """
    name = Path(model).name if Path(model).is_absolute() or model.startswith((".", "~")) else model
    return re.sub(r"[^\w.-]+", "-", name.strip("/").replace("/", "--")).strip("-.") or "model"


def files_of(model: str) -> dict[str, int]:
    """Sizes of a local model's configuration and weights by name, so that another model in its place is noticed."""
    folder = Path(model).expanduser()
    if folder.is_file():  # GGUF
        return {folder.name: folder.stat().st_size}
    if not folder.is_dir():
        return {}
    files = [folder / "config.json", *(f for pattern in _WEIGHTS for f in folder.glob(pattern))]
    return {f.name: f.stat().st_size for f in sorted(files) if f.is_file()}


def _local_folders() -> list[str]:
    named = os.environ.get(MODELS_FOLDER)
    if not named:
        return []
    folder = Path(named)
    if not folder.is_dir():
        raise FileNotFoundError(f"{MODELS_FOLDER} is {named!r}, which is no folder; unset it or correct it")
    return [str(f.parent) for f in sorted(folder.glob("*/config.json")) if _is_whole(f.parent)]


def _cached() -> list[str]:
    """Names of causal language models that lie whole in the Hugging Face cache."""
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        return []
    whole = []
    for repository in repositories:
        snapshots = [r.snapshot_path for r in repository.revisions]
        if repository.repo_type == "model" and any(_is_whole(s) for s in snapshots):
            whole.append(repository.repo_id)
    return sorted(whole)


def _is_whole(folder: Path) -> bool:
    config = folder / "config.json"
    if not config.is_file() or not any(any(folder.glob(pattern)) for pattern in _WEIGHTS):
        return False
    try:
        architectures = parse_json(config.read_bytes(), str(config)).get("architectures") or []
    except (ValueError, AttributeError):
        return False
    return any(str(a).endswith(("ForCausalLM", "LMHeadModel")) for a in architectures)
