"""Getting a sparse autoencoder: by release and id, or from a folder."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from empathy_geometry.foundation.checked_json import read_checked
from empathy_geometry.foundation.json_codec import unpack
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.sae.autoencoder import (
    REPORT_FILE,
    REPORT_FORMAT,
    SparseAutoencoder,
    as_autoencoder,
    file_sha256,
)
from empathy_geometry.sae.lens import sae_lens
from empathy_geometry.sae.training_report import TrainingReport

CONFIG_FILE = "cfg.json"
WEIGHTS_FILE = "sae_weights.safetensors"


@takes_settings()
def load_sae(source: str | Path, sae_id: str | None = None, *, device: str = "cpu") -> SparseAutoencoder:
    """A sparse autoencoder through SAELens.

    Args:
        source: A folder in SAELens's format (cfg.json and sae_weights.safetensors), as `train_sae` and SAELens write;
            or the name of a pretrained release, such as "gpt2-small-res-jb", or a hub repository "owner/name".
        sae_id: Which SAE of the release, such as "blocks.8.hook_resid_pre"; none for a folder.
        device: Where it computes.

    Raises:
        ImportError: SAELens is not installed.
        FileNotFoundError: no such folder, or the hub did not give it.
        ValueError: unknown release or id, or a damaged folder.

    Example:
        >>> sae = load_sae("gpt2-small-res-jb", "blocks.8.hook_resid_pre")  # doctest: +SKIP
    """
    folder = Path(source)
    if sae_id is None:
        if not (folder / CONFIG_FILE).is_file():
            raise FileNotFoundError(
                f"{source} is not a folder with {CONFIG_FILE}, as SAELens writes it; for a pretrained release say "
                f"which SAE: load_sae(release, sae_id)"
            )
        return _from_folder(folder, device)
    lens = sae_lens()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = lens.SAE.from_pretrained(str(source), sae_id, device=device)
    except (OSError, ConnectionError) as error:
        raise FileNotFoundError(
            f"cannot fetch SAE {sae_id!r} of {str(source)!r}: the hub did not give it ({type(error).__name__}: "
            f"{(str(error).strip().splitlines() or ['no reason given'])[0][:200]}). Without a network, download the "
            f"folder elsewhere and pass its path, or train one here: train_sae(model, texts, layer=...)"
        ) from error
    except ValueError as error:
        raise ValueError(
            f"SAELens has no SAE {sae_id!r} of release {str(source)!r} ({error}); it has none for the embedded model: "
            f"train one with train_sae(model, texts, layer=...)"
        ) from error
    return as_autoencoder(found, f"{source} {sae_id}")


def _from_folder(folder: Path, device: str) -> SparseAutoencoder:
    lens = sae_lens()
    if not (folder / WEIGHTS_FILE).is_file():
        raise FileNotFoundError(f"{folder} lacks {WEIGHTS_FILE}, which belongs beside {CONFIG_FILE}")
    report = _report(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = lens.SAE.load_from_disk(folder, device=device)
        training = None if report is None else unpack(TrainingReport, report)
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder} is damaged or not in SAELens's format ({type(error).__name__}: {error}); save it again"
        ) from error
    return replace(as_autoencoder(loaded, folder.name), training=training)


def _report(folder: Path) -> dict[str, Any] | None:
    """How an SAE that was trained here was trained, after a look at whether its files are those that were written."""
    path = folder / REPORT_FILE
    if not path.is_file():
        return None
    content = read_checked(path, REPORT_FORMAT, "train again")
    changed = [name for name, digest in content["files"].items() if file_sha256(folder / name) != digest]
    if changed:
        raise ValueError(f"{folder} is damaged: {', '.join(changed)} does not fit the checksum in {REPORT_FILE}")
    report: dict[str, Any] = content["report"]
    return report
