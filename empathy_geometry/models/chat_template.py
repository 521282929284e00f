"""A prompt and its response as turns of the model's chat template, with the place of their own words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from empathy_geometry.texts.text_records import RESPONSE_SEPARATOR

DEFAULT_DATE = date(2024, 7, 26)
"""The day that templates write (Llama 3.2, Granite) unless another is asked for: Llama 3.1's own default.

A template that wrote the day of the call would give other activations tomorrow.
"""

_MACRO = (
    "{% macro strftime_now(format) %}{% if format in dates_by_format %}{{ dates_by_format[format] }}{% else %}"
    "{{ raise_exception('cannot write a fixed date in the format ' ~ format) }}{% endif %}{% endmacro %}{{ '' }}"
)
_STRING = re.compile(r"""["']([^"'\n]*%[-#]?[A-Za-z][^"'\n]*)["']""")

_USER_MARK, _ASSISTANT_MARK = "\x11user\x12", "\x11assistant\x12"


@dataclass(frozen=True)
class ChatText:
    """One conversation as the template writes it, cut at the borders of what the user and the assistant said.

    Attributes:
        head: Everything before the user's words.
        user: The user's words, without surrounding white space.
        middle: What the template puts between the two turns; after a lone message, the opening of the answer.
        assistant: The assistant's words; "" after a lone message.
        tail: The rest.
    """

    head: str
    user: str
    middle: str
    assistant: str
    tail: str

    @property
    def pieces(self) -> tuple[tuple[str, bool], ...]:
        """The five parts in order, each with whether the template wrote it."""
        return (
            (self.head, True),
            (self.user, False),
            (self.middle, True),
            (self.assistant, False),
            (self.tail, True),
        )

    @property
    def text(self) -> str:
        """The whole conversation."""
        return "".join(text for text, _ in self.pieces)


class ChatTemplate:
    """The frame that a tokenizer's chat template puts around a conversation of one or two turns.

    Args:
        tokenizer: Of a model.
        day: The day that a template writes if it writes one, a date or ISO 8601 ("2026-11-28"); None takes
            `DEFAULT_DATE`.

    Raises:
        ValueError: the tokenizer has no chat template, its template does not keep the words of a turn together, or
            `day` is no date.
    """

    def __init__(self, tokenizer: Any, day: str | date | None = None) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise ValueError(
                "chat_template=True needs a tokenizer with a chat template, and this model's has none (is it a base "
                "model?); try chat_template=False, or set model.tokenizer.chat_template"
            )
        self._tokenizer, self._day = tokenizer, day
        # The frame is found once with marks in place of words, then every text is checked against the template.
        self._alone = self._split(self._render(_USER_MARK, None), (_USER_MARK,))
        self._dialogue = self._split(self._render(_USER_MARK, _ASSISTANT_MARK), (_USER_MARK, _ASSISTANT_MARK))

    def __call__(self, prompt: str | None, text: str) -> ChatText:
        """The conversation of a user's prompt and a response, or of a user's message alone (`prompt` None or blank).

        The cue "Response:" at a prompt's end, which stands in for the turn in plain text, is left out.

        Raises:
            ValueError: the template changes these words (other than at their ends).
        """
        prompt = (prompt or "").removesuffix(RESPONSE_SEPARATOR).strip()
        text = text.strip()
        if prompt:
            head, middle, tail = self._dialogue
            chat = ChatText(head, prompt, middle, text, tail)
            rendered = self._render(prompt, text)
        else:
            head, middle = self._alone
            chat = ChatText(head, text, middle, "", "")
            rendered = self._render(text, None)
        if rendered != chat.text:
            raise ValueError(
                f"the chat template rewrites this text, so its words cannot be told from the template's: "
                f"{text[:60]!r}; leave it out, or try chat_template=False"
            )
        return chat

    def _render(self, user: str, assistant: str | None) -> str:
        turns = [{"role": "user", "content": user}]
        if assistant is not None:
            turns.append({"role": "assistant", "content": assistant})
        return render_chat(self._tokenizer, turns, answer=assistant is None, day=self._day)

    def _split(self, rendered: str, marks: tuple[str, ...]) -> tuple[str, ...]:
        pieces = []
        for mark in marks:
            piece, found, rendered = rendered.partition(mark)
            if not found or mark in rendered:
                raise ValueError(
                    "this tokenizer's chat template does not show each turn once and as it is; try chat_template=False"
                )
            pieces.append(piece)
        return (*pieces, rendered)


def render_chat(tokenizer: Any, turns: Sequence[dict[str, str]], *, answer: bool, day: str | date | None = None) -> str:
    """A conversation as the template writes it, on a fixed day.

    Args:
        tokenizer: With a chat template.
        turns: Each with "role" and "content".
        answer: Whether to end with the opening of the assistant's answer.
        day: See `ChatTemplate`.
    """
    fixed = template_day(day)
    template = tokenizer.get_chat_template()
    options: dict[str, Any] = {}
    if "strftime_now" in template:
        # Functions cannot be handed to a template; a macro of the same name goes before the function that asks the
        # clock. The empty expression keeps what the template begins with from being trimmed as after a block.
        formats = {f for f in _STRING.findall(template) if "%}" not in f and "{%" not in f}
        options |= {"chat_template": _MACRO + template, "dates_by_format": {f: fixed.strftime(f) for f in formats}}
    if day is not None:
        options["date_string"] = fixed.strftime("%d %b %Y")
    return str(tokenizer.apply_chat_template(list(turns), tokenize=False, add_generation_prompt=answer, **options))


def template_day(day: str | date | None) -> date:
    """The day that is meant.

    Raises:
        ValueError: no date.

    Example:
        >>> template_day("2026-11-28"), template_day(None) == DEFAULT_DATE
        (datetime.date(2026, 11, 28), True)
    """
    if day is None:
        return DEFAULT_DATE
    if isinstance(day, date):
        return day
    try:
        return date.fromisoformat(day)
    except (TypeError, ValueError) as error:
        raise ValueError(f"date must be a datetime.date or ISO 8601 such as '2026-11-28', got {day!r}") from error


def written_day(tokenizer: Any, day: str | date | None = None) -> str | None:
    """The day in ISO 8601 if the tokenizer's template writes one, else None: what a provenance records.

    Raises:
        ValueError: `day` is no date.
    """
    fixed = template_day(day)
    if not getattr(tokenizer, "chat_template", None):
        return None
    other = date(fixed.year - 11, 1 + fixed.month % 12, 1 + fixed.day % 28)
    if day is None and "strftime_now" not in tokenizer.get_chat_template():
        return None  # without a day the template writes what it always writes
    turns = [{"role": "user", "content": "word"}]
    texts = {render_chat(tokenizer, turns, answer=True, day=shown) for shown in (fixed, other)}
    return fixed.isoformat() if len(texts) > 1 else None
