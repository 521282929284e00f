"""Texts to token ids: BOS once, own attention masks, and which tokens are the response."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from empathy_geometry.foundation.names import check_text
from empathy_geometry.models.chat_template import ChatTemplate
from empathy_geometry.models.loading import HookedModel, context_length
from empathy_geometry.texts.labeled_texts import LabeledTexts


@dataclass(frozen=True)
class TokenizedText:
    """Token ids of one text and where its response lies.

    Attributes:
        ids: All token ids, BOS included where the model's convention has one.
        start: Index of the first token of the response; the whole text (without BOS) where there is no prompt.
        stop: Index after the last token of the response.
        prompt: Where the prompt's own words lie in a chat template, (first, after the last); None: everything before
            the response, as in plain text.
    """

    ids: tuple[int, ...]
    start: int
    stop: int
    prompt: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def content(self) -> list[int]:
        """Indices of the tokens of prompt and response, the marks of a chat template left out.

        Example:
            >>> TokenizedText((9, 9, 1, 2, 9, 3, 4, 9), start=5, stop=7, prompt=(2, 4)).content
            [2, 3, 5, 6]
        """
        before = range(self.start) if self.prompt is None else range(*self.prompt)
        return [*before, *range(self.start, self.stop)]


def tokenize(
    model: HookedModel,
    texts: LabeledTexts | Sequence[str],
    *,
    prepend_bos: bool | None = None,
    max_new_tokens: int = 0,
    chat_template: bool = False,
) -> list[TokenizedText]:
    """Token ids of each text, with BOS exactly once or not at all.

    Args:
        model: Whose tokenizer and conventions to use.
        texts: Labeled texts, or plain strings (then the whole text counts as response).
        prepend_bos: None follows the model (as `model.to_tokens` does); a text that begins with BOS gets no second.
        max_new_tokens: Room to leave for generation.
        chat_template: Write each text as the model's chat template does: the prompt as the user's turn and the
            response as the assistant's; without a prompt, the text as the user's message, up to where the assistant
            would begin. `start` and `stop` then frame the words themselves. White space around a turn's words, and
            the cue "Response:" at a prompt's end, are left out.

    Raises:
        ValueError: a text has no tokens or does not fit the model's context; names the text. With `chat_template`,
            the tokenizer has no template.
    """
    if isinstance(texts, str):
        raise TypeError("texts must be a sequence of strings, got one string; try [text]")
    if prepend_bos is None:
        prepend_bos = bool(getattr(model.cfg, "default_prepend_bos", True))
    if isinstance(texts, LabeledTexts):
        strings, prompts = list(texts.responses if chat_template else texts.texts), texts.prompts
    else:
        strings, prompts = list(texts), None
    for i, string in enumerate(strings):
        check_text(string, f"texts[{i}]")
    split = _tokenize_chats if chat_template else _tokenize_plain
    result = split(model, strings, prompts, prepend_bos)
    limit = context_length(model) - max_new_tokens
    for i, text in enumerate(result):
        if len(text) > limit:
            room = f" minus {max_new_tokens} new ones" if max_new_tokens else ""
            raise ValueError(
                f"text {i} has {len(text)} tokens, the model's context is {context_length(model)}{room}; shorten it "
                f"or leave it out (it begins {strings[i][:40]!r})"
            )
        if text.start >= text.stop:
            raise ValueError(f"text {i} has no tokens of its own (it is {strings[i][:40]!r})")
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


def _tokenize_plain(
    model: HookedModel, strings: list[str], prompts: Sequence[str] | None, prepend_bos: bool
) -> list[TokenizedText]:
    encoded = _encode(model, strings, prepend_bos)
    bos = model.tokenizer.bos_token_id
    # The response begins where the text's tokens leave those of the prompt alone: a token that straddles the
    # border counts as response. Prompts repeat within a scenario, so each distinct one is encoded once.
    prompt_ids = {} if prompts is None else _encode_distinct(model, prompts, prepend_bos)
    result = []
    for i, ids in enumerate(encoded):
        start = 1 if len(ids) > 1 and ids[0] == bos else 0
        if prompts is not None:
            start = max(start, _common_prefix(ids, prompt_ids[prompts[i]]))
        result.append(TokenizedText(tuple(ids), start, len(ids)))
    return result


def _tokenize_chats(
    model: HookedModel, responses: list[str], prompts: Sequence[str] | None, prepend_bos: bool
) -> list[TokenizedText]:
    template = ChatTemplate(model.tokenizer)
    chats = [template(None if prompts is None else prompts[i], text) for i, text in enumerate(responses)]
    whole = _encode(model, [c.text for c in chats], prepend_bos)
    # Each border lies where the ids of the text up to there leave those of the whole, as for plain prompts; texts
    # that share a head or a prompt share these encodings.
    borders = [
        (c.head, c.head + c.user, c.head + c.user + c.middle, c.head + c.user + c.middle + c.assistant) for c in chats
    ]
    up_to = _encode_distinct(model, [text for row in borders for text in row], prepend_bos)
    result = []
    for chat, ids, row in zip(chats, whole, borders, strict=True):
        user, user_end, answer, answer_end = (_common_prefix(ids, up_to[text]) for text in row)
        if chat.assistant:
            result.append(TokenizedText(tuple(ids), answer, answer_end, (user, user_end)))
        else:
            result.append(TokenizedText(tuple(ids), user, user_end, (user, user)))
    return result


def _encode(model: HookedModel, strings: Sequence[str], prepend_bos: bool) -> list[list[int]]:
    encoded = model.tokenizer(list(strings), add_special_tokens=False)["input_ids"]
    bos = model.tokenizer.bos_token_id
    if not prepend_bos or bos is None:
        return [list(ids) for ids in encoded]
    return [list(ids) if ids and ids[0] == bos else [bos, *ids] for ids in encoded]


def _encode_distinct(model: HookedModel, strings: Sequence[str], prepend_bos: bool) -> dict[str, list[int]]:
    distinct = list(dict.fromkeys(strings))
    return dict(zip(distinct, _encode(model, distinct, prepend_bos), strict=True))


def _common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))
