"""Sheets for raters: the texts in random order, as a form for any browser and as CSV, and the key apart from them."""

import base64
import csv
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

import numpy as np

from empathy_geometry.foundation.csv_cells import inert_cell
from empathy_geometry.foundation.durable_file import write_text
from empathy_geometry.foundation.names import check_text, is_missing
from empathy_geometry.foundation.terminal import printable
from empathy_geometry.ratings.items import Item, Key, Source, rows_of
from empathy_geometry.steering.sweep import SteeringSweep
from empathy_geometry.texts.labeled_texts import LabeledTexts

COLUMNS = ("sheet", "item", "prompt", "text", "rating", "comment", "rater")


@dataclass(frozen=True)
class RatingSheet:
    """Where a sheet was written.

    Attributes:
        forms: One HTML form per rater.
        tables: One CSV per rater, for those who prefer a spreadsheet.
        key: The key; keep it from the raters.
        n_items: Texts to rate.
        n_merged: Rows of the study whose text was the same as another's and is rated once.
    """

    forms: tuple[Path, ...]
    tables: tuple[Path, ...]
    key: Path
    n_items: int
    n_merged: int

    @printable
    def __str__(self) -> str:
        merged = f" ({self.n_merged} rows with the same text as another are rated once)" if self.n_merged else ""
        names = ", ".join(path.name for path in (*self.forms, *self.tables))
        return (
            f"{self.n_items} texts to rate{merged}\n  for raters: {names} in {self.forms[0].parent}\n  key: {self.key}"
        )


def export_rating_sheet(
    texts: SteeringSweep | LabeledTexts | Sequence[str],
    folder: str | Path,
    *,
    seed: int,
    question: str = "How empathetic is this reply?",
    scale: tuple[int, int] = (1, 7),
    ends: tuple[str, str] = ("not at all", "very"),
    raters: Sequence[str] = ("rater",),
    measures: Mapping[str, Sequence[float]] = MappingProxyType({}),
    key: str | Path | None = None,
) -> RatingSheet:
    """Write what raters need into a folder, and what they must not see outside of it.

    Raters see the prompt and the text, under an id that says nothing, in an order of their own. Alpha, class and every
    measure go into the key. The form is one HTML file that needs no network: it works by keyboard, keeps its state in
    the browser, and gives the ratings as CSV or JSON, which `import_ratings` reads.

    Args:
        texts: A sweep (every alpha and prompt), labeled texts (their class is blinded), or plain strings. Blank texts
            of a sweep are rated too: what a reader makes of silence is part of the result.
        folder: For the raters; made if need be.
        seed: Of ids and orders. It gives the order away, so choose one that the raters do not know.
        question: What to ask of each text.
        scale: Lowest and highest whole number; at most eleven steps.
        ends: What the lowest and the highest mean.
        raters: Names; each gets files of their own.
        measures: For labeled or plain texts: numbers to be compared with the ratings, one per text.
        key: Path of the key; None puts it beside the folder, "<folder>_key.json".

    Raises:
        ValueError: nothing to rate, a scale of another kind, names that cannot be told apart as file names, a key
            inside the raters' folder, or measures that do not fit.
    """
    folder = Path(folder)
    key_path = folder.with_name(f"{folder.name}_key.json") if key is None else Path(key)
    if folder.resolve() in key_path.resolve().parents:
        raise ValueError(f"the key {key_path} would lie in the raters' folder {folder}; choose another place")
    low, high = _check_scale(scale)
    stems = _file_names(raters)
    items = _merged(rows_of(texts, measures), seed)
    n_rows = sum(len(item.sources) for item in items)
    identity = json.dumps([question, low, high, [[i.id, i.text, i.prompt] for i in items]])
    sheet = hashlib.sha256(identity.encode()).hexdigest()[:12]
    forms, tables = [], []
    for number, (rater, stem) in enumerate(zip(raters, stems, strict=True)):
        order = np.random.default_rng([seed, 1, number]).permutation(len(items))
        shown = [items[i] for i in order]
        tables.append(folder / f"{stem}.csv")
        # With a byte order mark, by which spreadsheet programs know UTF-8.
        write_text(tables[-1], "\ufeff" + _table(sheet, rater, shown))
        forms.append(folder / f"{stem}.html")
        write_text(forms[-1], _form(sheet, rater, shown, question, (low, high), ends))
    Key(sheet, question, (low, high), tuple(items)).save(key_path)
    return RatingSheet(tuple(forms), tuple(tables), key_path, len(items), n_rows - len(items))


