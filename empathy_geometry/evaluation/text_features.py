"""What text-only baselines read of a text: its words, marks, characters, length and a handful of covariates."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from empathy_geometry.foundation._types import ArrayLike, FloatArray
from empathy_geometry.foundation._validation import as_matrix, check_choice
from empathy_geometry.foundation.names import as_texts
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.splits import Fold
from empathy_geometry.texts.token_ids import TokenIdsLike, as_token_ids

BaselineName = Literal[
    "first_word",
    "tfidf",
    "words_and_marks",
    "characters",
    "model_tokens",
    "length",
    "covariates",
    "token_embeddings",
]
BASELINES: tuple[BaselineName, ...] = (
    "first_word",
    "tfidf",
    "words_and_marks",
    "characters",
    "model_tokens",
    "length",
    "covariates",
    "token_embeddings",
)
NO_TEXTS: tuple[BaselineName, ...] = ("model_tokens", "token_embeddings")
"""Baselines that need no texts."""
TOKENS_MISSING = (
    "the baseline model_tokens is missing: nothing says which tokens the model read; activations of "
    "extract_activations do, for others pass token_ids= (the tokenizer's ids of each text)"
)
"""What a result says where the baseline that sees as much as the model could not be computed."""


def judged_texts(texts: LabeledTexts | Sequence[str]) -> tuple[str, ...]:
    """What is judged: the responses of `LabeledTexts`, or plain strings, checked."""
    return texts.responses if isinstance(texts, LabeledTexts) else as_texts(texts)


def baseline_inputs(
    texts: LabeledTexts | Sequence[str],
    n: int,
    token_embeddings: ArrayLike | None,
    which: Sequence[BaselineName],
    token_ids: TokenIdsLike | None = None,
) -> dict[str, Any]:
    """What each baseline reads; without token embeddings or ids theirs is left out."""
    responses = np.array(judged_texts(texts), dtype=object)
    found: dict[str, Any] = {}
    for name in which:
        check_choice(name, "which", BASELINES)
        if name == "model_tokens":
            if (tokens := as_token_ids(token_ids, n)) is not None:
                found[name] = np.empty(n, dtype=object)  # filled row by row: rows of one length would make a matrix
                for i, row in enumerate(tokens):
                    found[name][i] = row
        elif name != "token_embeddings":
            found[name] = responses
        elif token_embeddings is not None:
            found[name] = as_matrix(token_embeddings, "token_embeddings")
            if len(found[name]) != n:
                raise ValueError(f"token_embeddings must have {n} rows, got {len(found[name])}")
    return found


def first_word(text: str) -> str:
    """The first run of letters and apostrophes, in lower case; "" if there is none.

    Example:
        >>> first_word("(I'm sorry, she said.)")
        "i'm"
    """
    found = re.search(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*", text)
    return found.group().lower() if found else ""


class _SeenInTraining(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Counts of what the training texts hold; one empty column where they hold nothing (emoji only, say)."""

    def fit(self, X: Any, y: Any = None) -> "_SeenInTraining":
        self.columns_ = np.flatnonzero(np.asarray((X > 0).sum(axis=0)).ravel())
        return self

    def transform(self, X: Any) -> Any:
        return X[:, self.columns_] if self.columns_.size else csr_matrix((X.shape[0], 1))


