"""How well two classes are told apart by length, single words, bags of words, punctuation and the prompt's words."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from empathy_geometry.audit.audit_result import AuditCheck, AuditLimits, ClassSummary, RevealingWord, Status
from empathy_geometry.audit.words import final_mark, n_sentences, spaced, words
from empathy_geometry.evaluation.baselines import baseline_scores
from empathy_geometry.evaluation.fold_scores import standardise
from empathy_geometry.evaluation.metrics import auroc
from empathy_geometry.evaluation.text_features import BaselineName
from empathy_geometry.foundation._types import BoolArray, FloatArray, IntArray
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.splits import Fold, grouped_folds

_MARKS = tuple(".,;:?!'\"-()")
_WORDS_SUFFICE = 0.75
"""A bag-of-words AUROC above this deserves a caution where it is no failure."""


class PairChecks:
    """The checks of two classes against each other; texts are taken apart once for all pairs.

    Args:
        texts: The texts.
        limits: What passes.
        n_splits: Number of folds, where there are groups enough.
        seed: Order of the groups in the folds.
    """

    def __init__(self, texts: LabeledTexts, limits: AuditLimits, *, n_splits: int, seed: int) -> None:
        self.texts, self.limits, self.n_splits, self.seed = texts, limits, n_splits, seed
        responses = texts.responses
        tokens = [words(text) for text in responses]
        self.vocabulary, self.presence = _presence(tokens)
        # A text without words is a word of its own, so that every vectorizer has something to count.
        self.spaced = np.array([spaced(t) if w else "_" for t, w in zip(responses, tokens, strict=True)], dtype=object)
        self.characters = np.array([len(text.strip()) for text in responses], dtype=np.float64)
        self.n_words = np.array([len(w) for w in tokens], dtype=np.float64)
        self.sentences = np.array([n_sentences(text) for text in responses], dtype=np.float64)
        self.marks = np.array([[text.count(mark) for mark in _MARKS] for text in responses], dtype=np.float64)
        self.finals = _one_hot([final_mark(text) for text in responses])
        self.overlap = _overlap(texts, tokens)

    def run(self, first: str, second: str) -> list[AuditCheck]:
        """Every check of one pair of classes."""
        rows = np.flatnonzero(np.isin(self.texts.labels, (first, second)))
        pair = _Pair(f"{first} vs {second}", rows, self.texts.labels[rows] == first, self.texts.groups[rows])
        limits = self.limits
        checks = [
            pair.direct("length, characters", self.characters, limits.length, (first, second)),
            pair.direct("length, words", self.n_words, limits.length, (first, second)),
            pair.direct("number of sentences", self.sentences, limits.sentences, (first, second)),
        ]
        if self.overlap is not None:
            name = "words shared with the prompt"
            checks.append(pair.direct(name, self.overlap, limits.prompt_overlap, (first, second)))
        folds = pair.folds(self.n_splits, self.seed)
        if folds is None:
            detail = "a class has fewer than two groups, so nothing can be held out: words and marks were not judged"
            return [*checks, AuditCheck("words and marks", pair.name, "caution", None, None, detail)]
        word, chosen = self._single_word(pair, folds)
        texts = self.spaced[rows].tolist()
        return [
            *checks,
            pair.scored("first word", _baseline(texts, pair, folds, "first_word"), limits.first_word),
            pair.scored("single most revealing word", word, limits.single_word, f"mostly {chosen!r}"),
            pair.scored("words (TF-IDF)", _baseline(texts, pair, folds, "tfidf"), limits.tfidf),
            pair.scored("punctuation", _held_out(self.marks[rows], pair.codes, folds), limits.punctuation),
            pair.scored("final mark", _held_out(self.finals[rows], pair.codes, folds), limits.final_mark),
            *self._prompt_alone(pair, folds),
        ]

    def _single_word(self, pair: "_Pair", folds: tuple[Fold, ...]) -> tuple[FloatArray, str]:
        """Held-out presence of the word with the largest difference in frequency in the training folds."""
        presence = self.presence[pair.rows]
        scores, chosen = np.zeros(len(pair.rows)), []
        for fold in folds:
            positive = pair.positive[fold.train]
            train = presence[fold.train]
            gap = np.asarray(train[positive].mean(axis=0) - train[~positive].mean(axis=0)).ravel()
            word = int(np.abs(gap).argmax())
            column = np.sign(gap[word]) * np.asarray(presence[:, [word]].todense(), dtype=np.float64).ravel()
            scores[fold.test] = standardise(column[fold.test], column[fold.train])
            chosen.append(self.vocabulary[word])
        return scores, max(chosen, key=chosen.count)

    def _prompt_alone(self, pair: "_Pair", folds: tuple[Fold, ...]) -> list[AuditCheck]:
        """Whether the prompt tells the class, where prompts differ between classes at all."""
        prompts = self.texts.prompts
        if prompts is None:
            return []
        by_group: dict[str, dict[bool, set[str]]] = {}
        for row, positive, group in zip(pair.rows, pair.positive, pair.groups, strict=True):
            by_group.setdefault(str(group), {}).setdefault(bool(positive), set()).add(prompts[row])
        if all(len(sides) == 2 and sides[True] == sides[False] for sides in by_group.values()):
            return [AuditCheck("prompt alone", pair.name, "pass", 0.5, None, "classes share their prompts")]
        texts = [spaced(prompts[row]) if words(prompts[row]) else "_" for row in pair.rows]
        scores = _baseline(texts, pair, folds, "tfidf")
        return [pair.scored("prompt alone", scores, _WORDS_SUFFICE, "prompts differ between the classes")]


class _Pair:
    """Rows of two classes, the first being the positive one."""

    def __init__(self, name: str, rows: IntArray, positive: BoolArray, groups: np.ndarray) -> None:
        self.name, self.rows, self.positive, self.groups = name, rows, positive, groups
        self.codes = positive.astype(np.int64)

    def folds(self, n_splits: int, seed: int) -> tuple[Fold, ...] | None:
        """Grouped folds, fewer where there are fewer groups; None where a class cannot be held out."""
        fewest = min(len(np.unique(self.groups[self.positive == side])) for side in (True, False))
        possible = (_folds_if_possible(self.codes, self.groups, n, seed) for n in range(min(n_splits, fewest), 1, -1))
        return next((folds for folds in possible if folds is not None), None)

    def direct(self, name: str, feature: FloatArray, limit: float, classes: tuple[str, str]) -> AuditCheck:
        """AUROC of a number, whichever way it points."""
        values = feature[self.rows]
        estimate = auroc(values, self.positive, groups=self.groups)
        higher = classes[0]
        if estimate.value < 0.5:
            estimate, higher = auroc(-values, self.positive, groups=self.groups), classes[1]
        detail = "" if estimate.value == 0.5 else f"more in {higher!r}"
        return self._check(name, estimate, limit, detail)

    def scored(self, name: str, scores: FloatArray, limit: float | None, detail: str = "") -> AuditCheck:
        """AUROC of held-out scores."""
        return self._check(name, auroc(scores, self.positive, groups=self.groups), limit, detail)

    def _check(self, name: str, estimate: Estimate, limit: float | None, detail: str) -> AuditCheck:
        status: Status = "pass"
        if limit is None and estimate.value > _WORDS_SUFFICE:
            status = "caution"
            told = "this alone tells the classes apart; report a probe as its excess over it"
            detail = f"{detail}; {told}" if detail else told
        elif limit is not None and estimate.value > limit:
            status = "fail"
        return AuditCheck(name, self.name, status, estimate.value, limit, detail, estimate)


def revealing_words(texts: LabeledTexts, *, n_words: int = 8) -> tuple[RevealingWord, ...]:
    """For each class, the words, pairs of words and marks that speak for it most, by a classifier fitted to all texts.

    Args:
        texts: The texts; their responses are looked at.
        n_words: How many for each class.

    Example:
        >>> texts = LabeledTexts(["so sad now", "so dull now"] * 3, ["felt", "plain"] * 3, list("aabbcc"))
        >>> [(w.word, w.label) for w in revealing_words(texts, n_words=1)]
        [('sad', 'felt'), ('dull', 'plain')]
    """
    classes, labels = texts.classes, texts.labels
    if len(classes) < 2:
        return ()
    vectorizer = TfidfVectorizer(analyzer=_words_pairs_and_marks, sublinear_tf=True)
    rows = vectorizer.fit_transform(texts.responses)
    weights = LogisticRegression(C=10.0, max_iter=1000).fit(rows, labels).coef_
    if len(classes) == 2:
        weights = np.vstack([-weights[0], weights[0]])
    names = vectorizer.get_feature_names_out()
    present = rows.sign()
    found: list[RevealingWord] = []
    for label, weight in zip(classes, weights, strict=True):
        own = labels == label
        inside = np.asarray(present[own].sum(axis=0)).ravel() / own.sum()
        outside = np.asarray(present[~own].sum(axis=0)).ravel() / (~own).sum()
        found += [
            RevealingWord(str(names[j]), label, float(weight[j]), float(inside[j]), float(outside[j]))
            for j in np.lexsort((names, -weight))[:n_words]
            if weight[j] > 0
        ]
    return tuple(found)


def class_summary(texts: LabeledTexts, label: str) -> ClassSummary:
    """Number of texts of one class, and means per text of characters, words and sentences."""
    chosen = [text for text, own in zip(texts.responses, texts.labels, strict=True) if own == label]

    def mean(of: Callable[[str], int]) -> float:
        return float(np.mean([of(text) for text in chosen]))

    return ClassSummary(label, len(chosen), mean(len), mean(lambda t: len(words(t))), mean(n_sentences))


def _folds_if_possible(codes: IntArray, groups: np.ndarray, n_splits: int, seed: int) -> tuple[Fold, ...] | None:
    """None where some training part would lack a class; fewer folds may do then."""
    try:
        return grouped_folds(codes, groups=groups, n_splits=n_splits, seed=seed)
    except ValueError:
        return None


def _words_pairs_and_marks(text: str) -> list[str]:
    tokens = words(text)
    marks = [mark for mark in text if not mark.isalnum() and not mark.isspace() and mark != "'"]
    return [*tokens, *(f"{a} {b}" for a, b in pairwise(tokens)), *marks] or ["(no words)"]


def _baseline(texts: list[str], pair: _Pair, folds: tuple[Fold, ...], name: BaselineName) -> FloatArray:
    return baseline_scores(texts, pair.codes, folds=folds, which=[name])[name]


def _held_out(features: FloatArray, codes: IntArray, folds: tuple[Fold, ...]) -> FloatArray:
    """Standardised out-of-fold scores of a logistic regression on a few features."""
    scores = np.zeros(len(codes))
    for fold in folds:
        scaler = StandardScaler().fit(features[fold.train])
        train, test = scaler.transform(features[fold.train]), scaler.transform(features[fold.test])
        model = LogisticRegression(max_iter=1000).fit(train, codes[fold.train])
        scores[fold.test] = standardise(model.decision_function(test), model.decision_function(train))
    return scores


def _presence(tokens: list[list[str]]) -> tuple[list[str], Any]:
    """The vocabulary, and which text has which word, [n, n_words]."""
    index: dict[str, int] = {}
    columns = [sorted({index.setdefault(w, len(index)) for w in text or ["(no words)"]}) for text in tokens]
    pointers = np.cumsum([0, *map(len, columns)])
    flat = np.concatenate([np.asarray(c, dtype=np.int64) for c in columns])
    matrix = csr_matrix((np.ones(len(flat)), flat, pointers), shape=(len(tokens), len(index)))
    return list(index), matrix


def _one_hot(values: list[str]) -> FloatArray:
    kinds, codes = np.unique(values, return_inverse=True)
    return np.eye(len(kinds))[codes.reshape(-1)]


def _overlap(texts: LabeledTexts, tokens: list[list[str]]) -> FloatArray | None:
    """Share of each response's distinct words that occur in its prompt."""
    if texts.prompts is None:
        return None
    shares = []
    for prompt, response in zip(texts.prompts, tokens, strict=True):
        own = set(response)
        shares.append(len(own & set(words(prompt))) / max(1, len(own)))
    return np.array(shares)
