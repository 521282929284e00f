"""Text-only baselines: how well the classes are told apart without the model's hidden states."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from empathy_geometry.evaluation.fold_dependence import left_out_scores, variance_inflation
from empathy_geometry.evaluation.fold_scores import decision_values, standardise
from empathy_geometry.foundation._types import ArrayLike, FloatArray, IntArray, LabelsLike
from empathy_geometry.foundation._validation import as_groups, as_matrix, as_names, check_choice
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.splits import Fold, check_folds

BaselineName = Literal["first_word", "tfidf", "length", "token_embeddings"]
BASELINES: tuple[BaselineName, ...] = ("first_word", "tfidf", "length", "token_embeddings")


@dataclass(frozen=True, eq=False)
class TextBaseline:
    """Out-of-fold scores of a classifier that sees the words only.

    Attributes:
        name: One of `BASELINES`.
        scores: [n] for two classes (higher means the last sorted class), else [n, n_classes]; standardised per fold as
            those of a probe are.
        inflation: Factor on the variance of their AUROC; see `fold_dependence.variance_inflation`.
    """

    name: str
    scores: FloatArray
    inflation: float


def text_baselines(
    texts: LabeledTexts | Sequence[str],
    y: LabelsLike,
    *,
    groups: LabelsLike | None,
    folds: Sequence[Fold],
    token_embeddings: ArrayLike | None = None,
    which: Sequence[BaselineName] = BASELINES,
) -> dict[str, TextBaseline]:
    """Classifiers that see the words only, on the folds of the probe that they are compared with.

    - "first_word": which word the text begins with.
    - "tfidf": bag of words, 1- and 2-grams.
    - "length": numbers of characters, words and sentences, as logarithms.
    - "token_embeddings": mean of the token embeddings, the model's own layer 0 before any context.

    Each is an L2-logistic regression; vocabulary, weights and scaling come from the training rows.

    Args:
        texts: What is judged: the responses of `LabeledTexts`, or plain strings.
        y: Class of each text.
        groups: Scenario of each text; None, said by name, takes the texts as independent.
        folds: Such as `grouped_folds` makes.
        token_embeddings: [n, d_model]; without them that baseline is left out.
        which: Names to compute.

    Returns:
        Baselines by name.

    Raises:
        ValueError: lengths differ, or folds that split a group.

    Example:
        >>> from empathy_geometry.texts.splits import grouped_folds
        >>> texts = ["sorry to hear", "sorry about it", "the report", "the file"] * 3
        >>> y, groups = [1, 1, 0, 0] * 3, [0, 1, 2, 3] * 3
        >>> folds = grouped_folds(y, groups=groups, n_splits=2)
        >>> found = text_baselines(texts, y, groups=groups, folds=folds, which=["first_word"])
        >>> scores = found["first_word"].scores
        >>> bool(scores[:2].min() > scores[2:4].max())
        True
    """
    codes = _codes(texts, y)
    used = check_folds(folds, codes, groups=groups)
    group = as_groups(groups, len(codes))
    return {
        name: _out_of_fold(name, rows, codes, group, used)
        for name, rows in _inputs(texts, codes, token_embeddings, which).items()
    }


def baseline_scores(
    texts: LabeledTexts | Sequence[str],
    y: LabelsLike,
    *,
    folds: Sequence[Fold],
    token_embeddings: ArrayLike | None = None,
    which: Sequence[BaselineName] = BASELINES,
) -> dict[str, FloatArray]:
    """The scores of `text_baselines` alone, on any folds; rows that no fold tests score 0.

    Args:
        texts: As in `text_baselines`.
        y: As in `text_baselines`.
        folds: Training and test rows; whether they split a scenario is the caller's business.
        token_embeddings: As in `text_baselines`.
        which: Names to compute.

    Example:
        >>> folds = [Fold(np.arange(4), np.arange(4, 8))]
        >>> texts = ["sorry, no", "sorry, yes", "the file", "the end"] * 2
        >>> found = baseline_scores(texts, [1, 1, 0, 0] * 2, folds=folds, which=["first_word"])
        >>> found["first_word"][4:].round(1).tolist()
        [1.0, 1.0, -1.0, -1.0]
    """
    codes = _codes(texts, y)
    return {
        name: _out_of_fold(name, rows, codes, None, folds).scores
        for name, rows in _inputs(texts, codes, token_embeddings, which).items()
    }


def _codes(texts: LabeledTexts | Sequence[str], y: LabelsLike) -> IntArray:
    if isinstance(texts, str):
        raise TypeError("texts must be LabeledTexts or a sequence of strings, got one string; try [text]")
    labels = as_names(y, "y", len(texts))
    return np.unique(labels, return_inverse=True)[1].reshape(-1)


def _inputs(
    texts: LabeledTexts | Sequence[str],
    codes: IntArray,
    token_embeddings: ArrayLike | None,
    which: Sequence[BaselineName],
) -> dict[str, Any]:
    """What each baseline reads; without token embeddings theirs is left out."""
    responses = np.array(list(texts.responses if isinstance(texts, LabeledTexts) else texts), dtype=object)
    found: dict[str, Any] = {}
    for name in which:
        check_choice(name, "which", BASELINES)
        if name != "token_embeddings":
            found[name] = responses
        elif token_embeddings is not None:
            found[name] = as_matrix(token_embeddings, "token_embeddings")
            if len(found[name]) != len(codes):
                raise ValueError(f"token_embeddings must have {len(codes)} rows, got {len(found[name])}")
    return found


def _out_of_fold(name: str, rows: Any, codes: IntArray, groups: IntArray | None, folds: Sequence[Fold]) -> TextBaseline:
    """Scores of one baseline, and the inflation of their variance where groups are given."""
    n_classes = int(codes.max()) + 1
    scores = np.zeros((len(codes),) if n_classes == 2 else (len(codes), n_classes))
    left_out = None if groups is None else np.zeros((int(groups.max()) + 1, *scores.shape))
    features, probe = _CLASSIFIERS[name]
    for fold in folds:
        fitted = clone(features).fit(rows[fold.train])
        seen = np.asarray(fitted.transform(rows), dtype=np.float64)
        classifier = clone(probe).fit(seen[fold.train], codes[fold.train])
        scores[fold.test] = standardise(
            decision_values(classifier, seen[fold.test]), decision_values(classifier, seen[fold.train])
        )
        if groups is not None and left_out is not None:
            part = left_out_scores(probe, seen, codes, groups, fold, n_classes)
            if part is None:
                left_out = None
            else:
                left_out[:, fold.test] = part
    if groups is None or left_out is None:
        return TextBaseline(name, scores, 2.0)
    return TextBaseline(name, scores, variance_inflation(scores, left_out, codes, groups))


def first_word(text: str) -> str:
    """The first run of letters and apostrophes, in lower case; "" if there is none.

    Example:
        >>> first_word("(I'm sorry, she said.)")
        "i'm"
    """
    found = re.search(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*", text)
    return found.group().lower() if found else ""


class _RowSpace(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Sparse rows in the principal axes of the training rows, where an L2 penalty finds the same solution."""

    def fit(self, X: Any, y: Any = None) -> "_RowSpace":
        values, vectors = np.linalg.eigh((X @ X.T).toarray())
        kept = values > max(values[-1], 0.0) * 1e-13 * X.shape[0]
        self.axes_ = X.T @ (vectors[:, kept] / np.sqrt(values[kept]))
        return self

    def transform(self, X: Any) -> FloatArray:
        return np.asarray(X @ self.axes_)


def _first_words(texts: Any) -> list[list[str]]:
    return [[first_word(text)] for text in texts]


def _lengths(texts: Any) -> FloatArray:
    counts = [[len(t), len(t.split()), len(re.findall(r"[.!?]+(?:\s|$)", t))] for t in texts]
    return np.log1p(np.array(counts, dtype=np.float64))


def _whole(tokens: list[str]) -> list[str]:
    return tokens


_CLASSIFIERS: dict[str, tuple[Any, Probe]] = {
    "first_word": (
        make_pipeline(FunctionTransformer(_first_words), CountVectorizer(analyzer=_whole), _RowSpace()),
        Probe("logistic", scale=False),
    ),
    "tfidf": (
        make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b"), _RowSpace()
        ),
        Probe("logistic", C=10.0, scale=False),
    ),
    "length": (FunctionTransformer(_lengths), Probe("logistic")),
    "token_embeddings": (FunctionTransformer(), Probe("logistic")),
}
