"""A planned extraction: which texts run in which shard, and where the vectors go."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed
from torch import Tensor
from tqdm.auto import tqdm

from empathy_geometry.activations.batching import Work, cut_into_shards
from empathy_geometry.activations.extractor import Extractor
from empathy_geometry.activations.hook_reader import HookReader
from empathy_geometry.activations.outlier_tokens import OUTLIER_FACTOR, OutlierTokens
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.activations.positions import Position, n_slots, position_name
from empathy_geometry.activations.store import ActivationStore
from empathy_geometry.activations.store_manifest import Manifest
from empathy_geometry.activations.store_writer import StoreWriter
from empathy_geometry.activations.token_table import TokenTable
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.provenance import Provenance, kind_of, package_versions
from empathy_geometry.models.hooked_model import HookedModel, Site, hook_names, model_device
from empathy_geometry.models.identity import model_identity, tokenizer_sha256
from empathy_geometry.texts.labeled_texts import LabeledTexts

_SHARD_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this one is; one of one outside a distributed job."""

    rank: int = 0
    n: int = 1

    @classmethod
    def current(cls, device: torch.device) -> "Processes":
        """The processes of this job, joined as `accelerate` joins them if nobody has done so yet.

        Args:
            device: The model's; its type decides how processes talk (gloo on the CPU, NCCL on CUDA).
        """
        if not _joined():
            if int(os.environ.get("WORLD_SIZE", "1")) < 2:
                return cls()
            from accelerate import PartialState

            PartialState(cpu=device.type == "cpu")
        return cls(torch.distributed.get_rank(), torch.distributed.get_world_size())

    def mine(self, item: int) -> bool:
        """Whether the numbered piece of work is this process's."""
        return item % self.n == self.rank

    def wait(self) -> None:
        """Until every process is here."""
        if self.n > 1:
            torch.distributed.barrier()


ONE_PROCESS = Processes()