def _merged(rows: list[tuple[str, str, str, Source]], seed: int) -> list[Item]:
    """One item for each distinct prompt and text, in random order, under random ids."""
    if not rows:
        raise ValueError("there is nothing to rate; give at least one text")
    sources: dict[tuple[str, str, str], list[Source]] = {}
    for text, prompt, group, source in rows:
        sources.setdefault((text, prompt, group), []).append(source)
    rng = np.random.default_rng([seed, 0])
    keys = list(sources)
    # A letter first, or a spreadsheet would read some as numbers.
    ids = [f"i{number:05x}" for number in rng.choice(16**5, size=len(keys), replace=False)]
    items = []
    for name, i in zip(ids, rng.permutation(len(keys)), strict=True):
        text, prompt, group = keys[i]
        items.append(Item(name, text, prompt, group, tuple(sources[keys[i]])))
    return items


def _table(sheet: str, rater: str, items: Sequence[Item]) -> str:
    target = io.StringIO()
    writer = csv.writer(target)
    writer.writerow(COLUMNS)
    writer.writerows(
        [sheet, item.id, inert_cell(item.prompt), inert_cell(item.text), "", "", inert_cell(rater)] for item in items
    )
    return target.getvalue()


def _form(
    sheet: str, rater: str, items: Sequence[Item], question: str, scale: tuple[int, int], ends: tuple[str, str]
) -> str:
    content = {
        "sheet": sheet,
        "rater": rater,
        "question": question,
        "scale": list(scale),
        "ends": list(ends),
        "items": [{"id": item.id, "prompt": item.prompt, "text": item.text} for item in items],
    }
    # Inside a script element only "</" and "<!--" could end or change it.
    embedded = json.dumps(content, ensure_ascii=True).replace("<", "\\u003c")
    template = files("empathy_geometry.ratings").joinpath("form.html").read_text(encoding="utf-8")
    for element in ("script", "style"):
        template = template.replace(f"{{{{{element.upper()}_HASH}}}}", _csp_hash(template, element))
    return template.replace("{{CONTENT}}", embedded)


def _csp_hash(template: str, element: str) -> str:
    """By which the form's content security policy knows its own script or style; it lets no other run or load."""
    content = template.partition(f"<{element}>")[2].partition(f"</{element}>")[0]
    return base64.b64encode(hashlib.sha256(content.encode("utf-8")).digest()).decode("ascii")


def _check_scale(scale: tuple[int, int]) -> tuple[int, int]:
    low, high = scale
    if not all(isinstance(x, int) and not isinstance(x, bool) for x in scale) or not 1 <= high - low <= 10:
        raise ValueError(f"scale must be two whole numbers at most 10 apart, lowest first, got {scale}; try (1, 7)")
    return low, high


def _file_names(raters: Sequence[str]) -> list[str]:
    if isinstance(raters, str) or not len(raters):
        raise ValueError("raters must be a sequence of names, at least one; try ['rater']")
    for i, name in enumerate(raters):
        check_text(name, f"raters[{i}]")
        if not name.isprintable() or is_missing(name):
            raise ValueError(f"raters[{i}] must be a name without control characters, got {name!r}")
    stems = [re.sub(r"[^\w-]+", "_", name.strip()) for name in raters]
    if not all(stems) or len({stem.lower() for stem in stems}) != len(stems):
        raise ValueError(f"raters must differ as file names, got {list(raters)}, which give {stems}")
    return stems
