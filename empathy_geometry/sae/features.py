"""Feature activations of labeled texts: encoded token by token, then pooled as the activations were."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from empathy_geometry.activations.batching import batches, by_length
from empathy_geometry.activations.extraction import tokens_per_batch
from empathy_geometry.activations.hook_reader import HookReader
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.activations.pooling import Pooling
from empathy_geometry.activations.positions import POSITION_NAMES, Position, judged_tokens, n_slots, pooling_weights
from empathy_geometry.activations.reading import ReadingDesign
from empathy_geometry.activations.token_table import TokenTable
from empathy_geometry.foundation._types import Layer
from empathy_geometry.models.behaviour_lengths import BehaviourLengths
from empathy_geometry.models.hooked_model import HookedModel, hook_names
from empathy_geometry.models.loading import check_model
from empathy_geometry.models.tokens import pad
from empathy_geometry.sae.autoencoder import SparseAutoencoder
from empathy_geometry.sae.reconstruction import Reconstruction, ReconstructionSums


@dataclass(frozen=True, eq=False)
class PooledFeatures:
    """Feature activations of texts.

    Attributes:
        values: [n, d_sae]; the mean over the tokens that the activations' position reads.
        quality: How well, and how sparsely, these tokens are reconstructed.
        by_token: Whether tokens were encoded one by one. False: the pooled vector of each text was encoded, which for
            a mean over tokens is no vector that the SAE was trained on.
    """

    values: Float[Tensor, "n d_sae"]
    quality: Reconstruction
    by_token: bool


def pooled_features(
    saes: Sequence[SparseAutoencoder],
    activations: Activations,
    *,
    layer: Layer,
    model: HookedModel | None = None,
    progress: bool = True,
) -> list[PooledFeatures]:
    """Encode the texts behind activations with several SAEs in one pass over the model.

    The mean of the features is not the features of the mean: an SAE knows single tokens. With `model`, each token is
    encoded and the features are averaged; without it the pooled vectors themselves are encoded, which is exact for
    single-token positions ("last", an int) and a substitute for means.

    Args:
        saes: Which SAEs, all at the layer in question.
        activations: Labeled activations; with `model` they must hold their texts.
        layer: Which of their layers.
        model: The model that they come from.
        progress: Show a bar (never when the output is not a terminal).

    Raises:
        ValueError: no texts, a position that cannot be read again, or a model whose vectors differ from the
            activations.
    """
    rows = activations.layer(layer).float()
    if model is None:
        return [_of_rows(sae, rows, _single_token(activations.position)) for sae in saes]
    check_model(model)
    texts = activations.texts
    if texts is None:
        raise ValueError("to encode tokens the texts are needed, and these activations hold none; leave model=None")
    settings: dict[str, Any] = {} if activations.provenance is None else dict(activations.provenance.settings)
    position = _position(activations.position)
    reading = ReadingDesign(**{name: settings[name] for name in ReadingDesign().to_dict() if name in settings})
    outlier_tokens = reading.outlier_tokens
    table = TokenTable.build(model, texts, position, reading)
    names = hook_names(model, [layer], activations.site)  # type: ignore[arg-type]
    values = [torch.zeros(len(texts), sae.d_sae) for sae in saes]
    sums = [ReconstructionSums(sae.d_sae, sae.d_model) for sae in saes]
    seen = torch.zeros_like(rows)
    order = by_length(table, np.arange(len(texts)))
    bar = tqdm(
        total=len(table.ids), unit="tok", unit_scale=True, desc="features", disable=None if progress else True, delay=2
    )
    reader = HookReader(model, names)
    with torch.no_grad(), bar:
        alike = BehaviourLengths.of(model).alike_rows(table.lengths[order])
        for part in batches(table.lengths[order], "auto", tokens_per_batch(model), alike=alike):
            chosen = order[part]
            group = [table[int(row)] for row in chosen]
            ids, mask = pad([text.ids for text in group])
            (stream,) = reader.read(ids, mask, [lambda s: s.float()])
            stream = stream.cpu()
            weights = pooling_weights(group, position, ids.shape[1], outlier_tokens)
            judged = judged_tokens(table.lengths[chosen].tolist(), ids.shape[1])
            weights = Pooling(weights, judged if outlier_tokens == "leave_out" else None).kept_weights(stream)[:, 0]
            used = weights > 0
            tokens, index = stream[used], torch.as_tensor(chosen)
            owner = index[used.nonzero()[:, 0]]
            seen.index_add_(0, owner, tokens * weights[used][:, None])
            for sae, into, total in zip(saes, values, sums, strict=True):
                features = sae.encode(tokens)
                into.index_add_(0, owner, features * weights[used][:, None])
                total.add(tokens, features, sae.decode(features))
            bar.update(int(table.lengths[chosen].sum()))
    _check_same(seen, rows, model)
    return [PooledFeatures(v, s.result(), True) for v, s in zip(values, sums, strict=True)]


def _of_rows(sae: SparseAutoencoder, rows: Tensor, single: bool) -> PooledFeatures:
    features = sae.encode(rows)
    sums = ReconstructionSums(sae.d_sae, sae.d_model)
    sums.add(rows, features, sae.decode(features))
    return PooledFeatures(features, sums.result(), single)


def _single_token(position: str) -> bool:
    """Whether each row is one token's vector; rows that are no texts' ("given") are taken as they are."""
    return position in ("last", "given") or position.lstrip("-").isdigit()


def _position(name: str) -> Position:
    if name in POSITION_NAMES:
        if n_slots(name) > 1:
            raise ValueError(f"activations at {name!r} hold several vectors a text; extract position='response_mean'")
        return name
    if name.lstrip("-").isdigit():
        return int(name)
    raise ValueError(f"position {name!r} cannot be read again from its name; leave model=None, or extract another one")


def _check_same(found: Tensor, given: Tensor, model: HookedModel) -> None:
    off = float((found - given).norm() / given.norm().clamp(min=1e-12))
    if off > 1e-2:
        raise ValueError(
            f"the model ({model.cfg.model_name}) gives other vectors than the activations hold (relative difference "
            f"{off:.2g}); pass the model and settings that they were extracted with"
        )