class _RowSpace(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Sparse rows in the principal axes of the training rows, where an L2 penalty finds the same solution."""

    def fit(self, X: Any, y: Any = None) -> "_RowSpace":
        values, vectors = np.linalg.eigh((X @ X.T).toarray())
        kept = values > max(values[-1], 0.0) * 1e-13 * X.shape[0]
        kept[-1] |= not kept.any()  # no text holds anything: one axis, on which all are zero
        # By products of rows: axes over all n-grams would be dense.
        self.rows_, self.axes_ = X, vectors[:, kept] / np.sqrt(np.maximum(values[kept], 1e-300))
        return self

    def transform(self, X: Any) -> FloatArray:
        return np.asarray((X @ self.rows_.T) @ self.axes_)


def _lengths(texts: Any) -> FloatArray:
    counts = [[len(t), len(t.split()), len(re.findall(r"[.!?]+(?:\s|$)", t))] for t in texts]
    return np.log1p(np.array(counts, dtype=np.float64))


def _covariates(texts: Any) -> FloatArray:
    """Length, and first person, second person, question and exclamation marks, present and per word, [n, 11]."""
    counts = [[len(re.findall(pattern, text)) for pattern in _COVARIATES] for text in texts]
    found = np.array(counts, dtype=np.float64)
    words = np.array([max(len(text.split()), 1) for text in texts], dtype=np.float64)[:, None]
    return np.hstack([_lengths(texts), found > 0, found / words])


_COVARIATES = (
    r"(?i)\b(?:i|me|my|mine|myself|we|us|our|ours)\b",
    r"(?i)\b(?:you|your|yours|yourself)\b",
    r"[?\uff1f]",
    r"[!\uff01]",
)


_BEGIN, _END = "\x02", "\x03"


def _character_runs(text: str) -> list[str]:
    """Runs of 1 to 5 characters between marks of beginning and end; white space stays as it is written.

    scikit-learn's own makes single spaces of it, and sees no space at the end.

    Example:
        >>> len(_character_runs("a  b")), "  " in _character_runs("a  b")
        (20, True)
    """
    framed = f"{_BEGIN}{text}{_END}"
    return [framed[i : i + n] for n in range(1, 6) for i in range(len(framed) - n + 1)]


def _token_grams(ids: Sequence[int]) -> list[tuple[int, ...]]:
    """Tokens and pairs of neighbours, beginning (-1) and end (-2) among these.

    Example:
        >>> _token_grams([5, 6])
        [(5,), (6,), (-1, 5), (5, 6), (6, -2)]
    """
    return [*((token,) for token in ids), *pairwise((-1, *ids, -2))]


_COUNTERS = {
    "first_word": CountVectorizer(preprocessor=first_word, token_pattern=r"(?s).+"),
    "tfidf": CountVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b"),
    "words_and_marks": CountVectorizer(ngram_range=(1, 2), lowercase=False, token_pattern=r"\w+|[^\w\s]"),
    "characters": CountVectorizer(analyzer=_character_runs),
    "model_tokens": CountVectorizer(analyzer=_token_grams),
}


def counted(name: str, rows: Any) -> Any:
    """Texts as counts of all that they hold, for the baselines that count; each fold keeps what its training part has.

    Counting is what takes time, and is the same in every fold.
    """
    if name not in _COUNTERS:
        return rows
    try:
        return clone(_COUNTERS[name]).fit_transform(rows)
    except ValueError as error:
        if "empty vocabulary" not in str(error):
            raise
        return csr_matrix((len(rows), 1))


_FEATURES: dict[str, Any] = {
    "first_word": make_pipeline(_SeenInTraining(), _RowSpace()),
    **{
        name: make_pipeline(_SeenInTraining(), TfidfTransformer(sublinear_tf=True), _RowSpace())
        for name in ("tfidf", "words_and_marks", "characters", "model_tokens")
    },
    "length": FunctionTransformer(_lengths),
    "covariates": FunctionTransformer(_covariates),
    "token_embeddings": FunctionTransformer(),
}

COUNTING = frozenset(_COUNTERS)
"""Baselines whose features are counts, to be weighed as they are; the others are scaled by the training rows."""


def seen_in(name: str, rows: Any, fold: Fold) -> FloatArray:
    """What a baseline makes of all rows, by what it knows of the training rows."""
    fitted = clone(_FEATURES[name]).fit(rows[fold.train])
    return np.asarray(fitted.transform(rows), dtype=np.float64)
