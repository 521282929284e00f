"""The natural set keeps what its datasheet (docs/datasets.md) says."""

import json
import re
import unicodedata
from collections import Counter
from importlib.resources import files

import numpy as np
import pytest

from empathy_geometry import datasets
from empathy_geometry.audit.near_duplicates import near_duplicates
from empathy_geometry.audit.text_problems import character_problems, language

MOVES = (
    "advice",
    "greeting",
    "naming_feelings",
    "off_topic",
    "own_experience",
    "paraphrase",
    "question",
    "warmth",
)
FILES = ("support_moves.a", "support_moves.b")
I_WORDS = re.compile(r"\b(i|i'm|i'd|i've|i'll|me|my|mine|we|us|our)\b", re.IGNORECASE)
YOU_WORDS = re.compile(r"\b(you|your|yours|yourself|you're|you've|you'd|you'll)\b", re.IGNORECASE)


def content(name: str) -> dict:
    return json.loads((files("empathy_geometry") / "data" / f"{name}.json").read_text(encoding="utf-8"))


def replies(move: str, family: str | None = None) -> tuple[str, ...]:
    moves = datasets.support_moves()
    return moves.where(label=move, family=["a", "b"] if family is None else family).responses


def test_counts() -> None:
    moves = datasets.support_moves()
    assert moves.name == "support_moves"
    assert moves.classes == MOVES
    assert len(np.unique(moves.groups)) == 64
    # Every scenario has every move once in each family, and lies in one context.
    rows = Counter(zip(moves.groups, moves.labels, moves.families, strict=True))
    assert len(rows) == len(moves) == 64 * 8 * 2
    assert len(set(zip(moves.groups, moves.contexts, strict=True))) == 64
    assert len(set(zip(moves.groups, moves.prompts, strict=True))) == 64
    assert set(Counter(moves.contexts).values()) == {64}
    assert len(set(moves.contexts)) == 16
    assert len(set(moves.texts)) == len(moves)


def test_lengths() -> None:
    moves = datasets.support_moves()
    posts = {len(prompt.removesuffix("\n\nResponse: ").split()) for prompt in moves.prompts}
    assert min(posts) >= 10
    assert max(posts) <= 90
    assert max(posts) >= 60
    lengths = np.array([len(response.split()) for response in moves.responses])
    assert lengths.min() >= 3
    assert lengths.max() <= 60
    for move in MOVES:
        of_move = lengths[moves.labels == move]
        # Many short ones and some long ones in each, so that length alone is a poor guide.
        assert np.mean(of_move <= 8) > 0.1
        assert of_move.max() >= 30


@pytest.mark.parametrize("family", ["a", "b"])
def test_pronouns_are_crossed_with_moves(family: str) -> None:
    for move in MOVES:
        texts = replies(move, family)
        first = np.array([bool(I_WORDS.search(t)) for t in texts])
        second = np.array([bool(YOU_WORDS.search(t)) for t in texts])
        # Nobody tells of oneself without "I" or "my" for long; every other move has each kind of wording.
        own = move == "own_experience"
        assert 0.1 < first.mean() < (1 if own else 0.9)
        assert 0.1 < second.mean() < 0.8
        assert (~first & ~second).mean() > (0.03 if own else 0.1)


def test_marks_and_openings_are_natural_but_no_giveaway() -> None:
    for move in MOVES:
        marked = np.mean(["?" in t for t in replies(move)])
        assert 0.8 < marked < 0.95 if move == "question" else marked < 0.2
        openings = Counter(tuple(re.findall(r"[\w']+", t.lower())[:2]) for t in replies(move))
        assert openings.most_common(1)[0][1] <= (0.08 if move == "off_topic" else 0.055) * 128
    for family in ("a", "b"):
        lower = [t[0].islower() for move in MOVES for t in replies(move, family)]
        assert np.mean(lower) > 0.1


def test_text_is_clean() -> None:
    moves = datasets.support_moves()
    for name in FILES:
        raw = (files("empathy_geometry") / "data" / f"{name}.json").read_bytes()
        assert b"\r" not in raw
        assert not raw.startswith(b"\xef\xbb\xbf")
        assert unicodedata.is_normalized("NFC", raw.decode("utf-8"))
        held = content(name)
        assert set(held) == {"name", "classes", "licence", "items"}
        assert held["licence"] == "MIT"
        assert set(held["classes"]) == set(MOVES)
        assert all(set(item) == {"id", "domain", "family", "scenario", *MOVES} for item in held["items"])
    for text in {*moves.prompts, *moves.responses}:
        assert not character_problems(text)
        assert "  " not in text
        assert not re.search("[\u2018\u2019\u201c\u201d\u2013\u2014\u2026]", text)
        assert language(text) in ("en", "unknown")
    assert all(text == text.strip() for text in moves.responses)


def test_replies_differ_across_scenarios_and_families() -> None:
    moves = datasets.support_moves()
    assert near_duplicates(moves.responses, groups=moves.groups, threshold=0.5) == ()
    # Within a scenario the two hands say it differently too.
    rows = [f"{group}-{family}" for group, family in zip(moves.groups, moves.families, strict=True)]
    assert near_duplicates(moves.responses, groups=rows, threshold=0.6) == ()


def test_help_is_named_where_lives_are_at_stake() -> None:
    crisis = datasets.support_moves().where(context="crisis", label="advice")
    help_words = re.compile(r"988|116 123|999|911|85258|741741|crisis team|safety plan|emergency", re.IGNORECASE)
    assert all(help_words.search(text) for text in crisis.responses)


def test_mixtures() -> None:
    moves, mixtures = datasets.support_moves(), datasets.support_moves_mixtures()
    assert len(mixtures) == 192
    again = datasets.support_moves_mixtures(192, seed=0)
    assert mixtures.sha256 == again.sha256
    assert mixtures.sha256 != datasets.support_moves_mixtures(192, seed=1).sha256
    parts = {
        (group, family, label): response
        for group, family, label, response in zip(
            moves.groups, moves.families, moves.labels, moves.responses, strict=True
        )
    }
    for i, label in enumerate(mixtures.labels):
        for move in label.split("+"):
            assert parts[mixtures.groups[i], mixtures.families[i], move] in mixtures.responses[i]
        if "greeting" in label:
            assert mixtures.responses[i].startswith(parts[mixtures.groups[i], mixtures.families[i], "greeting"])
