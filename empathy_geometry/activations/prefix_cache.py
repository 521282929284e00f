"""Keys and values of prefixes, run once and given to every text that begins with them."""

import copy
import weakref
from collections.abc import Hashable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from empathy_geometry.activations.hook_reader import HookReader
from empathy_geometry.models.behaviour_lengths import BehaviourLengths
from empathy_geometry.models.hooked_model import HookedModel, hook_name, is_bridge, model_device
from empathy_geometry.models.model_view import model_of, wrapped_passes
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
            self.cache: Any = _whole_cache(model.original_model.config)  # type: ignore[attr-defined]
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


def _whole_cache(config: Any) -> Any:
    """Hugging Face's cache for a model, in which layers with a window also keep what has left it.

    Their masks hide it all the same. A row's columns can then be moved, which is how rows of different lengths share a
    head without padding inside.
    """
    from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

    cache = DynamicCache(config=config)
    cache.layers = [DynamicLayer() if type(layer) is DynamicSlidingWindowLayer else layer for layer in cache.layers]
    return cache


HOOKED = "the model has hooks attached, which may count positions"


def has_hooks(model: HookedModel) -> bool:
    """Whether hooks are attached: they may count positions or rows, so nothing is tried and no prefix shared then."""
    return any(getattr(point, "fwd_hooks", None) for point in model.hook_dict.values())


_obstacles: "weakref.WeakKeyDictionary[Any, dict[Hashable, str | None]]" = weakref.WeakKeyDictionary()


def sharing_obstacle(model: HookedModel, texts: Sequence[tuple[Int[Tensor, "_"], int]], name: str) -> str | None:
    """Why the model cannot run a prefix once and its continuations after, or None if it can.

    It is tried: a text is cut at two places, so that prefixes are padded on the left and continuations on the right,
    and must come out at hook point `name` as in one plain pass. This finds what no list of model types would: caches
    that are ignored or stay empty (TransformerBridge on transformers 5.24), positions that do not go on, states that
    are no keys and values. A few tokens of the first text do where the model does one thing at all lengths in question;
    a text beyond a length at which the model changes is tried as it is, cut where its prefix ends, once for each such
    length. A verdict is kept for the life of the model object.

    Args:
        model: HookedTransformer or TransformerBridge.
        texts: What is to be run so: token ids of a text, at least three, and how many of them are its prefix. The
            one with the longest prefix and the longest of all are tried, where the model changes below their length.
        name: The deepest hook point that a run reads.
    """
    lengths = BehaviourLengths.of(model)
    known = _obstacles.setdefault(model, {})
    short = texts[0][0][: min((_CHECKED_TOKENS, *lengths.rope_switches))]
    trials: dict[Hashable, tuple[Tensor, tuple[int, int]]] = {(0, 0, 0): (short, _cuts(lengths, len(short) // 2))}
    for longest in (
        max(texts, key=lambda text: (text[1], len(text[0]))),
        max(texts, key=lambda text: (len(text[0]), text[1])),
    ):
        ids, prefix = longest
        changes = (lengths.passed(prefix), lengths.passed(len(ids)), lengths.alike(len(ids)))
        trials.setdefault(changes, (ids, _cuts(lengths, prefix)))
    for passed, (ids, cuts) in trials.items():
        key = (name, lengths, passed)
        if key not in known:
            known[key] = _try_sharing(model, ids, cuts, name)
        if known[key] is not None:
            return known[key]
    return None


def keeping_obstacle(model: HookedModel, ids: tuple[int, ...], read: int) -> str | None:
    """Why a model cannot go on from keys and values that it kept, in rows of such a length; None if it can.

    Known of models that do one thing at all lengths. Tried where the text passes a window of the attention, or where
    layers keep other states.

    Args:
        model: HookedTransformer or TransformerBridge.
        ids: Any text as long as the longest row will be.
        read: How many of its tokens are read at once, at first.

    Returns:
        `HOOKED` where it would have to be tried, and cannot be.
    """
    model = model_of(model)
    lengths = BehaviourLengths.of(model)
    if not lengths.recurrent and not lengths.passed(len(ids)):
        return None
    if has_hooks(model):
        return HOOKED
    if not lengths.can_continue(read, len(ids)):
        ids = ids[: lengths.rope_switches[0]]
    if len(ids) < 3:
        return None
    read = max(1, min(read, len(ids) - 1))
    return sharing_obstacle(model, [(torch.tensor(ids), read)], hook_name(model, int(model.cfg.n_layers) - 1))


def _cuts(lengths: BehaviourLengths, prefix: int) -> tuple[int, int]:
    """Where a text is cut: after its prefix, and earlier if that is read with the same rotary frequencies."""
    half = max(1, prefix // 2)
    return prefix, half if lengths.can_continue(half, prefix) else prefix


def _try_sharing(model: HookedModel, ids: Tensor, cuts: tuple[int, int], name: str) -> str | None:
    reader = HookReader(model, [name])
    with torch.no_grad(), wrapped_passes():
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
        return (
            f"{type(model).__name__} continues wrongly from a cache (relative error {worst:.2g} at {name}, in "
            f"{len(ids)} tokens)"
        )
    return None


def _as_it_is(stream: Tensor) -> Tensor:
    return stream.float().cpu()
