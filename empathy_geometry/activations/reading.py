"""How texts become tokens and tokens become means: one object for everything that reads texts."""

import datetime
from dataclasses import dataclass
from typing import Any, get_args

from empathy_geometry.activations.outlier_tokens import OUTLIER_TOKENS, OutlierTokens
from empathy_geometry.foundation._validation import check_choice
from empathy_geometry.foundation.settings import Settings
from empathy_geometry.models.chat_template import template_day
from empathy_geometry.models.tokens import ControlReading


@dataclass(frozen=True)
class ReadingDesign(Settings):
    """How texts are read.

    Attributes:
        chat_template: Write prompt and response as turns of the model's chat template, or a text without prompt as the
            user's message; positions then refer to the words of these turns. See `tokens.tokenize`.
        date: The day that the chat template writes, if it writes one (Llama 3.2, Granite): a date or "2026-11-28". None
            is 26 July 2024, so that activations are the same tomorrow. The provenance records it.
        control_tokens: "text" reads a control token such as "<|im_end|>" inside a text as the characters it is written
            with, "control" as the control token, for texts that carry their own chat marks.
        prepend_bos: None follows the model, as `model.to_tokens` does.
        outlier_tokens: "leave_out" takes means without the first token of a text and without any other whose norm at
            that layer is twenty times the text's median (see `activations.outlier_tokens`). "keep" takes every token.
            Positions that read one token read it as it is.

    Raises:
        TypeError: a name that is no setting, or a switch that is neither True nor False.
        ValueError: an unknown option, or no date.

    Example:
        >>> ReadingDesign(chat_template=True, date="2026-11-28").control_tokens
        'text'
    """

    chat_template: bool = False
    date: str | datetime.date | None = None
    control_tokens: ControlReading = "text"
    prepend_bos: bool | None = None
    outlier_tokens: OutlierTokens = "leave_out"

    def __post_init__(self) -> None:
        check_choice(self.control_tokens, "control_tokens", get_args(ControlReading))
        check_choice(self.outlier_tokens, "outlier_tokens", OUTLIER_TOKENS)
        template_day(self.date)
        if not isinstance(self.chat_template, bool) or not isinstance(self.prepend_bos, bool | None):
            raise TypeError(
                f"chat_template must be True or False and prepend_bos one of these or None, got {self.chat_template!r} "
                f"and {self.prepend_bos!r}"
            )

    @property
    def tokenization(self) -> dict[str, Any]:
        """What `tokens.tokenize` takes."""
        return {
            "chat_template": self.chat_template,
            "date": self.date,
            "control_tokens": self.control_tokens,
            "prepend_bos": self.prepend_bos,
        }
