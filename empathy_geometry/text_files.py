"""Reading labelled texts from files, with errors that name the row."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from empathy_geometry.texts import LabeledTexts

RESPONSE_SEPARATOR = "\n\nResponse: "
"""Between a scenario and a response; the reference study's layout."""

_KNOWN_CLASSES = ("cognitive", "affective", "instrumental", "factual", "informational", "procedural")
_RESPONSE_KEY = re.compile(r"response_\d+")


def read_json(path: str | Path, *, classes: Sequence[str] | None = None) -> LabeledTexts:
    """Labelled texts from a JSON file.

    Layouts: this library's own ({"name", "classes": [...], "items": [...]}) and the reference study's
    ({"triplets": [{"id", "scenario", "cognitive", "affective", "instrumental"}]},
    {"items": [{"id", "scenario", "response_1", ...} or {..., "factual", "informational", "procedural"}]}).
    An item holds its id (the group), optionally a scenario (the prompt), a context or domain and a family, and
    one text for each class; or, for sets without pairs, "text" and "label". Other keys are ignored.
    A text with a scenario becomes scenario, blank line, "Response: ", response.

    Args:
        path: The file, UTF-8.
        classes: Keys that hold the texts; by default those that the file declares or that are known.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not UTF-8, not JSON, another layout, or an item that lacks an id or a class; names the row.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path} is not complete JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    items = None
    if isinstance(content, dict):
        items = content.get("items", content.get("triplets"))
    if not isinstance(items, list) or not items:
        raise ValueError(f"{path} must be an object with a non-empty list 'items' or 'triplets'")
    declared = classes if classes is not None else content.get("classes")
    name = content.get("name") if isinstance(content.get("name"), str) else path.stem
    return from_records(items, classes=declared, name=str(name), source=str(path))


def from_records(
    records: Sequence[Mapping[str, Any]],
    *,
    classes: Sequence[str] | None = None,
    name: str = "texts",
    source: str = "records",
) -> LabeledTexts:
    """Labelled texts from dictionaries, one per scenario or one per text.

    Args:
        records: Items as `read_json` describes them.
        classes: Keys that hold the texts of the classes; None takes the known ones that the first item has.
        name: Name of the set.
        source: Named in errors.

    Raises:
        ValueError: an item lacks its id, a class or a text, or an id occurs twice; names the row.

    Example:
        >>> from_records([{"id": "1", "warm": "Oh no.", "cool": "Noted."}], classes=["warm", "cool"]).labels.tolist()
        ['warm', 'cool']
    """
    rows: dict[str, list[Any]] = {k: [] for k in ("text", "label", "group", "prompt", "context", "family")}
    seen: dict[str, int] = {}
    for i, record in enumerate(records):
        where = f"{source}, row {i}"
        if not isinstance(record, Mapping):
            raise ValueError(f"{where}: expected an object, got {type(record).__name__}")
        if "id" not in record:
            raise ValueError(f"{where}: has no 'id'; its keys are {sorted(record)}")
        group = str(record["id"])
        if group in seen and "text" not in record:
            raise ValueError(f"{where}: id {group!r} was used in row {seen[group]} already; ids must differ")
        seen.setdefault(group, i)
        where += f" (id {group!r})"
        keys = ["text"] if "text" in record else _class_keys(record, classes, where)
        for key in keys:
            label = _string(record, "label", where) if key == "text" else key
            response = _string(record, key, where)
            prompt = _string(record, "scenario", where) + RESPONSE_SEPARATOR if "scenario" in record else ""
            rows["text"].append(prompt + response)
            rows["label"].append(label)
            rows["group"].append(str(record.get("group", group)) if key == "text" else group)
            rows["prompt"].append(prompt)
            rows["context"].append(record.get("context", record.get("domain")))
            rows["family"].append(record.get("family"))
    return LabeledTexts(
        rows["text"],
        rows["label"],
        rows["group"],
        prompts=rows["prompt"] if any(rows["prompt"]) else None,
        contexts=_all_or_none(rows["context"], "context", source),
        families=_all_or_none(rows["family"], "family", source),
        name=name,
    )


def _class_keys(record: Mapping[str, Any], classes: Sequence[str] | None, where: str) -> list[str]:
    if classes is not None:
        missing = [c for c in classes if c not in record]
        if missing:
            raise ValueError(f"{where}: lacks the class(es) {missing}; its keys are {sorted(record)}")
        return list(classes)
    keys = [k for k in record if k in _KNOWN_CLASSES or _RESPONSE_KEY.fullmatch(k)]
    for family in (_KNOWN_CLASSES[:3], _KNOWN_CLASSES[3:]):
        missing = [k for k in family if k not in record]
        if missing and len(missing) < len(family):
            raise ValueError(f"{where}: lacks the class(es) {missing}; its keys are {sorted(record)}")
    if len(keys) < 2:
        raise ValueError(
            f"{where}: no two classes found among its keys {sorted(record)}; pass classes=[...] with the keys "
            f"that hold the texts"
        )
    return keys


def _string(record: Mapping[str, Any], key: str, where: str) -> str:
    value = record.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where}: {key!r} must be a non-empty string, got {value!r}")
    return value


def _all_or_none(values: list[Any], name: str, source: str) -> list[str] | None:
    present = [v is not None for v in values]
    if not any(present):
        return None
    if not all(present):
        raise ValueError(f"{source}: some items have a {name} and some do not (row {present.index(False)})")
    return [str(v) for v in values]
