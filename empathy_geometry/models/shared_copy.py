"""A copy of a model's modules that shares every tensor with it, and has hooks and flags of its own."""

import functools
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from types import CellType, FunctionType, MethodType
from typing import Any

from torch import nn

# Functions that these libraries attach to modules are known to do no more than they would in the copy.
_LIBRARIES = ("transformers.", "transformer_lens.", "accelerate.", "peft.")
# Containers inside containers are followed so far (a list of tuples in a dictionary).
_DEPTH = 4


class NoSharedCopyError(Exception):
    """A model holds something that a copy could not do in its place."""


def shared_copy(model: nn.Module, replaced: Mapping[int, object] | None = None) -> Any:
    """A model of its own modules, in evaluation mode and without hooks, over the tensors of `model`.

    Modules are copied wherever they are found: registered, as plain attributes, or in lists and dictionaries (hook
    registries). Every other attribute is the very object of the original, so that no memory is taken and a dictionary
    that its owner changes is changed here too. What is assigned anew in the original is not seen: see `TreeState`.

    Args:
        model: HookedTransformer, TransformerBridge or any other module.
        replaced: By identity (`id`), objects for which the copy gets others: a configuration of its own, say.

    Raises:
        NoSharedCopyError: some module was given a function of its own that refers to the model's modules.

    Example:
        >>> import torch
        >>> linear = nn.Linear(2, 2).train()
        >>> copied = shared_copy(linear)
        >>> copied.weight is linear.weight, copied.training, linear.training
        (True, False, True)
    """
    modules = list(reachable_modules(model))
    # Not through the classes' constructors: they would make tensors.
    memo: dict[int, Any] = {id(module): object.__new__(type(module)) for module in modules}
    memo |= replaced or {}
    for module in modules:
        memo[id(module)].__dict__.update(_attributes(module, memo))
    return memo[id(model)]


def reachable_modules(model: nn.Module) -> Iterator[nn.Module]:
    """Every module of a model once, also those that are not registered (TransformerBridge's Hugging Face model)."""
    seen = {id(model)}
    waiting = [model]
    while waiting:
        module = waiting.pop()
        yield module
        for value in module.__dict__.values():
            for found in modules_in(value):
                if id(found) not in seen:
                    seen.add(id(found))
                    waiting.append(found)


def is_hook_point(module: nn.Module) -> bool:
    """Whether it is one of TransformerLens's places for hooks, which compute nothing."""
    return "fwd_hooks" in module.__dict__


def is_hook_table(name: str) -> bool:
    """Whether PyTorch keeps hooks of a module in the attribute of this name."""
    return name.startswith("_") and "_hooks" in name and name.removeprefix("_").startswith(_TABLES)


_TABLES = ("forward_", "backward_", "state_dict_", "load_state_dict_")


def modules_in(value: Any, depth: int = _DEPTH) -> Iterator[nn.Module]:
    """A value that is a module, or the modules in a container and in those inside it."""
    if isinstance(value, nn.Module):
        yield value
    elif depth and isinstance(value, dict | list | tuple | set):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from modules_in(inner, depth - 1)


def _attributes(module: nn.Module, memo: Mapping[int, Any]) -> dict[str, Any]:
    own: dict[str, Any] = {}
    for name, value in module.__dict__.items():
        if is_hook_table(name):
            own[name] = OrderedDict()
        elif name in ("_modules", "_parameters", "_buffers"):
            own[name] = {key: memo.get(id(inner), inner) for key, inner in value.items()}
        else:
            own[name] = _remapped(value, memo, _DEPTH)
    if "forward" in own and not isinstance(own["forward"], MethodType | FunctionType | functools.partial):
        raise NoSharedCopyError(f"{type(module).__name__} has a forward of its own, {own['forward']!r}")
    own["training"] = False
    if is_hook_point(module):
        own |= {"fwd_hooks": [], "bwd_hooks": [], "ctx": {}}
    if "_capture_hooks_wired" in own:
        # A TransformerBridge block attaches hooks to its parts before its first pass; they belong to that block.
        own |= {"_capture_hooks_wired": False, "_capture_hook_handles": []}
    return own


def _remapped(value: Any, memo: Mapping[int, Any], depth: int) -> Any:
    """The copy's counterpart of a value; the value itself where it refers to nothing that was copied."""
    if id(value) in memo:
        return memo[id(value)]
    if isinstance(value, MethodType):
        owner = memo.get(id(value.__self__))
        return value if owner is None else MethodType(value.__func__, owner)
    if isinstance(value, weakref.ref):
        target = memo.get(id(value()))
        return value if target is None else weakref.ref(target)
    if not depth:
        return value
    if isinstance(value, functools.partial):
        return _partial(value, memo, depth - 1)
    if isinstance(value, FunctionType):
        return _function(value, memo, depth - 1)
    if type(value) in (dict, OrderedDict):
        items = {key: _remapped(inner, memo, depth - 1) for key, inner in value.items()}
        same = all(items[key] is inner for key, inner in value.items())
        return value if same else type(value)(items)
    if type(value) in (list, tuple, set):
        inners = [_remapped(inner, memo, depth - 1) for inner in value]
        same = all(new is old for new, old in zip(inners, value, strict=True))
        return value if same else type(value)(inners)
    if type(value).__module__.startswith(_LIBRARIES) and not isinstance(value, nn.Module):
        return _holder(value, memo, depth - 1)
    return value


def _holder(value: Any, memo: Mapping[int, Any], depth: int) -> Any:
    """A library's plain object that refers to the copies (what TransformerLens 4 runs a Hugging Face model by)."""
    attributes = getattr(value, "__dict__", None)
    if not isinstance(attributes, dict):
        return value
    inners = {name: _remapped(inner, memo, depth) for name, inner in attributes.items()}
    if all(inners[name] is inner for name, inner in attributes.items()):
        return value
    made = object.__new__(type(value))
    made.__dict__.update(inners)
    return made


def _partial(value: "functools.partial[Any]", memo: Mapping[int, Any], depth: int) -> "functools.partial[Any]":
    """A partial call of the copies (accelerate's forward of a module that lives on another device)."""
    function = _remapped(value.func, memo, depth)
    arguments = _remapped(value.args, memo, depth)
    options = _remapped(value.keywords, memo, depth)
    if function is value.func and arguments is value.args and options is value.keywords:
        return value
    made = functools.partial(function, *arguments, **options)
    made.__dict__.update(value.__dict__)
    return made


def _function(value: Callable[..., Any], memo: Mapping[int, Any], depth: int) -> Callable[..., Any]:
    """A function whose closure refers to the copies."""
    assert isinstance(value, FunctionType)
    cells = value.__closure__ or ()
    contents = [_content(cell) for cell in cells]
    inners = [_remapped(content, memo, depth) for content in contents]
    if all(new is old for new, old in zip(inners, contents, strict=True)):
        return value
    if not str(value.__module__).startswith(_LIBRARIES):
        raise NoSharedCopyError(f"{value.__qualname__} refers to the model's own modules")
    made = FunctionType(
        value.__code__,
        value.__globals__,
        value.__name__,
        value.__defaults__,
        tuple(CellType(inner) for inner in inners),
    )
    made.__kwdefaults__ = value.__kwdefaults__
    made.__dict__.update(value.__dict__)
    return made


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a cell that nothing was put into yet
        return None
