"""Checks of a set of texts as a whole: balance of classes, duplicates, damaged characters, stray languages."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from empathy_geometry.audit.audit_result import AuditCheck, AuditLimits, Status, TextProblem
from empathy_geometry.audit.near_duplicates import NearDuplicate, near_duplicates
from empathy_geometry.audit.text_problems import language, script
from empathy_geometry.foundation._types import StrArray
from empathy_geometry.texts.labeled_texts import LabeledTexts

_FEW_GROUPS = 20
_CLASS_RATIO = 0.8
_SHIFT = 0.1
"""If more of one class than of another by this share falls into a context, the context tells the class."""


def balance_checks(texts: LabeledTexts, limits: AuditLimits) -> list[AuditCheck]:
    """Are there two classes of like size, is every group complete, and does the context say nothing of the class?"""
    labels, classes = texts.labels, texts.classes
    counts = Counter(labels.tolist())
    if len(classes) < 2:
        detail = f"only {classes[0]!r}; there is nothing to tell apart"
        return [AuditCheck("number of classes", "", "caution", float(len(classes)), 2.0, detail)]
    smallest, largest = min(classes, key=counts.__getitem__), max(classes, key=counts.__getitem__)
    ratio = counts[smallest] / counts[largest]
    checks = [
        AuditCheck(
            "class sizes, smallest : largest",
            "",
            "pass" if ratio >= _CLASS_RATIO else "caution",
            ratio,
            _CLASS_RATIO,
            "" if ratio == 1 else f"{smallest}: {counts[smallest]}, {largest}: {counts[largest]}",
        ),
        _completeness(texts, limits),
    ]
    for name, column in (("context", texts.contexts), ("family", texts.families)):
        if column is not None:
            checks.append(_independence(labels, column, name))
    n_groups = len(np.unique(texts.groups))
    if n_groups < _FEW_GROUPS:
        detail = "with so few, chance alone moves every AUROC below far from 0.5; read the intervals"
        checks.append(AuditCheck("number of groups", "", "caution", float(n_groups), float(_FEW_GROUPS), detail))
    return checks


def duplicate_check(duplicates: Sequence[NearDuplicate], limits: AuditLimits, *, complete: bool) -> AuditCheck:
    """Are texts of different groups the same, or nearly?"""
    n = len(duplicates)
    if not n:
        return AuditCheck("near-duplicates across groups", "", "pass", 0.0, 0.0)
    count = f"{n} pair(s)" if complete else f"at least {n} pairs"
    detail = f"{count} above a 5-gram Jaccard similarity of {limits.similarity:g}, up to {duplicates[0].similarity:.2f}"
    return AuditCheck("near-duplicates across groups", "", "fail", float(n), 0.0, detail)


def prompt_duplicate_checks(texts: LabeledTexts, limits: AuditLimits) -> list[AuditCheck]:
    """Do different groups have nearly the same prompt, so that one scenario goes by two names?"""
    if texts.prompts is None:
        return []
    pairs = sorted(set(zip(texts.groups.tolist(), texts.prompts, strict=True)))
    if len({prompt for _, prompt in pairs}) < 0.5 * len({group for group, _ in pairs}):
        detail = "most groups share a prompt, which then is no scenario"
        return [AuditCheck("near-duplicate prompts", "", "info", None, None, detail)]
    found = near_duplicates(
        [prompt for _, prompt in pairs],
        groups=[group for group, _ in pairs],
        threshold=min(limits.similarity, 1 - 1e-9),
    )
    detail = f"groups {pairs[found[0].first][0]!r} and {pairs[found[0].second][0]!r}" if found else ""
    status: Status = "caution" if found else "pass"
    return [AuditCheck("near-duplicate prompts", "", status, float(len(found)), 0.0, detail)]


def contradiction_check(texts: LabeledTexts) -> AuditCheck:
    """Does the same text (with the same prompt) occur under two labels?"""
    seen: dict[str, tuple[int, str]] = {}
    pairs = []
    for i, (text, label) in enumerate(zip(texts.texts, texts.labels.tolist(), strict=True)):
        row, first = seen.setdefault(" ".join(text.casefold().split()), (i, label))
        if first != label:
            pairs.append((row, i))
    detail = f"rows {pairs[0][0]} and {pairs[0][1]}" + (", ..." if len(pairs) > 1 else "") if pairs else ""
    return AuditCheck("one text, two labels", "", "fail" if pairs else "pass", float(len(pairs)), 0.0, detail)


def character_check(problems: Sequence[TextProblem]) -> AuditCheck:
    """Is every text clean UTF-8 in NFC?"""
    n = len({p.row for p in problems})
    detail = f"row {problems[0].row}: {problems[0].problem}" if problems else ""
    return AuditCheck("damaged characters", "", "fail" if n else "pass", float(n), 0.0, detail)


def space_check(texts: LabeledTexts) -> AuditCheck:
    """Are there spaces before, after or doubled within a response, which tokenize differently?"""
    found = [i for i, text in enumerate(texts.responses) if text != text.strip() or "  " in text]
    detail = f"row {found[0]}" + (", ..." if len(found) > 1 else "") if found else ""
    return AuditCheck("stray spaces", "", "caution" if found else "pass", float(len(found)), 0.0, detail)


def language_checks(texts: LabeledTexts) -> list[AuditCheck]:
    """Is everything in one script and one language, and if not, does that tell the class?"""
    checks = []
    for name, of in (("script", script), ("language", language)):
        column = np.array([of(text) for text in texts.responses])
        known = ~np.isin(column, ("unknown", "NONE"))
        counts = Counter(column[known].tolist())
        if not counts:
            checks.append(AuditCheck(name, "", "info", None, None, "could not be told"))
            continue
        main, n = counts.most_common(1)[0]
        stray = np.flatnonzero(known & (column != main))
        if not stray.size:
            checks.append(AuditCheck(name, "", "pass", 1.0, None, f"{main} throughout"))
            continue
        apart = _independence(texts.labels[known], column[known], name).value if len(texts.classes) > 1 else 0.0
        telling = apart is not None and apart > _SHIFT
        detail = f"{main}: {n}, others: {stray.size} (first: row {stray[0]}, {column[stray[0]]})"
        if telling:
            detail += "; it tells the class"
        share = n / int(known.sum())
        checks.append(AuditCheck(name, "", "fail" if telling else "caution", share, None, detail))
    return checks


def _completeness(texts: LabeledTexts, limits: AuditLimits) -> AuditCheck:
    """In how many groups does every class occur equally often?"""
    name = "groups with every class"
    group, code = (np.unique(x, return_inverse=True)[1].reshape(-1) for x in (texts.groups, texts.labels))
    counts = np.zeros((int(group.max()) + 1, len(texts.classes)), dtype=int)
    np.add.at(counts, (group, code), 1)
    paired = (counts > 0).sum(axis=1) > 1
    if not paired.any():
        detail = "no group holds two classes; their topics may differ, which the word checks then show"
        return AuditCheck(name, "", "caution", 0.0, None, detail)
    complete = (counts == counts[:, :1]).all(axis=1)
    share = float(complete.mean())
    detail = f"{int(complete.sum())} of {len(counts)}"
    if not complete.all():
        row = int(np.flatnonzero(~complete)[0])
        held = ", ".join(f"{c}: {k}" for c, k in zip(texts.classes, counts[row], strict=True))
        detail += f"; {str(np.unique(texts.groups)[row])!r} has {held}"
    status: Status = "pass" if share >= limits.complete_groups else "fail"
    return AuditCheck(name, "", status, share, limits.complete_groups, detail)


def _independence(labels: StrArray, column: StrArray, name: str) -> AuditCheck:
    """Largest difference between two classes in the share of their texts that falls into one context."""
    worst, where = 0.0, ""
    for value in np.unique(column):
        shares = {str(label): float((column[labels == label] == value).mean()) for label in np.unique(labels)}
        most, least = max(shares, key=shares.__getitem__), min(shares, key=shares.__getitem__)
        if shares[most] - shares[least] > worst + 1e-9:
            worst = shares[most] - shares[least]
            where = f"{value}: {shares[most]:.2f} of {most}, {shares[least]:.2f} of {least}"
    status: Status = "pass" if worst <= _SHIFT else "caution"
    return AuditCheck(f"{name} differs by class", "", status, worst, _SHIFT, where if worst > _SHIFT else "")
