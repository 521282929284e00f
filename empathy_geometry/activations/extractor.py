"""Runs shards of texts through a model: plainly, or with the prefixes that they share run once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from empathy_geometry.activations.batching import Work, batches, blocks, by_length
from empathy_geometry.activations.hook_reader import HookReader, to_cpu
from empathy_geometry.activations.outlier_tokens import OutlierTokens
from empathy_geometry.activations.pooling import Pooling, PrefixMeans, PrefixPooling, TokenMeans
from empathy_geometry.activations.positions import Position, judged_tokens, n_slots, pooling_weights
from empathy_geometry.activations.prefix_cache import PrefixCache
from empathy_geometry.activations.token_table import TokenTable
from empathy_geometry.foundation._types import IntArray
from empathy_geometry.models.behaviour_lengths import BehaviourLengths
from empathy_geometry.models.hooked_model import HookedModel
from empathy_geometry.models.tokens import TokenizedText, pad


@dataclass(frozen=True, eq=False)
class ShardVectors:
    """What was read of some texts, on the CPU.

    Attributes:
        rows: Which texts, rising.
        values: Pooled vectors, [n, slots, layer, d_model].
        token_embeddings: Mean token embedding of each response, [n, d_model].
        left_out: How many outlier tokens each text's means are without, [n, layer].
    """

    rows: IntArray
    values: Float[Tensor, "n slots layer d_model"]
    token_embeddings: Float[Tensor, "n d_model"]
    left_out: Int[Tensor, "n layer"]

    @classmethod
    def empty(cls, rows: IntArray, slots: int, n_layers: int, d_model: int) -> "ShardVectors":
        """Room for what will be read."""
        return cls(
            rows,
            torch.empty(len(rows), slots, n_layers, d_model),
            torch.empty(len(rows), d_model),
            torch.zeros(len(rows), n_layers, dtype=torch.int32),
        )

    def keep(self, rows: IntArray, means: Sequence[TokenMeans]) -> IntArray:
        """Take in the layers' means and, last, the embeddings' of some of the texts.

        Returns:
            Those texts of which the means cannot be trusted (`TokenMeans.undecided`).
        """
        *layers, embeddings = means
        index = torch.as_tensor(np.searchsorted(self.rows, rows))
        self.values[index] = torch.stack(to_cpu([m.vectors for m in layers]), dim=2)
        self.token_embeddings[index] = embeddings.vectors[:, 0].cpu()
        self.left_out[index] = torch.stack(to_cpu([m.left_out for m in layers]), dim=1).int()
        doubts = [m.undecided for m in means if m.undecided is not None]
        return rows[torch.stack(to_cpu(doubts)).any(0).numpy()] if doubts else rows[:0]


@dataclass(frozen=True, eq=False)
class Extractor:
    """A model, texts, and what is to be read of them.

    Attributes:
        model: HookedTransformer or TransformerBridge.
        table: The texts' tokens.
        reader: Reads one hook point per layer and, last, the embedding's.
        n_layers: How many layers it reads.
        position: Which tokens are pooled.
        outlier_tokens: Whether means are without outlier tokens.
        batch_size: Texts per pass, or "auto".
        tokens: Tokens per pass with "auto".
        done: Called with the number of text tokens finished, pass after pass.
    """

    model: HookedModel
    table: TokenTable
    reader: HookReader
    n_layers: int
    position: Position
    outlier_tokens: OutlierTokens
    batch_size: int | Literal["auto"]
    tokens: int
    done: Callable[[int], object]

    def run(self, shard: Sequence[Work]) -> ShardVectors:
        """All texts of a shard, each prefix once."""
        rows = np.sort(np.concatenate([work.rows for work in shard]))
        d_model = int(self.model.cfg.d_model)
        out = ShardVectors.empty(rows, n_slots(self.position), self.n_layers, d_model)
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

    def _run_plain(self, rows: IntArray, out: ShardVectors, *, count: bool = True) -> None:
        texts = [self.table[int(row)] for row in rows]
        ids, mask = pad([text.ids for text in texts])
        pools = self._pools(texts, [0] * len(texts), ids.shape[1])
        if not self._fits(lambda: out.keep(rows, self.reader.read(ids, mask, pools)), len(rows)):
            for half in np.array_split(rows, 2):
                self._run_plain(half, out, count=count)
            return
        if count:
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
        pools = self._prefix_pools(block, rows, group, ids.shape[1])
        before: list[PrefixMeans] = []

        def run_prefixes() -> None:
            before.extend(self.reader.read(ids, mask, pools, past=cache.cache))

        if not self._fits(run_prefixes, len(block)):
            middle = len(block) // 2
            self._run_block(block[:middle], out)
            self._run_block(block[middle:], out)
            return
        starts = [block[int(g)].prefix for g in group]
        for part in batches(rests, self.batch_size, self.tokens):
            self._run_rest(cache, rows[part], group[part], starts[part], [b.of(part) for b in before], out)

    def _run_rest(
        self,
        cache: PrefixCache,
        rows: IntArray,
        group: IntArray,
        starts: Sequence[int],
        before: Sequence[PrefixMeans],
        out: ShardVectors,
    ) -> None:
        """What follows the prefixes; `before` is what the texts need of their prefixes' tokens, layer by layer."""
        texts = [self.table[int(row)] for row in rows]
        ids, mask = pad([text.ids[start:] for text, start in zip(texts, starts, strict=True)])
        prefixes = torch.as_tensor(group)
        pools = self._pools(texts, starts, ids.shape[1])
        pools = [partial(pool, before=part) for pool, part in zip(pools, before, strict=True)]
        doubtful: list[IntArray] = []

        def run() -> None:
            means = self.reader.read(ids, cache.mask_with(prefixes, mask), pools, past=cache.of(prefixes))
            doubtful.append(out.keep(rows, means))

        if not self._fits(run, len(rows)):
            middle = len(rows) // 2
            for half in (slice(0, middle), slice(middle, None)):
                self._run_rest(cache, rows[half], group[half], starts[half], [b.of(half) for b in before], out)
            return
        self.done(int(self.table.lengths[rows].sum()))
        if len(doubtful[0]):
            # Their prefixes hold tokens that are outliers beside the whole text and not beside the prefix, or the
            # other way round; the sums over the prefix cannot be taken back.
            self._run_plain(doubtful[0], out, count=False)

    def _pools(
        self, texts: Sequence[TokenizedText], starts: Sequence[int], width: int
    ) -> list[Callable[..., TokenMeans]]:
        """Poolings of the layers and, last, of the embedding, over the tokens from `starts` on."""
        poolings = []
        judged = judged_tokens([len(text) for text in texts], width, starts)
        for position in (self.position, "response_mean"):
            weights = torch.zeros(len(texts), n_slots(position), width)
            for i, (text, start) in enumerate(zip(texts, starts, strict=True)):
                own = pooling_weights([text], position, len(text), self.outlier_tokens)
                weights[i, :, : len(text) - start] = own[0, :, start:]
            poolings.append(Pooling(weights, judged if self.outlier_tokens == "leave_out" else None))
        return [*[poolings[0]] * self.n_layers, poolings[1]]

    def _prefix_pools(self, block: Sequence[Work], rows: IntArray, group: IntArray, width: int) -> list[PrefixPooling]:
        """What the texts need of their prefixes' tokens at the layers and, last, at the embedding."""
        members = [np.flatnonzero(group == g) for g in range(len(block))]
        slots, most = n_slots(self.position), max(map(len, members))
        weights = torch.zeros(len(block), most, slots, width)
        judged = torch.zeros(len(block), width, dtype=torch.bool)
        place = torch.zeros(len(rows), dtype=torch.long)
        for g, (work, inside) in enumerate(zip(block, members, strict=True)):
            judged[g, width - work.prefix + 1 :] = True
            for i, at in enumerate(inside):
                text = self.table[int(rows[at])]
                own = pooling_weights([text], self.position, len(text), self.outlier_tokens)[0]
                weights[g, i, :, width - work.prefix :] = own[:, : work.prefix]
                place[at] = g * most + i
        norms_only = PrefixPooling(
            torch.as_tensor(group), judged if self.outlier_tokens == "leave_out" else None, None, place, slots
        )
        layer = replace(norms_only, weights=weights.flatten(1, 2)) if bool(weights.any()) else norms_only
        return [*[layer] * self.n_layers, norms_only]

    def _fits(self, run: Callable[[], object], n: int) -> bool:
        """Run, or say that the device's memory was too small and `n` can be halved."""
        try:
            run()
        except torch.OutOfMemoryError:
            if self.batch_size != "auto" or n < 2:
                raise
            return False
        return True
