"""What the study found: one table, and every number behind it."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.html_table import html_table
from empathy_geometry.foundation.json_codec import to_json
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.foundation.result_file import title
from empathy_geometry.foundation.terminal import printable
from empathy_geometry.studies.tripartite.finding import Finding, Section
from empathy_geometry.studies.tripartite.subject import TYPES, Subject

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("claim", "reference study", "here", "text-only baseline", "null", "verdict")


@dataclass(frozen=True, eq=False)
class Tripartite:
    """Result of `tripartite` and `concept_study`.

    Attributes:
        sections: What each part found.
        layer: Where single-layer analyses read.
        layer_choice: "nested" or "given".
        provenance: Where every number came from.
        classes: What was told apart.
        left_out: Sections that do not fit the texts, with the reason.
    """

    sections: tuple[Section, ...]
    layer: Layer
    layer_choice: str
    provenance: Provenance
    classes: tuple[str, ...] = TYPES
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def subject(self) -> Subject:
        """The classes, and what they are called."""
        return Subject(self.classes)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every line of the table."""
        return tuple(f for section in self.sections for f in section.findings)

    def finding(self, key: str) -> Finding:
        """One line by its key.

        Raises:
            ValueError: there is no such line.
        """
        for found in self.findings:
            if found.key == key:
                return found
        raise ValueError(f"key must be one of {[f.key for f in self.findings]}, got {key!r}")

    def section(self, name: str) -> Section:
        """One section by its name.

        Raises:
            ValueError: there is no such section.
        """
        for found in self.sections:
            if found.name == name:
                return found
        raise ValueError(f"name must be one of {[s.name for s in self.sections]}, got {name!r}")

    @property
    def verdicts(self) -> dict[str, str]:
        """Verdict of every line by its key."""
        return {f.key: f.verdict for f in self.findings}

    @property
    def heading(self) -> str:
        """Title with the model, marked where the data is planted."""
        model = self.provenance.model.get("name", "an unnamed model")
        return title(
            f"{self.subject.heading} in {model}, layer {self.layer} ({self.layer_choice})", self.provenance.kind
        )

    def rows(self) -> list[tuple[str, str, str, str, str, str]]:
        """The table: claim, reference study's number, ours, text-only baseline, null, verdict."""
        return [f.cells() for f in self.findings]

    @printable
    def __str__(self) -> str:
        lines = [self.heading]
        for section in self.sections:
            lines += ["", section.title]
            for f in section.findings:
                claim, reference, ours, baseline, null, verdict = f.cells()
                lines.append(f"  {verdict:<13}  {claim}")
                shown = [ours, f"baseline: {baseline}", f"null: {null}"]
                shown += [] if reference == "-" else [f"reference study: {reference}"]
                for part in shown:
                    lines += textwrap.wrap(part, 100, initial_indent=" " * 17, subsequent_indent=" " * 19)
        if self.left_out:
            lines += ["", "Left out"]
            lines += [f"  {name}: {reason}" for name, reason in self.left_out.items()]
        counts = {v: list(self.verdicts.values()).count(v) for v in ("supported", "not supported", "cannot tell")}
        return "\n".join([*lines, "", "; ".join(f"{n} {v}" for v, n in counts.items())])

    @printable
    def __repr__(self) -> str:
        return f"Tripartite({self.heading}; {len(self.findings)} findings in {len(self.sections)} sections)"

    def _repr_html_(self) -> str:
        columns = ("claim", "reference study", "ours", "text-only baseline", "null", "verdict")
        rows = [dict(zip(columns, row, strict=True)) for row in self.rows()]
        return html_table(self.heading, rows, notes=[f"{name} left out: {why}" for name, why in self.left_out.items()])

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        described: dict[str, Any] = to_json(
            {
                "study": self.subject.study,
                "concept": {"name": " - ".join(self.classes), "classes": list(self.classes)},
                "provenance": self.provenance.to_dict(),
                "layer": self.layer,
                "layer_choice": self.layer_choice,
                "table": [f.to_dict() for f in self.findings],
                "left_out": dict(self.left_out),
                "sections": [s.to_dict() for s in self.sections],
            }
        )
        return described

    @staticmethod
    def json_fields(content: Mapping[str, Any]) -> dict[str, Any]:
        """The fields from what `to_dict` gave."""
        return {**content, "classes": content["concept"]["classes"]} if "concept" in content else dict(content)

    def to_frame(self) -> "pd.DataFrame":
        """The table as a pandas DataFrame (pandas must be installed)."""
        import pandas as pd

        return pd.DataFrame(self.rows(), columns=list(COLUMNS))

    def save(self, folder: str | Path) -> Path:
        """Write JSON, Markdown and figures as PNG to a folder (matplotlib is needed for figures).

        Files are called tripartite.json and tripartite.md, or concept_study.json and concept_study.md.
        """
        from empathy_geometry.studies.tripartite.files import save_tripartite

        return save_tripartite(self, folder)
