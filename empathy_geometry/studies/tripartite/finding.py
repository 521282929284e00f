"""One line of the study's table, and a finished section: plain data, so that a run can be taken up from files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.json_codec import to_json

Verdict = Literal["supported", "not supported", "cannot tell"]


@dataclass(frozen=True)
class Finding:
    """A claim and what speaks for and against it.

    Attributes:
        key: Short name, unique in the study.
        claim: What is claimed.
        reference: The reference study's number; "-" where it gives none that we know.
        quantity: What `ours` is.
        ours: Our estimate with its interval; None where the quantity is not defined on these texts.
        baseline: What the words alone (or another comparison) give.
        null: What chance gives.
        verdict: "supported", "not supported" or "cannot tell".
        rule: How the verdict follows from the numbers.
        note: What a reader must know; may be empty.
    """

    key: str
    claim: str
    reference: str
    quantity: str
    ours: Estimate | None
    baseline: str
    null: str
    verdict: Verdict
    rule: str
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        described: dict[str, Any] = to_json(self.__dict__)
        return described

    def cells(self) -> tuple[str, str, str, str, str, str]:
        """Claim, reference, ours, baseline, null, verdict, as they are printed."""
        ours = f"{self.quantity} {'not defined' if self.ours is None else self.ours}"
        return self.claim, self.reference, ours, self.baseline or "-", self.null or "-", self.verdict


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
