"""Records (dictionaries, one per scenario or one per text) become labelled texts, with errors that name the row."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from empathy_geometry.foundation.names import as_name, check_text, is_missing
from empathy_geometry.texts.several_labels import join_labels
from empathy_geometry.texts.targets import target_number

RESPONSE_SEPARATOR = "\n\nResponse: "
"""Between a scenario and a response; the reference study's layout."""

UNLABELED = "text"
"""The one label of texts that have graded targets and no classes."""

_KNOWN_FAMILIES = (("cognitive", "affective", "instrumental"), ("factual", "informational", "procedural"))
_RESPONSE_KEY = re.compile(r"response_\d+")


@dataclass(frozen=True)
class Columns:
    """Under which keys a record holds what.

    A record is long (one text, under `text`, its class under `label`) or wide (one scenario, each class under a key of
    its own, `classes`).

    Attributes:
        text: The text or response of a long record.
        label: Its class, or a list of them; None for graded targets without classes.
        group: The scenario. A key "group" of a long record goes before "id". None makes every record its own scenario.
        prompt: What stands before the response in every class, if anything.
        context: A coarse setting; "domain" serves as well.
        family: Phrasing family.
        classes: Keys of the classes in wide records; None takes those that are known.
        separator: Put between a prompt and a response.
        targets: Graded targets of long records.
    """

    text: str = "text"
    label: str | None = "label"
    group: str | None = "id"
    prompt: str = "scenario"
    context: str = "context"
    family: str = "family"
    classes: tuple[str, ...] | None = None
    separator: str = RESPONSE_SEPARATOR
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.targets, str):
            raise TypeError(f"targets must be a list of keys, got the string {self.targets!r}; try [{self.targets!r}]")
        object.__setattr__(self, "targets", tuple(self.targets))
        if self.targets and self.classes is not None:
            raise ValueError("targets need one text in each record; classes= takes one scenario in each")
        if self.label is None and not self.targets:
            raise ValueError("label=None needs targets=: texts must have a class or a graded target")
        if isinstance(self.classes, str):
            raise TypeError(f"classes must be a list of keys, got the string {self.classes!r}; try [{self.classes!r}]")
        if self.classes is not None:
            object.__setattr__(self, "classes", tuple(self.classes))
            if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
                raise ValueError(f"classes must name at least two different keys, got {list(self.classes)}")


