"""Readers of public sets that a user has downloaded: checked, grouped rightly, with licence and citation.

Nothing of these sets is in this package. Each reader takes the folder into which you put it; `SOURCES` says where it
comes from, under which licence, and whom to cite.
"""

import csv
import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from empathy_geometry.foundation.checked_json import parse_json
from empathy_geometry.texts.file_contents import read_text
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.targets import target_number
from empathy_geometry.texts.text_records import RESPONSE_SEPARATOR

NONE = "none"
"""Label of a text in which raters found nothing of what they looked for."""

MECHANISMS = ("emotional_reactions", "interpretations", "explorations")
"""Targets of `epitome`."""


@dataclass(frozen=True)
class Source:
    """Where a public set comes from.

    Attributes:
        url: Where to download it.
        licence: As its authors state it.
        citation: Whom to cite.
        sha256: Of its files, by path in the folder, where the source is fixed.
    """

    url: str
    licence: str
    citation: str
    sha256: Mapping[str, str]


SOURCES: Mapping[str, Source] = {
    "epitome": Source(
        "https://github.com/behavioral-data/Empathy-Mental-Health",
        "none stated: use it where you may, and do not pass it on",
        "Sharma, Miner, Atkins & Althoff (2020), A computational approach to understanding empathy expressed in "
        "text-based mental health support, EMNLP",
        {
            "dataset/emotional-reactions-reddit.csv": (
                "225b28ffdc257f8a997d557eb937e78b68235e6203c87c7e2203d00fef8545cc"
            ),
            "dataset/interpretations-reddit.csv": "2cedbe4252c919d22a6f46685afa16d3192a91e3306c2d4a386be12a30ad3f29",
            "dataset/explorations-reddit.csv": "9efa1af8e0537c16894379598f2076cb380ae18aacd9a8d26ebd381f5b7f9645",
        },
    ),
    "empathic_reactions": Source(
        "https://github.com/wwbp/empathic_reactions",
        "CC BY 4.0",
        "Buechel, Buffone, Slaff, Ungar & Sedoc (2018), Modeling empathy and distress in reaction to news stories, "
        "EMNLP",
        {"data/responses/data/messages.csv": "380d2670254565629f81616df57cc0729de96ac87c056d05e39c370624ae8f64"},
    ),
    "geometry_of_truth": Source(
        "https://github.com/saprmarks/geometry-of-truth",
        "none stated: use it where you may, and do not pass it on",
        "Marks & Tegmark (2023), The geometry of truth, arXiv:2310.06824",
        {},
    ),
    "sae_probes_sets": Source(
        "https://pypi.org/project/sae-probes (pip download --no-deps sae-probes)",
        "MIT for the package; its sets keep the terms of their own sources",
        "Kantamneni, Engels, Rajamanoharan, Tegmark & Nanda (2025), Are sparse autoencoders useful?, arXiv:2502.16681",
        {},
    ),
    "steering_bench": Source(
        "https://github.com/dtch1997/steering-bench",
        "MIT",
        "Tan et al. (2024), Analyzing the generalization and reliability of steering vectors, NeurIPS",
        {},
    ),
}
"""By the name of the reader."""


def epitome(folder: str | Path, *, any_version: bool = False) -> LabeledTexts:
    """EPITOME: replies to posts about mental health, rated for three mechanisms of empathy.

    Args:
        folder: The repository; its `dataset/` has one CSV for each mechanism.
        any_version: Also read files that are not byte for byte those that we know.

    Returns:
        Replies with their post as prompt, seeker as group, levels 0, 1, 2 as targets "emotional_reactions",
        "interpretations" and "explorations", and as label the mechanisms that are above 0, joined, or "none".

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file is another version, lacks a column, or its rows are not those of the other files.
    """
    root = Path(folder)
    names = [f"dataset/{name.replace('_', '-')}-reddit.csv" for name in MECHANISMS]
    needed = ("sp_id", "rp_id", "seeker_post", "response_post", "level")
    tables = [_table(root, name, "epitome", needed, any_version) for name in names]
    first = tables[0]
    targets: dict[str, list[float]] = {}
    for mechanism, name, rows in zip(MECHANISMS, names, tables, strict=True):
        ids = [(row["sp_id"], row["rp_id"]) for row in rows]
        if ids != [(row["sp_id"], row["rp_id"]) for row in first]:
            raise ValueError(f"{root / name} has other posts and replies than {names[0]}; download all three together")
        targets[mechanism] = [
            target_number(row["level"], f"{root / name}, row {i}: 'level'") for i, row in enumerate(rows)
        ]
    labels = [[name for name, levels in targets.items() if levels[i] > 0] or NONE for i in range(len(first))]
    prompts = [row["seeker_post"].strip() + RESPONSE_SEPARATOR for row in first]
    replies = [row["response_post"].strip() for row in first]
    return LabeledTexts(
        [prompt + reply for prompt, reply in zip(prompts, replies, strict=True)],
        labels,
        [row["sp_id"] for row in first],
        prompts=prompts,
        targets=targets,
        name="epitome",
    )


