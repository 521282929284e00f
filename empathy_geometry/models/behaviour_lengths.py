"""At which lengths a model begins to compute otherwise, as its configuration says."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from empathy_geometry.foundation._types import IntArray
from empathy_geometry.models.hooked_model import HookedModel, is_bridge

# How configurations call a reach of attention. A name too many costs a trial, a name too few a wrong number.
_WINDOW = re.compile(r"(^|_)(sliding_)?window(_size)?$|^attention_chunk_size$|^local_attention(_window)?$")
_KEY_VALUE_LAYERS = frozenset({"full_attention", "sliding_attention", "chunked_attention", "attention", "global"})


@dataclass(frozen=True)
class BehaviourLengths:
    """Lengths, in tokens of a text, up to which a model does one thing and beyond which it does another.

    What is found true of a model on short texts need not hold beyond them.

    Attributes:
        windows: Reaches of sliding, local or chunked attention, rising: in longer texts a token no longer sees all
            tokens before it, and a distance is counted in columns, padding between them included.
        rope_switches: Longest texts that are read with the first rotary frequencies, rising. All tokens of a pass are
            read with those of its largest position: its other rows and what is held in a cache count.
        rope_grows: Whether beyond a switch the frequencies depend on the length itself (dynamic NTK), so that only rows
            of one length are read alike; the model also remembers the longest text until it reads a short one.
        recurrent: Whether some layers keep another state than keys and values.
    """

    windows: tuple[int, ...] = ()
    rope_switches: tuple[int, ...] = ()
    rope_grows: bool = False
    recurrent: bool = False

    @classmethod
    def of(cls, model: HookedModel) -> "BehaviourLengths":
        """Those of a model; read anew each time, since a configuration can be changed.

        Example:
            >>> BehaviourLengths.of(model)  # doctest: +SKIP
            BehaviourLengths(windows=(4096,), rope_switches=(), rope_grows=False, recurrent=False)
        """
        if not is_bridge(model):
            local = bool(getattr(model.cfg, "use_local_attn", False))
            window = getattr(model.cfg, "window_size", None)
            return cls((int(window),) if local and window else ())
        config = getattr(model.original_model, "config", None)  # type: ignore[attr-defined]
        return cls.of_config(config) if config is not None else cls()

    @classmethod
    def of_config(cls, config: Any) -> "BehaviourLengths":
        """Those of a Hugging Face configuration."""
        text = config.get_text_config() if hasattr(config, "get_text_config") else config
        fields = {name: value for name, value in vars(text).items() if not name.startswith("_")}
        windows = {int(value) for name, value in fields.items() if _WINDOW.search(name) and _is_length(value)}
        rotary = [*_rotary(fields.get("rope_parameters")), *_rotary(fields.get("rope_scaling"))]
        switches, grows = set(), False
        for parameters in rotary:
            kind = str(parameters.get("rope_type", parameters.get("type", "")))
            longest = getattr(text, "max_position_embeddings", None)
            if kind in ("longrope", "su"):
                own = getattr(text, "original_max_position_embeddings", None)
                longest = parameters.get("original_max_position_embeddings", own or longest)
            elif "dynamic" in kind:
                grows = True
            else:
                continue
            if _is_length(longest):
                switches.add(int(longest))  # type: ignore[arg-type]
        layers = fields.get("layer_types") or fields.get("layers_block_type") or ()
        recurrent = any(str(layer) not in _KEY_VALUE_LAYERS for layer in layers)
        return cls(tuple(sorted(windows)), tuple(sorted(switches)), grows, recurrent)

    def passed(self, length: int) -> int:
        """How many windows a text of this length is longer than."""
        return sum(length > window for window in self.windows)

    def alike(self, length: int, *, growing: int = 0) -> int:
        """A number that two rows share exactly if they may be in one pass, at a length or growing from it.

        Args:
            length: Tokens of the row.
            growing: How many more will be read after it, one by one, with what was read kept.

        Example:
            >>> phi = BehaviourLengths(rope_switches=(4096,))
            >>> phi.alike(100) == phi.alike(4096), phi.alike(4096) == phi.alike(4097)
            (True, False)
            >>> phi.alike(4000, growing=500) == phi.alike(4001, growing=500)
            False
        """
        crossed = sum(length > switch for switch in self.rope_switches)
        crossing = any(length <= switch < length + growing for switch in self.rope_switches)
        return length if crossing or (self.rope_grows and crossed) else -crossed

    def alike_rows(self, lengths: Sequence[int] | IntArray, *, growing: int = 0) -> IntArray:
        """`alike` of every row, [n]."""
        return np.array([self.alike(int(length), growing=growing) for length in lengths], dtype=int)

    def can_continue(self, read: int, length: int) -> bool:
        """Whether the first `read` tokens of a text are read in the same way when they are read by themselves."""
        return self.alike(read) == self.alike(length)


def _is_length(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _rotary(parameters: object) -> Iterator[Mapping[str, Any]]:
    """Rotary parameters, also where each type of layer has its own."""
    if not isinstance(parameters, Mapping):
        return
    if "rope_type" in parameters or "type" in parameters:
        yield parameters
    for inner in parameters.values():
        yield from _rotary(inner)
