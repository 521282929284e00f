"""What the study found: one table, and every number behind it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.foundation.result_file import title
from empathy_geometry.foundation.table import Table
from empathy_geometry.reports.study import Study
from empathy_geometry.studies.finding import Finding, findings_table, rules_table
from empathy_geometry.studies.tripartite.section import Section
from empathy_geometry.studies.tripartite.subject import TYPES, Subject

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, eq=False)
class Tripartite(Study):
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

    @property
    def study(self) -> str:
        """Name of the study; its file is called after it."""
        return self.subject.study

    def tables(self) -> tuple[Table, ...]:
        """The claims, section by section, how their verdicts follow, and what was left out."""
        counts = {v: list(self.verdicts.values()).count(v) for v in ("supported", "not supported", "cannot tell")}
        summary = "; ".join(f"{n} {v}" for v, n in counts.items())
        left_out = [{"section": name, "left out because": reason} for name, reason in self.left_out.items()]
        found = [findings_table(section.title, section.findings) for section in self.sections if section.findings]
        rules = replace(rules_table(self.findings), notes=(summary,))
        found += [table for table in (rules, Table.of("Left out", left_out)) if table.rows]
        first = found[0] if found else Table("no claims", (), ())
        return (replace(first, title=f"{self.heading}\n{first.title}"), *found[1:])

    def json_content(self) -> dict[str, Any]:
        """Everything; the claims of all sections once more in one list, "table"."""
        return {
            "study": self.study,
            "concept": {"name": " - ".join(self.classes), "classes": self.classes},
            "provenance": self.provenance,
            "layer": self.layer,
            "layer_choice": self.layer_choice,
            "table": self.findings,
            "left_out": self.left_out,
            "sections": self.sections,
        }

    @staticmethod
    def json_fields(content: Mapping[str, Any]) -> dict[str, Any]:
        """The fields from what `to_dict` gave."""
        return {**content, "classes": content["concept"]["classes"]} if "concept" in content else dict(content)

    def to_frame(self) -> Any:
        """One row for each claim, as a pandas DataFrame (pandas must be installed)."""
        return findings_table(self.heading, self.findings).to_frame()
