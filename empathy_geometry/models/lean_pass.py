"""Passes of a TransformerBridge that go around those of its wrappers which nobody listens to."""

import os
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from empathy_geometry.models.loading import HookedModel, is_bridge, model_device

SWITCH = "EMPATHY_GEOMETRY_LEAN_PASSES"
"""Environment variable; "0" turns lean passes off."""

_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
# Ends of a block: they keep the block's own wrapper in place, not those of its parts.
_ENDS = ("hook_in", "hook_out")


@dataclass(frozen=True)
class _Part:
    """Attention, MLP or norm of a block; or the block's own wrapper.

    Attributes:
        places: Where its wrappers stand, its own and those inside it: (parent's modules, name, wrapper, what it wraps).
        hooks: PyTorch's tables of hooks of all that is left out when they are replaced: hook points and wrappers, and
            the hook points of the block that are served from inside it.
        own: Numbers of the hooks that the block itself had hung there when it was found.
        block: The block.
    """

    places: list[tuple[dict[str, Any], str, nn.Module, nn.Module]]
    hooks: list[dict[int, Any]]
    own: frozenset[int]
    block: Any

    def is_heard(self) -> bool:
        """Whether anybody has a hook in it, besides the block."""
        if self.own.issuperset(chain.from_iterable(self.hooks)):
            return False
        # `reset_hooks` makes a block hang its hooks anew, under other numbers.
        return not _own_hooks(self.block).issuperset(chain.from_iterable(self.hooks))


@dataclass(frozen=True)
class _Form:
    """How a model may run.

    Attributes:
        parts: What may go without its wrappers.
        blocks: Blocks that may go without theirs, if all their parts do.
        config: Hugging Face's configuration in which attention may be switched from "eager" to "sdpa"; None if not.
    """

    parts: list[_Part]
    blocks: list[_Part]
    config: Any = None


_WRAPPED = _Form([], [])
_wrapped: ContextVar[bool] = ContextVar("wrapped_passes", default=False)
_forms: "weakref.WeakKeyDictionary[Any, dict[Any, _Form]]" = weakref.WeakKeyDictionary()


@contextmanager
def lean_pass(model: HookedModel) -> Iterator[None]:
    """Within this block, a TransformerBridge runs Hugging Face's own attention, MLP and norms where nothing is hooked.

    TransformerBridge wraps every linear layer and norm and calls two hook points around each; on a small model that is
    a tenth of a pass. Embedding and unembedding stay wrapped, and so does every block and part in which a hook is
    attached, so that streams are read and edited as ever. Enter it when all hooks are attached, around one pass. With
    gradients, and on HookedTransformer, the model runs as it is.

    Where no part at all is listened to, attention weights need not exist as a matrix, and are computed by PyTorch's
    fused attention (`scaled_dot_product_attention`) if the model supports it.

    The first time, all ways are run on a few tokens; one that differs by more than rounding is not used. That trial
    needs a model without hooks: see `try_lean_passes`.

    The model's modules are exchanged for the time of the pass, so two threads must not run one model object at once.
    """
    try_lean_passes(model)
    off = os.environ.get(SWITCH) == "0" or _wrapped.get() or torch.is_grad_enabled()
    form = _WRAPPED if off else _forms.get(model, {}).get(_state(model), _WRAPPED)
    unheard = [part for part in form.parts if not part.is_heard()]
    silent = [block for block in form.blocks if not block.is_heard()]
    replaced = [place for part in (*unheard, *silent) for place in part.places]
    config = form.config if len(unheard) == len(form.parts) else None
    try:
        for modules, name, _, wrapped in replaced:
            modules[name] = wrapped
        if config is not None:
            config._attn_implementation = "sdpa"
        yield
    finally:
        if config is not None:
            config._attn_implementation = "eager"
        for modules, name, wrapper, _ in replaced:
            modules[name] = wrapper


@contextmanager
def wrapped_passes() -> Iterator[None]:
    """Within this block no pass is lean: for verdicts that must hold when hooks keep the wrappers in place."""
    token = _wrapped.set(True)
    try:
        yield
    finally:
        _wrapped.reset(token)


def try_lean_passes(model: Any) -> None:
    """Find out, once, whether a model can run leanly; call it before hooks are attached: with any, nothing is tried."""
    if not is_bridge(model) or os.environ.get(SWITCH) == "0":
        return
    known, state = _forms.setdefault(model, {}), _state(model)
    if state in known or _has_foreign_hooks(model):
        return
    known[state] = _WRAPPED
    ids, mask = _trial_tokens(model)
    with torch.no_grad():
        expected = _attempt(model, ids, mask)
        if expected is None:
            return
        parts, blocks = _found(model)
        for form in (_Form(parts, []), _Form(parts, blocks), _Form(parts, blocks, _switchable(model, parts))):
            before, known[state] = known[state], form  # the trial itself runs through lean_pass
            if not _same(model, ids, mask, expected):
                known[state] = before
                return


