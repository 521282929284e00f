"""Forward passes that end at the deepest hook needed and keep pooled vectors only."""

import inspect
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from empathy_geometry.models.behaviour_lengths import BehaviourLengths
from empathy_geometry.models.lean_pass import lean_pass, try_lean_passes
from empathy_geometry.models.loading import HookedModel, is_bridge, model_device
from empathy_geometry.models.rope import rope_arguments

Pool = Callable[[Tensor], Any]
"""What is kept of a hook's activations [batch, pos, d_model]: a tensor, or several."""


class _DeepestHookReached(Exception):  # noqa: N818 - not an error: it ends a forward pass early
    """Raised by the last hook of a pass, since nothing after it is needed."""


class HookReader:
    """Reads named hook points, pass after pass; hooks are attached once, for the time of a `with` block.

    Example:
        >>> with HookReader(model, ["blocks.3.hook_resid_post"]) as reader:  # doctest: +SKIP
        ...     (vectors,) = reader.read(ids, mask, [pooling])
    """

    def __init__(self, model: HookedModel, names: Sequence[str]) -> None:
        self._model = model
        self._names = tuple(names)
        self._pools: Sequence[Pool | None] = ()
        self._taken: list[Any] = []
        self._reached: set[int] = set()
        self._attached: AbstractContextManager[Any] | None = None
        self._bridge = is_bridge(model)
        self._lengths = BehaviourLengths.of(model)
        self._takes_use_cache = self._bridge and _takes(model.original_model, "use_cache")  # type: ignore[attr-defined]

    def __enter__(self) -> "HookReader":
        # By a filter, not name by name: TransformerBridge builds its table of hook points anew for each entry. It also
        # calls a hook point by another name than it was asked for.
        try_lean_passes(self._model)
        points = self._model.hook_dict
        slots: dict[str, list[int]] = {}
        for slot, name in enumerate(self._names):
            slots.setdefault(points[name].name, []).append(slot)

        def take(stream: Tensor, hook: Any) -> None:
            self._take(stream, slots[hook.name])

        self._attached = self._model.hooks(fwd_hooks=[(lambda name: name in self._names, take)])
        self._attached.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        attached, self._attached = self._attached, None
        if attached is not None:
            attached.__exit__(kind, error, trace)

    def read(
        self,
        ids: Int[Tensor, "batch pos"],
        mask: Bool[Tensor, "batch all_pos"],
        pools: Sequence[Pool | None],
        *,
        past: Any = None,
    ) -> list[Any]:
        """One pass over `ids`; what each hook point's pool makes of it.

        Args:
            ids: Token ids, padded.
            mask: True for real tokens; with `past` on a TransformerBridge, past tokens included.
            pools: One per hook point, in the order of the names; None reads nothing there, but the pass goes as far.
            past: Cache of keys and values, filled by this pass.

        Raises:
            RuntimeError: the pass did not come by a hook point.
        """
        self._pools, self._taken, self._reached = pools, [None] * len(self._names), set()
        device = model_device(self._model)
        arguments: dict[str, Any] = {"attention_mask": mask.to(device)}
        arguments |= rope_arguments(self._model, self._lengths, arguments["attention_mask"], ids.shape[1])
        if not self._bridge:
            arguments["past_kv_cache"] = past
        elif past is not None:
            arguments |= {"past_key_values": past, "use_cache": True}
        elif self._takes_use_cache:
            # Hugging Face models fill a cache unless told not to.
            arguments["use_cache"] = False
        with suppress(_DeepestHookReached), lean_pass(self._model):
            self._model(ids.to(device), **arguments)
        missing = [name for i, name in enumerate(self._names) if i not in self._reached]
        if missing:
            raise RuntimeError(f"the forward pass did not reach hook points {missing}; is this model wrapped twice?")
        return [t for t in self._taken if t is not None]

    def _take(self, stream: Tensor, slots: Sequence[int]) -> None:
        for slot in slots:
            pool = self._pools[slot]
            if pool is not None:
                self._taken[slot] = pool(stream)
            self._reached.add(slot)
        if len(self._reached) == len(self._names):
            raise _DeepestHookReached


def to_cpu(vectors: Sequence[Tensor]) -> list[Tensor]:
    """Vectors of one shape from wherever their layers live, with one transfer a device."""
    result: list[Tensor] = [torch.empty(0)] * len(vectors)
    for device in {v.device for v in vectors}:
        here = [i for i, v in enumerate(vectors) if v.device == device]
        for i, moved in zip(here, torch.stack([vectors[i] for i in here]).cpu(), strict=True):
            result[i] = moved
    return result


def _takes(module: Any, argument: str) -> bool:
    parameters = inspect.signature(module.forward).parameters
    return argument in parameters or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
