"""Keys and values of prefixes, run once and given to every text that begins with them."""

import copy
import weakref
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from empathy_geometry.activations.hook_reader import HookReader
from empathy_geometry.models.lean_pass import wrapped_passes
from empathy_geometry.models.loading import HookedModel, is_bridge, model_device
from empathy_geometry.models.tokens import pad

_CHECKED_TOKENS = 24


class PrefixCache:
    """What one forward pass over left-padded prefixes leaves behind, for TransformerBridge and HookedTransformer.

    Attributes:
        cache: The model type's own cache object, to be filled by `HookReader.read(..., past=cache)`.
        mask: True for the real tokens of the prefixes, [prefix, pos].
    """

    def __init__(self, model: HookedModel, mask: Bool[Tensor, "prefix pos"]) -> None:
        self.mask = mask
        self._bridge = is_bridge(model)
        if self._bridge:
            from transformers import DynamicCache

            self.cache: Any = DynamicCache(config=model.original_model.config)  # type: ignore[attr-defined]
        else:
            from transformer_lens.cache.key_value_cache import TransformerLensKeyValueCache

            self.cache = TransformerLensKeyValueCache.init_cache(model.cfg, model_device(model), len(mask))

    def of(self, prefixes: Int[Tensor, " batch"]) -> Any:
        """A cache for a batch whose rows begin with the given prefixes; this one stays as it is."""
        chosen = copy.copy(self.cache)
        if self._bridge:
            chosen.layers = [copy.copy(layer) for layer in self.cache.layers]
            chosen.reorder_cache(prefixes)
            return chosen
        chosen.previous_attention_mask = self.cache.previous_attention_mask[
            prefixes.to(self.cache.previous_attention_mask.device)
        ]
        chosen.entries = [copy.copy(entry) for entry in self.cache.entries]
        for entry in chosen.entries:
            # Layers below the deepest one that was read have no keys.
            index = prefixes.to(entry.past_keys.device)
            entry.past_keys = entry.past_keys[index]
            entry.past_values = entry.past_values[index]
        chosen.freeze()
        return chosen

    def mask_with(
        self, prefixes: Int[Tensor, " batch"], mask: Bool[Tensor, "batch pos"]
    ) -> Bool[Tensor, "batch all_pos"]:
        """The attention mask that the model type wants beside the cache: TransformerBridge's spans the prefixes too."""
        return torch.cat([self.mask[prefixes], mask], dim=1) if self._bridge else mask


_obstacles: "weakref.WeakKeyDictionary[Any, dict[str, str | None]]" = weakref.WeakKeyDictionary()


def sharing_obstacle(model: HookedModel, ids: Int[Tensor, " pos"], name: str) -> str | None:
    """Why the model cannot run a prefix once and its continuations after, or None if it can.

    It is tried: a short text is cut at two places, so that prefixes are padded on the left and continuations on the
    right, and must come out at hook point `name` as in one plain pass. This finds what no list of model types would:
    caches that are ignored or stay empty (TransformerBridge on transformers 5.24), positions that do not go on, states
    that are no keys and values. A verdict is kept for the life of the model object.

    Args:
        model: HookedTransformer or TransformerBridge.
        ids: Token ids of a text, at least three.
        name: The deepest hook point that a run reads.
    """
    known = _obstacles.setdefault(model, {})
    if name not in known:
        known[name] = _try_sharing(model, ids[:_CHECKED_TOKENS], name)
    return known[name]


def _try_sharing(model: HookedModel, ids: Tensor, name: str) -> str | None:
    cuts = (len(ids) // 2, max(1, len(ids) // 4))
    with torch.no_grad(), wrapped_passes(), HookReader(model, [name]) as reader:
        whole = reader.read(ids[None], torch.ones_like(ids[None], dtype=torch.bool), [_as_it_is])[0][0]
        prefixes, prefix_mask = pad([ids[:cut].tolist() for cut in cuts], side="left")
        rest, mask = pad([ids[cut:].tolist() for cut in cuts])
        cache = PrefixCache(model, prefix_mask)
        every = torch.arange(len(cuts))
        try:
            reader.read(prefixes, prefix_mask, [None], past=cache.cache)
            continued = reader.read(rest, cache.mask_with(every, mask), [_as_it_is], past=cache.of(every))[0]
        except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, NotImplementedError) as error:
            return f"{type(model).__name__} cannot continue from a cache ({type(error).__name__}: {error})"[:300]
    worst = 0.0
    for row, cut in enumerate(cuts):
        expected = whole[cut:]
        difference = continued[row, : len(ids) - cut] - expected
        worst = max(worst, float(difference.norm() / expected.norm()))
    limit = 1e-3 if torch.finfo(model.cfg.dtype).bits == 32 else 0.1
    if not worst <= limit:
        return f"{type(model).__name__} continues wrongly from a cache (relative error {worst:.2g} at {name})"
    return None


def _as_it_is(stream: Tensor) -> Tensor:
    return stream.float().cpu()
