"""Texts through a model, once: all layers in one pass, pooled on the fly, nothing else kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch

from empathy_geometry.activations.batching import Work, shared_prefixes
from empathy_geometry.activations.engine_run import EngineRun, check_engine_can, sharing_words
from empathy_geometry.activations.extraction_run import ExtractionRun
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.activations.positions import Position, check_position, position_name
from empathy_geometry.activations.prefix_cache import HOOKED, has_hooks, sharing_obstacle
from empathy_geometry.activations.reading import ReadingDesign
from empathy_geometry.activations.store import ActivationStore
from empathy_geometry.activations.store_writer import StoreDesign
from empathy_geometry.activations.token_table import TokenTable
from empathy_geometry.engines.vllm_engine import VllmEngine
from empathy_geometry.foundation._types import Layer, Layers
from empathy_geometry.foundation._validation import as_layers, count_or_auto
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.models.behaviour_lengths import BehaviourLengths
from empathy_geometry.models.chat_template import written_day
from empathy_geometry.models.hooked_model import HookedModel, Site, hook_names, model_device
from empathy_geometry.models.loading import check_model
from empathy_geometry.texts.labeled_texts import LabeledTexts


def _store_of_before(given: dict[str, Any], old: dict[str, Any]) -> None:
    """How vectors are kept, as it was said by keywords of its own, put into a `StoreDesign`."""
    own = {new: old.pop(name) for name, new in (("store_dtype", "dtype"), ("shard_size", "shard_size")) if name in old}
    if own and given.get("store") is not None:
        given["store"] = StoreDesign(given["store"], **own)


@overload
def extract_activations(
    model: HookedModel | VllmEngine,
    texts: LabeledTexts,
    *,
    layers: Literal["all"] | Layers = ...,
    position: Position = ...,
    site: Site = ...,
    reading: ReadingDesign = ...,
    batch_size: int | Literal["auto"] = ...,
    share_prefixes: bool | Literal["auto"] = ...,
    store: None = ...,
    progress: bool = ...,
) -> Activations: ...
@overload
def extract_activations(
    model: HookedModel | VllmEngine,
    texts: LabeledTexts,
    *,
    layers: Literal["all"] | Layers = ...,
    position: Position = ...,
    site: Site = ...,
    reading: ReadingDesign = ...,
    batch_size: int | Literal["auto"] = ...,
    share_prefixes: bool | Literal["auto"] = ...,
    store: str | Path | StoreDesign,
    progress: bool = ...,
) -> ActivationStore: ...
@takes_settings(
    reading=ReadingDesign,
    gone={
        "store_dtype": "store=StoreDesign(folder, dtype=...)",
        "shard_size": "store=StoreDesign(folder, shard_size=...)",
    },
    adapt=_store_of_before,
)
def extract_activations(
    model: HookedModel | VllmEngine,
    texts: LabeledTexts,
    *,
    layers: Literal["all"] | Layers = "all",
    position: Position = "last",
    site: Site = "resid_post",
    reading: ReadingDesign = ReadingDesign(),  # noqa: B008 - immutable
    batch_size: int | Literal["auto"] = "auto",
    share_prefixes: bool | Literal["auto"] = "auto",
    store: str | Path | StoreDesign | None = None,
    progress: bool = True,
) -> Activations | ActivationStore:
    """Activations of every text at the given layers, from one forward pass each.

    Texts are batched by length with padding on the right and a mask of our own, so that padding changes nothing;
    the pass ends at the deepest layer asked for and never computes logits; only pooled vectors are kept. Texts with
    the same prompt run its tokens once and continue from its keys and values.

    Args:
        model: HookedTransformer, TransformerBridge, or an engine (`load_engine`). An engine reads "resid_post" only,
            fills its passes itself, and shares beginnings through its own cache; see docs/scale.md.
        texts: What to read.
        layers: "all" (every block), an index, "embed", or several of them.
        position: "last", "mean", "response_mean", "response_quartiles", an int or a callable; see
            `positions.token_slots` for what each reads.
        site: Hook point of the block.
        reading: How texts are read: chat template and its date, control tokens, BOS, outlier tokens. `.left_out` counts
            the outlier tokens that means were taken without.
        batch_size: Texts per forward pass; "auto" fills a number of tokens that suits the device.
        share_prefixes: "auto" runs a prompt once for all its texts where that saves a tenth of the tokens, the model
            can do it and no hooks of others are attached; True insists, False never does. It is tried once on a short
            text, and on a text beyond each length at which the model changes (a window of its attention, a switch of
            its rotary frequencies); a text with more tokens than such a switch never continues a prompt with fewer.
        store: Folder to write the vectors to, shard by shard, instead of holding them: memory then does not grow with
            the number of texts. Called again after a kill, it computes what is missing. Under `torchrun` or
            `accelerate launch` each process runs its part of the shards (without a store, each runs everything). A
            `StoreDesign` also says dtype and shard size.
        progress: Show a bar with tokens per second (never when the output is not a terminal).

    Returns:
        Activations with `.values` float32 [n, layer, d_model], on the CPU, rows in the order of `texts`; with
        "response_quartiles" [n, 4, layer, d_model]. With `store`, the `ActivationStore`, to be read layer by layer.

    Raises:
        TypeError: not a hooked model, or texts are not `LabeledTexts`.
        ValueError: unknown layer, site or position, a text that does not fit the context, no chat template,
            `share_prefixes=True` where it cannot be, or a store that another run began or that is damaged.
        OSError: the store cannot be written (a full disk, say); its finished shards remain.

    Example:
        >>> acts = extract_activations(model, texts, layers=[10, 20], position="mean")  # doctest: +SKIP
    """
    engine = model if isinstance(model, VllmEngine) else None
    hooked: Any = model  # of an engine, only `cfg` and `tokenizer` are used
    if engine is None:
        check_model(hooked)
    if not isinstance(texts, LabeledTexts):
        raise TypeError(
            f"texts must be LabeledTexts, got {type(texts).__name__}; try LabeledTexts(texts, labels, groups)"
        )
    check_position(position)
    wanted = _layers(hooked, layers)
    names = [] if engine is not None else hook_names(hooked, wanted, site)
    batch_size = count_or_auto(batch_size, "batch_size")
    if share_prefixes not in (True, False, "auto"):
        raise ValueError(f"share_prefixes must be True, False or 'auto', got {share_prefixes!r}")
    if engine is not None:
        check_engine_can(engine, wanted, site=site, batch_size=batch_size, share_prefixes=share_prefixes)
    table = TokenTable.build(hooked, texts, position, reading)
    if engine is None:
        groups, sharing = _groups(hooked, table, names, share_prefixes)
    else:
        sharing = sharing_words(engine, share_prefixes)
        groups = shared_prefixes(table, False if sharing == "off" else share_prefixes)
    settings: dict[str, Any] = {
        "layers": list(wanted),
        "position": position_name(position),
        "outlier_tokens": reading.outlier_tokens,
        "site": site,
        "prepend_bos": reading.prepend_bos,
        "chat_template": reading.chat_template,
        "date": written_day(hooked.tokenizer, reading.date) if reading.chat_template else None,
        "control_tokens": reading.control_tokens,
        "padding": "right",
        "share_prefixes": sharing,
    }
    if engine is not None:
        settings["engine"] = engine.settings
    run = (ExtractionRun if engine is None else EngineRun)(
        hooked,
        texts,
        table,
        groups,
        wanted,
        site,
        position,
        reading.outlier_tokens,
        batch_size,
        tokens_per_batch(hooked) if engine is None else 0,
        settings,
        progress,
    )
    if store is None:
        return run.in_memory()
    place = store if isinstance(store, StoreDesign) else StoreDesign(store)
    return run.into_store(place.folder, dtype=place.dtype, shard_size=place.shard_size)


def tokens_per_batch(model: HookedModel) -> int:
    """How many tokens, padding included, go through the model at one time.

    On a CPU core a few hundred are as fast per token as thousands, and small batches hold less padding; a GPU needs
    many to be busy. Where they do not fit its memory, batches are halved on the way.
    """
    if model_device(model).type == "cpu":
        return max(512, 64 * torch.get_num_threads())
    return 16384


def _groups(
    model: HookedModel, table: TokenTable, names: Sequence[str], share_prefixes: bool | Literal["auto"]
) -> tuple[list[Work], str]:
    """The texts by shared prefix, and in words whether and why (not)."""
    if share_prefixes is False:
        return shared_prefixes(table, False), "off"
    groups = shared_prefixes(table, share_prefixes)
    shared = [group for group in groups if group.prefix]
    if not shared:
        return groups, "nothing to share"
    lengths = BehaviourLengths.of(model)
    if not all(lengths.can_continue(g.prefix, int(n)) for g in shared for n in table.lengths[g.rows]):
        if share_prefixes is True:
            raise ValueError(
                f"prefixes cannot be shared: {type(model).__name__} reads a text of more than "
                f"{lengths.rope_switches[0]} tokens with other rotary frequencies than its beginning; try "
                f"share_prefixes='auto', which runs such texts plainly"
            )
        groups = _split_at_switches(table, groups, lengths)
        shared = [group for group in groups if group.prefix]
        if not shared:
            return groups, f"off: rotary frequencies change at {lengths.rope_switches[0]} tokens"
    obstacle = None
    if has_hooks(model):
        obstacle = HOOKED
    if obstacle is None:
        longest = [(int(g.rows[table.lengths[g.rows].argmax()]), g.prefix) for g in shared]
        texts = [(torch.as_tensor(table.row_ids(row), dtype=torch.long), prefix) for row, prefix in longest]
        obstacle = sharing_obstacle(model, texts, max(names, key=_depth))
    if obstacle is None:
        return groups, f"{len(shared)} prefixes shared by {sum(len(g.rows) for g in shared)} texts"
    if share_prefixes is True:
        raise ValueError(f"prefixes cannot be shared: {obstacle}; try share_prefixes='auto', which falls back")
    return shared_prefixes(table, False), f"off: {obstacle}"


def _split_at_switches(table: TokenTable, groups: Sequence[Work], lengths: BehaviourLengths) -> list[Work]:
    """The groups without texts whose beginning, read by itself, would be read with other rotary frequencies."""
    plain = [group.rows for group in groups if not group.prefix]
    shared: list[Work] = []
    for group in groups:
        if group.prefix:
            fits = np.array([lengths.can_continue(group.prefix, int(n)) for n in table.lengths[group.rows]])
            if fits.sum() > 1:
                shared.append(Work(group.rows[fits], group.prefix))
                plain.append(group.rows[~fits])
            else:
                plain.append(group.rows)
    rest = np.sort(np.concatenate(plain))
    return [*shared, Work(rest)] if rest.size else shared


def _depth(name: str) -> int:
    return int(name.split(".")[1])


def _layers(model: HookedModel, layers: Literal["all"] | Layers) -> tuple[Layer, ...]:
    if isinstance(layers, str) and layers == "all":
        return tuple(range(int(model.cfg.n_layers)))
    return as_layers(layers)
