"""Our own passes run on a view of the user's model, its tensors under modules of our own: the model stays as it is."""

import copy
import inspect
import os
import threading
import weakref
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from empathy_geometry.models.attachment import Attachment, attached, attachments
from empathy_geometry.models.behaviour_lengths import BehaviourLengths
from empathy_geometry.models.held_interrupts import held_interrupts
from empathy_geometry.models.hooked_model import VIEW_POINTS, HookedModel, context_length, is_bridge, model_device
from empathy_geometry.models.shared_copy import NoSharedCopyError, reachable_modules, shared_copy
from empathy_geometry.models.tree_state import HookTables, TreeState

SWITCH = "EMPATHY_GEOMETRY_LEAN_PASSES"
"""Environment variable; "0" leaves TransformerBridge's wrappers in the views."""

Form = Literal["whole", "eager", "sdpa"]
"""A view with all wrappers, or without those inside blocks; then with Hugging Face's or with PyTorch's attention."""

_OWNER = "_empathy_geometry_owner"
_HOOK_TABLES = "_empathy_geometry_hook_tables"
# A model cannot run a trial pass: it is the caller's own pass that reports it.
_NO_PASS = (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError, NotImplementedError)
_TRIAL_TOKENS = 16
_COMPARED_TOKENS = 64


@dataclass(eq=False)
class _Known:
    """What was found out about a model as it is now.

    Attributes:
        state: What it was made of.
        written: Buffers into which its passes write: views have their own.
        form: The leanest form that gives the same; None where no view does.
        beyond: Whether the leanest form gives the same in passes that exceed these lengths.
        idle: Views in no use, by form.
    """

    state: TreeState
    lengths: BehaviourLengths
    written: list[Tensor] = field(default_factory=list)
    form: Form | None = None
    beyond: dict[tuple[int, ...], bool] = field(default_factory=dict)
    idle: dict[Form, list[Any]] = field(default_factory=dict)


_known: "weakref.WeakKeyDictionary[Any, _Known]" = weakref.WeakKeyDictionary()
_locks: "weakref.WeakKeyDictionary[Any, threading.RLock]" = weakref.WeakKeyDictionary()
_locks_lock = threading.Lock()
_wrapped: ContextVar[bool] = ContextVar("wrapped_passes", default=False)


@contextmanager
def own_view(model: HookedModel, names: Collection[str] = (), *, longest: int = 0) -> Iterator[HookedModel]:
    """What our own passes of a model run on, for the time of a `with` block: a view of it, as a model of its own.

    A view has the model's tensors, modules of its own (`shared_copy`), is in evaluation mode and is used by one block
    at a time, so that other threads, exceptions and Ctrl-C find nothing of it in the user's model. Attach to it what
    the passes need (`attached`, `SteeringHook.attached`); what a `SteeringHook` has attached to the model itself is
    on it already. Given a view, it is that view.

    Where the named hook points allow it, a TransformerBridge's view goes without the wrappers inside blocks (every
    linear layer and norm is wrapped, and calls two hook points: a tenth of a small model's pass) and with fused
    attention. That is used once it gave what the model's own pass gives, on a few tokens, padded and with a cache, and
    beyond every length that the passes exceed and at which the model changes what it does.

    The model itself runs where anybody else has a hook in it, where it cannot be copied, and where a view gives other
    numbers: then one thread at a time, in evaluation mode, with its flags put back.

    Args:
        model: HookedTransformer or TransformerBridge, or a view.
        names: Hook points that will be used.
        longest: Tokens of the longest row in any pass, those in a cache included.

    Raises:
        RuntimeError: another thread has steering attached to this model object.
    """
    if is_view(model) or not isinstance(model, nn.Module):
        yield model
        return
    known, ours = _prepared(model)
    if known is None or known.form is None:
        with _model_itself(model):
            yield model
        return
    names = [*names, *(name for attachment in ours for name, _ in attachment.hooks)]
    form = _form(model, known, names, longest)
    view = _take(model, known, form)
    with ExitStack() as stack:
        for attachment in ours:
            stack.enter_context(attached(view, attachment.hooks, before=attachment.before))
        yield view
    # Not after an exception: whatever was left in the view goes with it.
    if not known.lengths.rope_grows and not view.__dict__[_HOOK_TABLES].foreign():
        known.idle.setdefault(form, []).append(view)


