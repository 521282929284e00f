"""Pooling inside an engine's workers: only pooled vectors are kept of a text, by the rules of the small path."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from empathy_geometry.activations.outlier_tokens import token_norms
from empathy_geometry.activations.pooling import Pooling, PrefixMeans, TokenMeans
from empathy_geometry.activations.positions import judged_tokens
from empathy_geometry.engines.worker import PassRow
from empathy_geometry.foundation._types import IntArray, Layer


class PoolingListener:
    """Pools each text as its tokens go by.

    A text arrives whole in one pass, but for tokens whose keys and values the engine found in its prefix cache. Their
    norms, by which outliers are judged, are kept as long as the cache keeps them: in a table with one place for each of
    its own. Their vectors are not, so a text of which a pooled token was found there is said to be missing.

    Args:
        layers: Which layers to read.
        outliers_out: Whether means are without outlier tokens.
    """

    def __init__(self, layers: Sequence[Layer], outliers_out: bool) -> None:
        self._wanted = tuple(layers)
        self.layers: tuple[Layer, ...] = tuple(dict.fromkeys([*layers, "embed"]))
        self._outliers_out = outliers_out
        self._norms: dict[Layer, Tensor] = {}
        self._means: dict[str, list[TokenMeans]] = {}
        self._rows: dict[str, list[int]] = {}
        self._missing: set[int] = set()
        self._batch: tuple[Any, _Batch] | None = None

    def hear(self, layer: Layer, stream: Tensor, rows: Sequence[PassRow]) -> None:
        """Pool one layer of a pass."""
        # The same list of rows comes by at every layer of a pass.
        if self._batch is None or self._batch[0] is not rows:
            self._batch = rows, _Batch(rows, self._outliers_out)
        batch = self._batch[1]
        self._missing.update(batch.missing)
        if layer in self._wanted:
            self._pool(str(layer), batch, batch.slots, layer, stream)
        if layer == "embed":
            self._pool("token_embeddings", batch, batch.response, layer, stream)

    def take(self) -> bytes:
        """Safetensors: vectors and counts of each layer, the texts' numbers in the same order, and the missing ones."""
        tensors: dict[str, Tensor] = {"missing": torch.tensor(sorted(self._missing), dtype=torch.long)}
        for name, means in self._means.items():
            tensors[f"{name}.vectors"] = torch.cat([m.vectors.cpu() for m in means])
            tensors[f"{name}.left_out"] = torch.cat([m.left_out.cpu() for m in means]).int()
            tensors[f"{name}.rows"] = torch.tensor(self._rows[name], dtype=torch.long)
        self._means, self._rows, self._missing = {}, {}, set()
        return save(tensors)

    def _pool(self, name: str, batch: "_Batch", weights: Tensor, layer: Layer, stream: Tensor) -> None:
        # One token that was asked for is read as it is, whatever its norm.
        judging = self._outliers_out and not batch.single[name == "token_embeddings"]
        if judging:
            self._keep_norms(layer, batch, stream)
        if not batch.kept:
            return
        padded = stream.new_zeros(len(batch.kept), weights.shape[-1], stream.shape[-1])
        for i, row in enumerate(batch.kept):
            padded[i, : row.tokens.stop - row.tokens.start] = stream[row.tokens]
        pooling = Pooling(weights, batch.judged if judging else None)
        before = self._before(layer, batch) if judging and batch.longest_start else None
        means = pooling(padded, before)
        self._means.setdefault(name, []).append(TokenMeans(means.vectors, means.left_out))
        self._rows.setdefault(name, []).extend(batch.numbers)

    def _keep_norms(self, layer: Layer, batch: "_Batch", stream: Tensor) -> None:
        needed = int(batch.places.max()) + 1
        table = self._norms.get(layer)
        if table is None or len(table) < needed:
            longer = torch.full((2 * needed,), torch.nan, device=stream.device)
            if table is not None:
                longer[: len(table)] = table
            self._norms[layer] = table = longer
        index = torch.as_tensor(batch.places, device=stream.device)
        table[index] = token_norms(stream[: len(batch.places)]).float()

    def _before(self, layer: Layer, batch: "_Batch") -> PrefixMeans:
        table = self._norms[layer]
        norms = torch.full((len(batch.kept), batch.longest_start), torch.nan, device=table.device)
        for i, row in enumerate(batch.kept):
            if row.start > 1:  # the first token of a text is never judged
                norms[i, 1 : row.start] = table[torch.as_tensor(row.cache_slots[1 : row.start], device=table.device)]
        n = torch.arange(len(batch.kept), device=table.device)
        return PrefixMeans(norms, torch.zeros_like(norms, dtype=torch.bool), n)


class _Batch:
    """The texts of a pass, and the weights of their tokens that this pass computes."""

    def __init__(self, rows: Sequence[PassRow], outliers_out: bool) -> None:
        self.kept: list[PassRow] = []
        self.numbers: list[int] = []
        self.missing: list[int] = []
        self.places: IntArray = np.concatenate([row.cache_slots[row.start :] for row in rows])
        for row in rows:
            number = int(row.arguments["row"])
            new = row.tokens.stop - row.tokens.start
            whole = row.start + new == row.n_prompt and row.start <= int(row.arguments["first"])
            if whole:
                self.kept.append(row)
                self.numbers.append(number)
            else:
                self.missing.append(number)
        # Whether the slots, and the response, are single tokens in every text of the run.
        self.single = tuple(bool(rows[0].arguments["single"][i]) for i in (0, 1))
        self.longest_start = max((row.start for row in self.kept), default=0)
        width = max((row.tokens.stop - row.tokens.start for row in self.kept), default=0)
        starts = [row.start for row in self.kept]
        self.judged = judged_tokens([row.n_prompt for row in self.kept], width, starts)
        self.slots = _weights(self.kept, "slots", width)
        self.response = _weights(self.kept, "response", width)


def _weights(rows: Sequence[PassRow], name: str, width: int) -> Tensor:
    n_slots = len(rows[0].arguments[name]) if rows else 0
    weights = torch.zeros(len(rows), n_slots, width)
    for i, row in enumerate(rows):
        for slot, tokens in enumerate(row.arguments[name]):
            weights[i, slot, [t - row.start for t in tokens]] = 1 / len(tokens)
    return weights
