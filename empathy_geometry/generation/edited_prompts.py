"""Prompts under many edits: blocks up to the first edited one run once for a prompt, later ones once for an edit."""

from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from empathy_geometry.foundation._types import IntArray
from empathy_geometry.generation.cached_rows import CachedRows
from empathy_geometry.generation.repeats import distinct
from empathy_geometry.models.hooked_model import HookedModel, is_bridge


@dataclass(frozen=True)
class PromptEdit:
    """An edit of the stream after some blocks that is the same at every token of a prompt.

    Attributes:
        names: Hook points that are edited.
        edit: From the indices of rows to the edit of their streams, which makes a row for each of a stream of one (see
            `steering.stream_edit`).
    """

    names: Sequence[str]
    edit: Callable[[IntArray], Callable[[Float[Tensor, "one pos d_model"]], Float[Tensor, "row pos d_model"]]]


def read_edited_prompts(
    model: HookedModel,
    prompts: Sequence[tuple[int, ...]],
    readers: IntArray,
    keys: Sequence[Hashable],
    head: int,
    prompt_edit: PromptEdit,
) -> tuple[CachedRows, Float[Tensor, "reader vocab"]] | None:
    """Every prompt of `readers` read under its edit, and the logits after it.

    Args:
        model: With nothing attached.
        prompts: Token ids of all rows.
        readers: Rows to read.
        keys: Of all rows; those with equal keys are edited alike.
        head: How many tokens all prompts begin with, read once for each key.
        prompt_edit: The edit.

    Returns:
        None where the model cannot run its first layers on fewer rows than its last: read row by row then.
    """
    if not is_bridge(model):
        return None  # HookedTransformer's cache has one number of rows for all layers
    openers, opener_of = distinct([keys[i] for i in readers])
    firsts, prompt_of = distinct([prompts[i] for i in readers])
    edit = prompt_edit.edit(readers[openers])

    def change(stream: Tensor, hook: object) -> Tensor:
        return edit(stream)

    parts: list[tuple[IntArray, CachedRows]] = []
    after: list[Tensor] = []
    # Layers that do not broadcast over rows raise; what else is wrong comes up again when rows are read one by one.
    with (
        suppress(RuntimeError, ValueError, TypeError, IndexError),
        model.hooks(fwd_hooks=[(lambda name: name in prompt_edit.names, change)]),
    ):
        opened = CachedRows(model, 1)
        if head:
            _read_one(opened, prompts[readers[0]][:head])
        for p, first in enumerate(firsts):
            chosen = np.flatnonzero(prompt_of == p)
            rows = _restricted(opened, opener_of[chosen]) if head else CachedRows(model, 1)
            if rows is None:
                return None
            edit = prompt_edit.edit(readers[chosen])
            after.append(_read_one(rows, prompts[readers[first]][head:]))
            parts.append((chosen, rows))
        together = _together(parts, len(readers))
        if together is None:
            return None
        order = np.argsort(np.concatenate([chosen for chosen, _ in parts]))
        return together, torch.cat(after)[order.tolist()]
    return None


def _read_one(rows: CachedRows, ids: Sequence[int]) -> Float[Tensor, "row vocab"]:
    tensor = torch.tensor([ids])
    return rows.read(tensor, torch.ones_like(tensor, dtype=torch.bool), logits="last")[:, -1]


def _restricted(opened: CachedRows, chosen: IntArray) -> CachedRows | None:
    """A copy in which layers that hold a row for each key hold the chosen ones; the first layers hold one row."""
    if opened.states is None:
        return None
    index = torch.as_tensor(chosen, device=opened.ids.device)
    states = [(keys, values) if len(keys) == 1 else (keys[index], values[index]) for keys, values in opened.states]
    return opened.with_states(states, opened.ids, opened.mask)


def _together(parts: Sequence[tuple[IntArray, CachedRows]], n_rows: int) -> CachedRows | None:
    """The rows of all parts in their places, every layer with a row for each, shorter ones padded on the left."""
    width = max(rows.ids.shape[1] for _, rows in parts)
    first = parts[0][1]
    ids, mask = (old.new_zeros(n_rows, width) for old in (first.ids, first.mask))
    states: list[tuple[Tensor, Tensor]] = []
    for chosen, rows in parts:
        if rows.states is None:
            return None
        if not states:
            states = [(_room(keys, n_rows, width), _room(values, n_rows, width)) for keys, values in rows.states]
        place, start = chosen.tolist(), width - rows.ids.shape[1]
        ids[place, start:], mask[place, start:] = rows.ids, rows.mask
        for (all_keys, all_values), (keys, values) in zip(states, rows.states, strict=True):
            all_keys[place, :, start:], all_values[place, :, start:] = keys, values
    return first.with_states(states, ids, mask)


def _room(held: Float[Tensor, "row head pos d_head"], n_rows: int, width: int) -> Tensor:
    return held.new_zeros(n_rows, held.shape[1], width, held.shape[3])