def empathic_reactions(folder: str | Path, *, any_version: bool = False) -> LabeledTexts:
    """Empathic Reactions: what people wrote after reading news, with their own empathy and distress, 1 to 7.

    Args:
        folder: The repository, or any folder that holds its `messages.csv` at the same place.
        any_version: Also read a file that is not byte for byte the one that we know.

    Returns:
        Essays with their writer as group and the article as context; targets "empathy" and "distress"; label "empathy",
        "distress", both joined, or "none", as the set's own halves say. Hold both apart with
        groups={"writer": texts.groups, "article": texts.contexts}.

    Raises:
        FileNotFoundError: the file is not there.
        ValueError: it is another version, or lacks a column.
    """
    scales = ("empathy", "distress")
    needed = ("response_id", "article_id", "essay", *scales, *(f"{scale}_bin" for scale in scales))
    name = "data/responses/data/messages.csv"
    rows = _table(Path(folder), name, "empathic_reactions", needed, any_version)
    return LabeledTexts(
        [row["essay"].strip() for row in rows],
        [[scale for scale in scales if row[f"{scale}_bin"].strip() == "1"] or NONE for row in rows],
        [row["response_id"] for row in rows],
        contexts=[row["article_id"] for row in rows],
        targets={
            scale: [target_number(row[scale], f"{name}, row {i}: {scale!r}") for i, row in enumerate(rows)]
            for scale in scales
        },
        name="empathic_reactions",
    )


def geometry_of_truth(folder: str | Path, name: str = "cities") -> LabeledTexts:
    """One set of true and false statements.

    Args:
        folder: The repository; its `datasets/` has one CSV for each set.
        name: Of the set: "cities", "sp_en_trans", "larger_than", ...

    Returns:
        Statements, labels "true" and "false". The group is the thing that is spoken of (the city, the translated word,
        the subject, the two numbers), so that a fact and its negation stay together.

    Raises:
        FileNotFoundError: there is no such set.
        ValueError: a column is missing, or a label is neither 0 nor 1.
    """
    path = Path(folder) / "datasets" / f"{name}.csv"
    rows = _rows(path, ("statement", "label"))
    labels = []
    for i, row in enumerate(rows):
        truth = {"0": "false", "1": "true", "0.0": "false", "1.0": "true"}.get(row["label"].strip())
        if truth is None:
            raise ValueError(f"{path}, row {i}: 'label' must be 0 or 1, got {row['label']!r}")
        labels.append(truth)
    return LabeledTexts(
        [row["statement"].strip() for row in rows], labels, [_spoken_of(row) for row in rows], name=f"truth_{name}"
    )


def sae_probes_sets(where: str | Path | None = None, *, names: Sequence[str] | None = None) -> dict[str, LabeledTexts]:
    """The binary sets of the sparse-probing benchmark that the package `sae-probes` carries.

    Args:
        where: Its wheel, or a folder with its `cleaned_data`; None takes the installed package.
        names: Which sets; None takes all that have two classes.

    Returns:
        Sets by name. Rows are independent of each other (texts that are the same share a group).

    Raises:
        FileNotFoundError: nothing is there.
        ImportError: pyarrow, which unpacks zstandard, is not installed.
        ValueError: an unknown set, or a column is missing.
    """
    found: dict[str, LabeledTexts] = {}
    contents = _cleaned_data(where)
    if names is not None and (unknown := sorted(set(names) - set(contents))):
        raise ValueError(f"names {unknown} are not in {where}; there are {sorted(contents)[:8]}, ...")
    for name in sorted(contents) if names is None else names:
        rows = _parsed(_unpacked(contents[name]()), name, ("prompt", "target"))
        kept = [row for row in rows if row["prompt"].strip() and row["target"].strip()]
        labels = [row["target"] for row in kept]
        if len(set(labels)) != 2:
            if names is not None:
                raise ValueError(f"set {name!r} has {len(set(labels))} classes; binary sets have two")
            continue
        texts = [row["prompt"] for row in kept]
        same = {text: f"text {i}" for i, text in enumerate(dict.fromkeys(texts))}
        found[name] = LabeledTexts(texts, labels, [same[text] for text in texts], name=name)
    if not found:
        raise FileNotFoundError(f"no binary set in {where}; expected cleaned_data/*.csv.zst of the package sae-probes")
    return found