def is_view(model: object) -> bool:
    """Whether a model is a view of ours."""
    return VIEW_POINTS in getattr(model, "__dict__", {})


def model_of(view: HookedModel) -> HookedModel:
    """The user's model behind a view; anything else is its own."""
    owner = getattr(view, "__dict__", {}).get(_OWNER)
    model: HookedModel = view if owner is None else owner()
    return model


def prepare_view(model: HookedModel) -> None:
    """Find out, once, what views can do; call it before hooks are attached: with any, nothing can be tried."""
    if not is_view(model) and isinstance(model, nn.Module):
        _prepared(model)


@contextmanager
def wrapped_passes() -> Iterator[None]:
    """Within this block views keep all wrappers: for verdicts that must hold when hooks need the wrappers."""
    token = _wrapped.set(True)
    try:
        yield
    finally:
        _wrapped.reset(token)


def _lock(model: Any) -> "threading.RLock":
    with _locks_lock:
        return _locks.setdefault(model, threading.RLock())


def _prepared(model: Any) -> tuple[_Known | None, list[Attachment]]:
    """What is known of the model as it is, None where it must run itself; and what of ours is attached to it."""
    if _has_global_hooks():
        return None, []
    with _lock(model):
        known = _known.get(model)
        hooks = (HookTables(model) if known is None else known.state.hooks).foreign()
        ours = attachments(model)
        found = list(dict.fromkeys(ours[number] for number in hooks if number in ours))
        if any(attachment.thread != threading.get_ident() for attachment in found):
            raise RuntimeError(
                "a SteeringHook is attached to this model object in another thread, and would steer this one's passes; "
                "wait for it, or give each thread a model object of its own"
            )
        if not hooks.keys() <= ours.keys():
            return None, []
        if known is None or not known.state.holds():
            if hooks:
                return None, []  # a trial would call them
            known = _known[model] = _learned(model)
        return known, found


def _has_global_hooks() -> bool:
    module = nn.modules.module
    return any(
        getattr(module, name, None)
        for name in ("_global_forward_hooks", "_global_forward_pre_hooks", "_global_backward_hooks")
    )


def _form(model: Any, known: _Known, names: Collection[str], longest: int) -> Form:
    assert known.form is not None
    if known.form == "whole" or _wrapped.get() or os.environ.get(SWITCH) == "0":
        return "whole"
    exceeded = tuple(n for n in sorted({*known.lengths.windows, *known.lengths.rope_switches}) if n < longest)
    if exceeded and known.lengths.rope_grows:
        return "whole"
    with _lock(model):
        if exceeded not in known.beyond:
            known.beyond[exceeded] = _agrees_beyond(model, known, exceeded)
    if not known.beyond[exceeded]:
        return "whole"
    view = _take(model, known, known.form)
    reachable = all(name in getattr(view, VIEW_POINTS) for name in names)
    known.idle.setdefault(known.form, []).append(view)
    return known.form if reachable else "whole"


def _take(model: Any, known: _Known, form: Form) -> Any:
    try:
        return known.idle.setdefault(form, []).pop()
    except IndexError:
        return _made(model, known, form)


def _made(model: Any, known: _Known, form: Form) -> Any:
    """A new view."""
    with torch.inference_mode(False):
        replaced: dict[int, object] = {id(buffer): buffer.clone() for buffer in known.written}
    if form == "sdpa":
        config = model.original_model.config
        fused = copy.copy(config)
        fused._attn_implementation = "sdpa"
        replaced[id(config)] = fused
    view = shared_copy(model, replaced)
    points = dict(view.hook_dict)
    if form != "whole":
        points = _without_wrappers(view, points)
    view.__dict__ |= {VIEW_POINTS: points, _OWNER: weakref.ref(model), _HOOK_TABLES: HookTables(view)}
    return view