def _has_foreign_hooks(model: Any) -> bool:
    """Whether anybody but the model's own libraries has hung a hook into it.

    Theirs (a block's own, Hugging Face's for recording outputs) do nothing in a plain pass.
    """
    hooks = [hook for table in _hooks_of(model.modules()) for hook in table.values()]
    own = ("transformers.", "transformer_lens.model_bridge.")
    return not all(str(getattr(hook, "__module__", "")).startswith(own) for hook in hooks)


def _state(model: Any) -> tuple[Any, ...]:
    """Weight processing changes what wrappers compute, so a verdict holds for the model as it was then."""
    return getattr(model, "compatibility_mode", None), getattr(model.cfg, "layer_norm_folding", None)


def _hooks_of(modules: Iterable[nn.Module]) -> list[dict[int, Any]]:
    return [getattr(m, name) for m in modules for name in _HOOKS]


def _own_hooks(block: Any) -> frozenset[int]:
    """Numbers of the hooks that a block hangs into its own parts."""
    return frozenset(handle.id for handle in getattr(block, "_capture_hook_handles", ()))


def _found(model: Any) -> tuple[list[_Part], list[_Part]]:
    """Parts of blocks, and the blocks."""
    parts, blocks = [], []
    standing = {id(m): (inside._modules, name) for inside in model.original_model.modules() for name, m in _of(inside)}
    for block in getattr(model, "blocks", ()):
        wrapped: Any = getattr(block, "original_component", None)
        for name, wrapper in _of(wrapped):
            if _is_wrapper(wrapper):
                places: list[tuple[dict[str, Any], str, nn.Module, nn.Module]] = []
                _collect(wrapped._modules, name, wrapper, places)
                listeners = [m for m in wrapper.modules() if _listens(m)]
                listeners += [m for at, m in _of(block) if _is_hook_point(m) and at not in _ENDS]
                parts.append(_Part(places, _hooks_of(listeners), _own_hooks(block), block))
        if wrapped is not None and id(block) in standing:
            listeners = [m for m in block.modules() if _listens(m)]
            blocks.append(
                _Part([(*standing[id(block)], block, wrapped)], _hooks_of(listeners), _own_hooks(block), block)
            )
    return parts, blocks


def _of(module: Any) -> list[tuple[str, Any]]:
    return list(getattr(module, "_modules", {}).items())


def _listens(module: Any) -> bool:
    return _is_wrapper(module) or _is_hook_point(module)


def _collect(modules: dict[str, Any], name: str, wrapper: Any, places: list[Any]) -> None:
    places.append((modules, name, wrapper, wrapper.original_component))
    for inner, child in _of(wrapper.original_component):
        if _is_wrapper(child):
            _collect(wrapper.original_component._modules, inner, child, places)


def _is_wrapper(module: Any) -> bool:
    return hasattr(module, "hook_out") and getattr(module, "original_component", None) is not None


def _is_hook_point(module: Any) -> bool:
    return hasattr(module, "fwd_hooks") and hasattr(module, "add_hook")


def _switchable(model: Any, parts: list[_Part]) -> Any:
    """The configuration from which all attention parts take their implementation, where "sdpa" means the same."""
    config = getattr(model.original_model, "config", None)
    configs = [getattr(wrapped, "config", config) for part in parts for *_, wrapped in part.places]
    alike = config is not None and all(found is config for found in configs)
    plain = getattr(config, "_attn_implementation", None) == "eager" and not getattr(
        config, "attn_logit_softcapping", None
    )
    return config if alike and plain and getattr(model.original_model, "_supports_sdpa", False) else None


def _trial_tokens(model: Any) -> tuple[Tensor, Tensor]:
    """Two rows, one of them padded on the left."""
    n = min(8, int(model.cfg.n_ctx))
    ids = torch.arange(2 * n).reshape(2, n).remainder(int(model.cfg.d_vocab)).to(model_device(model))
    mask = torch.ones_like(ids)
    mask[1, : n // 2] = 0
    return ids, mask


def _same(model: Any, ids: Tensor, mask: Tensor, expected: Tensor) -> bool:
    with lean_pass(model):
        found = _attempt(model, ids, mask)
    limit = 1e-4 if torch.finfo(model.cfg.dtype).bits >= 32 else 0.05
    return found is not None and float((found - expected).norm()) <= limit * float(expected.norm())


def _attempt(model: Any, ids: Tensor, mask: Tensor) -> Tensor | None:
    """Logits of the real tokens; None where the model cannot make them, which is the caller's own pass to report."""
    try:
        logits: Tensor = model(ids, attention_mask=mask)
        return logits[mask.bool()].float()
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError):
        return None
