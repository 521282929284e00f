"""The audit finds what was planted, passes what is clean, and works on any texts."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from empathy_geometry import datasets
from empathy_geometry.audit.near_duplicates import near_duplicates
from empathy_geometry.audit.text_audit import AuditLimits, TextAudit, audit_texts
from empathy_geometry.texts.labeled_texts import LabeledTexts

NOUNS = [
    "tram",
    "bridge",
    "letter",
    "kettle",
    "window",
    "orchard",
    "ladder",
    "violin",
    "harbour",
    "blanket",
    "mirror",
    "pen",
]
VERBS = ["carried", "painted", "borrowed", "mended", "noticed", "followed", "counted", "forgot", "brought", "measured"]
ENDS = [".", ".", ".", "?", "!"]


def sentence(rng: random.Random) -> str:
    picked = rng.sample(NOUNS, 3)
    start = rng.choice(["My", "The", "Our", "A"])
    return f"{start} {picked[0]} {rng.choice(VERBS)} {picked[1]} near {picked[2]}{rng.choice(ENDS)}"


def clean(n_groups: int = 60, seed: int = 0, classes: tuple[str, ...] = ("p", "q")) -> LabeledTexts:
    """Texts in which the class is drawn without looking at the text."""
    rng = random.Random(seed)
    texts, labels, groups = [], [], []
    for g in range(n_groups):
        for label in classes:
            texts.append(" ".join(sentence(rng) for _ in range(rng.randint(2, 4))))
            labels.append(label)
            groups.append(f"g{g}")
    return LabeledTexts(texts, labels, groups, name="clean")


def planted(texts: LabeledTexts, change: object) -> LabeledTexts:
    """The texts with `change(text, row)` applied to class p."""
    changed = [change(t, i) if y == "p" else t for i, (t, y) in enumerate(zip(texts.texts, texts.labels, strict=True))]  # type: ignore[operator]
    return replace(texts, texts=tuple(changed))


def failed(audit: TextAudit) -> set[str]:
    return {check.name for check in audit.failures}


@pytest.mark.parametrize("seed", range(4))
def test_clean_texts_pass(seed: int) -> None:
    audit = audit_texts(clean(seed=seed))
    assert audit.passed
    assert audit.verdict == "PASS"
    assert audit.worst("words (TF-IDF)").value == pytest.approx(0.5, abs=0.15)


def test_clean_texts_of_four_classes_pass() -> None:
    audit = audit_texts(clean(150, classes=("p", "q", "r", "s")))
    assert audit.passed
    assert len({c.classes for c in audit.checks if c.name == "first word"}) == 6


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda t, i: t + " And so on and so forth for quite a while longer, as ever.", "length, characters"),
        (lambda t, i: t + " And so on and so forth for quite a while longer, as ever.", "length, words"),
        (lambda t, i: t + " Oh. No. Yes. Ah.", "number of sentences"),
        (lambda t, i: "Sorry, " + t, "first word"),
        (lambda t, i: t.replace(" near ", " sadly near ", 1), "single most revealing word"),
        (lambda t, i: t[:-1] + "!", "final mark"),
        (lambda t, i: t.replace("a", "a\u200b", 1), "damaged characters"),
        (lambda t, i: t.replace("e", "e\u0301", 1), "damaged characters"),
        (lambda t, i: t + " caf\u00c3\u00a9", "damaged characters"),
    ],
)
def test_planted_leaks_are_found(change: object, check: str) -> None:
    before = clean()
    after = planted(before, change)
    assert check not in failed(audit_texts(before))
    audit = audit_texts(after)
    assert check in failed(audit)
    assert not audit.passed
    assert check in audit.verdict


def test_a_word_that_gives_the_class_away_is_listed_with_its_weight() -> None:
    audit = audit_texts(planted(clean(), lambda t, i: t.replace(" near ", " sadly near ", 1)))
    best = next(w for w in audit.words if w.label == "p")
    assert "sadly" in best.word
    assert (best.inside, best.outside) == (1.0, 0.0)
    assert best.weight > 0
    assert "sadly" in str(audit)


def test_many_small_leaks_are_found_by_bag_of_words_only() -> None:
    leaks = ["softly", "gently", "warmly", "kindly", "dearly", "fondly"]
    audit = audit_texts(planted(clean(), lambda t, i: t.replace(" near ", f" {leaks[i // 2 % 6]} near ", 1)))
    assert audit.passed  # reported as it is, unless a limit is given
    assert audit.worst("words (TF-IDF)").value > 0.75
    assert audit.verdict == "PASS, with caution: words (TF-IDF)"
    strict = audit_texts(planted(clean(), lambda t, i: t.replace(" near ", f" {leaks[i // 2 % 6]} near ", 1)),
                         limits=AuditLimits(tfidf=0.75))  # fmt: skip
    assert failed(strict) == {"words (TF-IDF)"}


def test_duplicates_across_groups_are_found_and_within_groups_are_not() -> None:
    texts = list(clean().texts)
    texts[1] = texts[0]  # the same group, another class
    texts[40] = texts[20][:-1] + ";"
    audit = audit_texts(replace(clean(), texts=tuple(texts)))
    assert {"near-duplicates across groups", "one text, two labels"} <= failed(audit)
    assert [(d.first, d.second) for d in audit.duplicates] == [(20, 40)]
    assert 0.8 < audit.duplicates[0].similarity < 1


def test_prompts_that_are_echoed_or_that_differ_are_found() -> None:
    rng = random.Random(1)
    base = clean()
    prompts = {g: sentence(rng) + " " for g in np.unique(base.groups)}
    shared = [prompts[g] for g in base.groups]
    same = replace(base, texts=tuple(p + t for p, t in zip(shared, base.texts, strict=True)), prompts=tuple(shared))
    assert audit_texts(same).passed
    echoed = tuple(p + (p if y == "p" else "") + t for p, t, y in zip(shared, base.texts, base.labels, strict=True))
    assert "words shared with the prompt" in failed(audit_texts(replace(same, texts=echoed)))
    told = tuple(("Be warm. " if y == "p" else "Be brief. ") + p for p, y in zip(shared, base.labels, strict=True))
    differing = replace(base, texts=tuple(p + t for p, t in zip(told, base.texts, strict=True)), prompts=told)
    assert "prompt alone" in failed(audit_texts(differing))


def test_incomplete_groups_and_contexts_that_tell_the_class() -> None:
    texts = clean()
    audit = audit_texts(texts[:-1])
    assert failed(audit) == {"groups with every class"}
    assert "59 of 60" in audit.worst("groups with every class").detail
    assert audit_texts(texts[:-1], limits=AuditLimits(complete_groups=0.9)).passed
    contexts = np.where(texts.labels == "p", "home", "work")
    assert "context differs by class" in {c.name for c in audit_texts(replace(texts, contexts=contexts)).cautions}
    apart = replace(texts, groups=[f"g{i}" for i in range(len(texts))])
    assert "groups with every class" in {c.name for c in audit_texts(apart).cautions}


def test_language_and_script() -> None:
    spanish = "No sé qué hacer con mi hermano, que no me habla desde el lunes."
    one = list(clean().texts)
    one[7] = spanish
    audit = audit_texts(replace(clean(), texts=tuple(one)))
    assert audit.worst("language").status == "caution"
    assert "row 7, es" in audit.worst("language").detail
    told = planted(clean(), lambda t, i: f"{i} " + spanish)
    assert audit_texts(told).worst("language").status == "fail"
    chinese = replace(clean(6), texts=tuple(f"今天第{i}天我很好。" for i in range(12)))
    assert audit_texts(chinese).worst("script").detail == "CJK throughout"


def test_chinese_texts_are_taken_apart_by_character() -> None:
    rng = random.Random(3)
    signs = "天地人山水火木金土日月星花鸟鱼虫风云雨雪"
    texts = tuple("".join(rng.sample(signs, 9)) + "。" for _ in range(80))
    base = LabeledTexts(texts, ["p", "q"] * 40, np.repeat(np.arange(40), 2).astype(str))
    assert audit_texts(base).passed
    leaked = replace(base, texts=tuple(t[:4] + "爱" + t[5:] if i % 2 == 0 else t for i, t in enumerate(texts)))
    assert audit_texts(leaked).worst("single most revealing word").value > 0.95


@pytest.mark.parametrize(
    "texts",
    [
        LabeledTexts(["one"], ["x"], ["g"]),
        LabeledTexts(["a b", "c d"], ["x", "y"], ["g", "g"]),
        LabeledTexts(["a b", "c d", "e"], ["x", "y", "y"], ["g", "h", "i"]),
        LabeledTexts(["!!!", "???", "...", "!?", "--", ",,"], list("xyxyxy"), list("aabbcc")),
        LabeledTexts(["42", "17", "42", "17"], list("xyxy"), list("aabb")),
    ],
)
def test_tiny_and_wordless_sets_get_an_answer(texts: LabeledTexts) -> None:
    audit = audit_texts(texts)
    assert audit.verdict
    assert str(audit)
    json.dumps(audit.to_dict())


def test_result_is_readable_and_complete() -> None:
    audit = audit_texts(datasets.humor_pairs())
    shown = str(audit)
    assert shown.startswith("Audit of 'humor_pairs': PASS")
    assert "60 groups; humorous: 60, plain: 60" in shown
    content = json.loads(json.dumps(audit.to_dict()))
    assert content["passed"] is True
    assert content["sha256"] == datasets.humor_pairs().sha256
    pytest.importorskip("pandas")
    frame = audit.to_frame()
    assert len(frame) == len(audit.checks)
    assert {"name", "classes", "status", "value", "limit", "low", "high"} <= set(frame.columns)
    with pytest.raises(ValueError, match="no check is called"):
        audit.worst("nonsense")


def test_same_seed_same_audit() -> None:
    assert audit_texts(clean(), seed=3).to_dict() == audit_texts(clean(), seed=3).to_dict()


def test_refuses_other_input() -> None:
    with pytest.raises(TypeError, match="from_dataset"):
        audit_texts(["a", "b"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n_splits"):
        audit_texts(clean(), n_splits=1)
    with pytest.raises(ValueError, match=r"length must lie in \(0, 1\]"):
        AuditLimits(length=1.5)
    with pytest.raises(ValueError, match="threshold"):
        near_duplicates(["a"], threshold=1.0)


def test_near_duplicates_of_ten_thousand_texts_take_seconds() -> None:
    rng = random.Random(0)
    vocabulary = [f"{a}{b}" for a in NOUNS for b in VERBS]
    texts = [" ".join(rng.choices(vocabulary, k=12)) for _ in range(10_000)]
    texts[9_999] = texts[3] + "!"
    found = near_duplicates(texts)
    assert [(d.first, d.second) for d in found] == [(3, 9_999)]
    assert len(near_duplicates(["the same text"] * 5_000, max_pairs=50)) == 50
