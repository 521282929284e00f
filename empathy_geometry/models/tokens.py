"""Texts to token ids: BOS once, own attention masks, and which tokens are the response."""

import datetime
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from empathy_geometry.foundation._validation import check_choice
from empathy_geometry.foundation.names import as_texts
from empathy_geometry.models.chat_template import ChatTemplate, render_chat, template_day
from empathy_geometry.models.control_tokens import ControlTokens, Pieces
from empathy_geometry.models.hooked_model import HookedModel, context_length
from empathy_geometry.texts.labeled_texts import LabeledTexts

ControlReading = Literal["text", "control"]


@dataclass(frozen=True)
class TokenizedText:
    """Token ids of one text and where its response lies.

    Attributes:
        ids: All token ids, with BOS or whatever else the tokenizer puts before a text.
        start: Index of the first token of the response; the whole text (without what stands before it) where there is
            no prompt.
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
    date: str | datetime.date | None = None,
    control_tokens: ControlReading = "text",
) -> list[TokenizedText]:
    """Token ids of each text, with BOS exactly once or not at all.

    Args:
        model: Whose tokenizer and conventions to use.
        texts: Labeled texts, or plain strings (then the whole text counts as response).
        prepend_bos: None puts before a text what the tokenizer itself puts there (GLM: two tokens), else BOS if the
            model's convention has one (as `model.to_tokens` does); True insists on BOS, False puts nothing. What a
            text begins with already is not put there again. EOS is never added.
        max_new_tokens: Room to leave for generation.
        chat_template: Write each text as the model's chat template does: the prompt as the user's turn and the
            response as the assistant's; without a prompt, the text as the user's message, up to where the assistant
            would begin. `start` and `stop` then frame the words themselves. White space around a turn's words, and
            the cue "Response:" at a prompt's end, are left out.
        date: The day that a chat template writes, if it writes one (Llama 3.2, Granite); None is 26 July 2024, so that
            activations are the same tomorrow.
        control_tokens: How a control token such as "<|im_end|>" inside a text is read: as the characters that it is
            written with ("text"), or as the control token ("control", for texts that carry their own chat marks). The
            chat template's own marks are control tokens either way.

    Raises:
        ValueError: a text has no tokens or does not fit the model's context; names the text. With `chat_template`,
            the tokenizer has no template. `date` is no date.
    """
    check_choice(control_tokens, "control_tokens", get_args(ControlReading))
    template_day(date)
    if isinstance(texts, LabeledTexts):
        strings, prompts = list(texts.responses if chat_template else texts.texts), texts.prompts
    else:
        strings, prompts = list(as_texts(texts)), None
    encoder = _Encoder(model, prepend_bos, control_tokens == "control")
    if chat_template:
        template = ChatTemplate(model.tokenizer, date)
        result = _tokenize_chats(encoder, template, strings, prompts)
    else:
        result = _tokenize_plain(encoder, strings, prompts)
    _check_lengths(model, result, strings, max_new_tokens)
    return result


def tokenize_messages(
    model: HookedModel,
    messages: Sequence[str],
    *,
    max_new_tokens: int = 0,
    chat: bool = True,
    date: str | datetime.date | None = None,
    control_tokens: ControlReading = "text",
) -> list[TokenizedText]:
    """Token ids of user messages as the model expects them before it answers: in its chat template, if it has one.

    Args:
        model: Whose tokenizer and conventions to use.
        messages: What the user says.
        max_new_tokens: Room to leave for the answer.
        chat: False takes the bare text also where there is a template.
        date: See `tokenize`.
        control_tokens: See `tokenize`; "control" for bare texts that carry chat marks of their own.

    Raises:
        ValueError: a message has no tokens or does not fit; one that holds control tokens, where the template does not
            show a message as it is.
    """
    if not chat or not getattr(model.tokenizer, "chat_template", None):
        return tokenize(model, messages, max_new_tokens=max_new_tokens, date=date, control_tokens=control_tokens)
    check_choice(control_tokens, "control_tokens", get_args(ControlReading))
    encoder = _Encoder(model, None, control_tokens == "control")
    pieces: list[Pieces] = []
    for message in as_texts(messages, "prompts"):
        if encoder.control.in_words([encoder.words(message)]):
            pieces.append(ChatTemplate(model.tokenizer, date)(None, message).pieces)
        else:
            pieces.append([(chat_prompt(model, message, date=date), True)])
    result = [TokenizedText(tuple(ids), encoder.n_before(ids), len(ids)) for ids in encoder.encode(pieces)]
    _check_lengths(model, result, messages, max_new_tokens)
    return result


def chat_prompt(model: HookedModel, message: str, *, date: str | datetime.date | None = None) -> str:
    """A user message as the model expects it before it answers: its chat template, or the bare text."""
    if not getattr(model.tokenizer, "chat_template", None):
        return message
    return render_chat(model.tokenizer, [{"role": "user", "content": message}], answer=True, day=date)


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


class _Encoder:
    """A model's tokenizer, with what stands before every text."""

    def __init__(self, model: HookedModel, prepend_bos: bool | None, read_controls: bool) -> None:
        self.control = ControlTokens(model.tokenizer)
        self._bos = model.tokenizer.bos_token_id
        self._before = _tokens_before(model, prepend_bos)
        self._read_controls = read_controls

    def words(self, text: str) -> tuple[str, bool]:
        """A text of somebody's as a piece to encode."""
        return text, self._read_controls

    def encode(self, texts: Sequence[Pieces]) -> list[list[int]]:
        """Ids of each text, with what stands before it."""
        encoded = self.control.encode(texts)
        return [ids if self.n_before(ids) else [*self._before, *ids] for ids in encoded]

    def encode_distinct(self, texts: Sequence[Pieces]) -> dict[Pieces, list[int]]:
        """The same for each different text, once."""
        distinct = list(dict.fromkeys(texts))
        return dict(zip(distinct, self.encode(distinct), strict=True))

    def n_before(self, ids: Sequence[int]) -> int:
        """How many tokens stand before the text itself: all of what belongs there, or a BOS of the text's own."""
        n = len(self._before)
        if n and list(ids[:n]) == self._before:
            return n
        return 1 if n and len(ids) and ids[0] == self._bos else 0


