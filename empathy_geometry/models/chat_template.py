"""A prompt and its response as turns of the model's chat template, with the place of their own words."""

from dataclasses import dataclass
from typing import Any

from empathy_geometry.texts.text_records import RESPONSE_SEPARATOR

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
    def text(self) -> str:
        """The whole conversation."""
        return self.head + self.user + self.middle + self.assistant + self.tail


class ChatTemplate:
    """The frame that a tokenizer's chat template puts around a conversation of one or two turns.

    Raises:
        ValueError: the tokenizer has no chat template, or its template does not keep the words of a turn together.
    """

    def __init__(self, tokenizer: Any) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise ValueError(
                "chat_template=True needs a tokenizer with a chat template, and this model's has none (is it a base "
                "model?); try chat_template=False, or set model.tokenizer.chat_template"
            )
        self._tokenizer = tokenizer
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
        return str(self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=assistant is None))

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
