"""Runs shards of texts through a model: plainly, or with the prefixes that they share run once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from empathy_geometry.activations.batching import Work, batches, blocks, by_length
from empathy_geometry.activations.hook_reader import HookReader, Pool, to_cpu
from empathy_geometry.activations.pooling import Pooling
from empathy_geometry.activations.positions import Position, n_slots, pooling_weights
from empathy_geometry.activations.prefix_cache import PrefixCache
from empathy_geometry.activations.token_table import TokenTable
from empathy_geometry.foundation._types import IntArray
from empathy_geometry.models.behaviour_lengths import BehaviourLengths
from empathy_geometry.models.loading import HookedModel
from empathy_geometry.models.tokens import TokenizedText, pad


@dataclass(frozen=True, eq=False)
class ShardVectors:
    """What was read of some texts, on the CPU.

    Attributes:
        rows: Which texts, rising.
        values: Pooled vectors, [n, slots, layer, d_model].
        token_embeddings: Mean token embedding of each response, [n, d_model].
    """

    rows: IntArray
    values: Float[Tensor, "n slots layer d_model"]
    token_embeddings: Float[Tensor, "n d_model"]

    def keep(self, rows: IntArray, vectors: Sequence[Tensor]) -> None:
        """Take in the layers' vectors [batch, slots, d_model] and, last, the embeddings' of some of the texts."""
        *layers, embeddings = vectors
        index = torch.as_tensor(np.searchsorted(self.rows, rows))
        self.values[index] = torch.stack(to_cpu(layers), dim=2)
        self.token_embeddings[index] = embeddings[:, 0].cpu()


@dataclass(frozen=True, eq=False)
class Extractor:
    """A model, texts, and what is to be read of them.

    Attributes:
        model: HookedTransformer or TransformerBridge.
        table: The texts' tokens.
        reader: Reads one hook point per layer and, last, the embedding's; its hooks are attached.
        n_layers: How many layers it reads.
        position: Which tokens are pooled.
        batch_size: Texts per pass, or "auto".
        tokens: Tokens per pass with "auto".
        done: Called with the number of text tokens finished, pass after pass.
    """

    model: HookedModel
    table: TokenTable
    reader: HookReader
    n_layers: int
    position: Position
    batch_size: int | Literal["auto"]
    tokens: int
    done: Callable[[int], object]

    def run(self, shard: Sequence[Work]) -> ShardVectors:
        """All texts of a shard, each prefix once."""
        rows = np.sort(np.concatenate([work.rows for work in shard]))
        d_model = int(self.model.cfg.d_model)
        out = ShardVectors(
            rows,
            torch.empty(len(rows), n_slots(self.position), self.n_layers, d_model),
            torch.empty(len(rows), d_model),
        )
        shared = [work for work in shard if work.prefix]
        # A shared prefix is read as its texts are (`can_continue`), so its own length stands for theirs.
        for block in blocks(
            shared,
            prefixes=len(rows) if self.batch_size == "auto" else self.batch_size,
            tokens=self.tokens,
            alike=self._lengths.alike_rows([work.prefix for work in shared]),
        ):
            self._run_block(block, out)
        for work in shard:
            if not work.prefix:
                ordered = by_length(self.table, work.rows)
                lengths = self.table.lengths[ordered]
                for part in batches(lengths, self.batch_size, self.tokens, alike=self._lengths.alike_rows(lengths)):
                    self._run_plain(ordered[part], out)
        return out

    @cached_property
    def _lengths(self) -> BehaviourLengths:
        return BehaviourLengths.of(self.model)

    def _run_plain(self, rows: IntArray, out: ShardVectors) -> None:
        texts = [self.table[int(row)] for row in rows]
        ids, mask = pad([text.ids for text in texts])
        pools = self._pools(texts, [0] * len(texts), ids.shape[1])
        if not self._fits(lambda: out.keep(rows, self.reader.read(ids, mask, pools)), len(rows)):
            for half in np.array_split(rows, 2):
                self._run_plain(half, out)
            return
        self.done(int(self.table.lengths[rows].sum()))

    def _run_block(self, block: Sequence[Work], out: ShardVectors) -> None:
        """Several prefixes in one pass, then all their texts, whatever the prefix, in batches of similar rest."""
        rows = np.concatenate([work.rows for work in block])
        group = np.repeat(np.arange(len(block)), [len(work.rows) for work in block])
        rests = self.table.lengths[rows] - np.array([work.prefix for work in block])[group]
        order = np.lexsort((rows, -rests))
        rows, group, rests = rows[order], group[order], rests[order]
        ids, mask = pad([self.table.row_ids(int(w.rows[0]))[: w.prefix].tolist() for w in block], side="left")
        cache = PrefixCache(self.model, mask)
        pool = self._prefix_pool(block, rows, group, ids.shape[1])
        before: list[Tensor] = []

        def run_prefixes() -> None:
            before.extend(self.reader.read(ids, mask, [*[pool] * self.n_layers, None], past=cache.cache))

        if not self._fits(run_prefixes, len(block)):
            middle = len(block) // 2
            self._run_block(block[:middle], out)
            self._run_block(block[middle:], out)
            return
        starts = [block[int(g)].prefix for g in group]
        for part in batches(rests, self.batch_size, self.tokens):
            self._run_rest(cache, rows[part], group[part], starts[part], [b[part] for b in before], out)

    def _run_rest(
        self,
        cache: PrefixCache,
        rows: IntArray,
        group: IntArray,
        starts: Sequence[int],
        before: Sequence[Tensor],
        out: ShardVectors,
    ) -> None:
        """What follows the prefixes; `before` is what the texts take from their prefixes' tokens, layer by layer."""
        texts = [self.table[int(row)] for row in rows]
        ids, mask = pad([text.ids[start:] for text, start in zip(texts, starts, strict=True)])
        prefixes = torch.as_tensor(group)
        pools = self._pools(texts, starts, ids.shape[1])

        def run() -> None:
            vectors = self.reader.read(ids, cache.mask_with(prefixes, mask), pools, past=cache.of(prefixes))
            layers = [v + b for v, b in zip(vectors, before, strict=False)] if before else vectors[:-1]
            out.keep(rows, [*layers, vectors[-1]])

        if not self._fits(run, len(rows)):
            middle = len(rows) // 2
            for half in (slice(0, middle), slice(middle, None)):
                self._run_rest(cache, rows[half], group[half], starts[half], [b[half] for b in before], out)
            return
        self.done(int(self.table.lengths[rows].sum()))

    def _pools(self, texts: Sequence[TokenizedText], starts: Sequence[int], width: int) -> list[Pool | None]:
        """Poolings of the layers and, last, of the embedding, over the tokens from `starts` on."""
        poolings = []
        for position in (self.position, "response_mean"):
            weights = torch.zeros(len(texts), n_slots(position), width)
            for i, (text, start) in enumerate(zip(texts, starts, strict=True)):
                weights[i, :, : len(text) - start] = pooling_weights([text], position, len(text))[0, :, start:]
            poolings.append(Pooling(weights))
        return [*[poolings[0]] * self.n_layers, poolings[1]]

    def _prefix_pool(self, block: Sequence[Work], rows: IntArray, group: IntArray, width: int) -> Pool | None:
        """What each text takes from its prefix's tokens, or None where no text takes any."""
        members = [np.flatnonzero(group == g) for g in range(len(block))]
        slots, most = n_slots(self.position), max(map(len, members))
        weights = torch.zeros(len(block), most, slots, width)
        place = torch.zeros(len(rows), dtype=torch.long)
        for g, (work, inside) in enumerate(zip(block, members, strict=True)):
            for i, at in enumerate(inside):
                text = self.table[int(rows[at])]
                own = pooling_weights([text], self.position, len(text))[0, :, : work.prefix]
                weights[g, i, :, width - work.prefix :] = own
                place[at] = g * most + i
        if not bool(weights.any()):
            return None
        pooling = Pooling(weights.flatten(1, 2))
        return lambda stream: pooling(stream).view(-1, slots, stream.shape[-1])[place.to(stream.device)]

    def _fits(self, run: Callable[[], None], n: int) -> bool:
        """Run, or say that the device's memory was too small and `n` can be halved."""
        try:
            run()
        except torch.OutOfMemoryError:
            if self.batch_size != "auto" or n < 2:
                raise
            return False
        return True
