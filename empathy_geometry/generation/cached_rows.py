"""Rows of tokens that a model goes on reading, on any model type, with their keys and values kept."""

import copy
import inspect
import warnings
import weakref
from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from empathy_geometry.activations.prefix_cache import PrefixCache
from empathy_geometry.models.behaviour_lengths import BehaviourLengths
from empathy_geometry.models.hooked_model import HookedModel, is_bridge, model_device
from empathy_geometry.models.model_view import model_of, own_view
from empathy_geometry.models.rope import rope_arguments

_warned: "weakref.WeakSet[Any]" = weakref.WeakSet()


class CachedRows:
    """What a model has read of each row so far, so that the next columns cost a pass over themselves only.

    Logits are made only where they are asked for (on TransformerBridge): the unembedding is a fifth of a small model's
    work. Where a model cannot keep keys and values, or leaves the cache empty (TransformerBridge on transformers 5.24),
    every pass runs over all columns instead: the same numbers, slowly, and a warning says so once.

    A row's tokens stand together: padding comes before or after them, never between, since some models measure
    distances in columns. On a model whose rotary frequencies change with length, only rows that are `alike`
    (`BehaviourLengths`) may be read together. Where Hugging Face's own generation drops the cache at such a change and
    reads everything anew, so do these rows.

    Args:
        model: HookedTransformer or TransformerBridge.
        n_rows: How many rows.
        keep: False where keys and values are known not to serve: every pass then runs over all columns.

    Attributes:
        ids: Token ids so far, padding included, [row, pos].
        mask: True for real tokens, [row, pos].

    Example:
        >>> rows = CachedRows(model, n_rows=2)  # doctest: +SKIP
        >>> logits = rows.read(ids, mask, logits="last")  # doctest: +SKIP
    """

    def __init__(self, model: HookedModel, n_rows: int, *, keep: bool = True) -> None:
        self._model = model
        self._bridge = is_bridge(model)
        self._lengths = BehaviourLengths.of(model)
        self._device = model_device(model)
        self.ids = torch.zeros(n_rows, 0, dtype=torch.long, device=self._device)
        self.mask = torch.zeros(n_rows, 0, dtype=torch.bool, device=self._device)
        forward = _parameters(model.original_model) if self._bridge else {}  # type: ignore[attr-defined]
        self._takes_logits_to_keep = "logits_to_keep" in forward
        takes_cache = not self._bridge or "past_key_values" in forward
        self._cache = PrefixCache(model, self.mask) if keep and takes_cache else None
        if not takes_cache:
            warn_of_slow_passes(model, "its forward pass takes no past_key_values")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def keeps(self) -> bool:
        """Whether keys and values are kept, so that the next pass runs over new columns only."""
        return self._cache is not None

    @property
    def states(self) -> list[tuple[Tensor, Tensor]] | None:
        """Keys and values of each layer, [row, head, pos, d_head]; None where the model keeps anything else."""
        if self._cache is None or not self._bridge:
            return None
        from transformers.cache_utils import DynamicLayer

        layers = self._cache.cache.layers
        plain = all(type(layer) is DynamicLayer and layer.get_seq_length() == self.ids.shape[1] for layer in layers)
        return [(layer.keys, layer.values) for layer in layers] if plain else None

    def with_states(
        self, states: Sequence[tuple[Tensor, Tensor]], ids: Int[Tensor, "row pos"], mask: Bool[Tensor, "row pos"]
    ) -> "CachedRows":
        """Rows of which this was read, with keys and values as `states` gives them; these stay as they are."""
        chosen = copy.copy(self)
        chosen.ids, chosen.mask = ids, mask
        chosen._cache = copy.copy(self._cache)
        assert chosen._cache is not None
        chosen._cache.cache = copy.copy(chosen._cache.cache)
        chosen._cache.cache.layers = [copy.copy(layer) for layer in chosen._cache.cache.layers]
        for layer, (keys, values) in zip(chosen._cache.cache.layers, states, strict=True):
            layer.keys, layer.values = keys, values
        return chosen

    def moved_right(self, columns: Int[Tensor, " row"] | Sequence[int]) -> "CachedRows | None":
        """Each row moved by its number of columns, padding before it; what is moved beyond the last column is dropped.

        So rows of different lengths that begin alike go on as a batch padded on the left does. They must hold no
        padding on the right.

        Returns:
            New rows; these stay as they are. None where the model keeps something else than keys and values.
        """
        source = torch.arange(self.ids.shape[1], device=self._device) - torch.as_tensor(
            columns, device=self._device
        ).unsqueeze(1)
        index = source.clamp(min=0)
        ids, mask = self.ids.gather(1, index), self.mask.gather(1, index) & (source >= 0)
        if self._cache is None:
            moved = copy.copy(self)
            moved.ids, moved.mask = ids, mask
            return moved
        if self._bridge:
            states = self.states
            if states is None:
                return None
            return self.with_states([(_taken(k, index, 2), _taken(v, index, 2)) for k, v in states], ids, mask)
        moved = self.select(range(len(self)))
        moved.ids, moved.mask = ids, mask
        cache: Any = moved._cache.cache  # type: ignore[union-attr]
        cache.previous_attention_mask = mask.to(cache.previous_attention_mask)
        for entry in cache.entries:
            entry.past_keys = _taken(entry.past_keys, index, 1)
            entry.past_values = _taken(entry.past_values, index, 1)
        return moved

    def read(
        self, ids: Int[Tensor, "row new"], mask: Bool[Tensor, "row new"], *, logits: Literal["last", "all"] | int
    ) -> Float[Tensor, "edited kept vocab"]:
        """Read new columns, and give the logits of all of them, of the last one, or of so many at the end.

        A hook that edits one row in several ways makes several rows of it.
        """
        ids, mask = ids.to(self._device), mask.to(self._device)
        before = self.ids.shape[1]
        self.ids, self.mask = torch.cat([self.ids, ids], dim=1), torch.cat([self.mask, mask], dim=1)
        kept = logits if isinstance(logits, int) else 1 if logits == "last" else ids.shape[1]
        if self._cache is not None and before and self._begins_anew(before):
            self._cache, before = PrefixCache(self._model, self.mask[:, :0]), 0
            ids, mask = self.ids, self.mask
        if self._cache is None:
            return self._pass(self.ids, self.mask, None, kept)
        past = self._cache.cache
        result = self._pass(ids, self.mask if self._bridge else mask, past, kept)
        if before == 0 and self._bridge and past.get_seq_length() != ids.shape[1]:
            self._cache = None
            warn_of_slow_passes(self._model, "it leaves the cache of keys and values empty")
        return result

    def select(self, rows: Int[Tensor, " chosen"] | Sequence[int]) -> "CachedRows":
        """The given rows, which may repeat or be left out, as rows of their own; these stay as they are."""
        index = torch.as_tensor(rows, dtype=torch.long, device=self._device)
        chosen = copy.copy(self)
        chosen.ids, chosen.mask = self.ids[index], self.mask[index]
        if self._cache is not None:
            chosen._cache = copy.copy(self._cache)
            chosen._cache.cache = self._cache.of(index)
            if not self._bridge:
                chosen._cache.cache.unfreeze()
        return chosen

    def _begins_anew(self, before: int) -> bool:
        """Whether Hugging Face would drop the cache here, where rotary frequencies change: it is asked."""
        if not self._lengths.rope_switches or not self._bridge:
            return False
        earlier = int(self.mask[:, :before].sum(1).max())
        if self._lengths.can_continue(earlier, int(self.mask.sum(1).max())):
            return False
        hf_model: Any = self._model.original_model  # type: ignore[attr-defined]
        past = self._cache.cache  # type: ignore[union-attr]
        prepared = hf_model.prepare_inputs_for_generation(self.ids, past_key_values=past, attention_mask=self.mask)
        return prepared.get("past_key_values") is not past

    def _pass(self, ids: Tensor, mask: Tensor, past: Any, kept: int) -> Tensor:
        arguments: dict[str, Any] = {"attention_mask": mask}
        if not self._bridge:
            arguments["past_kv_cache"] = past
        elif past is not None:
            arguments |= {"past_key_values": past, "use_cache": True}
        if self._takes_logits_to_keep:
            arguments["logits_to_keep"] = kept
        with own_view(self._model, longest=self.ids.shape[1]) as view:
            run: Any = view
            logits: Tensor = run(ids, **arguments, **rope_arguments(view, self._lengths, mask, ids.shape[1]))
        return logits[:, -kept:]


