"""Extraction through an engine: the same texts, tokens and shards, pooled in the engine's workers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor
from tqdm.auto import tqdm

from empathy_geometry.activations.batching import Work
from empathy_geometry.activations.engine_listener import PoolingListener
from empathy_geometry.activations.extraction_run import ONE_PROCESS, ExtractionRun, Processes
from empathy_geometry.activations.extractor import ShardVectors
from empathy_geometry.activations.outlier_tokens import OutlierTokens
from empathy_geometry.activations.positions import Position, n_slots, token_slots
from empathy_geometry.activations.token_table import TokenTable
from empathy_geometry.engines.vllm_engine import VllmEngine
from empathy_geometry.foundation._types import IntArray, Layer
from empathy_geometry.foundation._validation import whole_number

_LISTENER = f"{PoolingListener.__module__}:{PoolingListener.__qualname__}"


def check_engine_can(
    engine: VllmEngine,
    layers: Sequence[Layer],
    *,
    site: str,
    batch_size: int | Literal["auto"],
    share_prefixes: bool | Literal["auto"],
) -> None:
    """Raise ValueError, with what to try, for what an engine cannot do."""
    n_layers = int(engine.cfg.n_layers)
    for layer in layers:
        if layer != "embed" and not 0 <= int(layer) < n_layers:
            raise ValueError(f"layer must be 'embed' or an index from 0 to {n_layers - 1} in this model, got {layer!r}")
    if site != "resid_post":
        raise ValueError(
            f"an engine reads the residual stream after blocks (site='resid_post') only, got site={site!r}; try "
            f"eg.load_model, whose models have every hook point"
        )
    if batch_size != "auto":
        raise ValueError(
            f"an engine fills its passes itself, so batch_size must be 'auto', got {batch_size!r}; try "
            f"eg.load_engine(..., options={{'max_num_seqs': {batch_size}}})"
        )
    if share_prefixes is True and not engine.block_size:
        raise ValueError(
            "prefixes cannot be shared: the engine's prefix cache is off, or the model's layers keep different tokens "
            "(a sliding window); try share_prefixes='auto'"
        )


def sharing_words(engine: VllmEngine, share_prefixes: bool | Literal["auto"]) -> str:
    """In words, whether beginnings are shared."""
    if share_prefixes is False or not engine.block_size:
        return "off"
    return f"by the engine's cache, in blocks of {engine.block_size} tokens"


@dataclass(frozen=True, eq=False)
class EngineRun(ExtractionRun):
    """A planned extraction through an engine; `model` is the engine."""

    def _identity(self) -> dict[str, Any]:
        return dict(self._engine.identity)

    def _processes(self) -> Processes:
        return ONE_PROCESS  # the engine has workers of its own

    def _record(self) -> dict[str, Any]:
        return {"parallel": self._engine.record}

    @property
    def _engine(self) -> VllmEngine:
        engine: Any = self.model
        return engine  # type: ignore[no-any-return]

    def _with_extractor(self, run: Callable[[Any, Any], None], processes: Processes = ONE_PROCESS) -> None:
        bar = tqdm(
            total=len(self.table.ids),
            unit="tok",
            unit_scale=True,
            desc="activations",
            disable=None if self.progress else True,
            delay=2,
        )
        settings = {"layers": list(self.layers), "outliers_out": self.outlier_tokens == "leave_out"}
        with bar, self._engine.listening(_LISTENER, settings):
            run(
                EngineExtractor(
                    self._engine,
                    self.table,
                    self.layers,
                    self.position,
                    self.outlier_tokens,
                    self.settings["share_prefixes"] != "off",
                    bar.update,
                ),
                bar,
            )


@dataclass(frozen=True, eq=False)
class EngineExtractor:
    """Runs shards of texts through an engine.

    Attributes:
        engine: The engine, with a `PoolingListener` attached.
        table: The texts' tokens.
        layers: What the listener reads.
        position: Which tokens are pooled.
        outlier_tokens: Whether means are without outlier tokens.
        share: Whether the engine may take beginnings from its prefix cache.
        done: Called with the number of text tokens finished.
    """

    engine: VllmEngine
    table: TokenTable
    layers: tuple[Layer, ...]
    position: Position
    outlier_tokens: OutlierTokens
    share: bool
    done: Callable[[int], object]

    def run(self, shard: Sequence[Work]) -> ShardVectors:
        """All texts of a shard; those of which the cache held a pooled token are run again, whole."""
        # Texts with the same beginning one after the other, so that the cache still has it.
        ordered = np.concatenate([work.rows for work in shard])
        out = ShardVectors.empty(
            np.sort(ordered), n_slots(self.position), len(self.layers), int(self.engine.cfg.d_model)
        )
        missing = self._pass(ordered, out, fresh=False)
        if len(missing):
            missing = self._pass(missing, out, fresh=True)
        if len(missing):
            raise RuntimeError(
                f"the engine did not run text {int(missing[0])} in one pass (nor {len(missing) - 1} others), which "
                f"pooling needs; try eg.load_engine(..., options={{'max_num_seqs': 16}})"
            )
        self.done(int(self.table.lengths[ordered].sum()))
        return out

    def _pass(self, rows: IntArray, out: ShardVectors, *, fresh: bool) -> IntArray:
        arguments = [self._arguments(int(row)) for row in rows]
        block = self.engine.block_size
        alone = [fresh or not self.share or not block or a["first"] < block for a in arguments]
        self.engine.run([self.table.row_ids(int(row)).tolist() for row in rows], arguments, alone)
        answers = [load(answer) for answer in self.engine.take()]
        missing = set(np.concatenate([answer["missing"].numpy() for answer in answers]).tolist())
        found = {name: tensor for answer in answers for name, tensor in answer.items() if name != "missing"}
        if f"{self.layers[0]}.rows" in found:
            for i, layer in enumerate(self.layers):
                index = _index(out, found, str(layer))
                out.values[index, :, i] = found[f"{layer}.vectors"]
                out.left_out[index, i] = found[f"{layer}.left_out"].int()
            index = _index(out, found, "token_embeddings")
            out.token_embeddings[index] = found["token_embeddings.vectors"][:, 0]
            read = {int(out.rows[i]) for i in index}
        else:
            read = set()
        return np.array(sorted((missing | {int(row) for row in rows}) - read), dtype=np.int64)

    def _arguments(self, row: int) -> dict[str, Any]:
        text = self.table[row]
        slots = [list(slot) for slot in token_slots(text, self.position, self.outlier_tokens)]
        response = [list(slot) for slot in token_slots(text, "response_mean", self.outlier_tokens)]
        return {
            "row": row,
            "slots": slots,
            "response": response,
            "first": min(map(min, [*slots, *response])),
            "single": [self.position == "last" or whole_number(self.position) is not None, False],
        }


def _index(out: ShardVectors, found: Mapping[str, Tensor], name: str) -> Tensor:
    return torch.as_tensor(np.searchsorted(out.rows, found[f"{name}.rows"].numpy()))
