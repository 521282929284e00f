"""A sparse autoencoder as this library uses one, whoever trained it."""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch
from jaxtyping import Float
from torch import Tensor

from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.checked_json import dump_checked
from empathy_geometry.foundation.durable_file import whole_file, write_text
from empathy_geometry.foundation.json_codec import to_json
from empathy_geometry.foundation.terminal import printable
from empathy_geometry.models.hooked_model import SITES, Site
from empathy_geometry.sae.row_normalisation import (
    RUN_TIME_KINDS,
    row_statistics,
    stateless,
    statistics_of,
    with_statistics,
)
from empathy_geometry.sae.training_report import TrainingReport

Place: TypeAlias = tuple[Layer, Site]
"""Layer and site."""

# TransformerBridge calls the stream before and after a block hook_in and hook_out.
_ALIASES = {"in": "resid_pre", "out": "resid_post"}


def place_of_hook(hook_name: str | None) -> Place | None:
    """Layer and site of a hook name; None for one that is not known here.

    What enters a block is what left the one before: resid_pre of block i is layer i - 1 at resid_post, and of block 0
    the layer "embed".

    Example:
        >>> place_of_hook("blocks.8.hook_resid_pre"), place_of_hook("blocks.0.hook_in"), place_of_hook("embed")
        ((7, 'resid_post'), ('embed', 'resid_post'), None)
    """
    found = re.fullmatch(r"blocks\.(\d+)\.hook_(\w+)", hook_name or "")
    if found is None:
        return None
    site = _ALIASES.get(found[2], found[2])
    return same_place(int(found[1]), site) if site in SITES else None


def same_place(layer: Layer, site: str) -> Place:
    """One name for places that hold the same vectors.

    Example:
        >>> same_place(3, "resid_pre") == same_place(2, "resid_post")
        True
    """
    if layer == "embed":
        return "embed", "resid_post"
    if site == "resid_pre":
        return (int(layer) - 1 if int(layer) else "embed"), "resid_post"
    return layer, cast(Site, site)


def hook_of_place(layer: Layer, site: str) -> str:
    """The TransformerLens name of a place.

    Example:
        >>> hook_of_place(17, "resid_post")
        'blocks.17.hook_resid_post'
    """
    return "blocks.0.hook_resid_pre" if layer == "embed" else f"blocks.{layer}.hook_{site}"


REPORT_FILE = "training_report.json"
REPORT_FORMAT = "empathy_geometry.training_report/2"
_BYTES_AT_ONCE = 2**26


