"""One line of the study's table, and a finished section: plain data, so that a run can be taken up from files."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from empathy_geometry.foundation.estimate import Estimate

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
        return {**self.__dict__, "ours": None if self.ours is None else plain(self.ours.to_dict())}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Finding":
        """The inverse of `to_dict`."""
        ours = fields["ours"]
        return cls(**{**fields, "ours": None if ours is None else Estimate(**ours)})

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

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "findings": [f.to_dict() for f in self.findings],
            "numbers": plain(self.numbers),
            "seconds": round(self.seconds, 2),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Section":
        """The inverse of `to_dict`."""
        return cls(**{**fields, "findings": tuple(Finding.from_dict(f) for f in fields["findings"])})


def plain(value: Any) -> Any:
    """`value` as what JSON knows: estimates and arrays become dictionaries and lists, NaN and infinity None.

    Example:
        >>> plain({"a": np.float64("nan"), "b": np.arange(2), "c": (1.0, "x")})
        {'a': None, 'b': [0, 1], 'c': [1.0, 'x']}
    """
    if isinstance(value, Estimate):
        value = value.to_dict()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
