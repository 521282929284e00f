"""Continuing prompts in batches, exactly as one by one, on every model type."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from empathy_geometry.activations.batching import batches
from empathy_geometry.foundation._types import FloatArray, Layer, Seed
from empathy_geometry.foundation._validation import as_rng
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.models.loading import HookedModel, check_model, hook_name
from empathy_geometry.models.tokens import chat_prompt, pad, tokenize
from empathy_geometry.steering.cached_rows import CachedRows
from empathy_geometry.steering.decoding import Edit, decode

# Scoring makes logits for every new token: rows x columns x vocabulary x 4 bytes is what bounds a batch.
_LOGIT_BYTES = 500_000_000


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

    def __add__(self, other: "Continuations") -> "Continuations":
        """Both, one after the other."""
        return Continuations(self.prompt_ids + other.prompt_ids, self.new_ids + other.new_ids, self.texts + other.texts)

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
    edit: Edit | None = None,
    progress: Callable[[int], object] | None = None,
) -> Continuations:
    """Continue each prompt, batched; the result for a row does not depend on its batch.

    Args:
        model: HookedTransformer or TransformerBridge.
        prompts: User messages (or plain texts with `chat=False`).
        max_new_tokens: At most so many tokens each; generation ends earlier at the model's end token.
        chat: Wrap each prompt in the tokenizer's chat template, where it has one.
        temperature: 0 is greedy; above, samples. Each row has draws of its own, which depend on the seed and the
            row's number only.
        rng: Seed of the sampling.
        edit: Called with the row indices of each batch, gives the context in which that batch runs (steering).
        progress: Called with the number of rows done after each batch.

    Raises:
        ValueError: a prompt does not fit the context together with the new tokens, or options are out of range.
    """
    rows = prompt_tokens(model, prompts, max_new_tokens=max_new_tokens, chat=chat)
    new_ids = decode(
        model,
        rows,
        max_new_tokens=max_new_tokens,
        edit=edit,
        temperature=temperature,
        draws=sampling_draws(temperature, rng, len(rows), max_new_tokens),
        progress=progress,
    )
    return continuations(model, rows, new_ids)


def prompt_tokens(
    model: HookedModel, prompts: Sequence[str], *, max_new_tokens: int, chat: bool
) -> list[tuple[int, ...]]:
    """Token ids of prompts, checked, as `generate` reads them."""
    check_model(model)
    if isinstance(prompts, str) or not len(prompts):
        raise ValueError("prompts must be a non-empty sequence of strings; try [prompt]")
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be at least 1, got {max_new_tokens}")
    strings = [chat_prompt(model, p) for p in prompts] if chat else list(prompts)
    return [t.ids for t in tokenize(model, strings, max_new_tokens=max_new_tokens)]


def sampling_draws(temperature: float, rng: Seed, n_rows: int, max_new_tokens: int) -> FloatArray | None:
    """Numbers in [0, 1) that decide the tokens of each row and step; None for greedy decoding.

    Raises:
        ValueError: the temperature is negative or not finite.
    """
    if not 0 <= temperature < np.inf:
        raise ValueError(f"temperature must not be negative, and finite, got {temperature}")
    if temperature == 0:
        return None
    seed = int(as_rng(rng).integers(2**31))
    return np.stack([np.random.default_rng([seed, row]).random(max_new_tokens) for row in range(n_rows)])


def continuations(
    model: HookedModel, prompt_ids: Sequence[tuple[int, ...]], new_ids: Sequence[tuple[int, ...]]
) -> Continuations:
    """Prompts and what was written after them, with the text."""
    texts = [model.tokenizer.decode(list(ids), skip_special_tokens=True) for ids in new_ids]
    return Continuations(tuple(prompt_ids), tuple(new_ids), tuple(texts))


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

    Each distinct prompt is read once, each distinct continuation of it too, and logits are made for new tokens only.

    Args:
        model: The scorer.
        continuations: What to score.
        direction: Read the mean projection of the new tokens on it, at its own layer.
    """
    if direction is None:
        return Reading(_read(model, continuations, None, None)[0], None)
    nll, streams = _read(model, continuations, _layer_of(direction), direction.site)
    assert streams is not None
    return Reading(nll, direction.project(streams))


def read_streams(
    model: HookedModel, continuations: Continuations, *, layer: Layer, site: str = "resid_post"
) -> tuple[Reading, Float[Tensor, "n d_model"]]:
    """`read_continuations` without a direction, and the mean residual stream of the new tokens at a layer."""
    nll, streams = _read(model, continuations, layer, site)
    assert streams is not None
    return Reading(nll, None), streams


def _read(
    model: HookedModel, continuations: Continuations, layer: Layer | None, site: str | None
) -> tuple[tuple[Tensor, ...], Tensor | None]:
    pairs = list(zip(continuations.prompt_ids, continuations.new_ids, strict=True))
    distinct = list(dict.fromkeys(pairs))
    nll: dict[tuple[tuple[int, ...], tuple[int, ...]], Tensor] = {}
    means: dict[tuple[tuple[int, ...], tuple[int, ...]], Tensor] = {}
    taken: list[Tensor] = []
    names = [] if layer is None else [hook_name(model, layer, site)]  # type: ignore[arg-type]
    hooks = [(name, lambda stream, hook: taken.append(stream.float())) for name in names]
    columns = max(1, _LOGIT_BYTES // (4 * int(model.cfg.d_vocab)))
    distinct.sort(key=lambda pair: -len(pair[1]))
    for run in batches(np.array([len(new) for _, new in distinct]), "auto", columns):
        batch = distinct[run]
        prompts = list(dict.fromkeys(prompt for prompt, _ in batch))
        ids, mask = pad(prompts, side="left")
        with torch.no_grad():
            read = CachedRows(model, len(prompts))
            after = read.read(ids, mask, logits="last")
            which = torch.tensor([prompts.index(prompt) for prompt, _ in batch])
            new, real = pad([written for _, written in batch])
            with model.hooks(fwd_hooks=hooks):
                logits = read.select(which).read(new, real, logits="all")
        for row, pair in enumerate(batch):
            n = len(pair[1])
            before = torch.cat([after[which[row]], logits[row, : n - 1]]).float()
            target = new[row, :n, None].to(before.device)
            nll[pair] = (before.logsumexp(-1) - before.gather(1, target)[:, 0]).cpu()
            if taken:
                # Without a cache the pass runs over the prompt as well.
                means[pair] = taken[-1][row, -new.shape[1] :][:n].mean(0).cpu()
        taken.clear()
    streams = torch.stack([means[pair] for pair in pairs]) if layer is not None else None
    return tuple(nll[pair] for pair in pairs), streams


def _layer_of(direction: ConceptDirection) -> Layer:
    if direction.layer is None:
        raise ValueError("the direction does not say at which layer it lives; give it a layer")
    return direction.layer