def from_records(
    records: Sequence[Mapping[str, Any]],
    *,
    classes: Sequence[str] | None = None,
    name: str = "texts",
    source: str = "records",
    columns: Columns | None = None,
    places: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The columns of `LabeledTexts` from dictionaries, one per scenario or one per text. Other keys are ignored.

    Args:
        records: See `Columns`; by default an item holds its id (the group), optionally a scenario (the prompt), a
            context or domain and a family, and one text per class, or "text" and "label".
        classes: Keys that hold the texts of the classes; short for `columns=Columns(classes=...)`.
        name: Name of the set.
        source: Named in errors.
        columns: Other names of the keys.
        places: What errors call each record; "row 0", "row 1", ... by default.

    Raises:
        TypeError: records are not a sequence of dictionaries.
        ValueError: a record lacks its id, a class or a text, or an id occurs twice; names the row.

    Example:
        >>> from_records([{"id": "1", "warm": "Oh no.", "cool": "Noted."}], classes=["warm", "cool"])["labels"]
        ['warm', 'cool']
    """
    columns = Columns(classes=None if classes is None else tuple(classes)) if columns is None else columns
    if not len(records):
        raise ValueError(f"{source} holds no records; expected at least one")
    wheres = [f"{source}, {places[i] if places else f'row {i}'}" for i in range(len(records))]
    for where, record in zip(wheres, records, strict=True):
        if not isinstance(record, Mapping):
            raise ValueError(f"{where}: expected an object with named fields, got {type(record).__name__}")
    _check_optional_columns(records[0], columns, wheres[0])
    rows: dict[str, list[Any]] = {k: [] for k in ("text", "label", "group", "prompt", "context", "family", "where")}
    layouts = _Layouts(records, columns)
    seen: dict[tuple[str, ...], str] = {}
    graded: dict[str, list[float]] = {name: [] for name in columns.targets}
    # Where some rows name their scenario, a row that does not lacks it: its id must not stand in.
    group_key = "group" if columns.group == "id" and any("group" in record for record in records) else columns.group
    for i, (where, record) in enumerate(zip(wheres, records, strict=True)):
        keys = layouts.class_keys(record, where)
        group, where = _group(record, columns.group if keys is not None else group_key, i, where)
        prompt = _prompt(record, columns, where)
        if keys is not None and columns.targets:
            raise ValueError(f"{where}: targets need one text in each record, this one has the classes {list(keys)}")
        for name in columns.targets:
            if name not in record:
                raise ValueError(f"{where}: has no {name!r} (targets=...); its keys are {_keys(record)}")
            graded[name].append(target_number(record[name], f"{where}: {name!r}"))
        for key in (columns.text,) if keys is None else keys:
            response = _text(record, key, where)
            label = _label(record, columns, where) if keys is None else key
            _refuse_repetition(seen, record, columns, where, wheres[i], group, label, response, long=keys is None)
            rows["text"].append(prompt + response)
            rows["label"].append(label)
            rows["group"].append(group)
            rows["prompt"].append(prompt)
            rows["context"].append(_optional(record, columns.context, where, fallback="domain"))
            rows["family"].append(_optional(record, columns.family, where))
            rows["where"].append(where)
    return {
        "texts": rows["text"],
        "labels": rows["label"],
        "groups": rows["group"],
        "prompts": rows["prompt"] if any(rows["prompt"]) else None,
        "contexts": _all_or_none(rows["context"], columns.context, rows["where"]),
        "families": _all_or_none(rows["family"], columns.family, rows["where"]),
        "targets": graded,
        "name": name,
    }


class _Layouts:
    """Which keys of each record hold texts of classes; None for a long record."""

    def __init__(self, records: Sequence[Mapping[str, Any]], columns: Columns) -> None:
        self.columns = columns
        found = {k for record in records for k in record if isinstance(k, str) and _RESPONSE_KEY.fullmatch(k)}
        numbered = tuple(sorted(found, key=lambda k: (int(k.split("_")[1]), k)))
        self.families = (*_KNOWN_FAMILIES, numbered)

    def class_keys(self, record: Mapping[str, Any], where: str) -> tuple[str, ...] | None:
        columns = self.columns
        if columns.classes is not None:
            missing = [c for c in columns.classes if c not in record]
            if len(missing) == len(columns.classes) and columns.text in record:
                return None
            if missing:
                raise ValueError(f"{where}: lacks the class(es) {missing}; its keys are {_keys(record)}")
            return columns.classes
        present = [family for family in self.families if any(k in record for k in family)]
        whole = any(all(k in record for k in family) for family in present)
        # A long record may have a column that happens to be called "factual".
        labelled = columns.label is None or columns.label in record
        if columns.text in record and labelled and not whole:
            return None
        if not present:
            if columns.text in record or (columns.label is not None and columns.label in record):
                return None
            raise ValueError(
                f"{where}: neither {columns.text!r} and {columns.label!r} nor texts of known classes among its keys "
                f"{_keys(record)}; pass classes=[...] with the keys that hold the texts"
            )
        keys = tuple(k for family in present for k in family)
        missing = [k for k in keys if k not in record]
        if missing:
            raise ValueError(
                f"{where}: lacks the class(es) {missing}; its keys are {_keys(record)}. Fill it in, or pass "
                f"classes=[...] to read other keys"
            )
        if len(keys) < 2:
            raise ValueError(f"{where}: has one class only, {keys[0]!r}; two are needed to compare")
        return keys


def _group(record: Mapping[str, Any], key: str | None, i: int, where: str) -> tuple[str, str]:
    """The scenario's name, and how errors call the record from now on."""
    if key is None:
        return f"row {i}", where
    if key not in record:
        raise ValueError(
            f"{where}: has no {key!r}; its keys are {_keys(record)}. Every text needs its scenario: name the key that "
            f"holds it with group='...', or say group=None if the rows really are independent"
        )
    return _name(record, key, where), f"{where} (id {record.get('id', record[key])!r})"


def _refuse_repetition(
    seen: dict[tuple[str, ...], str],
    record: Mapping[str, Any],
    columns: Columns,
    where: str,
    place: str,
    group: str,
    label: str,
    response: str,
    *,
    long: bool,
) -> None:
    """Raise if an id is used twice: for a class in wide records, for a label in long ones named by id only."""
    if columns.group is None:
        return
    named_by_id = long and columns.group == "id"
    if named_by_id and "group" in record:
        key: tuple[str, ...] = ("id", str(record["id"])) if "id" in record else (group, label, response)
    elif long and not named_by_id:
        key = (group, label, response)
    else:
        key = (group, label)
    if key in seen:
        what = f"{columns.group} {group!r}" if key[0] != "id" else f"id {key[1]!r}"
        hint = "; if several texts of a class share a scenario, name its key with group='...'" if long else ""
        raise ValueError(f"{where}: {what} was used in {seen[key]} already, for {label!r}; ids must differ{hint}")
    seen[key] = place


def _check_optional_columns(record: Mapping[str, Any], columns: Columns, where: str) -> None:
    """Raise if a key that the caller named is not there; names left at their defaults may be absent."""
    default = Columns()
    for field in ("prompt", "context", "family"):
        key = getattr(columns, field)
        if key != getattr(default, field) and key not in record:
            raise ValueError(f"{where}: has no {key!r} ({field}=...); its keys are {_keys(record)}")


def _text(record: Mapping[str, Any], key: str, where: str) -> str:
    if key not in record:
        raise ValueError(f"{where}: has no {key!r}; its keys are {_keys(record)}")
    value = record[key]
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where}: {key!r} must be a non-empty string, got {_shown(value)}")
    check_text(value, f"{where}: {key!r}")
    return str(value)


