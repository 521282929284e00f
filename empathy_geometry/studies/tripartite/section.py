"""A finished part of the study: plain data, so that a run can be taken up from files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from empathy_geometry.foundation.json_codec import to_json
from empathy_geometry.studies.finding import Finding


@dataclass(frozen=True)
class Section:
    """What one part of the study found.

    Attributes:
        name: Short name; its file in the study's folder is called after it.
        title: What it asks.
        findings: Lines of the table.
        numbers: Everything else, ready for JSON.
        seconds: How long it took.
    """

    name: str
    title: str
    findings: tuple[Finding, ...]
    numbers: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "numbers", to_json(self.numbers))

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "findings": [f.to_dict() for f in self.findings],
            "numbers": dict(self.numbers),
            "seconds": round(self.seconds, 2),
        }