def _without_wrappers(view: Any, points: dict[str, Any]) -> dict[str, Any]:
    """Take the wrappers inside blocks out of a view; the hook points that are still called."""
    silent: set[int] = set()
    for block in view.blocks:
        _unwrap(block.original_component._modules)
        ends = (id(block.hook_in), id(block.hook_out))
        silent.update(id(module) for module in reachable_modules(block) if id(module) not in ends)
    return {name: point for name, point in points.items() if id(point) not in silent}


def _unwrap(modules: dict[str, Any]) -> None:
    for name, wrapper in modules.items():
        if _is_wrapper(wrapper):
            modules[name] = wrapper.original_component
            _unwrap(wrapper.original_component._modules)


def _is_wrapper(module: Any) -> bool:
    return hasattr(module, "hook_out") and getattr(module, "original_component", None) is not None


def _learned(model: Any) -> _Known:
    """Try what views can do, against the model's own pass."""
    lengths = BehaviourLengths.of(model)
    with torch.inference_mode(False), torch.no_grad(), _without_autocast(model):
        trial = _Trial.of(model, _TRIAL_TOKENS)
        tensors = [t for m in reachable_modules(model) for t in m._buffers.values() if t is not None]
        state = TreeState(model)
        versions = [_version(t) for t in tensors]
        with _same_draws(model):
            expected = trial.read(model)
        state.forgive()
        known = _Known(state, lengths, [t for t, v in zip(tensors, versions, strict=True) if _version(t) != v])
        if expected is None:
            return known
        try:
            whole = _made(model, known, "whole")
        except NoSharedCopyError:
            return known
        modes = [(view, module.training) for view, module in _pairs(whole, model)]
        for module, training in modes:
            module.training = training
        with _same_draws(model):
            found = trial.read(whole)
        for module, _ in modes:
            module.training = False
        if not trial.same(found, expected):
            return known
        known.form, known.idle["whole"] = "whole", [whole]
        expected, cached = trial.read(whole), trial.read_cached(whole)
        for form in _lean_forms(model):
            view = _made(model, known, form)
            if not (trial.same(trial.read(view), expected) and trial.same_cached(trial.read_cached(view), cached)):
                break
            known.form, known.idle[form], known.beyond = form, [view], {(): True}
    return known