def _tokens_before(model: HookedModel, prepend_bos: bool | None) -> list[int]:
    """Token ids that belong before every text: what the tokenizer's post-processor puts there, else BOS."""
    if prepend_bos is False:
        return []
    tokenizer, bos = model.tokenizer, model.tokenizer.bos_token_id
    bare, dressed = (list(tokenizer("a", add_special_tokens=special)["input_ids"]) for special in (False, True))
    starts = [i for i in range(len(dressed) - len(bare) + 1) if dressed[i : i + len(bare)] == bare]
    before = dressed[: starts[0]] if starts else []
    if prepend_bos is None and not getattr(model.cfg, "default_prepend_bos", True):
        return [i for i in before if i != bos]
    if bos is not None and (not before or (prepend_bos and bos not in before)):
        return [bos, *before]
    return before


def _tokenize_plain(encoder: _Encoder, strings: list[str], prompts: Sequence[str] | None) -> list[TokenizedText]:
    pieces = [(encoder.words(text),) for text in strings]
    holding = [i for i, text in enumerate(pieces) if encoder.control.in_words(text)]
    if holding:
        warnings.warn(
            f"{len(holding)} texts hold control tokens, which are read as the characters they are written with (the "
            f"first is text {holding[0]}, {strings[holding[0]][:40]!r}). If they are chat marks of your own, pass "
            f"control_tokens='control'; to have a chat template written around texts, chat_template=True",
            UserWarning,
            stacklevel=3,
        )
    encoded = encoder.encode(pieces)
    # The response begins where the text's tokens leave those of the prompt alone: a token that straddles the
    # border counts as response. Prompts repeat within a scenario, so each distinct one is encoded once.
    prompt_ids = {} if prompts is None else encoder.encode_distinct([(encoder.words(p),) for p in prompts])
    result = []
    for i, ids in enumerate(encoded):
        start = encoder.n_before(ids) if len(ids) > 1 else 0
        if prompts is not None:
            start = max(start, _common_prefix(ids, prompt_ids[(encoder.words(prompts[i]),)]))
        result.append(TokenizedText(tuple(ids), start, len(ids)))
    return result


def _tokenize_chats(
    encoder: _Encoder, template: ChatTemplate, responses: list[str], prompts: Sequence[str] | None
) -> list[TokenizedText]:
    chats = [template(None if prompts is None else prompts[i], text) for i, text in enumerate(responses)]
    pieces = [tuple((text, is_markup or encoder.words("")[1]) for text, is_markup in c.pieces) for c in chats]
    whole = encoder.encode(pieces)
    # Each border lies where the ids of the text up to there leave those of the whole, as for plain prompts; texts
    # that share a head or a prompt share these encodings.
    up_to = encoder.encode_distinct([text[:n] for text in pieces for n in range(1, 5)])
    result = []
    for chat, ids, text in zip(chats, whole, pieces, strict=True):
        user, user_end, answer, answer_end = (_common_prefix(ids, up_to[text[:n]]) for n in range(1, 5))
        if chat.assistant:
            result.append(TokenizedText(tuple(ids), answer, answer_end, (user, user_end)))
        else:
            result.append(TokenizedText(tuple(ids), user, user_end, (user, user)))
    return result


def _check_lengths(
    model: HookedModel, result: Sequence[TokenizedText], strings: Sequence[str], max_new_tokens: int
) -> None:
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


def _common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))


# A character has at most four bytes, so no more tokens than that can be waiting for its end.
_LONGEST_CHARACTER = 4


def token_pieces(tokenizer: Any, ids: Sequence[int]) -> tuple[str, ...]:
    """What each token adds to the text; together they are the decoded text.

    A character that is spread over several tokens (emoji, Chinese) stands at its last token, and the tokens before it
    add nothing. Bytes that are no character stand as the replacement character.

    Args:
        tokenizer: Of transformers.
        ids: One sequence.
    """
    pieces: list[str] = []
    context, start = 0, 0  # the text of ids[context:start] is known and on display
    for i in range(len(ids)):
        # Decoding from one piece earlier shows the space that some tokenizers drop at the start of a text.
        before = _decode(tokenizer, ids[context:start])
        text = _decode(tokenizer, ids[context : i + 1])
        unfinished = text.endswith("\ufffd") and i + 1 < len(ids) and i + 1 - start < _LONGEST_CHARACTER
        if unfinished:
            pieces.append("")
            continue
        pieces.append(text[len(before) :])
        context, start = start, i + 1
    return tuple(pieces)


def _decode(tokenizer: Any, ids: Sequence[int]) -> str:
    if not len(ids):
        return ""
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))