@dataclass(frozen=True, eq=False)
class ExtractionRun:
    """Everything that decides what is computed, checked and ready to run.

    Attributes:
        model: HookedTransformer or TransformerBridge.
        texts: What is read.
        table: Its tokens.
        groups: Which texts share which prefix.
        layers: Which layers.
        site: Which hook point of the block.
        position: Which tokens.
        outlier_tokens: Whether means are without outlier tokens.
        batch_size: Texts per pass, or "auto".
        tokens: Tokens per pass with "auto".
        settings: The arguments, as results record them.
        progress: Whether to show a bar.
    """

    model: HookedModel
    texts: LabeledTexts
    table: TokenTable
    groups: list[Work]
    layers: tuple[Layer, ...]
    site: Site
    position: Position
    outlier_tokens: OutlierTokens
    batch_size: int | Literal["auto"]
    tokens: int
    settings: dict[str, Any]
    progress: bool

    def in_memory(self) -> Activations:
        """Run everything and hold the vectors."""
        slots, d_model = n_slots(self.position), int(self.model.cfg.d_model)
        values = torch.empty(len(self.texts), slots, len(self.layers), d_model)
        embeddings = torch.empty(len(self.texts), d_model)
        left_out = torch.zeros(len(self.texts), len(self.layers), dtype=torch.int32)

        def run(extractor: Extractor, bar: Any) -> None:
            for shard in self._shards("auto"):
                read = extractor.run(shard)
                index = torch.as_tensor(read.rows)
                values[index] = read.values
                embeddings[index] = read.token_embeddings
                left_out[index] = read.left_out

        self._with_extractor(run)
        return self._activations(values[:, 0] if slots == 1 else values, embeddings, left_out)

    def into_store(self, folder: str | Path, *, dtype: str, shard_size: int | Literal["auto"]) -> ActivationStore:
        """Run what the store lacks; with several processes, this one's part, then wait for the others."""
        shards = self._shards(shard_size)
        writer = StoreWriter(folder, self._manifest(dtype, shards), self.texts)
        processes = self._processes()

        def run(extractor: Extractor, bar: Any) -> None:
            for number, shard in enumerate(shards):
                if not processes.mine(number):
                    continue
                if writer.has(number):
                    bar.update(sum(int(self.table.lengths[work.rows].sum()) for work in shard))
                    bar.unpause()
                else:
                    rows = np.sort(np.concatenate([work.rows for work in shard]))
                    writer.write(number, self.layers, extractor.run(shard), dtype, self.table.responses(rows))

        self._with_extractor(run, processes)
        processes.wait()
        return ActivationStore.open(folder)

    def _identity(self) -> dict[str, Any]:
        return model_identity(self.model, edits=True)

    def _processes(self) -> Processes:
        return Processes.current(model_device(self.model))

    def _record(self) -> dict[str, Any]:
        """What an engine notes of itself besides."""
        return {}

    def _shards(self, size: int | Literal["auto"]) -> list[list[Work]]:
        row_bytes = 4 * n_slots(self.position) * len(self.layers) * int(self.model.cfg.d_model)
        most = max(16, min(1024, _SHARD_BYTES // row_bytes))
        return cut_into_shards(self.table, self.groups, most if size == "auto" else size)

    def _with_extractor(
        self,
        run: Callable[[Extractor, Any], None],
        processes: Processes = ONE_PROCESS,
    ) -> None:
        bar = tqdm(
            total=len(self.table.ids) // processes.n,
            unit="tok",
            unit_scale=True,
            desc="activations",
            disable=None if self.progress and processes.rank == 0 else True,
            delay=2,
        )
        names = hook_names(self.model, [*self.layers, "embed"], self.site)
        reader = HookReader(self.model, names)
        with torch.no_grad(), bar:
            run(
                Extractor(
                    self.model,
                    self.table,
                    reader,
                    len(self.layers),
                    self.position,
                    self.outlier_tokens,
                    self.batch_size,
                    self.tokens,
                    bar.update,
                ),
                bar,
            )

    def _activations(self, values: Tensor, embeddings: Tensor, left_out: Tensor) -> Activations:
        identity = self._identity()
        return Activations(
            values,
            self.layers,
            self.texts.labels,
            self.texts.groups,
            position=position_name(self.position),
            site=self.site,
            texts=self.texts,
            token_embeddings=embeddings,
            left_out=left_out,
            token_ids=self.table.responses(np.arange(len(self.texts))),
            provenance=Provenance(
                kind_of(identity),
                model=identity,
                texts={self.texts.name: self.texts.sha256},
                settings={
                    **self.settings,
                    "batch_size": self.batch_size,
                    "tokens_per_batch": self.tokens,
                    **self._record(),
                    "outlier_factor": OUTLIER_FACTOR,
                    "tokens_left_out": int(left_out.sum()),
                    "tokens_sha256": self.table.sha256,
                    "tokenizer_sha256": tokenizer_sha256(self.model),
                },
            ),
        )

    def _manifest(self, dtype: str, shards: Iterable[list[Work]]) -> Manifest:
        model = self._identity()
        device = model.pop("device")
        versions = package_versions()
        identity = {
            **self.settings,
            "dtype": dtype,
            "outlier_factor": OUTLIER_FACTOR,
            "texts": {"n": len(self.texts), "sha256": self.texts.sha256},
            "tokens_sha256": self.table.sha256,
            "model": model,
            "tokenizer_sha256": tokenizer_sha256(self.model),
            "versions": versions,
        }
        # What changes the last bits at most is noted, but does not keep a run from being taken up again.
        record = {
            "device": device,
            "threads": torch.get_num_threads(),
            "batch_size": self.batch_size,
            "tokens_per_batch": self.tokens,
            **self._record(),
        }
        return Manifest(identity, record, tuple(sum(len(work.rows) for work in shard) for shard in shards))


def _joined() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