def _agrees_beyond(model: Any, known: _Known, exceeded: tuple[int, ...]) -> bool:
    """Whether the leanest view gives what the model gives in passes beyond these lengths, and below the next."""
    assert known.form is not None
    every = sorted({*known.lengths.windows, *known.lengths.rope_switches})
    last = exceeded[-1]
    bounds = [n for n in every if n > last] + [context_length(model)]
    tokens = min(last + max(8, last // 2), max(last + 1, min(bounds)))
    with torch.inference_mode(False), torch.no_grad(), _without_autocast(model):
        trial = _Trial.of(model, tokens)
        view, whole = _take(model, known, known.form), _take(model, known, "whole")
        expected = trial.read(whole)
        agrees = expected is not None and trial.same(trial.read(view), expected)
        known.idle[known.form].append(view)
        known.idle["whole"].append(whole)
    return agrees


def _lean_forms(model: Any) -> tuple[Form, ...]:
    """Forms without wrappers to try, one after the other as long as they agree."""
    if not is_bridge(model) or not hasattr(model, "blocks"):
        return ()
    if not all(_is_wrapper(block) for block in model.blocks):
        return ()
    config = getattr(model.original_model, "config", None)
    configs = [m.__dict__["config"] for m in _inside_blocks(model) if "config" in m.__dict__]
    fused = (
        config is not None
        and all(found is config for found in configs)
        and not getattr(config, "sub_configs", None)  # they would be switched with it
        and getattr(config, "_attn_implementation", None) == "eager"
        and not getattr(config, "attn_logit_softcapping", None)
        and getattr(model.original_model, "_supports_sdpa", False)
    )
    return ("eager", "sdpa") if fused else ("eager",)


def _inside_blocks(model: Any) -> Iterator[Any]:
    """Hugging Face's own modules in the blocks."""
    for block in model.blocks:
        for module in reachable_modules(block.original_component):
            if not type(module).__module__.startswith("transformer_lens."):
                yield module


def _pairs(view: Any, model: Any) -> Iterator[tuple[Any, Any]]:
    return zip(reachable_modules(view), reachable_modules(model), strict=True)


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


@dataclass(frozen=True, eq=False)
class _Trial:
    """A few tokens on which a view is held against the model: one row whole, one padded on the left."""

    ids: Tensor
    mask: Tensor
    limit: float
    arguments: dict[str, Any]
    bridge: bool
    kept: int

    @classmethod
    def of(cls, model: Any, tokens: int) -> "_Trial":
        n = min(tokens, context_length(model))
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(int(model.cfg.d_vocab), (2, n), generator=generator).to(model_device(model))
        mask = torch.ones_like(ids)
        mask[1, : n // 4] = 0
        kept = min(_COMPARED_TOKENS, n - n // 4)  # real tokens of both rows
        arguments: dict[str, Any] = {}
        if is_bridge(model) and _takes(model.original_model, "logits_to_keep"):
            arguments["logits_to_keep"] = kept
        limit = 1e-4 if torch.finfo(model.cfg.dtype).bits >= 32 else 0.05
        return cls(ids, mask, limit, arguments, is_bridge(model), kept)

    def read(self, model: Any) -> Tensor | None:
        """Logits of the last tokens; None where the model cannot make them."""
        try:
            logits: Tensor = model(self.ids, attention_mask=self.mask, **self.arguments)
        except _NO_PASS:
            return None
        return logits[:, -self.kept :].float()

    def read_cached(self, model: Any) -> Tensor | None:
        """The same with keys and values of all but the last tokens kept."""
        if not self.bridge or self.ids.shape[1] < 4:
            return None
        from transformers import DynamicCache

        cut = self.ids.shape[1] - 2
        try:
            options = {"past_key_values": DynamicCache(config=model.original_model.config), "use_cache": True}
            model(self.ids[:, :cut], attention_mask=self.mask[:, :cut], **options)
            logits: Tensor = model(self.ids[:, cut:], attention_mask=self.mask, **options)
        except _NO_PASS:
            return None
        return logits.float()

    def same(self, found: Tensor | None, expected: Tensor | None) -> bool:
        """Whether every row's logits are equal to rounding."""
        if found is None or expected is None:
            return False
        error = (found - expected).flatten(1).norm(dim=1)
        return bool((error <= self.limit * expected.flatten(1).norm(dim=1)).all())

    def same_cached(self, found: Tensor | None, expected: Tensor | None) -> bool:
        return expected is None or self.same(found, expected)


@contextmanager
def _same_draws(model: Any) -> Iterator[None]:
    """A model in training mode draws random numbers: the same ones each time, and the user's generators as before."""
    if not any(module.training for module in reachable_modules(model)):
        yield
        return
    device = model_device(model)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        yield


def _without_autocast(model: Any) -> Any:
    return torch.autocast(model_device(model).type, enabled=False)


def _takes(module: Any, argument: str) -> bool:
    parameters = inspect.signature(module.forward).parameters
    return argument in parameters or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())


@contextmanager
def _model_itself(model: Any) -> Iterator[None]:
    """The user's model for a pass of ours: in evaluation mode, one thread at a time, and as it was after."""
    with _lock(model), held_interrupts():
        training = [module for module in reachable_modules(model) if module.training]
        try:
            for module in training:
                module.training = False
            yield
        finally:
            for module in training:
                module.training = True
