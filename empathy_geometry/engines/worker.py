"""What runs inside vLLM's workers: hooks on the blocks, and which tokens of a pass belong to which request.

vLLM packs the tokens of many requests into one sequence without padding. A listener (a class of ours, named by module
and class, so that it can be started in another process) is shown the residual stream after each block that it asks for,
with the rows of that sequence. Nothing leaves the worker but what the listener's `take` returns.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from empathy_geometry.foundation._types import IntArray, Layer


@dataclass(frozen=True, eq=False)
class PassRow:
    """One request's tokens in a forward pass.

    Attributes:
        tokens: Where they stand in the packed sequence.
        start: How many tokens of the request were computed earlier, or found in the prefix cache.
        n_prompt: Tokens of its prompt.
        cache_slots: Where the keys and values of all its tokens until now lie in the cache, [start + new].
        arguments: What the request carries (`extra_args`).
    """

    tokens: slice
    start: int
    n_prompt: int
    cache_slots: IntArray
    arguments: Mapping[str, Any]


class Listener(Protocol):
    """What a worker shows the stream to.

    Attributes:
        layers: Which layers, "embed" among them: the stream before the first block.
    """

    layers: Sequence[Layer]

    def hear(self, layer: Layer, stream: Tensor, rows: Sequence[PassRow]) -> None:
        """Look at the stream [token, d_model] of a pass."""

    def take(self) -> bytes:
        """What was kept since the last call, to be sent to the main process."""


class WorkerExtension:
    """Methods that vLLM mixes into its worker class (`worker_extension_cls`)."""

    _eg_handles: list[Any]
    _eg_listener: Listener | None

    def eg_listen(self, listener: str, settings: str) -> None:
        """Attach a listener, `module:Class`, made with settings given as JSON; an earlier one is detached.

        Of the ranks of a tensor-parallel group, which all hold the whole stream, the first listens.
        """
        from vllm.distributed import get_tensor_model_parallel_rank

        self.eg_silence()
        runner: Any = self.model_runner  # type: ignore[attr-defined]
        _make_room_between_stages(runner)
        if get_tensor_model_parallel_rank() > 0:
            return
        module, _, name = listener.partition(":")
        own: Listener = getattr(import_module(module), name)(**json.loads(settings))
        self._eg_handles = attach(runner, own)
        self._eg_listener = own

    def eg_take(self) -> bytes:
        """What the listener has kept; nothing on a rank that does not listen."""
        listener: Listener | None = getattr(self, "_eg_listener", None)
        return b"" if listener is None else listener.take()

    def eg_silence(self) -> None:
        """Detach the listener."""
        for handle in getattr(self, "_eg_handles", []):
            handle.remove()
        self._eg_handles = []
        self._eg_listener = None


def _make_room_between_stages(runner: Any) -> None:
    """Buffers for what a later pipeline stage is sent; vLLM makes them in a warm-up, which eager CPUs skip."""
    from vllm.distributed.parallel_state import get_pp_group

    if not get_pp_group().is_first_rank and runner.intermediate_tensors is None:
        runner.intermediate_tensors = runner.get_model().make_empty_intermediate_tensors(
            batch_size=runner.max_num_tokens, dtype=runner.model_config.dtype, device=runner.device
        )


def attach(runner: Any, listener: Listener) -> list[Any]:
    """Hooks on this rank's blocks (a pipeline stage holds some of them) that show the stream to a listener.

    Args:
        runner: vLLM's model runner.
        listener: Who listens.

    Returns:
        The hooks' handles.
    """
    blocks = find_blocks(runner.get_model(), runner.model_config.hf_text_config.num_hidden_layers)
    rows = _Rows(runner)
    handles = [blocks[min(blocks)].register_forward_pre_hook(rows.forget)] if blocks else []
    for layer in listener.layers:
        if layer == "embed" and 0 in blocks:
            handles.append(blocks[0].register_forward_pre_hook(_before(listener, rows), with_kwargs=True))
        elif layer in blocks:
            handles.append(blocks[int(layer)].register_forward_hook(_after(listener, layer, rows)))
    return handles


def find_blocks(model: nn.Module, n_layers: int) -> dict[int, nn.Module]:
    """The blocks that this rank holds, by their index in the whole model.

    Raises:
        ValueError: the model has no list of that many blocks.
    """
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == n_layers]
    if not lists:
        raise ValueError(f"{type(model).__name__} in vLLM has no list of {n_layers} blocks; use eg.load_model instead")
    return {i: block for i, block in enumerate(lists[0]) if type(block).__name__ != "PPMissingLayer"}


def stream_of(output: Any) -> Tensor:
    """The residual stream from what a block of vLLM returns: itself, or the last update and the stream before it.

    Raises:
        ValueError: something else.

    Example:
        >>> import torch
        >>> stream_of((torch.tensor([1.0]), torch.tensor([2.0]))).tolist()
        [3.0]
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, tuple) and len(output) == 2 and isinstance(output[0], Tensor):
        update: Tensor = output[0]
        before = output[1]
        if before is None:
            return update
        if isinstance(before, Tensor) and before.shape == update.shape:
            return update + before
    raise ValueError(
        f"a block of this model returns {type(output).__name__} in vLLM, of which the residual stream cannot be told; "
        f"use eg.load_model instead"
    )


def _after(listener: Listener, layer: Layer, rows: "_Rows") -> Callable[..., None]:
    def hook(block: nn.Module, arguments: Any, output: Any) -> None:
        if rows.now:
            listener.hear(layer, stream_of(output), rows.now)

    return hook


def _before(listener: Listener, rows: "_Rows") -> Callable[..., None]:
    def hook(block: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        # Blocks take (positions, hidden_states, residual) or (hidden_states); at the first block there is no residual.
        if not rows.now:
            return
        stream = named.get("hidden_states")
        if stream is None:
            stream = next(a for a in arguments if isinstance(a, Tensor) and a.is_floating_point())
        listener.hear("embed", stream, rows.now)

    return hook


class _Rows:
    """The rows of the pass that is running, found when first asked for."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._now: list[PassRow] | None = None

    def forget(self, block: nn.Module, arguments: Any) -> None:
        """A pass begins."""
        self._now = None

    @property
    def now(self) -> list[PassRow]:
        """Empty in vLLM's own warm-up passes."""
        if self._now is None:
            self._now = self._find()
        return self._now

    def _find(self) -> list[PassRow]:
        runner, batch = self._runner, self._runner.input_batch
        borders = runner.query_start_loc.np
        table = batch.block_table[0]
        rows = []
        for i, request_id in enumerate(batch.req_ids[: batch.num_reqs]):
            request = runner.requests[request_id]
            new = slice(int(borders[i]), int(borders[i + 1]))
            start = int(batch.num_computed_tokens_cpu[i])
            places = np.arange(start + new.stop - new.start)
            blocks = table.block_table.np[i, places // table.block_size].astype(np.int64)
            given = request.sampling_params.extra_args if request.sampling_params is not None else None
            n_prompt = len(request.prompt_token_ids or ())
            slots = blocks * table.block_size + places % table.block_size
            rows.append(PassRow(new, start, n_prompt, slots, given or {}))
        return rows
