"""Rows of tokens that a model goes on reading, on any model type, with their keys and values kept."""

import copy
import inspect
from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from empathy_geometry.activations.prefix_cache import PrefixCache
from empathy_geometry.models.lean_pass import lean_pass
from empathy_geometry.models.loading import HookedModel, is_bridge, model_device


class CachedRows:
    """What a model has read of each row so far, so that the next columns cost a pass over themselves only.

    Logits are made only where they are asked for (on TransformerBridge): the unembedding is a fifth of a small model's
    work. Where a model cannot keep keys and values, or leaves the cache empty (TransformerBridge on transformers 5.24),
    every pass runs over all columns instead: slow, and the same numbers.

    Attributes:
        ids: Token ids so far, padding included, [row, pos].
        mask: True for real tokens, [row, pos].

    Example:
        >>> rows = CachedRows(model, n_rows=2)  # doctest: +SKIP
        >>> logits = rows.read(ids, mask, logits="last")  # doctest: +SKIP
    """

    def __init__(self, model: HookedModel, n_rows: int) -> None:
        self._model = model
        self._bridge = is_bridge(model)
        self._device = model_device(model)
        self.ids = torch.zeros(n_rows, 0, dtype=torch.long, device=self._device)
        self.mask = torch.zeros(n_rows, 0, dtype=torch.bool, device=self._device)
        forward = _parameters(model.original_model) if self._bridge else {}  # type: ignore[attr-defined]
        self._takes_logits_to_keep = "logits_to_keep" in forward
        keeps = not self._bridge or "past_key_values" in forward
        self._cache = PrefixCache(model, self.mask) if keeps else None

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

    def read(
        self, ids: Int[Tensor, "row new"], mask: Bool[Tensor, "row new"], *, logits: Literal["last", "all"]
    ) -> Float[Tensor, "row kept vocab"]:
        """Read new columns, and give the logits of all of them or of the last one, [row, 1, vocab]."""
        ids, mask = ids.to(self._device), mask.to(self._device)
        before = self.ids.shape[1]
        self.ids, self.mask = torch.cat([self.ids, ids], dim=1), torch.cat([self.mask, mask], dim=1)
        if self._cache is None:
            return self._pass(self.ids, self.mask, None, 1 if logits == "last" else ids.shape[1])
        past = self._cache.cache
        result = self._pass(ids, self.mask if self._bridge else mask, past, 1 if logits == "last" else ids.shape[1])
        if before == 0 and self._bridge and past.get_seq_length() != ids.shape[1]:
            self._cache = None
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

    def _pass(self, ids: Tensor, mask: Tensor, past: Any, kept: int) -> Tensor:
        model: Any = self._model
        if not self._bridge:
            result: Tensor = model(ids, attention_mask=mask, past_kv_cache=past)
            return result[:, -kept:]
        arguments: dict[str, Any] = {"attention_mask": mask}
        if past is not None:
            arguments |= {"past_key_values": past, "use_cache": True}
        if self._takes_logits_to_keep:
            arguments["logits_to_keep"] = kept
        with lean_pass(model):
            logits: Tensor = model(ids, **arguments)
        return logits[:, -kept:]


def cache_bytes_per_column(model: HookedModel) -> int:
    """Memory that the keys and values of one token take in all layers."""
    cfg = model.cfg
    heads = getattr(cfg, "n_key_value_heads", None) or cfg.n_heads
    return int(2 * cfg.n_layers * heads * cfg.d_head) * torch.finfo(cfg.dtype).bits // 8


def _parameters(module: Any) -> Any:
    return inspect.signature(module.forward).parameters
