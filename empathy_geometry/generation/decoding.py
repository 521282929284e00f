"""Writing token after token for many rows at once; what rows have in common is read once."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from empathy_geometry.activations.batching import batches
from empathy_geometry.activations.prefix_cache import HOOKED, keeping_obstacle
from empathy_geometry.foundation._types import FloatArray, IntArray
from empathy_geometry.generation.cached_rows import CachedRows, cache_bytes_per_column, warn_of_slow_passes
from empathy_geometry.generation.edited_prompts import PromptEdit, read_edited_prompts
from empathy_geometry.generation.repeats import distinct
from empathy_geometry.models.behaviour_lengths import BehaviourLengths
from empathy_geometry.models.hooked_model import HookedModel
from empathy_geometry.models.model_view import prepare_view
from empathy_geometry.models.tokens import pad

# Keys and values of a batch, and the logits of its rows, are what bounds it.
_CACHE_BYTES = 1_000_000_000
_LOGIT_BYTES = 250_000_000

BatchContext: TypeAlias = Callable[[IntArray], AbstractContextManager[Any]]
"""From the indices of the rows of a batch to the context in which it runs (steering)."""


def decode(
    model: HookedModel,
    prompts: Sequence[tuple[int, ...]],
    *,
    max_new_tokens: int,
    edit: BatchContext | None = None,
    edit_keys: Sequence[Hashable] | None = None,
    prompt_edit: PromptEdit | None = None,
    temperature: float = 0.0,
    draws: FloatArray | None = None,
    progress: Callable[[int], object] | None = None,
) -> list[tuple[int, ...]]:
    """What the model writes after each prompt, up to and including its end token.

    Args:
        model: HookedTransformer or TransformerBridge.
        prompts: Token ids of each row.
        max_new_tokens: At most so many tokens each.
        edit: The context of a batch, entered with the rows' indices.
        edit_keys: Rows with equal keys must be edited alike while their prompts are read, token by token from the
            first. Then a prompt is read once for each key, and so is what all prompts begin with (the head of a chat
            template). None: alike without `edit`, each row for itself with it.
        prompt_edit: The same edit as `edit`, where it is one of the stream at all tokens after some blocks: while
            prompts are read, the blocks before then run once for a prompt, whatever the number of keys.
        temperature: 0 is greedy.
        draws: Numbers in [0, 1) by which tokens are drawn above temperature 0, [row, step].
        progress: Called with the number of rows done after each batch.
    """
    within: BatchContext = (lambda rows: nullcontext()) if edit is None else edit
    keys = [None if edit is None else i for i in range(len(prompts))] if edit_keys is None else list(edit_keys)
    prepare_view(model)
    lengths = BehaviourLengths.of(model)
    longest = max(prompts, key=len, default=())
    grown = (longest * (max_new_tokens + 1))[: len(longest) + max_new_tokens]
    obstacle = keeping_obstacle(model, grown, len(longest) - 1)
    # With hooks of others attached, rows are read as Hugging Face's own generation reads them, and no more is done.
    keep = obstacle in (None, HOOKED)
    if obstacle is not None and not keep:
        warn_of_slow_passes(model, obstacle)
    written: list[tuple[int, ...]] = [()] * len(prompts)
    ends = end_tokens(model)
    for batch in _batches(model, lengths, prompts, max_new_tokens, ragged=keep):
        with torch.no_grad(), ExitStack() as stack:
            rows, logits = _read_prompts(
                model, lengths, prompts, batch, within, keys, prompt_edit, stack, sharing=obstacle is None, keep=keep
            )
            chosen: list[Tensor] = []
            finished = torch.zeros(len(batch), dtype=torch.bool, device=logits.device)
            for step in range(max_new_tokens):
                chosen.append(_choose(logits, temperature, None if draws is None else draws[batch, step]))
                finished |= torch.isin(chosen[-1], torch.tensor(sorted(ends), device=logits.device))
                if step + 1 == max_new_tokens or bool(finished.all()):
                    break
                new = chosen[-1][:, None]
                logits = rows.read(new, torch.ones_like(new, dtype=torch.bool), logits="last")[:, -1]
        for i, ids in zip(batch, torch.stack(chosen, dim=1).tolist(), strict=True):
            stop = next((n + 1 for n, token in enumerate(ids) if token in ends), len(ids))
            written[i] = tuple(ids[:stop])
        if progress is not None:
            progress(len(batch))
    return written


def end_tokens(model: HookedModel) -> frozenset[int]:
    """Every token after which the model has finished: the tokenizer's, and those of the model's own configuration.

    They differ where a chat model ends a turn with another token than a text.
    """
    hf_model = getattr(model, "original_model", None)
    holders = (model.tokenizer, model.cfg, getattr(hf_model, "generation_config", None))
    found: set[int] = set()
    for holder in holders:
        tokens = getattr(holder, "eos_token_id", None)
        found.update([tokens] if isinstance(tokens, int) else tokens or [])
    return frozenset(found)


def _read_prompts(
    model: HookedModel,
    lengths: BehaviourLengths,
    prompts: Sequence[tuple[int, ...]],
    batch: IntArray,
    within: BatchContext,
    keys: Sequence[Hashable],
    prompt_edit: PromptEdit | None,
    stack: ExitStack,
    *,
    sharing: bool,
    keep: bool,
) -> tuple[CachedRows, Float[Tensor, "row vocab"]]:
    """The rows of a batch with their prompts read, and the logits after them; `stack` is left in their context."""
    first, which = distinct([(keys[i], prompts[i]) for i in batch])
    readers = batch[first]
    heads, whose = distinct([keys[i] for i in readers])
    head = 0
    if sharing and len(heads) < len(readers):
        head = _common_head([prompts[i] for i in readers])
        if not all(lengths.can_continue(head, len(prompts[i])) for i in readers):
            head = 0
    if prompt_edit is not None and sharing and len(heads) > 1:
        edited = read_edited_prompts(model, prompts, readers, keys, head, prompt_edit)
        if edited is not None:
            stack.enter_context(within(batch))
            rows, logits = edited
            return (
                (rows, logits) if len(readers) == len(batch) else (rows.select(which.tolist()), logits[which.tolist()])
            )
    rows = CachedRows(model, len(readers), keep=keep)
    if head:
        opened = _behind_padding(model, prompts, readers, readers[heads], whose, head, within)
        rows, head = (rows, 0) if opened is None else (opened, head)
    ids, mask = pad([prompts[i] for i in readers], side="left")
    context = stack if len(readers) == len(batch) else ExitStack()
    with nullcontext() if context is stack else context:
        context.enter_context(within(readers))
        logits = rows.read(ids[:, head:], mask[:, head:], logits="last")[:, -1]
    if context is not stack:
        stack.enter_context(within(batch))
        rows, logits = rows.select(which.tolist()), logits[torch.as_tensor(which, device=logits.device)]
    return rows, logits


def _behind_padding(
    model: HookedModel,
    prompts: Sequence[tuple[int, ...]],
    readers: IntArray,
    openers: IntArray,
    whose: IntArray,
    head: int,
    within: BatchContext,
) -> CachedRows | None:
    """The first `head` columns of the prompts as padded on the left, though each opener read its head only once.

    A shorter prompt's columns hold padding and then the first tokens of the head; it reads the others again with its
    own tokens, in columns that would otherwise be padding.
    """
    ids = torch.tensor([prompts[i][:head] for i in openers])
    with within(openers):
        opened = CachedRows(model, len(openers))
        opened.read(ids, torch.ones_like(ids, dtype=torch.bool), logits="last")
    lengths = np.array([len(prompts[i]) for i in readers])
    return opened.select(whose.tolist()).moved_right((lengths.max() - lengths).tolist())


def _common_head(prompts: Sequence[tuple[int, ...]]) -> int:
    """How many tokens all prompts begin with, two left to each (one alone would look like a token just written)."""
    head = min(map(len, prompts)) - 2
    for prompt in prompts[1:]:
        head = next((i for i, (a, b) in enumerate(zip(prompts[0][:head], prompt, strict=False)) if a != b), head)
    return max(0, head)


def _choose(logits: Float[Tensor, "row vocab"], temperature: float, draws: FloatArray | None) -> Int[Tensor, " row"]:
    if temperature == 0:
        return logits.argmax(-1)
    if draws is None:
        raise ValueError("sampling needs draws")
    # The first token at which the cumulative distribution passes the draw: one number decides, whatever the batch.
    below = (logits.float() / temperature).softmax(-1).cumsum(-1)
    wanted = torch.as_tensor(draws, dtype=below.dtype, device=below.device)[:, None] * below[:, -1:]
    return torch.searchsorted(below, wanted, right=True)[:, 0].clamp_(max=logits.shape[-1] - 1)


def _batches(
    model: HookedModel,
    lengths: BehaviourLengths,
    prompts: Sequence[tuple[int, ...]],
    max_new_tokens: int,
    *,
    ragged: bool,
) -> Iterator[IntArray]:
    """Row indices by falling length, so many that their keys, values and logits fit the memory budget.

    Rows that the model must not read together stand apart; unless `ragged`, so do all of different lengths.
    """
    own = np.array([len(p) for p in prompts])
    order = np.lexsort((np.arange(len(prompts)), -own))
    columns = max(1, _CACHE_BYTES // cache_bytes_per_column(model))
    most = max(1, _LOGIT_BYTES // (4 * int(model.cfg.d_vocab)))
    # The last token that is written is not read again.
    alike = lengths.alike_rows(own[order], growing=max_new_tokens - 1) if ragged else own[order]
    for run in batches(own[order] + max_new_tokens, "auto", columns, alike=alike):
        for start in range(run.start, run.stop, most):
            yield order[start : min(start + most, run.stop)]
