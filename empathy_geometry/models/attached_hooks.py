"""Hooks that somebody has attached to a model: they change what it computes as other weights would."""

import zlib
from collections.abc import Callable, Iterable
from functools import partial
from types import CodeType, FunctionType
from typing import Any, Literal

from torch import nn

_LIBRARIES = ("transformers.", "transformer_lens.", "accelerate.")
_TABLES = (("_forward_pre_hooks", "before"), ("_forward_hooks", "after"))


def attached_hooks(modules: Iterable[tuple[str, nn.Module]], *, whose: Literal["foreign", "own"]) -> list[str]:
    """A line for each forward hook, PyTorch's or TransformerLens's: where it stands and which function it calls.

    Those that TransformerLens, transformers and accelerate attach for their own use are left out. A function is
    described by its name and a checksum of its code, constants, default values and the plain values that it closes
    over, so that the same function is the same line in another process.

    Args:
        modules: Every module of a model with its name.
        whose: "own" are this library's (an attached `SteeringHook`, say), "foreign" are everybody else's.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> _ = layer.register_forward_hook(print)
        >>> attached_hooks([("layer", layer)], whose="foreign")
        ['after layer: builtins.print']
    """
    lines = []
    for name, module in modules:
        own_fields = vars(module)  # a missing attribute is slow to ask for: TransformerBridge searches its parts
        if not (own_fields["_forward_pre_hooks"] or own_fields["_forward_hooks"]):
            continue
        by_user = {handle.hook.id: handle.user_hook for handle in own_fields.get("fwd_hooks", ())}
        for table, when in _TABLES:
            for number, hook in own_fields[table].items():
                function = by_user.get(number) or hook
                defined_in = _module_of(function)
                own = defined_in.startswith("empathy_geometry.")
                if own == (whose == "own") and not defined_in.startswith(_LIBRARIES):
                    place = own_fields.get("name") or name or "the model"
                    lines.append(f"{when} {place}: {_described(function)}")
    return lines


def _module_of(function: Any) -> str:
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__module__", None) or type(function).__module__)


def _described(function: Callable[..., Any]) -> str:
    if isinstance(function, partial):
        return f"partial of {_described(function.func)}"
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    inner = getattr(function, "__func__", function)
    line = f"{_module_of(function)}.{name}"
    return f"{line} ({_checksum(inner):08x})" if isinstance(inner, FunctionType) else line


def _checksum(function: FunctionType) -> int:
    cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    values = [*(function.__defaults__ or ()), *cells]
    plain = [v for v in values if isinstance(v, bool | int | float | str | bytes | None)]
    return zlib.crc32(repr(plain).encode(), _code_checksum(function.__code__))


def _is_filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:  # a name that is not assigned yet
        return False
    return True


def _code_checksum(code: CodeType) -> int:
    inner = [_code_checksum(c) for c in code.co_consts if isinstance(c, CodeType)]
    constants = [repr(c) for c in code.co_consts if not isinstance(c, CodeType | frozenset)]
    return zlib.crc32(repr((inner, constants, code.co_names)).encode(), zlib.crc32(code.co_code))
