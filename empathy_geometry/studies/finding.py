"""A claim with its verdict, and the tables of claims that every study shows alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.json_codec import to_json
from empathy_geometry.foundation.table import Table

Verdict = Literal["supported", "not supported", "cannot tell"]


@dataclass(frozen=True)
class Finding:
    """A claim and what speaks for and against it.

    Attributes:
        key: Short name, unique in the study.
        claim: What is claimed, or asked.
        reference: The reference study's number; "-" where it gives none that we know.
        quantity: What `ours` is, where the claim does not say.
        ours: Our estimate with its interval; None where the quantity is not defined on these texts.
        baseline: What the words alone (or another comparison) give.
        null: What chance gives.
        verdict: "supported", "not supported" or "cannot tell"; "" for a number that is shown and not judged.
        rule: How the verdict follows from the numbers.
        note: What a reader must know; may be empty.
    """

    key: str
    claim: str
    reference: str = "-"
    quantity: str = ""
    ours: Estimate | None = None
    baseline: str = ""
    null: str = ""
    verdict: Verdict | Literal[""] = ""
    rule: str = ""
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        described: dict[str, Any] = to_json(self.__dict__)
        return described

    @property
    def cells(self) -> dict[str, str]:
        """The claim as a row of its table."""
        beside = [self.baseline, self.null, "" if self.reference == "-" else f"reference study: {self.reference}"]
        return {
            "claim": self.claim,
            "here": f"{self.quantity} {'not defined' if self.ours is None else Estimate.__str__(self.ours)}".strip(),
            "beside it": "; ".join(part for part in beside if part),
            "verdict": self.verdict,
        }


def findings_table(title: str, findings: Sequence[Finding], *, notes: Sequence[str] = ()) -> Table:
    """One row for each claim; what a reader must know about single claims below."""
    about = [f"{f.claim}: {f.note}" for f in findings if f.note]
    return Table.of(title, [f.cells for f in findings], notes=[*notes, *about])


def rules_table(findings: Sequence[Finding]) -> Table:
    """How the verdicts follow from the numbers, each rule once."""
    rules: dict[str, list[str]] = {}
    for f in findings:
        if f.rule:
            rules.setdefault(f.rule, []).append(f.claim)
    rows = [
        {"rule": rule, "of": claims[0] + (f" and {len(claims) - 1} more" if claims[1:] else "")}
        for rule, claims in rules.items()
    ]
    return Table.of("How a verdict follows", rows)
