"""What a model is made of at one moment, and whether it still is: modules, tensors, settings, by identity."""

import copy
from collections.abc import Iterator
from itertools import chain
from operator import is_
from typing import Any

from torch import nn

from empathy_geometry.models.shared_copy import is_hook_point, modules_in, reachable_modules

_TABLES = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
# Hooks of the model's own libraries (a block's own, Hugging Face's for recording outputs) do nothing in a plain pass.
_OWN_LIBRARIES = ("transformers.", "transformer_lens.model_bridge.")
_MISSING = object()


class HookTables:
    """Where hooks can be attached to a model, found once: as long as its modules stay, looking again is quick.

    Args:
        model: Any module.
    """

    def __init__(self, model: nn.Module) -> None:
        self._tables = [getattr(module, name) for module in reachable_modules(model) for name in _TABLES]
        self._known: set[int] = set()

    def foreign(self) -> dict[int, Any]:
        """Hooks that are attached by anybody but the model's own libraries: by number, in the order of attachment."""
        numbers = set(chain.from_iterable(self._tables))
        if numbers <= self._known:
            return {}
        attached = {number: hook for table in self._tables for number, hook in table.items()}
        found = {
            number: attached[number]
            for number in sorted(attached)
            if not str(getattr(attached[number], "__module__", "")).startswith(_OWN_LIBRARIES)
        }
        self._known |= numbers - found.keys()
        return found


class TreeState:
    """The modules, parameters, buffers, attributes and configurations of a model as they were.

    Kept are the objects themselves; compared is their identity, in about a millisecond. An exchanged module, wrapped
    component, parameter or buffer is noticed, an attribute that was assigned (a norm's epsilon, a module's class, a
    patched `forward`), and a changed configuration. What is changed in place inside a tensor needs no notice: a copy of
    the modules shares it.

    Args:
        model: Any module.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        >>> state = TreeState(model)
        >>> state.holds(), model.train(False) is model, state.holds()
        (True, True, True)
        >>> model[1] = nn.GELU()
        >>> state.holds()
        False
    """

    def __init__(self, model: nn.Module) -> None:
        modules = list(reachable_modules(model))
        self._volatile: set[tuple[int, str]] = set()
        # Nothing here refers to the model itself: it would never be freed.
        self._classes = [(module, type(module)) for module in modules if module is not model]
        self.hooks = HookTables(model)
        # Hook points compute nothing, and are most of TransformerBridge's modules.
        owners = [module for module in modules if not is_hook_point(module)]
        self._held = [
            (held, tuple(held), tuple(held.values()))
            for module in owners
            for held in (module.__dict__, module._modules, module._parameters, module._buffers)
        ]
        self._listed = [
            (module, name, tuple(modules_in(value)))
            for module in owners
            if not type(module).__module__.startswith("transformer_lens.")
            for name, value in module.__dict__.items()
            if isinstance(value, dict | list | tuple | set)
            and name != "_modules"
            and any(True for _ in modules_in(value))
        ]
        configs = {id(c): c for module in owners for c in _configurations(module)}
        self.configurations = tuple(configs.values())
        self._settings = [(vars(c), _settings(c)) for c in self.configurations]

    def holds(self) -> bool:
        """Whether the model is still made of the same things."""
        if not all(type(module) is kind for module, kind in self._classes):
            return False
        for held, names, values in self._held:
            same = len(held) == len(values) and all(map(is_, held.values(), values))
            if not same and any(True for _ in self._moved(held, names, values)):
                return False
        if any(tuple(modules_in(module.__dict__[name])) != listed for module, name, listed in self._listed):
            return False
        return all(_same_settings(now, then) for now, then in self._settings)

    def forgive(self) -> None:
        """Take what has changed since for what passes of the model change themselves, and mind it no more."""
        for held, names, values in self._held:
            self._volatile.update((id(held), name) for name in self._moved(held, names, values))

    def _moved(self, held: dict[str, Any], names: tuple[str, ...], values: tuple[Any, ...]) -> Iterator[str]:
        then = dict(zip(names, values, strict=True))
        for name in {**then, **held}:
            if name == "training" or (id(held), name) in self._volatile:
                continue
            if held.get(name, _MISSING) is not then.get(name, _MISSING):
                yield name


def _configurations(module: nn.Module) -> Iterator[Any]:
    for name in ("config", "cfg"):
        found = module.__dict__.get(name)
        if found is not None and hasattr(found, "__dict__") and not isinstance(found, nn.Module):
            yield found


def _settings(config: Any) -> dict[str, Any]:
    """A configuration's values; lists and dictionaries as copies, since they can be changed in place."""
    return {
        name: copy.deepcopy(value) if isinstance(value, list | dict) else value for name, value in vars(config).items()
    }


def _same_settings(now: dict[str, Any], then: dict[str, Any]) -> bool:
    return len(now) == len(then) and all(
        value is then.get(name, _MISSING) or (isinstance(value, list | dict) and value == then.get(name))
        for name, value in now.items()
    )