def steering_bench(folder: str | Path, name: str) -> LabeledTexts:
    """One persona set: a statement and the two answers to whether one would say it.

    Args:
        folder: The repository.
        name: Of a set in `assets/processed_datasets/mwe_persona`, such as "agreeableness".

    Returns:
        Question and answer; labels "positive" and "negative"; the question as prompt and group.

    Raises:
        FileNotFoundError: there is no such set.
        ValueError: a record lacks a field.
    """
    path = Path(folder) / "assets" / "processed_datasets" / "mwe_persona" / f"{name}.json"
    if not path.is_file():
        there = sorted(p.stem for p in path.parent.glob("*.json"))
        raise FileNotFoundError(f"there is no set at {path}; there are {there[:5]}, ... ({len(there)})")
    records = parse_json(read_text(path), str(path))
    if not isinstance(records, list) or not records:
        raise ValueError(f"{path} must hold a list of records, got {type(records).__name__}")
    texts, labels, groups, prompts = [], [], [], []
    for i, record in enumerate(records):
        for label in ("positive", "negative"):
            side = record.get(label) if isinstance(record, dict) else None
            if not isinstance(side, dict) or not all(isinstance(side.get(k), str) for k in ("prompt", "response")):
                raise ValueError(f"{path}, record {i}: {label!r} must have 'prompt' and 'response'")
            prompts.append(side["prompt"] + "\n")
            texts.append(prompts[-1] + side["response"])
            labels.append(label)
            groups.append(f"statement {i}")
    return LabeledTexts(texts, labels, groups, prompts=prompts, name=f"persona_{name}")


def _table(root: Path, name: str, reader: str, needed: Sequence[str], any_version: bool) -> list[dict[str, str]]:
    path, source = root / name, SOURCES[reader]
    if not path.is_file():
        raise FileNotFoundError(f"there is no {name} in {root}; get it from {source.url} (licence: {source.licence})")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if not any_version and digest != source.sha256[name]:
        raise ValueError(
            f"{path} is another version than the one we know (SHA-256 {digest[:12]}..., expected "
            f"{source.sha256[name][:12]}...); download it again from {source.url}, or say any_version=True"
        )
    return _rows(path, needed)


def _rows(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    if not path.is_file():
        there = sorted(p.stem for p in path.parent.glob("*.csv"))
        raise FileNotFoundError(f"there is no file {path}; beside it there are {there[:8]}")
    return _parsed(read_text(path), str(path), needed)


def _parsed(text: str, what: str, needed: Sequence[str]) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = [name for name in needed if name not in (reader.fieldnames or [])]
    if missing:
        raise ValueError(f"{what} lacks the column(s) {missing}; it has {list(reader.fieldnames or [])[:12]}")
    rows = [{key: value or "" for key, value in row.items() if key is not None} for row in reader]
    if not rows:
        raise ValueError(f"{what} has no rows")
    return rows


def _spoken_of(row: Mapping[str, Any]) -> str:
    """What a statement is about, by the column that says so or the word that it quotes."""
    for keys in (("city",), ("city1", "city2"), ("subject",), ("n1", "n2")):
        if all(row.get(key) for key in keys):
            # Fifty-one against fifty-two and the other way round are one comparison.
            return " and ".join(sorted(str(row[key]) for key in keys))
    quoted = re.search(r"word '([^']+)'", str(row["statement"]))
    return quoted.group(1) if quoted else str(row["statement"])


def _cleaned_data(where: str | Path | None) -> dict[str, Callable[[], bytes]]:
    """The packed content of each set by name."""
    if where is None:
        spec = find_spec("sae_probes")
        if spec is None or spec.origin is None:
            raise FileNotFoundError(
                f"sae-probes is not installed; give its wheel or folder: {SOURCES['sae_probes_sets'].url}"
            )
        where = Path(spec.origin).parent
    path = Path(where)
    if path.is_file():
        archive = zipfile.ZipFile(path)
        inside = [entry for entry in archive.namelist() if "cleaned_data/" in entry]
        return _by_name(inside, lambda entry: lambda: archive.read(entry))
    files = {str(file): file for file in path.rglob("*.csv.zst") if file.parent.name == "cleaned_data"}
    return _by_name(files, lambda entry: files[entry].read_bytes)


def _by_name(entries: Iterable[str], reader: Callable[[str], Callable[[], bytes]]) -> dict[str, Callable[[], bytes]]:
    return {Path(entry).name.removesuffix(".csv.zst"): reader(entry) for entry in entries if entry.endswith(".csv.zst")}


def _unpacked(packed: bytes) -> str:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ImportError("reading these sets needs pyarrow, which unpacks zstandard; pip install pyarrow") from error
    unpacked: bytes = pa.CompressedInputStream(pa.BufferReader(packed), "zstd").read()
    return unpacked.decode("utf-8")