@dataclass(frozen=True, eq=False)
class SparseAutoencoder:
    """Rows in, few features out: what `load_sae` and `train_sae` give, and `sae_agreement` takes.

    Attributes:
        decoder: What each feature writes, [d_sae, d_model], float32 on the CPU; lengths as in the SAE.
        encode_rows: From rows [n, d_model] to feature activations [n, d_sae], each row by itself; use `encode`.
        decode_rows: From feature activations to rows; use `decode`.
        place: Layer and site that it reads, or None if unknown.
        architecture: Such as "topk".
        name: What it is called in results.
        model_name: The model that it was trained on, as its configuration says.
        training: How it was trained, where it was trained here.
        sae: The SAELens object behind it, or None.
        planted: Whether its features were made up, so that results with it are no measurements.
        normalisation: How it normalises each row at run time ("layer_norm", "constant_norm_rescale"); "none" if it
            does not. Features then carry what was taken from their rows, see `row_normalisation`.

    Raises:
        ValueError: the decoder is not a finite matrix.

    Example:
        >>> decoder = torch.eye(3)
        >>> toy = SparseAutoencoder(decoder, lambda x: x.relu(), lambda f: f @ decoder, name="toy")
        >>> toy.d_sae, toy.encode(torch.tensor([[1.0, -2.0, 3.0]])).tolist()
        (3, [[1.0, 0.0, 3.0]])
    """

    decoder: Float[Tensor, "d_sae d_model"]
    encode_rows: Callable[[Tensor], Tensor] = field(repr=False)
    decode_rows: Callable[[Tensor], Tensor] = field(repr=False)
    place: Place | None = None
    architecture: str = "given"
    name: str = "sae"
    model_name: str = ""
    training: TrainingReport | None = field(default=None, repr=False)
    sae: Any = field(default=None, repr=False)
    planted: bool = False
    normalisation: str = "none"

    def __post_init__(self) -> None:
        decoder = torch.as_tensor(self.decoder).detach().float().cpu()
        if decoder.ndim != 2 or decoder.numel() == 0 or not bool(torch.isfinite(decoder).all()):
            raise ValueError(f"decoder must be a finite matrix [d_sae, d_model], got shape {tuple(decoder.shape)}")
        object.__setattr__(self, "decoder", decoder)

    @printable
    def __repr__(self) -> str:
        where = "" if self.place is None else f" at {hook_of_place(*self.place)}"
        report = "" if self.training is None else f"; {self.training}"
        return f"SparseAutoencoder({self.name}: {self.architecture}, {self.d_sae} x {self.d_model}{where}{report})"

    @property
    def d_sae(self) -> int:
        """Number of features."""
        return int(self.decoder.shape[0])

    @property
    def d_model(self) -> int:
        """Width of the rows that it reads."""
        return int(self.decoder.shape[1])

    @property
    def sha256(self) -> str:
        """Hash of the decoder, by which one SAE is told from another."""
        return hashlib.sha256(self.decoder.contiguous().numpy().tobytes()).hexdigest()

    @property
    def is_planted(self) -> bool:
        """Whether its features were made up, or learned from made-up data."""
        return self.planted or (self.training is not None and self.training.provenance.kind == "planted")

    def encode(self, x: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_sae"]:
        """Feature activations of rows, float32 on the CPU.

        Raises:
            ValueError: the rows have another width.
        """
        if x.ndim != 2 or x.shape[1] != self.d_model:
            raise ValueError(
                f"{self.name} reads rows [n, {self.d_model}], got {tuple(x.shape)}; is it another model's?"
            )
        size = max(1, _BYTES_AT_ONCE // (4 * self.d_sae))
        rows = x.detach().float()
        with torch.no_grad():
            features = torch.cat([self.encode_rows(part).float().cpu() for part in torch.split(rows, size)])
            return features if self.normalisation == "none" else self._with_statistics(features, rows)

    def decode(
        self, features: Float[Tensor, "n d_sae"], *, rows: Float[Tensor, "n d_model"] | None = None
    ) -> Float[Tensor, "n d_model"]:
        """Rows from feature activations, float32 on the CPU.

        Args:
            features: What `encode` gave.
            rows: The rows that the features are of. Only an SAE that normalises each row needs them, and only where the
                features are not the very tensor that `encode` gave (a slice, or edited ones).

        Raises:
            ValueError: the rows are needed and not given, or are not as many as the features.
        """
        if rows is not None and len(rows) != len(features):
            raise ValueError(f"rows must be as many as features, got {len(rows)} and {len(features)}")
        given = features.detach().float()
        with torch.no_grad():
            if self.normalisation != "none":
                known = statistics_of(features)
                if rows is not None:
                    given = self._with_statistics(given, rows.detach().float())
                elif known is not None:
                    given = with_statistics(given, known)
                else:
                    raise ValueError(
                        f"{self.name} normalises each row ({self.normalisation}), so that features alone do not say "
                        f"how long the rows were; pass decode(features, rows=...), the rows that were encoded"
                    )
            return self.decode_rows(given).float().cpu()

    def _with_statistics(self, features: Tensor, rows: Tensor) -> Tensor:
        return with_statistics(features, row_statistics(rows, self.normalisation))

    def check_fits(self, d_model: int, place: tuple[Layer, str] | None) -> None:
        """Raise ValueError unless activations of this width, read there, are what the SAE was trained on.

        Raises:
            ValueError: another width, layer or site; says which.
        """
        trained_on = f" (trained on {self.model_name})" if self.model_name else ""
        if d_model != self.d_model:
            raise ValueError(
                f"{self.name} reads vectors of width {self.d_model}{trained_on}, these have {d_model}; an SAE belongs "
                f"to one model: take one of this model, or train one with train_sae(model, texts, layer=...)"
            )
        if place is not None and self.place is not None and same_place(*place) != same_place(*self.place):
            raise ValueError(
                f"{self.name} reads {hook_of_place(*self.place)}{trained_on}, these activations are from "
                f"{hook_of_place(*place)}; extract layer={self.place[0]!r}, site={self.place[1]!r}, or take the SAE "
                f"of that layer"
            )

    def save(self, folder: str | Path) -> Path:
        """Write it in SAELens's format (safetensors and JSON), and the training report beside; load with `load_sae`.

        Raises:
            ValueError: there is no SAELens object behind it.
        """
        if self.sae is None:
            raise ValueError(f"{self.name} did not come from SAELens, so that it cannot be written in its format")
        folder = Path(folder)
        with tempfile.TemporaryDirectory() as part:
            # The configuration goes last: a folder with one is whole.
            written = sorted(map(Path, self.sae.save_model(part)), key=lambda p: p.suffix == ".json")
            if self.training is not None:
                files = {path.name: file_sha256(path) for path in written}
                content = {"format": REPORT_FORMAT, "files": files, "report": to_json(self.training)}
                write_text(folder / REPORT_FILE, dump_checked(content, indent=1))
            for path in written:
                with whole_file(folder / path.name) as temporary:
                    shutil.copyfile(path, temporary)
        return folder


def as_autoencoder(sae: object, name: str | None = None) -> SparseAutoencoder:
    """A SAELens SAE (or what is one already) as `SparseAutoencoder`.

    Raises:
        TypeError: it is neither.
        ValueError: it does not give rows back one by one: a transcoder, an SAE that reads sequences or one that is
            still in training and chooses its features across a batch.
    """
    if isinstance(sae, SparseAutoencoder):
        return sae
    lens: Any = sae
    if not all(hasattr(lens, attribute) for attribute in ("W_dec", "encode", "decode", "cfg")):
        raise TypeError(
            f"sae must be an SAE from load_sae, train_sae or SAELens, got {type(sae).__name__}; try "
            f"load_sae(folder) or load_sae(release, sae_id)"
        )
    architecture = str(lens.cfg.architecture())
    _check_row_by_row(lens, architecture)
    metadata = getattr(lens.cfg, "metadata", None)
    hook = None if metadata is None else metadata.get("hook_name")
    device, dtype = lens.W_dec.device, lens.W_dec.dtype
    kind = str(lens.cfg.normalize_activations)
    normalises = kind in RUN_TIME_KINDS
    twin = stateless(lens) if normalises else lens

    def encode_rows(x: Tensor) -> Tensor:
        rows = x.to(device, dtype)
        features: Tensor = twin.encode(rows)
        return with_statistics(features, row_statistics(rows, kind)) if normalises else features

    def decode_rows(features: Tensor) -> Tensor:
        rows: Tensor = twin.decode(features.to(device, dtype))
        statistics = statistics_of(features)
        return rows if statistics is None else statistics.undo(rows)

    return SparseAutoencoder(
        decoder=lens.W_dec,
        encode_rows=encode_rows,
        decode_rows=decode_rows,
        place=place_of_hook(hook),
        architecture=architecture,
        name=name or f"SAE at {hook or 'an unknown hook'}",
        model_name=str((metadata.get("model_name") if metadata is not None else None) or ""),
        sae=lens,
        normalisation=kind if normalises else "none",
    )


def _check_row_by_row(lens: Any, architecture: str) -> None:
    if "transcoder" in architecture or hasattr(lens.cfg, "d_out"):
        raise ValueError(
            f"this is a {architecture}, which predicts one hook point from another and gives no rows back; take an SAE"
        )
    if architecture == "temporal":
        raise ValueError("a temporal SAE reads sequences, not single rows; take another architecture")
    if hasattr(lens, "training_forward_pass") and "batchtopk" in architecture:
        raise ValueError(
            f"a {architecture} SAE in training chooses its features across a batch, so that a row's features depend on "
            f"its neighbours; save it with save_inference_model(folder) and take load_sae(folder)"
        )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def layer_of(sae: SparseAutoencoder) -> Layer | None:
    """The layer that an SAE reads, where it is known."""
    return None if sae.place is None else sae.place[0]
