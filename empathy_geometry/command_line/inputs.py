"""Texts that a command names: a file of the user's, or a packaged concept."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from empathy_geometry import datasets
from empathy_geometry.command_line.concepts import CONCEPTS, PAIRS
from empathy_geometry.foundation._validation import class_name
from empathy_geometry.studies.bandwidth_texts import check_pairs, two_classes
from empathy_geometry.texts.labeled_texts import LabeledTexts


def read_texts(path: str, classes: Sequence[str] | None = None) -> LabeledTexts:
    """A user's texts from .json, .jsonl (or .ndjson), .csv or .tsv, each also with .gz, or .parquet.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: another suffix, or what the readers refuse.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {path}; --texts takes .json, .jsonl, .csv, .tsv or .parquet")
    suffix = Path(file.name.lower().removesuffix(".gz")).suffix
    if suffix == ".json":
        return LabeledTexts.from_json(file, classes=classes)
    if suffix in (".jsonl", ".ndjson"):
        return LabeledTexts.from_jsonl(file, classes=classes)
    if suffix in (".csv", ".tsv"):
        return LabeledTexts.from_csv(file, classes=classes)
    if suffix == ".parquet":
        return LabeledTexts.from_parquet(file, classes=classes)
    raise ValueError(f"{path} must end in .json, .jsonl, .csv, .tsv or .parquet, so that its layout is known")


def named_texts(name: str, classes: Sequence[str] | None = None) -> LabeledTexts:
    """A packaged concept by name, or a file.

    Raises:
        FileNotFoundError, ValueError: neither.
    """
    if name in CONCEPTS:
        packaged: LabeledTexts = getattr(datasets, CONCEPTS[name])()
        return packaged
    if not Path(name).suffix:
        raise ValueError(f"{name!r} is no packaged concept; there are {', '.join(CONCEPTS)}, or give a file")
    return read_texts(name, classes)


def control_texts(name: str) -> LabeledTexts:
    """Texts of a control concept, two classes paired within scenarios.

    Raises:
        FileNotFoundError, ValueError: no such texts, or texts that cannot be a control.
    """
    texts = named_texts(name)
    if len(texts.classes) != 2:
        raise ValueError(
            f"a control concept has two classes, {texts.name} has {list(texts.classes)}; there are {', '.join(PAIRS)}, "
            f"or give a file of two classes, or --no-control"
        )
    check_pairs(texts, *two_classes(texts, None, None))
    return texts


def asked_texts(path: str | None, concept: str, classes: Sequence[str] | None) -> LabeledTexts:
    """The texts of --texts, else of --concept.

    In a file of one record for each scenario `classes` are keys, in one of a record for each text they are labels.

    Raises:
        FileNotFoundError, ValueError: texts that cannot be read, or a class that does not occur.
    """
    texts = named_texts(concept) if path is None else read_texts(path, classes)
    missing = sorted(set(classes or ()) - set(texts.classes))
    if missing:
        raise ValueError(
            f"--classes: {texts.name} has no {', '.join(map(repr, missing))}; it has {list(texts.classes)}"
        )
    return texts


def one_against_rest(texts: LabeledTexts, positive: str) -> LabeledTexts:
    """The same texts with two classes: `positive`, and "not ..." for all others of the scenario.

    Example:
        >>> three = LabeledTexts(["a", "b", "c"], ["x", "y", "z"], ["1", "1", "1"])
        >>> one_against_rest(three, "x").labels.tolist()
        ['x', 'not x', 'not x']
    """
    positive = class_name(texts.labels, positive, "positive", "the labels")
    return LabeledTexts(
        texts.texts,
        np.where(texts.labels == positive, positive, f"not {positive}"),
        texts.groups,
        prompts=texts.prompts,
        contexts=texts.contexts,
        families=texts.families,
        name=f"{texts.name} ({positive} against the rest)",
    )


def fewer_scenarios(texts: LabeledTexts, most: int) -> LabeledTexts:
    """The first scenarios of every context, `most` in all at most.

    Example:
        >>> texts = LabeledTexts(["a", "b", "c", "d"], ["x", "y"] * 2, ["1", "1", "2", "2"])
        >>> len(fewer_scenarios(texts, 1))
        2
    """
    contexts = np.full(len(texts), "") if texts.contexts is None else texts.contexts
    names = np.unique(contexts)
    kept = [
        g
        for c in names
        for g in list(dict.fromkeys(texts.groups[contexts == c].tolist()))[: max(1, most // len(names))]
    ]
    return texts.where(group=kept)
