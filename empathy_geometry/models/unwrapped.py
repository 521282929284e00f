"""The Hugging Face model inside a TransformerBridge, and one to build a bridge around, over shared tensors."""

import copy
from typing import Any, TypeGuard

from torch import nn

from empathy_geometry.models.shared_copy import reachable_modules, shared_copy


def unwrapped(bridge: Any) -> Any:
    """A bridge's Hugging Face model as it was before wrapping: its own modules, without hooks, over the same tensors.

    Raises:
        NoSharedCopyError: its modules cannot be copied.
    """
    copied = shared_copy(bridge.original_model)
    for module in list(reachable_modules(copied)):
        for name, child in module._modules.items():
            while _is_wrapper(child):
                child = child._modules["_original_component"]
            module._modules[name] = child
    return copied


def detached_copy(hf_model: nn.Module) -> Any:
    """A Hugging Face model that may be wrapped, moved and cast without changing the one it was made of.

    It has modules, parameters and configuration of its own, but no memory: until it is moved or cast, its parameters
    lie where the model's do, so that a change to one's numbers is a change to the other's. Hooks are not taken over.

    Raises:
        NoSharedCopyError: its modules cannot be copied.
    """
    replaced: dict[int, object] = {}
    memo: dict[int, Any] = {}
    for module in reachable_modules(hf_model):
        for parameter in module._parameters.values():
            if parameter is not None and id(parameter) not in replaced:
                replaced[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=False)
        for buffer in module._buffers.values():
            if buffer is not None and id(buffer) not in replaced:
                replaced[id(buffer)] = buffer.detach()
        config = vars(module).get("config")
        if config is not None and id(config) not in replaced:
            replaced[id(config)] = copy.deepcopy(config, memo)
    return shared_copy(hf_model, replaced)


def _is_wrapper(module: object) -> TypeGuard[nn.Module]:
    return isinstance(module, nn.Module) and "hook_out" in module._modules and "_original_component" in module._modules
