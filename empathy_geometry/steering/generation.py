"""Continuing prompts in batches, exactly as one by one, on every model type."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from empathy_geometry.activations.batching import batches
from empathy_geometry.foundation._types import FloatArray, Layer, Seed
from empathy_geometry.foundation._validation import as_rng
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.models.loading import HookedModel, check_model, hook_name, is_bridge, model_device
from empathy_geometry.models.tokens import chat_prompt, pad, tokenize

# The prompt pass makes logits for every column: rows x columns x vocabulary x 4 bytes is what bounds a batch.
_LOGIT_BYTES = 1_000_000_000


@dataclass(frozen=True, eq=False)
class Continuations:
    """What a model wrote after each prompt.

    Attributes:
        prompt_ids: Token ids of each prompt, BOS included.
        new_ids: Token ids written after it, up to and including the end token where there is one.
        texts: The new tokens as text, without special tokens.
    """

    prompt_ids: tuple[tuple[int, ...], ...]
    new_ids: tuple[tuple[int, ...], ...]
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, rows: Sequence[int] | slice | np.ndarray) -> "Continuations":
        index = np.arange(len(self))[rows if isinstance(rows, slice) else np.asarray(rows)]
        return Continuations(
            tuple(self.prompt_ids[i] for i in index),
            tuple(self.new_ids[i] for i in index),
            tuple(self.texts[i] for i in index),
        )

    @classmethod
    def from_texts(cls, model: HookedModel, prompts: Sequence[str], texts: Sequence[str]) -> "Continuations":
        """Continuations that were written elsewhere, tokenised as this model reads them.

        Raises:
            ValueError: numbers differ, or a text is empty.
        """
        if len(prompts) != len(texts):
            raise ValueError(f"prompts and texts must be paired, got {len(prompts)} and {len(texts)}")
        prompt_ids = [t.ids for t in tokenize(model, list(prompts))]
        new_ids = [t.ids for t in tokenize(model, list(texts), prepend_bos=False)]
        return cls(tuple(prompt_ids), tuple(new_ids), tuple(texts))


def generate(
    model: HookedModel,
    prompts: Sequence[str],
    *,
    max_new_tokens: int = 32,
    chat: bool = True,
    temperature: float = 0.0,
    rng: Seed = 0,
    edit: Callable[[np.ndarray], AbstractContextManager[Any]] | None = None,
    progress: Callable[[int], object] | None = None,
) -> Continuations:
    """Continue each prompt, batched; the result for a row does not depend on its batch.

    Args:
        model: HookedTransformer or TransformerBridge.
        prompts: User messages (or plain texts with `chat=False`).
        max_new_tokens: At most so many tokens each; generation ends earlier at the model's end token.
        chat: Wrap each prompt in the tokenizer's chat template, where it has one.
        temperature: 0 is greedy; above, samples (then the result depends on the batch's order of draws).
        rng: Seed of the sampling.
        edit: Called with the row indices of each batch, gives the context in which that batch runs (steering).
        progress: Called with the number of rows done after each batch.

    Raises:
        ValueError: a prompt does not fit the context together with the new tokens, or options are out of range.
    """
    check_model(model)
    if isinstance(prompts, str) or not len(prompts):
        raise ValueError("prompts must be a non-empty sequence of strings; try [prompt]")
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be at least 1, got {max_new_tokens}")
    if temperature < 0:
        raise ValueError(f"temperature must not be negative, got {temperature}")
    strings = [chat_prompt(model, p) for p in prompts] if chat else list(prompts)
    rows = [t.ids for t in tokenize(model, strings, max_new_tokens=max_new_tokens)]
    if temperature > 0:
        torch.manual_seed(int(as_rng(rng).integers(2**31)))
    new_ids: list[tuple[int, ...]] = [()] * len(rows)
    options: dict[str, Any] = {"do_sample": temperature > 0, "temperature": temperature or 1.0}
    for batch in _generation_batches(model, rows):
        with torch.no_grad(), nullcontext() if edit is None else edit(np.array(batch)):
            written = _generate_ids(model, [rows[i] for i in batch], max_new_tokens, options)
        for i, ids in zip(batch, written, strict=True):
            new_ids[i] = ids
        if progress is not None:
            progress(len(batch))
    texts = model.tokenizer.batch_decode([list(ids) for ids in new_ids], skip_special_tokens=True)
    return Continuations(tuple(tuple(r) for r in rows), tuple(new_ids), tuple(texts))


@dataclass(frozen=True, eq=False)
class Reading:
    """What the model, as it is, makes of given continuations.

    Attributes:
        nll: Negative log-likelihood of each new token given all before it, in nats; one tensor [n_new] a row.
        projections: Mean projection of the new tokens' residual stream on a direction, [n]; None without one.
    """

    nll: tuple[Float[Tensor, "n_new"], ...]
    projections: Float[Tensor, "n"] | None

    @property
    def mean_nll(self) -> FloatArray:
        """Nats per token of each row, [n]."""
        return np.array([float(row.double().mean()) for row in self.nll])


def read_continuations(
    model: HookedModel, continuations: Continuations, *, direction: ConceptDirection | None = None
) -> Reading:
    """Score continuations by the model as it is (attach no steering): likelihood and, in the same pass, the concept.

    Args:
        model: The scorer.
        continuations: What to score.
        direction: Read the mean projection of the new tokens on it, at its own layer.
    """
    nll: list[Tensor] = [torch.empty(0)] * len(continuations)
    projections = None if direction is None else torch.zeros(len(continuations))
    rows = [(*p, *n) for p, n in zip(continuations.prompt_ids, continuations.new_ids, strict=True)]
    starts = [len(p) for p in continuations.prompt_ids]
    device = model_device(model)
    for batch in _logit_batches(model, rows):
        ids, mask = pad([rows[i] for i in batch])
        projected: list[Tensor] = []

        def keep(stream: Tensor, hook: object, projected: list[Tensor] = projected) -> None:
            assert direction is not None
            projected.append(direction.project(stream.float()).cpu())

        hooks = [] if direction is None else [(hook_name(model, _layer_of(direction), direction.site), keep)]  # type: ignore[arg-type]
        with torch.no_grad(), model.hooks(fwd_hooks=hooks):
            logits = model(ids.to(device), attention_mask=mask.to(device))  # type: ignore[call-arg]
        for r, i in enumerate(batch):
            start, stop = starts[i], len(rows[i])
            scored = logits[r, start - 1 : stop - 1].float().log_softmax(-1)
            nll[i] = -scored.gather(1, ids[r, start:stop, None].to(device))[:, 0].cpu()
            if projections is not None:
                projections[i] = projected[0][r, start:stop].mean()
    return Reading(tuple(nll), projections)


def _layer_of(direction: ConceptDirection) -> Layer:
    if direction.layer is None:
        raise ValueError("the direction does not say at which layer it lives; give it a layer")
    return direction.layer


def _generate_ids(
    model: HookedModel, rows: list[tuple[int, ...]], max_new_tokens: int, options: dict[str, Any]
) -> list[tuple[int, ...]]:
    ids, mask = pad(rows, side="left", fill=model.tokenizer.pad_token_id or 0)
    device = model_device(model)
    ids = ids.to(device)
    common = {"max_new_tokens": max_new_tokens, "verbose": False, "return_type": "tokens", **options}
    if is_bridge(model):
        written = model.generate(ids, attention_mask=mask.to(device).long(), **common)  # type: ignore[call-arg]
    else:
        # HookedTransformer ignores a mask here; batches for it are of equal length, so there is no padding to mask.
        written = model.generate(ids, prepend_bos=False, padding_side="left", **common)  # type: ignore[call-arg]
    return [_until_end(model, row) for row in written[:, ids.shape[1] :].tolist()]


def _until_end(model: HookedModel, ids: list[int]) -> tuple[int, ...]:
    end = model.tokenizer.eos_token_id
    return tuple(ids[: ids.index(end) + 1]) if end in ids else tuple(ids)


def _generation_batches(model: HookedModel, rows: list[tuple[int, ...]]) -> Iterator[list[int]]:
    if is_bridge(model):
        yield from _logit_batches(model, rows)
        return
    for length in sorted({len(r) for r in rows}, reverse=True):
        same = [i for i, r in enumerate(rows) if len(r) == length]
        for chosen in _logit_batches(model, [rows[i] for i in same]):
            yield [same[j] for j in chosen]


def _logit_batches(model: HookedModel, rows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Row indices by falling length, so many that their logits fit the memory budget."""
    order = sorted(range(len(rows)), key=lambda i: (-len(rows[i]), i))
    columns = max(1, _LOGIT_BYTES // (4 * int(model.cfg.d_vocab)))
    for run in batches(np.array([len(rows[i]) for i in order]), "auto", columns):
        yield order[run]
