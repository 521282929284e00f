"""Classes that differ in one thing that is written leave no excess over the texts, whichever function says it.

The activations know the class better than anything that a text-only baseline can count, so that a baseline that does
not see the difference would leave an excess of nearly 1/2.
"""

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch

import empathy_geometry as eg
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.text_features import TOKENS_MISSING
from empathy_geometry.studies.frozen_readings import freeze_reading, human_truth
from empathy_geometry.texts.labeled_texts import LabeledTexts

SENTENCE = "you slept badly again and the bus was late so the day began with rain and tea before we met at noon"
WORDS = SENTENCE.split()
N_GROUPS = 40
Two = tuple[str, str]


def said(generator: np.random.Generator, n: int = 9) -> str:
    return " ".join(generator.permutation(WORDS)[:n])


def ends(first: str, second: str) -> Callable[[np.random.Generator], Two]:
    return lambda r: ((w := said(r)) + first, w + second)


def inside(first: str, second: str) -> Callable[[np.random.Generator], Two]:
    """The difference somewhere among the words, not always at the same place."""

    def both(r: np.random.Generator) -> Two:
        words = said(r).split()
        at = int(r.integers(1, len(words)))
        one, other = (" ".join([*words[:at], mark, *words[at:]]) for mark in (first, second))
        return one, other

    return both


KINDS: dict[str, Callable[[np.random.Generator], Two]] = {
    "question mark": ends("?", "."),
    "question mark or nothing": ends("?", ""),
    "final mark": ends("!", "."),
    "ellipsis": ends("...", "\u2026"),
    "question mark of another script": ends("?", "\uff1f"),
    "first letter's case": lambda r: ((w := said(r)).capitalize(), w),
    "a word's case": inside("NOT", "not"),
    "one-letter word": ends(" I think", " a think"),
    "one-letter word inside": inside("I", "a"),
    "emoji": ends(" \U0001f642", " \U0001f641"),
    "emoji or nothing": ends(" \U0001f642", ""),
    "skin tone": ends(" \U0001f44d\U0001f3fb", " \U0001f44d\U0001f3ff"),
    "two spaces": lambda r: ((w := said(r)).replace(" ", "  ", 1), w),
    "no-break space": lambda r: ((w := said(r)).replace(" ", "\u00a0", 1), w),
    "space at the end": ends(" ", ""),
    "space at the beginning": lambda r: (" " + (w := said(r)), w),
    "newline": lambda r: ((w := said(r)).replace(" ", "\n", 1), w),
    "newline at the end": ends("\n", ""),
    "tab": inside("\t", ""),
    "digit": inside("7", "3"),
    "quotation marks": inside("don\u2019t", "don't"),
    "dash": inside("\u2014", "-"),
    "composed letters": inside("caf\u00e9", "cafe\u0301"),
    "order of two words": inside("tea then rain", "rain then tea"),
    "length": lambda r: (said(r, 12), said(r, 5)),
}


def tokens_of(texts: list[str]) -> list[list[int]]:
    """As a tokenizer of bytes with spaces before words would cut them."""
    cut = [re.findall(r" ?\w+|\s|[^\w\s]", text) for text in texts]
    known = {piece: i for i, piece in enumerate(sorted({piece for row in cut for piece in row}))}
    return [[known[piece] for piece in row] for row in cut]


def pairs(kind: str, seed: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    r = np.random.default_rng(seed)
    texts = [text for _ in range(N_GROUPS) for text in KINDS[kind](r)]
    return texts, np.tile([1, 0], N_GROUPS), np.repeat(np.arange(N_GROUPS), 2)


def knowing(y: np.ndarray, seed: int) -> torch.Tensor:
    X = np.random.default_rng([seed, 1]).normal(size=(len(y), 16))
    X[:, 0] += 4 * y
    return torch.tensor(X, dtype=torch.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_cross_validate(kind: str, seed: int) -> None:
    texts, y, groups = pairs(kind, seed)
    found = eg.cross_validate(eg.Probe("logistic"), knowing(y, seed), y, groups=groups, texts=texts)
    assert float(found.auroc) > 0.95
    assert found.excess.low <= 0
    assert TOKENS_MISSING in found.notes


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"length"}))
def test_the_models_own_tokens_alone(kind: str) -> None:
    """What a model can read is in its tokens; only length is lost, because their counts are scaled to one length."""
    texts, y, groups = pairs(kind, 0)
    X, tokens = knowing(y, 0), tokens_of(texts)
    found = eg.cross_validate(eg.Probe("logistic"), X, y, groups=groups, token_ids=tokens)
    assert set(found.baselines) == {"model_tokens", "best_in_training"}
    assert found.excess.low <= 0


