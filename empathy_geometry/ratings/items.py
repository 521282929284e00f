"""The texts to be rated, without what must not be seen, and the key that knows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from empathy_geometry.foundation.checked_json import dump_checked, read_checked
from empathy_geometry.foundation.durable_file import write_text
from empathy_geometry.foundation.names import as_texts
from empathy_geometry.steering.sweep import SteeringSweep
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.text_records import RESPONSE_SEPARATOR

KEY_FORMAT = "empathy_geometry.rating_key/1"


@dataclass(frozen=True)
class Source:
    """Where a text comes from, which raters must not know.

    Attributes:
        label: Its class, or "".
        measures: Numbers that belong to it: alpha, coherence, concept score, ...
    """

    label: str = ""
    measures: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Item:
    """One text to be rated.

    Attributes:
        id: Says nothing of the source.
        text: What is rated.
        prompt: What it answers, or "".
        group: The scenario or prompt: ratings of one group are not independent.
        sources: Every row of the study with this very text (small alphas may all leave it unchanged).
    """

    id: str
    text: str
    prompt: str
    group: str
    sources: tuple[Source, ...]

    @property
    def measures(self) -> dict[str, float]:
        """Mean of each measure over the sources."""
        names = dict.fromkeys(name for s in self.sources for name in s.measures or {})
        return {
            name: float(np.mean([s.measures[name] for s in self.sources if s.measures and name in s.measures]))
            for name in names
        }


@dataclass(frozen=True)
class Key:
    """What connects item ids with their sources; belongs to whoever analyses, not to the raters.

    Attributes:
        sheet: Name of the sheet, which every form and CSV of it carries.
        question: What was asked.
        scale: Lowest and highest rating.
        items: The items, in no rater's order.
    """

    sheet: str
    question: str
    scale: tuple[int, int]
    items: tuple[Item, ...]

    def save(self, path: Path) -> Path:
        """Write JSON with a checksum, whole or not at all."""
        content = {
            "format": KEY_FORMAT,
            "sheet": self.sheet,
            "question": self.question,
            "scale": list(self.scale),
            "items": [
                {
                    "id": item.id,
                    "text": item.text,
                    "prompt": item.prompt,
                    "group": item.group,
                    "sources": [{"label": s.label, "measures": dict(s.measures or {})} for s in item.sources],
                }
                for item in self.items
            ],
        }
        return write_text(path, dump_checked(content, indent=1))

    @classmethod
    def load(cls, path: str | Path) -> "Key":
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is damaged, or no key.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"there is no key at {path}; export_rating_sheet wrote it beside the folder")
        content = read_checked(path, KEY_FORMAT, "take the key that belongs to the sheet")
        items = tuple(
            Item(
                row["id"],
                row["text"],
                row["prompt"],
                row["group"],
                tuple(Source(s["label"], s["measures"]) for s in row["sources"]),
            )
            for row in content["items"]
        )
        low, high = content["scale"]
        return cls(content["sheet"], content["question"], (low, high), items)


def rows_of(
    texts: SteeringSweep | LabeledTexts | Sequence[str], measures: Mapping[str, Sequence[float]]
) -> list[tuple[str, str, str, Source]]:
    """(text, prompt, group, source) of every row of a sweep, of labeled texts or of plain strings."""
    if isinstance(texts, LabeledTexts):
        responses = texts.responses
        # The cue by which a model knows where to answer is nothing that a reader needs.
        prompts = [p.removesuffix(RESPONSE_SEPARATOR).strip() for p in texts.prompts or [""] * len(texts)]
        groups, labels = [str(g) for g in texts.groups], [str(label) for label in texts.labels]
        rows = list(zip(responses, prompts, groups, labels, strict=True))
    elif hasattr(texts, "alphas"):
        return _sweep_rows(texts, measures)
    else:
        rows = [(text, "", f"text {i}", "") for i, text in enumerate(as_texts(texts))]
    for name, values in measures.items():
        if len(values) != len(rows) or not np.isfinite(np.asarray(values, dtype=float)).all():
            raise ValueError(f"measures[{name!r}] must be {len(rows)} finite numbers, one per text, got {len(values)}")
    return [
        (text, prompt, group, Source(label, {name: float(values[i]) for name, values in measures.items()}))
        for i, (text, prompt, group, label) in enumerate(rows)
    ]


def _sweep_rows(sweep: Any, measures: Mapping[str, Sequence[float]]) -> list[tuple[str, str, str, Source]]:
    if measures:
        raise ValueError("a sweep brings its own measures; leave measures out")
    rows = []
    for a, alpha in enumerate(sweep.alphas):
        for p, prompt in enumerate(sweep.prompts):
            found = {
                "alpha": float(alpha),
                "|alpha|": abs(float(alpha)),
                "concept": float(sweep.concept[a, p]),
                "coherence": float(sweep.coherence[a, p]),
                **{f"coherence: {name}": float(part[a, p]) for name, part in sweep.parts.items()},
            }
            rows.append((sweep.texts[a][p], prompt, prompt, Source("", found)))
    return rows
