"""What an audit of labelled texts found: checks with their limits, revealing words, duplicates, damaged characters."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from empathy_geometry.audit.near_duplicates import NearDuplicate
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table

Status = Literal["pass", "caution", "fail", "info"]


@dataclass(frozen=True)
class AuditLimits:
    """What an audit lets pass.

    AUROCs are those of a classifier that sees only the named feature; 0.5 is chance.

    Attributes:
        length: Number of characters or words, either direction.
        sentences: Number of sentences, either direction.
        first_word: Which word the text begins with, in grouped folds.
        single_word: Presence of the one most revealing word, chosen and judged in different folds.
        tfidf: Bag of words, 1- and 2-grams, in grouped folds; None reports it and never fails.
        punctuation: Counts of punctuation marks, in grouped folds; None reports it and never fails.
        final_mark: Which mark ends the text (what a last-token readout sees at layer 0), in grouped folds.
        prompt_overlap: Share of a response's words that its prompt has too, either direction.
        similarity: Character 5-gram Jaccard similarity from which texts of different groups are near-duplicates.
        complete_groups: Smallest share of groups that hold every class equally often, in paired designs.

    Example:
        >>> AuditLimits().length, AuditLimits.matched().length
        (0.65, 0.6)
    """

    length: float = 0.65
    sentences: float = 0.65
    first_word: float = 0.75
    single_word: float = 0.75
    tfidf: float | None = None
    punctuation: float | None = None
    final_mark: float = 0.75
    prompt_overlap: float = 0.75
    similarity: float = 0.8
    complete_groups: float = 1.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not 0 < value <= 1:
                raise ValueError(f"{name} must lie in (0, 1], got {value}")

    @classmethod
    def matched(cls) -> "AuditLimits":
        """Limits for sets in which the classes are meant to share their words."""
        return cls(
            length=0.60,
            sentences=0.60,
            first_word=0.65,
            single_word=0.65,
            tfidf=0.75,
            punctuation=0.65,
            final_mark=0.65,
        )


@dataclass(frozen=True)
class AuditCheck:
    """One question to the texts and its answer.

    Attributes:
        name: What was looked at.
        classes: Which two classes were compared ("a vs b"), or "".
        status: "pass", "fail", "caution" (read the detail before you rely on the texts), or "info".
        value: The number that was judged, None where there is none.
        limit: What it was judged against, None where nothing was.
        detail: In words.
        estimate: The value with its interval over groups, for AUROCs.
    """

    name: str
    classes: str
    status: Status
    value: float | None = None
    limit: float | None = None
    detail: str = ""
    estimate: Estimate | None = None


@dataclass(frozen=True)
class RevealingWord:
    """A word, pair of words or mark that speaks for a class.

    Attributes:
        word: It.
        label: The class.
        weight: Coefficient of a logistic regression on TF-IDF, fitted to all texts (descriptive, not held out).
        inside: Share of the class's texts that have it.
        outside: Share of the other texts that have it.
    """

    word: str
    label: str
    weight: float
    inside: float
    outside: float


@dataclass(frozen=True)
class TextProblem:
    """Something wrong with the characters of one text."""

    row: int
    group: str
    problem: str


@dataclass(frozen=True)
class ClassSummary:
    """Size and shape of one class: number of texts, and means per text."""

    label: str
    n: int
    characters: float
    words: float
    sentences: float


@dataclass(frozen=True)
class TextAudit(Result):
    """The result of `audit_texts`; print it.

    Attributes:
        name: Of the texts.
        sha256: Of the texts.
        n_groups: Number of scenarios.
        classes: Size and shape of each class.
        checks: Every check, pair by pair.
        words: The most revealing words of each class.
        duplicates: Near-duplicates across groups, most similar first.
        problems: Texts with damaged or unusual characters.
        limits: What the checks were judged against.
        seed: Of the folds.
    """

    name: str
    sha256: str
    n_groups: int
    classes: tuple[ClassSummary, ...]
    checks: tuple[AuditCheck, ...]
    words: tuple[RevealingWord, ...]
    duplicates: tuple[NearDuplicate, ...]
    problems: tuple[TextProblem, ...]
    limits: AuditLimits
    seed: int

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[AuditCheck, ...]:
        """The checks that failed."""
        return tuple(c for c in self.checks if c.status == "fail")

    @property
    def cautions(self) -> tuple[AuditCheck, ...]:
        """The checks that ask for a second look."""
        return tuple(c for c in self.checks if c.status == "caution")

    @property
    def verdict(self) -> str:
        """One line: PASS or FAIL, and why."""
        if self.failures:
            names = ", ".join(dict.fromkeys(c.name for c in self.failures))
            return f"FAIL: {names}"
        if self.cautions:
            names = ", ".join(dict.fromkeys(c.name for c in self.cautions))
            return f"PASS, with caution: {names}"
        return "PASS"

    def worst(self, name: str) -> AuditCheck:
        """Of the checks with this name, the one that is nearest to failing or furthest beyond.

        Raises:
            ValueError: there is no such check.
        """
        found = [c for c in self.checks if c.name == name]
        if not found:
            names = list(dict.fromkeys(c.name for c in self.checks))
            raise ValueError(f"no check is called {name!r}; there are {names}")
        order = {"info": 0, "pass": 1, "caution": 2, "fail": 3}
        return max(found, key=lambda c: (order[c.status], -1.0 if c.value is None else c.value))

    def json_content(self) -> dict[str, Any]:
        """Every field and the verdict."""
        return super().json_content() | {"verdict": self.verdict, "passed": self.passed}

    def to_frame(self) -> Any:
        """One row per check, as a pandas DataFrame (pandas must be installed)."""
        import pandas as pd

        return pd.DataFrame([_flat(check) for check in self.checks])

    def tables(self) -> tuple[Table, ...]:
        """Verdict and checks first, then the classes, revealing words, near-duplicates and characters."""
        sizes = ", ".join(f"{c.label}: {c.n}" for c in self.classes)
        checks = []
        for name in dict.fromkeys(c.name for c in self.checks):
            check = self.worst(name)
            value = check.estimate if check.estimate is not None else _number(check.value)
            limit = "" if check.limit is None else f"{check.limit:.2f}"
            detail = "; ".join(part for part in (check.classes, check.detail) if part)
            checks.append({"check": name, "value": value, "limit": limit, "status": check.status, "detail": detail})
        title = f"Audit of {self.name!r}: {self.verdict}\n{self.n_groups} groups; {sizes}"
        found = [
            Table.of(title, checks, notes=["of several pairs of classes the worst is shown"]),
            Table.of("Classes, means", [vars(c) for c in self.classes]),
        ]
        if self.words:
            words = [
                {
                    "class": w.label,
                    "word": repr(w.word),
                    "weight": w.weight,
                    "in the class": w.inside,
                    "else": w.outside,
                }
                for w in self.words
            ]
            found.append(Table.of("Most revealing words, with the share of texts that have them", words))
        if self.duplicates:
            found.append(_first("Near-duplicates across groups", [vars(d) for d in self.duplicates]))
        if self.problems:
            found.append(_first("Characters", [vars(p) for p in self.problems]))
        return tuple(found)


def _first(title: str, rows: list[dict[str, Any]], most: int = 10) -> Table:
    return Table.of(title, rows[:most], notes=[f"{len(rows) - most} more"] if len(rows) > most else [])


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.3f}"


def _flat(check: AuditCheck) -> Mapping[str, Any]:
    row = {k: v for k, v in asdict(check).items() if k != "estimate"}
    estimate = check.estimate
    low, high = (None, None) if estimate is None else (estimate.low, estimate.high)
    return {**row, "low": low, "high": high}
