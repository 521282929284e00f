"""Text-only baselines of graded targets: ridge regression on words, on the folds of the probe they stand beside."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from empathy_geometry.evaluation.baselines import CHOSEN
from empathy_geometry.evaluation.ridge_folds import RidgeFold
from empathy_geometry.evaluation.text_features import BASELINES, COUNTING, NO_TEXTS, baseline_inputs, counted, seen_in
from empathy_geometry.foundation._types import FloatArray, IntArray
from empathy_geometry.texts.held_apart import held_apart_folds
from empathy_geometry.texts.splits import Fold
from empathy_geometry.texts.token_ids import TokenIds

ALPHAS = (0.01, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
"""Penalties among which ridge regressions choose inside the training rows; word counts of unit length need small ones,
scaled activations large ones."""

Columns = Mapping[str, IntArray]


@dataclass(frozen=True, eq=False)
class FoldFit:
    """One ridge regression in one fold.

    Attributes:
        merit: Minus the mean squared error in cross-validation within the training rows.
        alpha: The penalty that was chosen there.
        scores: Test predictions less the training mean, in units of the training predictions' spread, [n_test].
        predicted: Test predictions, [n_test].
        left_out: For each column of clusters, `scores` with each group left out, [n_groups, n_test].
    """

    merit: float
    alpha: float
    scores: FloatArray
    predicted: FloatArray
    left_out: tuple[FloatArray, ...]


def inner_folds(columns: Columns, train: IntArray, *, n_splits: int, seed: int) -> tuple[Fold, ...]:
    """Folds within training rows that hold the same columns apart, in row numbers of all rows."""
    inside = {name: column[train] for name, column in columns.items()}
    folds = held_apart_folds(inside, n_splits=n_splits, seed=seed)
    return tuple(Fold(train[fold.train], train[fold.test]) for fold in folds)


def squared_errors(
    rows: FloatArray, y: FloatArray, folds: Sequence[Fold], alphas: Sequence[float], *, scale: bool
) -> FloatArray:
    """Mean squared error of each penalty over the test rows of the folds."""
    total, n = np.zeros(len(alphas)), 0
    for fold in folds:
        ridge = RidgeFold.from_rows(rows[fold.train], rows[fold.test], scale=scale)
        centred = y[fold.test] - y[fold.train].mean()
        total += [float(((ridge.scores(y[fold.train], alpha) - centred) ** 2).sum()) for alpha in alphas]
        n += len(fold.test)
    return total / max(n, 1)


def fit_fold(
    rows: FloatArray,
    y: FloatArray,
    fold: Fold,
    alpha: float,
    merit: float,
    clusters: Sequence[IntArray],
    *,
    scale: bool,
) -> FoldFit:
    """The regression with this penalty, and its scores with each group of each column left out."""
    ridge = RidgeFold.from_rows(rows[fold.train], rows[fold.test], scale=scale)
    inside = y[fold.train]
    spread = float(ridge.spread(inside, alpha)) or 1.0
    scores = ridge.scores(inside, alpha)
    left_out = tuple(
        ridge.scores_without(inside, alpha, column[fold.train], int(column.max()) + 1) / spread for column in clusters
    )
    return FoldFit(merit, alpha, scores / spread, scores + inside.mean(), left_out)


def graded_baselines(
    texts: Sequence[str] | None,
    token_embeddings: FloatArray | None,
    token_ids: TokenIds | None,
    y: FloatArray,
    folds: Sequence[Fold],
    choose: Callable[[IntArray], Sequence[Fold]],
    clusters: Sequence[IntArray],
) -> dict[str, list[FoldFit]]:
    """What each baseline gives in each fold, "best_in_training" last; see `baselines.text_baselines` for the names.

    Args:
        texts: What is judged, or None.
        token_embeddings: [n, d], or None.
        token_ids: The model's tokens of each text, or None.
        y: Graded target of each row.
        folds: The outer folds.
        choose: Inner folds from training rows, in row numbers of all rows.
        clusters: Columns over which the interval is taken.
    """
    which = BASELINES if texts is not None else NO_TEXTS
    given = texts if texts is not None else [""] * len(y)
    inputs: dict[str, Any] = baseline_inputs(given, len(y), token_embeddings, which, token_ids)
    found: dict[str, list[FoldFit]] = {}
    for name, rows in inputs.items():
        counts, scale = counted(name, rows), name not in COUNTING
        found[name] = []
        for fold in folds:
            seen = seen_in(name, counts, fold)
            errors = squared_errors(seen, y, choose(fold.train), ALPHAS, scale=scale)
            best = int(errors.argmin())
            found[name].append(fit_fold(seen, y, fold, ALPHAS[best], -errors[best], clusters, scale=scale))
    if found:
        found[CHOSEN] = [max(of_fold, key=lambda fit: fit.merit) for of_fold in zip(*found.values(), strict=True)]
    return found