@pytest.mark.parametrize("kind", ["question mark", "one-letter word inside", "a word's case", "newline"])
def test_three_classes(kind: str) -> None:
    r = np.random.default_rng(5)
    rows = [(text, c) for _ in range(N_GROUPS) for c, text in enumerate((*KINDS[kind](r), said(r) + " of snow"))]
    texts, y = [text for text, _ in rows], np.array([c for _, c in rows])
    X = np.random.default_rng(6).normal(size=(len(y), 16))
    X[np.arange(len(y)), y] += 4
    groups = np.repeat(np.arange(N_GROUPS), 3)
    found = eg.cross_validate(
        eg.Probe("ridge"), X, y, groups=groups, texts=texts, token_ids=tokens_of(texts), n_splits=4
    )
    assert float(found.auroc) > 0.95
    assert found.excess.low <= 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_graded_target(kind: str) -> None:
    texts, y, groups = pairs(kind, 3)
    X, rating = knowing(y, 3), y + np.random.default_rng(4).normal(scale=0.1, size=len(y))
    found = eg.cross_validate(
        eg.RegressionProbe(), X, rating, groups=groups, texts=texts, token_ids=tokens_of(texts), inner_splits=3
    )
    assert float(found.spearman) > 0.7
    assert found.excess.low <= 0


@pytest.mark.parametrize("kind", KINDS)
def test_human_truth(kind: str) -> None:
    """Words carried over from the packaged texts to the rated ones, as the direction was."""
    made = []
    for seed in (7, 8):
        texts, y, groups = pairs(kind, seed)
        labels = np.where(y == 1, "warmth", "advice")
        rated = LabeledTexts(texts, labels, groups, targets={"felt": y.astype(float)})
        made.append(Activations(knowing(y, seed)[:, None], (4,), labels, groups, texts=rated))
    told = tokens_of([text for acts in made for text in acts.texts.texts])
    packaged, people = (
        Activations(a.values, a.layers, a.labels, a.groups, texts=a.texts, token_ids=rows)
        for a, rows in zip(made, (told[: len(made[0])], told[len(made[0]) :]), strict=True)
    )
    reading = freeze_reading(packaged, "felt", {"warmth": 1.0}, layer=4, alpha=10.0)
    found = human_truth([reading], packaged, people, in_domain=False)
    assert float(found.auroc["felt"]) > 0.95
    assert found.excess["felt"].low <= 0
    assert "model_tokens" in found.word_scores["felt"]
    assert not found.notes


def test_what_is_not_written_leaves_an_excess() -> None:
    """The control: where texts do not tell the classes apart, the same functions say so."""
    r = np.random.default_rng(0)
    texts = [text for _ in range(N_GROUPS) for text in [said(r)] * 2]
    y, groups = np.tile([1, 0], N_GROUPS), np.repeat(np.arange(N_GROUPS), 2)
    tokens = tokens_of(texts)
    found = eg.cross_validate(eg.Probe("logistic"), knowing(y, 0), y, groups=groups, texts=texts, token_ids=tokens)
    assert found.excess.low > 0.2
    graded = eg.cross_validate(
        eg.RegressionProbe(), knowing(y, 0), y + 0.0, groups=groups, texts=texts, token_ids=tokens, inner_splits=3
    )
    assert graded.excess.low > 0.2


@pytest.mark.parametrize("gone", ["?", "!", "I", "caps"])
def test_a_baseline_that_is_blind_would_be_found(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Break it on purpose: without the baselines that see marks and case, the excess is there."""
    from empathy_geometry.evaluation import cross_validation

    kind = {"?": "question mark", "!": "final mark", "I": "one-letter word inside", "caps": "a word's case"}[gone]
    texts, y, groups = pairs(kind, 0)
    monkeypatch.setattr(cross_validation, "BASELINES", ("first_word", "length"))
    found = eg.cross_validate(eg.Probe("logistic"), knowing(y, 0), y, groups=groups, texts=texts)
    assert found.excess.low > 0
