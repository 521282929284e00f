"""How a sweep writes its texts and what it measures on them."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from empathy_geometry.foundation._validation import check_choice
from empathy_geometry.foundation.settings import Settings
from empathy_geometry.models.chat_template import template_day
from empathy_geometry.models.tokens import ControlReading
from empathy_geometry.steering.coherence import CoherencePart

NEUTRAL_TEXTS = (
    "The museum on the corner opens at ten and closes at five. On Mondays the lower rooms are shut for cleaning.",
    "Water runs from the reservoir through two pipes to the town, where a pump lifts it into the tower.",
    "To copy a page, lay it face down on the glass, close the lid and press the green button on the left.",
    "Most of the valley is farmland. Wheat grows on the southern side, and the northern side is left to grass.",
)
"""Text without emotion on which steering should change as little as possible."""


@dataclass(frozen=True)
class SweepDesign(Settings):
    """How a sweep, and the unsteered model that it is held against, write and are measured.

    Attributes:
        chat: Wrap prompts in the tokenizer's chat template, where it has one.
        date: The day that a chat template writes, as in `generate`.
        control_tokens: As in `generate`.
        temperature: 0 is greedy.
        neutral_texts: Fixed texts on which the change of next-token distributions is measured; none leaves it out.
        parts: Further coherence parts of the user's own.

    Raises:
        TypeError: a name that is no setting.
        ValueError: an unknown option, no date, or a temperature below 0.

    Example:
        >>> SweepDesign(temperature=0.8).chat
        True
    """

    chat: bool = True
    date: str | datetime.date | None = None
    control_tokens: ControlReading = "text"
    temperature: float = 0.0
    neutral_texts: Sequence[str] = NEUTRAL_TEXTS
    parts: Mapping[str, CoherencePart] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice(self.control_tokens, "control_tokens", get_args(ControlReading))
        template_day(self.date)
        if not self.temperature >= 0:
            raise ValueError(f"temperature must not be negative, got {self.temperature}; 0 is greedy")
        if isinstance(self.neutral_texts, str):
            raise TypeError("neutral_texts must be a sequence of texts, got one string; try [text]")

    def to_dict(self) -> dict[str, Any]:
        """Every setting, ready for JSON; of the parts their names."""
        return super().to_dict() | {"parts": list(self.parts)}

    @property
    def shared(self) -> dict[str, Any]:
        """What a sweep and its reference must have in common."""
        return {
            "chat": self.chat,
            "temperature": self.temperature,
            "neutral_texts": tuple(self.neutral_texts),
            "date": None if self.date is None else template_day(self.date),
            "control_tokens": self.control_tokens,
        }
