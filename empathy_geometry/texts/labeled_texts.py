"""Texts with a label and a scenario each: the input of every study."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from empathy_geometry.foundation._types import BoolArray, IntArray, LabelsLike, NamesLike, StrArray
from empathy_geometry.foundation._validation import as_names
from empathy_geometry.foundation.names import as_name, as_texts
from empathy_geometry.foundation.provenance import hash_texts
from empathy_geometry.foundation.terminal import printable
from empathy_geometry.texts.several_labels import join_labels
from empathy_geometry.texts.targets import Targets, as_targets, joined_targets
from empathy_geometry.texts.text_files import read_csv, read_dataset, read_frame, read_json, read_jsonl, read_parquet
from empathy_geometry.texts.text_records import Columns


@dataclass(frozen=True)
class Text:
    """One item of a `LabeledTexts`."""

    text: str
    label: str
    group: str
    prompt: str | None = None
    context: str | None = None
    family: str | None = None
    targets: Mapping[str, float] | None = None


@dataclass(frozen=True, eq=False)
class LabeledTexts:
    """Texts with a class label and a scenario (group) each.

    The scenario is the unit of replication: texts about one situation share its topic and words, so
    folds, bootstraps and permutations never separate them.

    Attributes:
        texts: The full texts; where prompts are given, prompt + response.
        labels: Class of each text, [n] strings. A text may have several, given as a list and joined as
            "question+warmth"; see `several_labels.label_columns`.
        groups: Scenario of each text, [n] strings; None, by name, says that every text is a scenario of its own.
        prompts: The leading part of each text that is shared context and not the response, or None.
        contexts: A coarse setting of each text ("crisis_support", ...), or None.
        families: Phrasing family of each text, for train-on-one, test-on-the-other splits, or None.
        targets: Graded targets (ratings, say), columns of finite numbers [n] by name, or None.
        name: What the set is called in results.

    Raises:
        ValueError: lengths differ, a text is blank, a text does not begin with its prompt, or a target is not finite.

    Example:
        >>> texts = LabeledTexts(["I lost my job.", "The job ended."], ["felt", "plain"], ["job", "job"])
        >>> len(texts), texts.classes, texts[0].text
        (2, ('felt', 'plain'), 'I lost my job.')
    """

    texts: tuple[str, ...]
    labels: StrArray
    groups: StrArray
    prompts: tuple[str, ...] | None
    contexts: StrArray | None
    families: StrArray | None
    targets: Targets | None
    name: str

    def __init__(
        self,
        texts: Sequence[str],
        labels: LabelsLike,
        groups: LabelsLike | None,
        *,
        prompts: Sequence[str] | None = None,
        contexts: LabelsLike | None = None,
        families: LabelsLike | None = None,
        targets: Mapping[str, Any] | None = None,
        name: str = "texts",
    ) -> None:
        texts = as_texts(texts)
        if not texts:
            raise ValueError("texts is empty; give at least one text")
        for i, text in enumerate(texts):
            if not text.strip():
                raise ValueError(f"texts[{i}] is blank; remove the row or fill it in")
        n = len(texts)
        if prompts is not None:
            prompts = as_texts(prompts, "prompts")
            if len(prompts) != n:
                raise ValueError(f"prompts must have one entry for each of {n} texts, got {len(prompts)}")
            for i, (text, prompt) in enumerate(zip(texts, prompts, strict=True)):
                if not text.startswith(prompt):
                    raise ValueError(
                        f"texts[{i}] must begin with prompts[{i}] (texts are prompt + response), got text "
                        f"{text[:40]!r} and prompt {prompt[:40]!r}; try prompt + response"
                    )
                if not text[len(prompt) :].strip():
                    raise ValueError(f"texts[{i}] has no response after its prompt")
        set_field = object.__setattr__
        set_field(self, "texts", texts)
        set_field(self, "labels", _strings(_joined_where_several(labels), "labels", n))
        # None, by name: the caller says that every row is a scenario of its own.
        set_field(self, "groups", _strings(np.arange(n) if groups is None else groups, "groups", n))
        set_field(self, "prompts", prompts)
        set_field(self, "contexts", None if contexts is None else _strings(contexts, "contexts", n))
        set_field(self, "families", None if families is None else _strings(families, "families", n))
        set_field(self, "targets", as_targets(targets, n))
        set_field(self, "name", str(as_name(name, "name")))

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[Text]:
        return (self[i] for i in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Text: ...
    @overload
    def __getitem__(self, index: slice | BoolArray | IntArray | Sequence[int]) -> "LabeledTexts": ...
    def __getitem__(self, index: Any) -> "Text | LabeledTexts":
        if isinstance(index, int | np.integer):
            i = range(len(self))[int(index)]
            return Text(
                self.texts[i],
                str(self.labels[i]),
                str(self.groups[i]),
                None if self.prompts is None else self.prompts[i],
                None if self.contexts is None else str(self.contexts[i]),
                None if self.families is None else str(self.families[i]),
                None if self.targets is None else {name: float(column[i]) for name, column in self.targets.items()},
            )
        rows = np.arange(len(self))[index if isinstance(index, slice) else np.asarray(index)]
        if rows.size == 0:
            raise ValueError(f"the selection is empty: none of {len(self)} texts is left")
        return LabeledTexts(
            [self.texts[i] for i in rows],
            self.labels[rows],
            self.groups[rows],
            prompts=None if self.prompts is None else [self.prompts[i] for i in rows],
            contexts=None if self.contexts is None else self.contexts[rows],
            families=None if self.families is None else self.families[rows],
            targets=None if self.targets is None else {name: x[rows] for name, x in self.targets.items()},
            name=self.name,
        )

    def __add__(self, other: "LabeledTexts") -> "LabeledTexts":
        """Both sets, one after the other; prompts, contexts, families and targets survive if both sets have them."""

        def joined(a: Any, b: Any) -> Any:
            return None if a is None or b is None else [*a, *b]

        return LabeledTexts(
            [*self.texts, *other.texts],
            [*self.labels, *other.labels],
            [*self.groups, *other.groups],
            prompts=joined(self.prompts, other.prompts),
            contexts=joined(self.contexts, other.contexts),
            families=joined(self.families, other.families),
            targets=joined_targets([self.targets, other.targets]),
            name=f"{self.name}+{other.name}",
        )

    @printable
    def __repr__(self) -> str:
        counts = ", ".join(f"{label}: {int((self.labels == label).sum())}" for label in self.classes)
        parts = [f"{len(self)} texts", f"{len(np.unique(self.groups))} groups", counts]
        if self.contexts is not None:
            contexts = np.unique(self.contexts)
            parts.append(f"contexts: {', '.join(contexts) if len(contexts) <= 20 else len(contexts)}")
        if self.targets is not None:
            parts.append(f"targets: {', '.join(self.targets)}")
        return f"LabeledTexts({self.name!r}, {'; '.join(parts)})"

    @property
    def classes(self) -> tuple[str, ...]:
        """The distinct labels, sorted."""
        return tuple(np.unique(self.labels).tolist())

    @property
    def sha256(self) -> str:
        """Hash of texts, labels, groups, prompts and targets; two sets with the same hash give the same results."""
        graded = [f"{name}={value!r}" for name, column in (self.targets or {}).items() for value in column.tolist()]
        return hash_texts([*self.texts, *self.labels, *self.groups, *(self.prompts or ()), *graded])

    def with_targets(self, targets: Mapping[str, Any] | None) -> "LabeledTexts":
        """The same texts with these graded targets in place of those they had.

        Example:
            >>> texts = LabeledTexts(["So sorry.", "Noted."], ["warm", "cool"], ["g", "g"])
            >>> texts.with_targets({"rated": [6.5, 1.0]}).targets["rated"].tolist()
            [6.5, 1.0]
        """
        return replace(self, targets=targets)

    @property
    def responses(self) -> tuple[str, ...]:
        """Each text without its prompt; the whole text where there are no prompts."""
        if self.prompts is None:
            return self.texts
        return tuple(t[len(p) :] for t, p in zip(self.texts, self.prompts, strict=True))

    def where(
        self,
        *,
        label: NamesLike | None = None,
        group: NamesLike | None = None,
        context: NamesLike | None = None,
        family: NamesLike | None = None,
    ) -> "LabeledTexts":
        """The texts for which every given field has (one of) the given value(s).

        Raises:
            ValueError: the field is absent, a value does not occur, or nothing is left.

        Example:
            >>> texts = LabeledTexts(["a b", "c d"], ["x", "y"], ["g", "g"])
            >>> texts.where(label="x").texts
            ('a b',)
        """
        return self[
            rows_where(
                len(self),
                {
                    "label": self.labels,
                    "group": self.groups,
                    "context": self.contexts,
                    "family": self.families,
                },
                {"label": label, "group": group, "context": context, "family": family},
            )
        ]

    @classmethod
    def from_json(
        cls, path: str | Path, *, classes: Sequence[str] | None = None, targets: Sequence[str] = ()
    ) -> "LabeledTexts":
        """Read a JSON file; see `text_files.read_json` for the layouts and the errors.

        Args:
            path: A file of this library's layout or of the reference study's
                ({"triplets": [...]} or {"items": [...]}).
            classes: Keys that hold the texts of the classes, where the file does not say.
            targets: Keys of graded targets, where each item is one text; the file may name them under "targets".
        """
        return cls(**read_json(path, classes=classes, targets=targets))

    @classmethod
    def from_jsonl(
        cls,
        path: str | Path,
        *,
        text: str = "text",
        label: str | None = "label",
        group: str | None = "id",
        prompt: str = "scenario",
        context: str = "context",
        family: str = "family",
        classes: Sequence[str] | None = None,
        targets: Sequence[str] = (),
    ) -> "LabeledTexts":
        """Read a file with one JSON object in each line; see `text_files.read_jsonl` for the errors.

        Args:
            path: The file, UTF-8 or with a byte order mark, gzipped or not.
            text: Key of the text (the response, where there is a prompt).
            label: Key of its class. None, with targets, where there is none.
            group: Key of its scenario; None, said by name, takes the rows as independent.
            prompt: Key of the prompt, if any; the text becomes prompt, blank line, "Response: ", response.
            context: Key of the context, if any.
            family: Key of the phrasing family, if any.
            classes: Keys of the classes, where each line is a scenario with one text per class.
            targets: Keys of graded targets: finite numbers, one for each text.
        """
        return cls(
            **read_jsonl(
                path,
                columns=_columns(text, label, group, prompt, context, family, classes, targets),
            )
        )

    @classmethod
    def from_csv(
        cls,
        path: str | Path,
        *,
        text: str = "text",
        label: str | None = "label",
        group: str | None = "id",
        prompt: str = "scenario",
        context: str = "context",
        family: str = "family",
        classes: Sequence[str] | None = None,
        targets: Sequence[str] = (),
        delimiter: str | None = None,
        encoding: str = "utf-8",
    ) -> "LabeledTexts":
        """Read a table with a header; see `text_files.read_csv` for the errors, `from_jsonl` for the other arguments.

        Args:
            path: The file.
            text: Column of the text.
            label: Column of its class. None, with targets, where there is none.
            group: Column of its scenario; None, said by name, takes the rows as independent.
            prompt: Column of the prompt, if any.
            context: Column of the context, if any.
            family: Column of the phrasing family, if any.
            classes: Columns of the classes, where each row is a scenario with one text per class.
            targets: Columns of graded targets: finite numbers, one for each text.
            delimiter: Between the cells; None goes by the name: a tab for .tsv, else a comma.
            encoding: Of the file, where it has no byte order mark.
        """
        columns = _columns(text, label, group, prompt, context, family, classes, targets)
        return cls(**read_csv(path, columns=columns, delimiter=delimiter, encoding=encoding))

    @classmethod
    def from_dataset(
        cls,
        dataset: Iterable[Mapping[str, Any]],
        *,
        text: str = "text",
        label: str | None = "label",
        group: str | None = "id",
        prompt: str = "scenario",
        context: str = "context",
        family: str = "family",
        classes: Sequence[str] | None = None,
        targets: Sequence[str] = (),
        name: str | None = None,
    ) -> "LabeledTexts":
        """Read one split of a Hugging Face `datasets.Dataset`, or a list of dictionaries.

        Args:
            dataset: The split.
            text: Column of the text.
            label: Column of its class; a `ClassLabel` gives its names. None, with targets, where there is none.
            group: Column of its scenario; None, said by name, takes the rows as independent.
            prompt: Column of the prompt, if any.
            context: Column of the context, if any.
            family: Column of the phrasing family, if any.
            classes: Columns of the classes, where each row is a scenario with one text per class.
            targets: Columns of graded targets: finite numbers, one for each text.
            name: Name of the set.

        Example:
            >>> rows = [{"s": "job", "said": "Oh no.", "kind": "warm"}, {"s": "job", "said": "Noted.", "kind": "cool"}]
            >>> LabeledTexts.from_dataset(rows, text="said", label="kind", group="s").classes
            ('cool', 'warm')
        """
        columns = _columns(text, label, group, prompt, context, family, classes, targets)
        return cls(**read_dataset(dataset, columns=columns, name=name))

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        text: str = "text",
        label: str | None = "label",
        group: str | None = "id",
        prompt: str = "scenario",
        context: str = "context",
        family: str = "family",
        classes: Sequence[str] | None = None,
        targets: Sequence[str] = (),
        name: str | None = None,
    ) -> "LabeledTexts":
        """Read a pandas DataFrame; see `text_files.read_frame` for the errors, `from_jsonl` for the other arguments.

        Args:
            frame: One text or one scenario in each row; its index plays no part.
            text: Column of the text.
            label: Column of its class. None, with targets, where there is none.
            group: Column of its scenario; None, said by name, takes the rows as independent.
            prompt: Column of the prompt, if any.
            context: Column of the context, if any.
            family: Column of the phrasing family, if any.
            classes: Columns of the classes, where each row is a scenario with one text per class.
            targets: Columns of graded targets: finite numbers, one for each text.
            name: Name of the set.

        Example:
            >>> import pandas as pd
            >>> frame = pd.DataFrame({"job": [7.0, 7.0], "said": ["Oh no.", "Noted."], "kind": ["warm", "cool"]})
            >>> LabeledTexts.from_frame(frame, text="said", label="kind", group="job").groups.tolist()
            ['7', '7']
        """
        columns = _columns(text, label, group, prompt, context, family, classes, targets)
        return cls(**read_frame(frame, columns=columns, name=name))

    @classmethod
    def from_parquet(
        cls,
        path: str | Path,
        *,
        text: str = "text",
        label: str | None = "label",
        group: str | None = "id",
        prompt: str = "scenario",
        context: str = "context",
        family: str = "family",
        classes: Sequence[str] | None = None,
        targets: Sequence[str] = (),
    ) -> "LabeledTexts":
        """Read a Parquet file; see `text_files.read_parquet` for the errors, `from_jsonl` for the other arguments.

        Args:
            path: The file; pyarrow must be installed.
            text: Column of the text.
            label: Column of its class; names that `datasets` keeps in the file (`ClassLabel`) are used. None, with
                targets, where there is none.
            group: Column of its scenario; None, said by name, takes the rows as independent.
            prompt: Column of the prompt, if any.
            context: Column of the context, if any.
            family: Column of the phrasing family, if any.
            classes: Columns of the classes, where each row is a scenario with one text per class.
            targets: Columns of graded targets: finite numbers, one for each text.
        """
        return cls(
            **read_parquet(
                path,
                columns=_columns(text, label, group, prompt, context, family, classes, targets),
            )
        )


def rows_where(n: int, fields: Mapping[str, np.ndarray | None], wanted: Mapping[str, NamesLike | None]) -> IntArray:
    """Indices of the rows whose fields have one of the wanted values; None means any value.

    Raises:
        ValueError: a field is absent, a value does not occur, or no row fulfils all conditions.
    """
    keep = np.ones(n, dtype=bool)
    for name, value in wanted.items():
        if value is None:
            continue
        column = fields.get(name)
        if column is None:
            raise ValueError(f"cannot select by {name}: these rows have none")
        several = isinstance(value, Iterable) and not isinstance(value, str | bytes) and getattr(value, "ndim", 1) > 0
        given: Any = value
        values = [str(as_name(v, name)) for v in (list(given) if several else [given])]
        if not values:
            raise ValueError(f"{name} is an empty list; name at least one, or leave it out")
        unknown = sorted(set(values) - set(column.tolist()))
        if unknown:
            shown = ", ".join(map(repr, np.unique(column)[:8].tolist()))
            raise ValueError(f"no row has {name} {', '.join(map(repr, unknown))}; there are {shown}")
        keep &= np.isin(column, values)
    if not keep.any():
        raise ValueError(f"no row fulfils all of { ({k: v for k, v in wanted.items() if v is not None}) }")
    return np.flatnonzero(keep)


def _columns(
    text: str,
    label: str | None,
    group: str | None,
    prompt: str,
    context: str,
    family: str,
    classes: Sequence[str] | None,
    targets: Sequence[str],
) -> Columns:
    # A lone string goes on as it is: `Columns` refuses it by name.
    several = None if classes is None or isinstance(classes, str) else tuple(classes)
    return Columns(
        text,
        label,
        group,
        prompt,
        context,
        family,
        classes if several is None else several,  # type: ignore[arg-type]
        targets=targets,  # type: ignore[arg-type]
    )


def _joined_where_several(labels: Any) -> Any:
    """Labels with one name in place of each list of them; a column of names comes back as it is."""
    if not isinstance(labels, Sequence) or isinstance(labels, str) or all(isinstance(x, str) for x in labels):
        return labels
    return [join_labels(label, f"labels[{i}]") for i, label in enumerate(labels)]


def _strings(x: LabelsLike, name: str, n: int) -> StrArray:
    array = as_names(x, name, n).astype(str)
    array.flags.writeable = False
    return array
