"""Continuing prompts in batches, exactly as one by one, on every model type."""

import datetime
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from empathy_geometry.foundation._types import FloatArray
from empathy_geometry.foundation._validation import as_generator
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.generation.decoding import BatchContext, decode
from empathy_geometry.models.hooked_model import HookedModel
from empathy_geometry.models.loading import check_model
from empathy_geometry.models.model_view import own_view
from empathy_geometry.models.tokens import ControlReading, tokenize, tokenize_messages


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


@takes_settings()
def generate(
    model: HookedModel,
    prompts: Sequence[str],
    *,
    max_new_tokens: int = 32,
    chat: bool = True,
    date: str | datetime.date | None = None,
    control_tokens: ControlReading = "text",
    temperature: float = 0.0,
    seed: int = 0,
    edit: BatchContext | None = None,
    progress: Callable[[int], object] | None = None,
) -> Continuations:
    """Continue each prompt, batched; the result for a row does not depend on its batch.

    Args:
        model: HookedTransformer or TransformerBridge.
        prompts: User messages (or plain texts with `chat=False`).
        max_new_tokens: At most so many tokens each; generation ends earlier at the model's end token.
        chat: Wrap each prompt in the tokenizer's chat template, where it has one.
        date: The day that a chat template writes, if it writes one; None is 26 July 2024 (see `tokens.tokenize`).
        control_tokens: "text" reads a control token such as "<|im_end|>" inside a prompt as its characters; "control",
            with `chat=False`, takes prompts that carry chat marks of their own.
        temperature: 0 is greedy; above, samples. Each row has draws of its own, which depend on the seed and the
            row's number only.
        seed: Seed of the sampling.
        edit: Called with the row indices of each batch, gives the context in which that batch runs (steering).
        progress: Called with the number of rows done after each batch.

    Raises:
        ValueError: a prompt does not fit the context together with the new tokens, or options are out of range.
    """
    rows = prompt_tokens(
        model, prompts, max_new_tokens=max_new_tokens, chat=chat, date=date, control_tokens=control_tokens
    )
    draws = sampling_draws(temperature, seed, len(rows), max_new_tokens)
    longest = max(map(len, rows)) + max_new_tokens
    # An edit of the caller's is attached to the model itself, so that each pass has to look what is there.
    with nullcontext(model) if edit is not None else own_view(model, longest=longest) as view:
        new_ids = decode(
            view,
            rows,
            max_new_tokens=max_new_tokens,
            edit=edit,
            temperature=temperature,
            draws=draws,
            progress=progress,
        )
    return continuations(model, rows, new_ids)


def prompt_tokens(
    model: HookedModel,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    chat: bool,
    date: str | datetime.date | None = None,
    control_tokens: ControlReading = "text",
) -> list[tuple[int, ...]]:
    """Token ids of prompts, checked, as `generate` reads them."""
    check_model(model)
    if isinstance(prompts, str) or not len(prompts):
        raise ValueError("prompts must be a non-empty sequence of strings; try [prompt]")
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be at least 1, got {max_new_tokens}")
    tokenized = tokenize_messages(
        model, prompts, max_new_tokens=max_new_tokens, chat=chat, date=date, control_tokens=control_tokens
    )
    return [t.ids for t in tokenized]


def sampling_draws(temperature: float, seed: int, n_rows: int, max_new_tokens: int) -> FloatArray | None:
    """Numbers in [0, 1) that decide the tokens of each row and step; None for greedy decoding.

    Raises:
        ValueError: the temperature is negative or not finite.
    """
    if not 0 <= temperature < np.inf:
        raise ValueError(f"temperature must not be negative, and finite, got {temperature}")
    if temperature == 0:
        return None
    drawn = int(as_generator(seed).integers(2**31))
    return np.stack([np.random.default_rng([drawn, row]).random(max_new_tokens) for row in range(n_rows)])


def continuations(
    model: HookedModel, prompt_ids: Sequence[tuple[int, ...]], new_ids: Sequence[tuple[int, ...]]
) -> Continuations:
    """Prompts and what was written after them, with the text."""
    texts = [model.tokenizer.decode(list(ids), skip_special_tokens=True) for ids in new_ids]
    return Continuations(tuple(prompt_ids), tuple(new_ids), tuple(texts))
