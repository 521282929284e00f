"""Forward passes that end at the deepest hook needed and keep pooled vectors only."""

import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from empathy_geometry.models.attachment import Hook, attached
from empathy_geometry.models.behaviour_lengths import BehaviourLengths
from empathy_geometry.models.hooked_model import HookedModel, is_bridge, model_device
from empathy_geometry.models.model_view import own_view
from empathy_geometry.models.rope import rope_arguments

Pool = Callable[[Tensor], Any]
"""What is kept of a hook's activations [batch, pos, d_model]: a tensor, or several."""


class _DeepestHookReached(Exception):  # noqa: N818 - not an error: it ends a forward pass early
    """Raised by the last hook of a pass, since nothing after it is needed."""


class HookReader:
    """Reads named hook points, pass after pass; nothing stays attached between passes.

    Args:
        model: HookedTransformer or TransformerBridge, or a view of one.
        names: Hook points, checked (`hook_name`); a name may come twice.

    Example:
        >>> reader = HookReader(model, ["blocks.3.hook_resid_post"])  # doctest: +SKIP
        >>> (vectors,) = reader.read(ids, mask, [pooling])  # doctest: +SKIP
    """

    def __init__(self, model: HookedModel, names: Sequence[str]) -> None:
        self._model = model
        self._names = tuple(names)
        self._bridge = is_bridge(model)
        self._lengths = BehaviourLengths.of(model)
        self._takes_use_cache = self._bridge and _takes(model.original_model, "use_cache")  # type: ignore[attr-defined]

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
        device = model_device(self._model)
        arguments: dict[str, Any] = {"attention_mask": mask.to(device)}
        if not self._bridge:
            arguments["past_kv_cache"] = past
        elif past is not None:
            arguments |= {"past_key_values": past, "use_cache": True}
        elif self._takes_use_cache:
            # Hugging Face models fill a cache unless told not to.
            arguments["use_cache"] = False
        taken = _Taken(len(self._names), pools)
        hooks = [(name, taken.hook(slot)) for slot, name in enumerate(self._names)]
        with (
            own_view(self._model, self._names, longest=mask.shape[1]) as view,
            suppress(_DeepestHookReached),
            attached(view, hooks),
        ):
            run: Any = view
            arguments |= rope_arguments(view, self._lengths, arguments["attention_mask"], ids.shape[1])
            run(ids.to(device), **arguments)
        missing = [name for i, name in enumerate(self._names) if i not in taken.reached]
        if missing:
            raise RuntimeError(f"the forward pass did not reach hook points {missing}; is this model wrapped twice?")
        return [t for t in taken.vectors if t is not None]


class _Taken:
    """What one pass has brought so far."""

    def __init__(self, n: int, pools: Sequence[Pool | None]) -> None:
        self.vectors: list[Any] = [None] * n
        self.reached: set[int] = set()
        self._n, self._pools = n, pools

    def hook(self, slot: int) -> Hook:
        """The hook of one hook point."""

        def take(stream: Tensor, hook: Any) -> None:
            pool = self._pools[slot]
            if pool is not None:
                with torch.autocast(stream.device.type, enabled=False):  # the caller's is for the model, not for means
                    self.vectors[slot] = pool(stream)
            self.reached.add(slot)
            if len(self.reached) == self._n:
                raise _DeepestHookReached

        return take


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