def _prompt(record: Mapping[str, Any], columns: Columns, where: str) -> str:
    return _text(record, columns.prompt, where) + columns.separator if columns.prompt in record else ""


def _name(record: Mapping[str, Any], key: str, where: str) -> str:
    """A label or an id, in the one form that `foundation.names` gives it."""
    if key not in record:
        raise ValueError(f"{where}: has no {key!r}; its keys are {_keys(record)}")
    value = record[key]
    if is_missing(value) or isinstance(value, list | tuple | Mapping):
        raise ValueError(f"{where}: {key!r} must be a non-empty string (nan stands for a gap), got {_shown(value)}")
    try:
        return str(as_name(value, f"{where}: {key!r}"))
    except TypeError as error:
        raise ValueError(str(error)) from error


def _label(record: Mapping[str, Any], columns: Columns, where: str) -> str:
    """The class of a long record; several classes become one name."""
    if columns.label is None:
        return UNLABELED
    given = record.get(columns.label)
    if not isinstance(given, list | tuple):
        return _name(record, columns.label, where)
    try:
        return str(join_labels(given, f"{where}: {columns.label!r}"))
    except TypeError as error:
        raise ValueError(str(error)) from error


def _optional(record: Mapping[str, Any], key: str, where: str, *, fallback: str | None = None) -> str | None:
    key = key if key in record or fallback is None else fallback
    return None if record.get(key) is None else _name(record, key, where)


def _all_or_none(values: list[str | None], name: str, wheres: Sequence[str]) -> list[str] | None:
    if all(v is None for v in values):
        return None
    if None in values:
        raise ValueError(
            f"{wheres[values.index(None)]}: has no {name}, while other rows have one; give it to all or to none"
        )
    return [str(v) for v in values]


def _keys(record: Mapping[str, Any]) -> list[str]:
    shown = [str(k) for k in record]
    return shown if len(shown) <= 12 else [*shown[:12], "..."]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
