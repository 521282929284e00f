"""Our own hooks on a model: attached for the time of a block, and known as ours."""

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import Tensor

from empathy_geometry.models.held_interrupts import held_interrupts
from empathy_geometry.models.hooked_model import HookedModel, hook_points, is_bridge

Hook: TypeAlias = Callable[[Tensor, Any], Tensor | None]
"""From a stream [batch, pos, d_model] and its hook point to the stream that goes on, or None to leave it."""

Before: TypeAlias = Callable[[Any, tuple[Any, ...], dict[str, Any]], None]
"""Called with the module, arguments and options of a pass before anything of it runs."""


@dataclass(frozen=True, eq=False)
class Attachment:
    """What is attached together.

    Attributes:
        hooks: By hook point, in the order of attachment.
        before: Called before a pass of the whole model; None for nothing.
        thread: Which thread attached it.
    """

    hooks: tuple[tuple[str, Hook], ...]
    before: Before | None
    thread: int


_known: "weakref.WeakKeyDictionary[Any, dict[int, Attachment]]" = weakref.WeakKeyDictionary()


@contextmanager
def attached(model: HookedModel, hooks: Sequence[tuple[str, Hook]], *, before: Before | None = None) -> Iterator[None]:
    """Attach hooks to a model, or to a view of one, for the time of a `with` block; also Ctrl-C does not keep them on.

    Args:
        model: HookedTransformer or TransformerBridge.
        hooks: Names of hook points, checked (`hook_name`), and what is called there.
        before: Called before each pass with what the model is given: token ids, attention mask, cache.

    Raises:
        KeyError: no such hook point.
    """
    points = hook_points(model)
    attachment = Attachment(tuple(hooks), before, threading.get_ident())
    known = _known.setdefault(model, {})
    undo: list[Callable[[], object]] = []
    with held_interrupts():
        try:
            if before is not None:
                watched: Any = model.original_model if is_bridge(model) else model.blocks[0]  # type: ignore[attr-defined]
                handle = watched.register_forward_pre_hook(before, with_kwargs=True)
                known[handle.id] = attachment
                undo += [handle.remove, lambda: known.pop(handle.id, None)]
            for name, hook in hooks:
                undo += _add(points[name], hook, attachment, known)
            yield
        finally:
            for action in undo:
                action()


def attachments(model: Any) -> dict[int, Attachment]:
    """Hooks of ours that are attached to a model, by PyTorch's number of the hook."""
    return _known.get(model, {})


def _add(point: Any, hook: Hook, attachment: Attachment, known: dict[int, Attachment]) -> list[Callable[[], object]]:
    point.add_hook(hook)
    handle = point.fwd_hooks[-1]

    def remove() -> None:
        handle.hook.remove()
        point.fwd_hooks = [kept for kept in point.fwd_hooks if kept is not handle]

    known[handle.hook.id] = attachment
    return [remove, lambda: known.pop(handle.hook.id, None)]
