"""What a report holds, before it is Markdown, HTML or PDF."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from empathy_geometry.foundation.table import Table


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure that is drawn when a format needs it.

    Attributes:
        name: For the file.
        title: What it shows.
        caption: How to read it.
        draw: Gives matplotlib axes.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[], Any]


@dataclass(frozen=True)
class Lines:
    """Sentences, one a line."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class SteeredTexts:
    """Texts of one steering sweep, as its JSON.

    Attributes:
        name: Of the direction.
        threshold: Coherence below which text counts as broken.
        sweep: `SteeringSweep.to_dict()`.
    """

    name: str
    threshold: float
    sweep: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class StudyPart:
    """Everything about one result.

    Attributes:
        key: Short name for anchors and files.
        title: Heading.
        lead: What it is in a sentence; may be empty.
        headline: What `print` shows, to be read first.
        more: Further tables.
        pictures: Figures.
        steered: Texts for the steering explorer.
        methods: What was computed, in words.
        limitations: What the numbers do not say.
        provenance: Name and value.
    """

    key: str
    title: str
    lead: str
    headline: tuple[Table, ...]
    more: tuple[Table, ...]
    pictures: tuple[Picture, ...]
    steered: tuple[SteeredTexts, ...]
    methods: Lines
    limitations: Lines
    provenance: Table


@dataclass(frozen=True, eq=False)
class Document:
    """A whole report.

    Attributes:
        title: Of the page.
        planted: Whether nothing in it is a measurement.
        created: When the newest result was made (UTC, ISO 8601).
        parts: One for each result.
    """

    title: str
    planted: bool
    created: str
    parts: tuple[StudyPart, ...]
