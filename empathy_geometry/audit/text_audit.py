"""An audit of anyone's labelled texts: what a careful reviewer would check before a probe is trained on them."""

from itertools import combinations

import numpy as np

from empathy_geometry.audit.audit_result import (
    AuditCheck,
    AuditLimits,
    RevealingWord,
    TextAudit,
    TextProblem,
)
from empathy_geometry.audit.near_duplicates import NearDuplicate, near_duplicates
from empathy_geometry.audit.set_checks import (
    balance_checks,
    character_check,
    contradiction_check,
    duplicate_check,
    language_checks,
    prompt_duplicate_checks,
    space_check,
)
from empathy_geometry.audit.text_problems import character_problems
from empathy_geometry.audit.word_leaks import PairChecks, class_summary, revealing_words
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.texts.labeled_texts import LabeledTexts

__all__ = ["AuditCheck", "AuditLimits", "NearDuplicate", "RevealingWord", "TextAudit", "TextProblem", "audit_texts"]

_MAX_PAIRS = 1000


@takes_settings()
def audit_texts(
    texts: LabeledTexts,
    *,
    limits: AuditLimits | None = None,
    n_splits: int = 5,
    seed: int = 0,
    n_words: int = 8,
) -> TextAudit:
    """Check labelled texts for everything but their meaning that could tell the classes apart, and for damage.

    Looks at the responses, not at the prompts that classes share. For each pair of classes: length, number of
    sentences, first word, single most revealing word, bag of words, punctuation, final mark, overlap with the prompt;
    classifiers are fitted in grouped folds. For the whole: balance of classes in groups, contexts and families,
    near-duplicates across groups, the same text under two labels, language, script, encoding.

    Args:
        texts: Anyone's; see `LabeledTexts.from_json`, `from_jsonl`, `from_csv` and `from_dataset`.
        limits: What passes; `AuditLimits()` by default, `AuditLimits.matched()` for lexically matched sets.
        n_splits: Number of folds; fewer are used where there are fewer groups.
        seed: Order of the groups in the folds.
        n_words: How many revealing words to list for each class.

    Raises:
        TypeError: not `LabeledTexts`.
        ValueError: n_splits or n_words is too small.

    Example:
        >>> from empathy_geometry import datasets
        >>> audit = audit_texts(datasets.matched_pairs(), limits=AuditLimits.matched())
        >>> audit.passed, audit.worst("words (TF-IDF)").value < 0.6
        (True, True)
    """
    if not isinstance(texts, LabeledTexts):
        raise TypeError(
            f"texts must be LabeledTexts, got {type(texts).__name__}; try LabeledTexts(texts, labels, groups) or "
            f"LabeledTexts.from_dataset(rows)"
        )
    if n_splits < 2 or n_words < 1:
        raise ValueError(f"n_splits must be at least 2 and n_words at least 1, got {n_splits} and {n_words}")
    limits = AuditLimits() if limits is None else limits
    checks: list[AuditCheck] = balance_checks(texts, limits)
    pair_checks = PairChecks(texts, limits, n_splits=n_splits, seed=seed)
    for first, second in combinations(texts.classes, 2):
        checks += pair_checks.run(first, second)
    # A limit of 1 still finds texts that are the same: no two sets are more alike than that.
    threshold = min(limits.similarity, 1 - 1e-9)
    duplicates = near_duplicates(texts.responses, groups=texts.groups, threshold=threshold, max_pairs=_MAX_PAIRS)
    checks += [
        duplicate_check(duplicates, limits, complete=len(duplicates) < _MAX_PAIRS),
        *prompt_duplicate_checks(texts, limits),
        contradiction_check(texts),
    ]
    problems = tuple(
        TextProblem(i, str(group), problem)
        for i, (text, group) in enumerate(zip(texts.texts, texts.groups, strict=True))
        for problem in character_problems(text)
    )
    checks += [character_check(problems), space_check(texts), *language_checks(texts)]
    return TextAudit(
        name=texts.name,
        sha256=texts.sha256,
        n_groups=len(np.unique(texts.groups)),
        classes=tuple(class_summary(texts, label) for label in texts.classes),
        checks=tuple(checks),
        words=revealing_words(texts, n_words=n_words),
        duplicates=duplicates,
        problems=problems,
        limits=limits,
        seed=seed,
    )