def warn_of_slow_passes(model: HookedModel, cause: str) -> None:
    """Say once for a model why writing and scoring are slow on it: every new token reads its whole row again."""
    if model_of(model) in _warned:
        return
    _warned.add(model_of(model))
    warnings.warn(
        f"{type(model).__name__}: {cause}, so every new token reads its whole row again: the numbers are right, but "
        f"writing takes several times longer (five times on short chats, more on long ones). TransformerBridge keeps "
        f"keys and values on transformers below 5.24",
        stacklevel=2,
    )


def _taken(states: Tensor, index: Int[Tensor, "row pos"], dim: int) -> Tensor:
    """Columns of keys or values, row by row; `dim` is where the columns are."""
    shape = [1] * states.ndim
    shape[0], shape[dim] = index.shape
    size = list(states.shape)
    size[dim] = index.shape[1]
    return states.gather(dim, index.to(states.device).view(shape).expand(size))


def cache_bytes_per_column(model: HookedModel) -> int:
    """Memory that the keys and values of one token take in all layers."""
    cfg = model.cfg
    heads = getattr(cfg, "n_key_value_heads", None) or cfg.n_heads
    return int(2 * cfg.n_layers * heads * cfg.d_head) * torch.finfo(cfg.dtype).bits // 8


def _parameters(module: Any) -> Any:
    return inspect.signature(module.forward).parameters
