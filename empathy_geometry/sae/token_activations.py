"""Activations token by token, for training a sparse autoencoder: extracted in shards, resumable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from empathy_geometry.activations.batching import batches
from empathy_geometry.activations.extraction import tokens_per_batch
from empathy_geometry.activations.hook_reader import HookReader
from empathy_geometry.activations.outlier_tokens import OUTLIER_FACTOR, find_outliers, token_norms
from empathy_geometry.activations.positions import judged_tokens
from empathy_geometry.activations.reading import ReadingDesign
from empathy_geometry.foundation._types import IntArray, Layer, StrArray
from empathy_geometry.foundation.artefact import load_artefact, save_artefact
from empathy_geometry.foundation.checked_json import content_sha256
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.foundation.terminal import printable
from empathy_geometry.models.behaviour_lengths import BehaviourLengths
from empathy_geometry.models.hooked_model import HookedModel, Site, hook_name
from empathy_geometry.models.identity import identity_differences, model_identity, tokenizer_sha256
from empathy_geometry.models.loading import check_model
from empathy_geometry.models.tokens import pad
from empathy_geometry.sae.training_texts import TrainingTexts, training_texts
from empathy_geometry.texts.labeled_texts import LabeledTexts

_SHARD_TOKENS = 8192


@dataclass(frozen=True, eq=False)
class TokenActivations:
    """One vector for each token.

    Attributes:
        values: [n_tokens, d_model], float32, outlier tokens left out (see `activations.outlier_tokens`).
        text: Which text each token belongs to, [n_tokens].
        groups: Scenario of each text.
        layer: Where they were read.
        site: Hook point of the block.
        hashes: SHA-256 of each text.
        model: Identity of the model; empty for planted data.
        texts: SHA-256 of each set, by name.
        n_massive: How many tokens were left out as massive, the first token of each text not counted.
        seed: Of the choice of texts.
    """

    values: Float[Tensor, "n_tokens d_model"]
    text: IntArray
    groups: StrArray
    layer: Layer
    site: str = "resid_post"
    hashes: tuple[str, ...] = field(default=(), repr=False)
    model: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    n_massive: int = 0
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or len(self.values) != len(self.text):
            raise ValueError(
                f"values must be [n_tokens, d_model] with one text number per token, got {tuple(self.values.shape)} "
                f"and {len(self.text)}"
            )
        if len(self.text) and int(self.text.max()) >= len(self.groups):
            raise ValueError(f"text numbers must lie below the number of groups {len(self.groups)}")

    def __len__(self) -> int:
        return len(self.values)

    @printable
    def __repr__(self) -> str:
        return (
            f"TokenActivations({len(self)} tokens of {len(self.groups)} texts, width {self.values.shape[1]}, layer "
            f"{self.layer}, {self.site}; {self.n_massive} massive left out)"
        )


@takes_settings(reading=ReadingDesign)
def token_activations(
    model: HookedModel,
    texts: LabeledTexts | Sequence[LabeledTexts] | Sequence[str],
    *,
    layer: Layer,
    site: Site = "resid_post",
    n_tokens: int | None = None,
    reading: ReadingDesign = ReadingDesign(),  # noqa: B008 - immutable
    folder: str | Path | None = None,
    seed: int = 0,
    progress: bool = True,
) -> TokenActivations:
    """Read the residual stream at every token of texts, to train a sparse autoencoder on.

    Outlier tokens are left out (see `activations.outlier_tokens`): the first of a text, which holds an attention sink a
    hundred times larger than any other activation, and any other whose norm exceeds twenty times the median of its
    text; the number of the latter is reported. A prompt that several texts share counts once.

    Args:
        model: HookedTransformer or TransformerBridge.
        texts: One set, several, or plain strings.
        layer: Where to read.
        site: Hook point of the block.
        n_tokens: At most about so many, in whole texts drawn at random; None takes all.
        reading: How texts are read: chat template, control tokens. Outlier tokens are always left out.
        folder: Where finished shards are kept: called again after a kill, it goes on from there.
        seed: Of the drawing.
        progress: Show a bar (never when the output is not a terminal).

    Raises:
        ValueError: unknown layer or site, outlier tokens kept, a text that does not fit, or a folder that another run
            began.

    Example:
        >>> tokens = token_activations(model, eg.datasets.empathy_pairs(), layer=17)  # doctest: +SKIP
    """
    check_model(model)
    name = hook_name(model, layer, site)
    if reading.outlier_tokens == "keep":
        raise ValueError(
            "an attention sink a hundred times larger than any other token would be all that an SAE learns; leave "
            "outlier_tokens='leave_out'"
        )
    chosen = training_texts(model, texts, n_tokens=n_tokens, reading=reading, seed=seed)
    identity = model_identity(model, edits=True)
    run = _run_identity(model, identity, chosen, name)
    lengths = np.array([len(t) for t in chosen.tokenized])
    order = np.lexsort((np.arange(len(lengths)), -lengths))
    behaviour = BehaviourLengths.of(model)
    kept = [order[part] for part in _shards(lengths[order])]
    values = torch.empty(int(chosen.counts.sum()), int(model.cfg.d_model))
    massive = torch.zeros(len(values), dtype=torch.bool)
    offsets = np.concatenate([[0], np.cumsum(chosen.counts)])
    bar = tqdm(
        total=int(lengths.sum()),
        unit="tok",
        unit_scale=True,
        desc="tokens",
        disable=None if progress else True,
        delay=2,
    )
    reader = HookReader(model, [name])
    with torch.no_grad(), bar:
        for number, rows in enumerate(kept):
            path = None if folder is None else Path(folder) / f"tokens-{number:05d}.safetensors"
            shard = None if path is None or not path.is_file() else _load(path, run, identity)
            if shard is None:
                alike = behaviour.alike_rows(lengths[rows])
                shard = _read(reader, chosen, rows, tokens_per_batch(model), alike)
                if path is not None:
                    kept_shard = {"values": shard[0], "massive": shard[1]}
                    save_artefact(path, "sae_tokens", kept_shard, {"run": run, "model": identity})
            start = 0
            for row in rows:
                count = int(chosen.counts[row])
                values[offsets[row] : offsets[row] + count] = shard[0][start : start + count]
                massive[offsets[row] : offsets[row] + count] = shard[1][start : start + count]
                start += count
            bar.update(int(lengths[rows].sum()))
    text = np.repeat(np.arange(len(lengths)), chosen.counts)
    ordinary = ~massive
    return TokenActivations(
        values if not bool(massive.any()) else values[ordinary],
        text[ordinary.numpy()],
        chosen.groups,
        layer,
        site,
        chosen.hashes,
        identity,
        chosen.names,
        int(massive.sum()),
        seed,
    )


def _read(
    reader: HookReader, chosen: TrainingTexts, rows: IntArray, tokens: int, alike: IntArray
) -> tuple[Tensor, Tensor]:
    """Vectors of the tokens that count, text after text, and which of them are outliers in their texts.

    Only rows that are `alike` share a pass.
    """
    parts, massive = [], []
    for part in batches(
        np.array([len(chosen.tokenized[r]) for r in rows], dtype=np.int64), "auto", tokens, alike=alike
    ):
        ids, mask = pad([chosen.tokenized[r].ids for r in rows[part]])
        counted = mask.clone()
        for i, row in enumerate(rows[part]):
            counted[i, : int(chosen.first[row])] = False
        (stream,) = reader.read(ids, mask, [Tensor.float])
        judged = judged_tokens([len(chosen.tokenized[r]) for r in rows[part]], ids.shape[1]).to(stream.device)
        found = find_outliers(token_norms(stream), judged)
        parts.append(stream[counted.to(stream.device)].cpu())
        massive.append(found.cpu()[counted])
    return torch.cat(parts), torch.cat(massive)


def _shards(lengths: IntArray) -> list[slice]:
    """Runs of texts of about equally many tokens."""
    number = np.cumsum(lengths) // _SHARD_TOKENS
    cuts = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(lengths)]
    return [slice(a, b) for a, b in pairwise(cuts)]


def _run_identity(model: HookedModel, identity: Mapping[str, Any], chosen: TrainingTexts, name: str) -> str:
    ids = [list(t.ids) for t in chosen.tokenized]
    known = {k: v for k, v in identity.items() if k != "device"}
    return content_sha256(
        {
            "model": known,
            "tokenizer": tokenizer_sha256(model),
            "ids": ids,
            "first": chosen.first.tolist(),
            "hook": name,
            "outlier_factor": OUTLIER_FACTOR,
        }
    )


def _load(path: Path, run: str, model: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    tensors, described = load_artefact(path, "sae_tokens")
    if described.get("run") != run:
        differing = identity_differences(described.get("model", {}), model)
        what = "; ".join(differing) if differing else "other texts, layer, tokenizer or settings"
        raise ValueError(f"{path} belongs to another run ({what}); use another folder, or delete it")
    return tensors["values"], tensors["massive"].bool()
