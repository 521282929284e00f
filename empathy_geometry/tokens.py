"""Texts to token ids: BOS once, own attention masks, and which tokens are the response."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from empathy_geometry.models import HookedModel, context_length
from empathy_geometry.texts import LabeledTexts


@dataclass(frozen=True)
class TokenizedText:
    """Token ids of one text and where its response lies.

    Attributes:
        ids: All token ids, BOS included where the model's convention has one.
        start: Index of the first token of the response; the whole text (without BOS) where there is no prompt.
        stop: Index after the last token of the response.
    """

    ids: tuple[int, ...]
    start: int
    stop: int

    def __len__(self) -> int:
        return len(self.ids)


def tokenize(
    model: HookedModel,
    texts: LabeledTexts | Sequence[str],
    *,
    prepend_bos: bool | None = None,
    max_new_tokens: int = 0,
) -> list[TokenizedText]:
    """Token ids of each text, with BOS exactly once or not at all.

    Args:
        model: Whose tokenizer and conventions to use.
        texts: Labeled texts, or plain strings (then the whole text counts as response).
        prepend_bos: None follows the model (as `model.to_tokens` does); a text that begins with BOS gets no second.
        max_new_tokens: Room to leave for generation.

    Raises:
        ValueError: a text has no tokens or does not fit the model's context; names the text.
    """
    strings = list(texts.texts) if isinstance(texts, LabeledTexts) else list(texts)
    prompts = texts.prompts if isinstance(texts, LabeledTexts) else None
    if prepend_bos is None:
        prepend_bos = bool(getattr(model.cfg, "default_prepend_bos", True))
    encoded = _encode(model, strings, prepend_bos)
    bos = model.tokenizer.bos_token_id
    # The response begins where the text's tokens leave those of the prompt alone: a token that straddles the
    # border counts as response. Prompts repeat within a scenario, so each distinct one is encoded once.
    prompt_ids: dict[str, list[int]] = {}
    if prompts is not None:
        distinct = list(dict.fromkeys(prompts))
        prompt_ids = dict(zip(distinct, _encode(model, distinct, prepend_bos), strict=True))
    limit = context_length(model) - max_new_tokens
    result = []
    for i, ids in enumerate(encoded):
        if len(ids) > limit:
            room = f" minus {max_new_tokens} new ones" if max_new_tokens else ""
            raise ValueError(
                f"text {i} has {len(ids)} tokens, the model's context is {context_length(model)}{room}; shorten it "
                f"or leave it out (it begins {strings[i][:40]!r})"
            )
        start = 1 if ids and ids[0] == bos and len(ids) > 1 else 0
        if prompts is not None:
            start = max(start, _common_prefix(ids, prompt_ids[prompts[i]]))
        if start >= len(ids):
            raise ValueError(f"text {i} has no tokens of its own (it is {strings[i][:40]!r})")
        result.append(TokenizedText(tuple(ids), start, len(ids)))
    return result


def chat_prompt(model: HookedModel, message: str) -> str:
    """A user message as the model expects it before it answers: its chat template, or the bare text."""
    if not getattr(model.tokenizer, "chat_template", None):
        return message
    rendered = model.tokenizer.apply_chat_template(
        [{"role": "user", "content": message}], tokenize=False, add_generation_prompt=True
    )
    return str(rendered)


def pad(
    rows: Sequence[Sequence[int]], *, side: str = "right", fill: int = 0
) -> tuple[Int[Tensor, "batch pos"], Bool[Tensor, "batch pos"]]:
    """Rows of ids as one tensor, with the mask of real tokens; the mask never comes from the fill value.

    Example:
        >>> ids, mask = pad([[5, 6], [7]], side="left")
        >>> ids.tolist(), mask.tolist()
        ([[5, 6], [0, 7]], [[True, True], [False, True]])
    """
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), fill, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.bool)
    for i, row in enumerate(rows):
        span = slice(0, len(row)) if side == "right" else slice(width - len(row), width)
        ids[i, span] = torch.as_tensor(row, dtype=torch.long)
        mask[i, span] = True
    return ids, mask


def _encode(model: HookedModel, strings: Sequence[str], prepend_bos: bool) -> list[list[int]]:
    encoded = model.tokenizer(list(strings), add_special_tokens=False)["input_ids"]
    bos = model.tokenizer.bos_token_id
    if not prepend_bos or bos is None:
        return [list(ids) for ids in encoded]
    return [list(ids) if ids and ids[0] == bos else [bos, *ids] for ids in encoded]


def _common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))
