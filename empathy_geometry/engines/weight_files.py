"""What tells a model's files from any others, without loading them."""

from pathlib import Path

import xxhash

_CHUNK = 16 * 2**20
_WEIGHTS = ("*.safetensors", "*.bin", "*.gguf")


def weight_fingerprints(folder: Path) -> dict[str, str]:
    """XXH3-128 of each file with weights in a folder, by name; read once from end to end, as loading does.

    Raises:
        FileNotFoundError: there is none.
    """
    files = sorted(path for pattern in _WEIGHTS for path in folder.glob(pattern))
    if not files:
        raise FileNotFoundError(f"{folder} holds no weights (*.safetensors, *.bin)")
    return {path.name: _fingerprint(path) for path in files}


def _fingerprint(path: Path) -> str:
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
