"""The packaged texts keep what their datasheet (docs/datasets.md) says."""

import json
import re
import unicodedata
from collections import Counter
from functools import cache
from importlib.resources import files

import numpy as np
import pytest

from empathy_geometry import datasets
from empathy_geometry.audit.near_duplicates import near_duplicates
from empathy_geometry.audit.text_audit import AuditLimits, TextAudit, audit_texts
from empathy_geometry.audit.text_problems import character_problems, language

# name: (scenarios, classes, contexts)
SETS = {
    "empathy_pairs": (250, ("empathetic", "neutral"), 5),
    "empathy_triplets": (96, ("affective", "cognitive", "instrumental", "neutral"), 16),
    "valence_stripped_controls": (96, ("factual", "informational", "procedural"), 16),
    "non_empathy_controls": (60, ("descriptive", "historical", "practical"), 10),
    "formality_pairs": (100, ("casual", "formal"), 5),
    "humor_pairs": (60, ("humorous", "plain"), 4),
    "emotion_statements": (40, ("anger", "calm", "fear", "joy", "sadness"), 8),
    "matched_pairs": (100, ("empathetic", "neutral"), 5),
    "matched_triplets": (84, ("affective", "cognitive", "instrumental"), 12),
}
MATCHED = ("matched_pairs", "matched_triplets")


@cache
def audit(name: str) -> TextAudit:
    return audit_texts(datasets.ALL[name](), limits=AuditLimits.matched() if name in MATCHED else None)


def test_every_set_is_listed() -> None:
    assert list(datasets.ALL) == [*SETS, "support_moves"]  # which has tests of its own, test_support_moves.py


@pytest.mark.parametrize("name", SETS)
def test_counts(name: str) -> None:
    n_groups, classes, n_contexts = SETS[name]
    texts = datasets.ALL[name]()
    assert texts.name == name
    assert texts.classes == classes
    assert len(texts) == n_groups * len(classes)
    assert texts.contexts is not None
    assert texts.families is not None
    # Every scenario has every class once, in one context and one family.
    rows = Counter(zip(texts.groups, texts.labels, strict=True))
    assert len(rows) == len(texts)
    assert len(set(zip(texts.groups, texts.contexts, texts.families, strict=True))) == n_groups
    per_context = Counter(texts.contexts)
    assert len(per_context) == n_contexts
    assert len(set(per_context.values())) == 1
    assert Counter(texts.families) == {"a": len(texts) // 2, "b": len(texts) // 2}
    for context in per_context:
        halves = Counter(texts.where(context=context).families)
        assert abs(halves["a"] - halves["b"]) <= len(classes)  # at most one scenario more in one family


@pytest.mark.parametrize("name", SETS)
def test_limits_of_text_only_classifiers(name: str) -> None:
    found = audit(name)
    assert found.passed, found
    length, first = (0.60, 0.65) if name in MATCHED else (0.65, 0.75)
    for check in ("length, characters", "length, words"):
        assert found.worst(check).value <= length
    assert found.worst("first word").value <= first
    if name in MATCHED:
        assert found.worst("words (TF-IDF)").value <= 0.75


@pytest.mark.parametrize("name", SETS)
def test_text_is_clean(name: str) -> None:
    texts = datasets.ALL[name]()
    raw = (files("empathy_geometry") / "data" / f"{name}.json").read_bytes()
    assert b"\r" not in raw
    assert not raw.startswith(b"\xef\xbb\xbf")
    assert unicodedata.is_normalized("NFC", raw.decode("utf-8"))
    for text in texts.responses:
        assert not character_problems(text)
        assert text == text.strip()
        assert "  " not in text
        assert not re.search("[\n\u2018\u2019\u201c\u201d\u2013\u2014\u2026]", text)
        assert language(text) in ("en", "unknown")
        assert text[-1] in ".?!"


def test_data_files_hold_what_the_loader_knows() -> None:
    allowed = {"id", "group", "label", "text", "context", "domain", "family", "scenario", "device"}
    for name in SETS:
        content = json.loads((files("empathy_geometry") / "data" / f"{name}.json").read_text(encoding="utf-8"))
        assert set(content) == {"name", "classes", "licence", "items"}
        assert content["licence"] == "MIT"
        assert set(content["classes"]) == set(SETS[name][1])
        for item in content["items"]:
            assert set(item) <= allowed | set(content["classes"])


def test_no_near_duplicates_across_groups_and_sets() -> None:
    texts = [load() for load in datasets.ALL.values()]
    # The scenarios of triplets and valence-stripped controls are the same on purpose, and have the same group names.
    responses = [text for t in texts for text in t.responses]
    groups = [group for t in texts for group in t.groups]
    assert near_duplicates(responses, groups=groups, threshold=0.5) == ()
    prompts = {p: g for t in texts if t.prompts is not None for p, g in zip(t.prompts, t.groups, strict=True)}
    assert near_duplicates(list(prompts), groups=list(prompts.values()), threshold=0.5) == ()


def test_controls_share_their_scenarios_with_the_triplets() -> None:
    triplets, controls = datasets.empathy_triplets(), datasets.valence_stripped_controls()
    ours = dict(zip(triplets.groups, triplets.prompts, strict=True))
    assert ours == dict(zip(controls.groups, controls.prompts, strict=True))


def test_matched_sets_share_words_within_scenarios() -> None:
    for name in MATCHED:
        texts = datasets.ALL[name]()
        shares = []
        for group in np.unique(texts.groups):
            bags = [set(re.findall(r"[\w']+", t.lower())) for t in texts.where(group=group).responses]
            shares.append(len(set.intersection(*bags)) / len(set.union(*bags)))
        assert np.mean(shares) > 0.85
        assert min(shares) > 0.6


def test_matched_sets_hold_four_devices_in_equal_shares() -> None:
    for name in MATCHED:
        content = json.loads((files("empathy_geometry") / "data" / f"{name}.json").read_text(encoding="utf-8"))
        counts = Counter(item["device"] for item in content["items"])
        assert set(counts) == {"perspective", "negation", "order", "attribution"}
        assert len(set(counts.values())) == 1


@pytest.mark.parametrize("code", datasets.LANGUAGES)
def test_crosslingual_triplets_are_parallel(code: str) -> None:
    english, texts = datasets.crosslingual_triplets("en"), datasets.crosslingual_triplets(code)
    assert len(texts) == 90
    assert texts.classes == ("affective", "cognitive", "instrumental")
    assert texts.name == f"crosslingual_triplets.{code}"
    for field in ("groups", "labels", "contexts", "families"):
        assert np.array_equal(getattr(texts, field), getattr(english, field))
    assert Counter(texts.families) == {"a": 45, "b": 45}
    assert set(texts.groups) <= set(datasets.empathy_triplets().groups)
    assert Counter(map(language, texts.responses)).most_common(1)[0][0] == code
    assert not any(character_problems(text) for text in texts.texts)
    found = audit_texts(texts)
    # Length and first word are held to the common limits; what else the audit objects to is in the datasheet.
    reported = {"single most revealing word", "words shared with the prompt"}
    assert {check.name for check in found.failures} <= reported, found


def test_crosslingual_triplets_know_their_languages() -> None:
    with pytest.raises(ValueError, match="language must be one of 'en', 'es', 'fr', 'de', 'zh'; got 'nl'"):
        datasets.crosslingual_triplets("nl")


def test_loading_is_cached_and_safe_to_share() -> None:
    assert datasets.humor_pairs() is datasets.humor_pairs()
    with pytest.raises(ValueError, match="read-only"):
        datasets.humor_pairs().labels[0] = "x"
