"""Held-out evaluation of a regression: grouped folds, choice inside the training part, text-only ridges beside it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from sklearn.base import clone

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.baselines import CHOSEN
from empathy_geometry.evaluation.classification import Missing
from empathy_geometry.evaluation.graded_baselines import (
    ALPHAS,
    FoldFit,
    fit_fold,
    graded_baselines,
    inner_folds,
    squared_errors,
)
from empathy_geometry.evaluation.graded_data import GradedData, graded_data
from empathy_geometry.evaluation.metrics import excess_over_best
from empathy_geometry.evaluation.rank_correlation import jackknifed, kendall_of, spearman_of, with_cells
from empathy_geometry.evaluation.text_features import TOKENS_MISSING
from empathy_geometry.foundation._types import ArrayLike, FloatArray, IntArray, LabelsLike, Layer
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table
from empathy_geometry.geometry.regression_probe import RegressionProbe
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.splits import Fold
from empathy_geometry.texts.token_ids import TokenIdsLike

UNKNOWN_DEPENDENCE = 2.0
"""Factor on the variance where groups cannot be left out of the training without refitting."""


@dataclass(frozen=True, eq=False)
class GradedEvaluation(Result):
    """How well a regression follows a graded target in persons or scenarios that it was not fitted to.

    Attributes:
        target: Name of the target.
        values: The target of each row, [n].
        scores: Out-of-fold predictions less the training mean, in units of the training predictions' spread, so that
            folds can be pooled, [n].
        predicted: Out-of-fold predictions in units of the target, [n].
        groups: Columns that were held apart, group indices [n] by name.
        spearman: Of scores and target. The interval leaves each group out of test and training.
        kendall: The same, tau-b.
        r2: 1 - squared error of `predicted` / squared error of the training means; below 0 where the means do better.
        baselines: Spearman of each text-only baseline (ridge on the same folds); empty where no texts were given.
        best_baseline: "best_in_training", the one to compare with; None without texts.
        excess: Spearman minus that of `best_baseline`; its lower end is the smallest over all baselines.
        excesses: Spearman minus each baseline's.
        baseline_scores: Out-of-fold scores of the baselines.
        chosen_layers: Layer chosen inside each training fold.
        chosen_params: Parameters chosen inside each training fold.
        groups_given: False if the caller said groups=None.
        folds: The outer folds.
        n_candidates: How many combinations of layer, position and parameters competed.
        probe: Description of the regression.
        notes: What a reader must know about this run, in words.
        seed: Of the folds.
    """

    target: str
    values: FloatArray
    scores: FloatArray
    predicted: FloatArray
    groups: Mapping[str, IntArray]
    spearman: Estimate
    kendall: Estimate
    r2: Estimate
    baselines: Mapping[str, Estimate]
    best_baseline: str | None
    excess: Estimate | None
    excesses: Mapping[str, Estimate]
    baseline_scores: Mapping[str, FloatArray]
    chosen_layers: tuple[Layer, ...]
    chosen_params: tuple[Mapping[str, Any], ...]
    groups_given: bool
    folds: tuple[Fold, ...]
    n_candidates: int
    probe: str
    notes: tuple[str, ...] = field(default=())
    seed: int = 0

    def estimates(self) -> dict[str, Estimate]:
        """Every estimate by the name it is printed under."""
        shown: dict[str, Estimate | None] = {
            "Spearman": self.spearman,
            "Kendall": self.kendall,
            "R2": self.r2,
            **{f"baseline {name}": e for name, e in self.baselines.items()},
            "excess over words": self.excess,
        }
        return {name: e for name, e in shown.items() if e is not None}

    def to_frame(self) -> Any:
        """One row per estimate, as a pandas DataFrame (pandas must be installed)."""
        import pandas as pd

        return pd.DataFrame([{"quantity": name, **e.to_dict()} for name, e in self.estimates().items()])

    def tables(self) -> tuple[Table, ...]:
        """Every estimate, notes below."""
        held = ", ".join(f"{int(column.max()) + 1} {name}s" for name, column in self.groups.items())
        title = (
            f"{self.probe}: {self.target}, held out\n"
            f"n = {len(self.values)}, {held if self.groups_given else 'NO GROUPS (rows taken as independent)'}, "
            f"{len(self.folds)} folds, {self.n_candidates} candidate(s); "
            f"layers chosen: {', '.join(map(str, self.chosen_layers))}"
        )
        rows = [{"quantity": name, "estimate": e} for name, e in self.estimates().items()]
        return (Table.of(title, rows, notes=[f"note: {note}" for note in self.notes]),)


def cross_validate_graded(
    probe: Any,
    X: ArrayLike | Activations,
    y: ArrayLike | None = None,
    *,
    groups: LabelsLike | Mapping[str, LabelsLike] | Missing | None,
    target: str | None = None,
    n_splits: int = 5,
    inner_splits: int = 4,
    layers: Sequence[Layer] | None = None,
    grid: Mapping[str, Sequence[Any]] | None = None,
    folds: Sequence[Fold] | None = None,
    texts: LabeledTexts | Sequence[str] | None = None,
    token_embeddings: ArrayLike | None = None,
    token_ids: TokenIdsLike | None = None,
    seed: int = 0,
    level: float = 0.95,
) -> GradedEvaluation:
    """What `cross_validate` does for a regression; its arguments, with these differences.

    Penalty (and layer, where there are several) are chosen by squared error inside each training part: of `ALPHAS`, as
    the text-only baselines do, unless `grid` says which.

    Args:
        probe: A `RegressionProbe`, or any scikit-learn regressor.
        X: As in `cross_validate`.
        y: Graded target of each row.
        groups: As in `cross_validate`; or several columns by name, {"writer": ..., "article": ...}, which are held
            apart together (see `held_apart_folds`) and both count in the intervals.
        target: Name of a target of `Activations`, in place of y.
        n_splits: Folds, or parts of each column of `groups` (so that two columns make n_splits ** 2 folds).
        inner_splits: The same within each training part.
        layers: As in `cross_validate`.
        grid: Parameters to choose among; None takes {"alpha": ALPHAS} for a `RegressionProbe`.
        folds: Outer folds to use instead.
        texts: As in `cross_validate`.
        token_embeddings: As in `cross_validate`.
        token_ids: As in `cross_validate`.
        seed: Of the folds.
        level: Coverage of the intervals.

    Raises:
        TypeError: groups or the target are missing.
        ValueError: shapes differ, values are not finite, the target does not vary, or folds that split a group.
    """
    data = graded_data(
        X,
        y,
        groups=groups,
        target=target,
        layers=layers,
        texts=texts,
        token_embeddings=token_embeddings,
        token_ids=token_ids,
    )
    outer = data.folds(folds, n_splits=n_splits, seed=seed)
    own = isinstance(probe, RegressionProbe)
    if own:
        probe.check_parameters()
    points = _points(grid if grid is not None else {"alpha": ALPHAS} if own else {})
    places = [(pos, layer) for pos in range(data.values.shape[1]) for layer in range(len(data.layers))]
    clusters = with_cells(data.groups)

    @cache
    def within(k: int) -> tuple[Fold, ...]:
        return inner_folds(data.groups, outer[k].train, n_splits=inner_splits, seed=seed)

    fits: list[FoldFit] = []
    chosen: list[tuple[int, int, Mapping[str, Any]]] = []
    for k, fold in enumerate(outer):
        best = (0.0, *places[0], points[0])
        if len(places) * len(points) > 1:
            inner = _inner(within, k, len(places) * len(points), inner_splits)
            best = max(
                (
                    (-error, pos, layer, point)
                    for pos, layer in places
                    for point, error in zip(
                        points, _errors(probe, data.rows(layer, pos), data.y, inner, points, own), strict=True
                    )
                ),
                key=lambda found: found[0],
            )
        merit, pos, layer, point = best
        chosen.append((pos, layer, point))
        rows = data.rows(layer, pos)
        if own:
            fitted = clone(probe).set_params(**point)
            fits.append(fit_fold(rows, data.y, fold, fitted.alpha, merit, clusters, scale=fitted.scale))
        else:
            fits.append(_fitted_once(clone(probe).set_params(**point), rows, data.y, fold, merit))
    number = {fold.train.tobytes(): k for k, fold in enumerate(outer)}
    words: dict[str, list[FoldFit]] = {}
    if any(given is not None for given in (data.texts, data.token_embeddings, data.token_ids)):
        words = graded_baselines(
            data.texts,
            data.token_embeddings,
            data.token_ids,
            data.y,
            outer,
            lambda train: _inner(within, number[train.tobytes()], len(ALPHAS), inner_splits),
            clusters,
        )
    measure = _Measure(data, outer, clusters, level)
    baselines = {name: measure.estimate("Spearman", spearman_of, parts) for name, parts in words.items()}
    excesses = {name: measure.excess(fits, parts, name) for name, parts in words.items()}
    return GradedEvaluation(
        target=data.target,
        values=data.y,
        scores=measure.pooled(fits),
        predicted=measure.pooled(fits, "predicted"),
        groups=data.groups,
        spearman=measure.estimate("Spearman", spearman_of, fits),
        kendall=measure.estimate("Kendall", kendall_of, fits),
        r2=measure.r2(fits),
        baselines=baselines,
        best_baseline=CHOSEN if baselines else None,
        excess=excess_over_best(excesses, CHOSEN) if excesses else None,
        excesses=excesses,
        baseline_scores={name: measure.pooled(parts) for name, parts in words.items()},
        chosen_layers=tuple(data.layers[layer] for _, layer, _ in chosen),
        chosen_params=tuple(point for _, _, point in chosen),
        groups_given=data.groups_given,
        folds=outer,
        n_candidates=len(places) * len(points),
        probe=" ".join(str(probe).split()),
        notes=_notes(data, own),
        seed=seed,
    )


@dataclass(frozen=True, eq=False)
class _Measure:
    """Statistics of pooled out-of-fold scores, with groups left out of test and training."""

    data: GradedData
    folds: Sequence[Fold]
    clusters: Sequence[IntArray]
    level: float

    def pooled(self, fits: Sequence[FoldFit], what: str = "scores") -> FloatArray:
        found = np.zeros(self.data.n)
        for fold, fit in zip(self.folds, fits, strict=True):
            found[fold.test] = getattr(fit, what)
        return found

    def without(self, fits: Sequence[FoldFit], column: int) -> FloatArray:
        """Pooled scores with each group of one column left out of the training, [n_groups, n]."""
        n_groups = int(self.clusters[column].max()) + 1
        found = np.repeat(self.pooled(fits)[None], n_groups, axis=0)
        for fold, fit in zip(self.folds, fits, strict=True):
            if fit.left_out:
                found[:, fold.test] = fit.left_out[column]
        return found

    def deleted(
        self, statistic: Callable[[FloatArray, FloatArray], float], fits: Sequence[FoldFit]
    ) -> list[FloatArray]:
        found = []
        for column, group in enumerate(self.clusters):
            scores = self.without(fits, column)
            kept = [group != g for g in range(len(scores))]
            found.append(np.array([statistic(row[k], self.data.y[k]) for row, k in zip(scores, kept, strict=True)]))
        return found

    def estimate(
        self, name: str, statistic: Callable[[FloatArray, FloatArray], float], fits: Sequence[FoldFit]
    ) -> Estimate:
        value = statistic(self.pooled(fits), self.data.y)
        return self._jackknifed(value, self.deleted(statistic, fits), name, fits, bounded=True)

    def excess(self, fits: Sequence[FoldFit], words: Sequence[FoldFit], name: str) -> Estimate:
        value = spearman_of(self.pooled(fits), self.data.y) - spearman_of(self.pooled(words), self.data.y)
        pairs = zip(self.deleted(spearman_of, fits), self.deleted(spearman_of, words), strict=True)
        return self._jackknifed(value, [a - b for a, b in pairs], f"Spearman minus {name}'s", fits, bounded=False)

    def r2(self, fits: Sequence[FoldFit]) -> Estimate:
        error, total = np.zeros(self.data.n), np.zeros(self.data.n)
        for fold, fit in zip(self.folds, fits, strict=True):
            truth = self.data.y[fold.test]
            error[fold.test] = (truth - fit.predicted) ** 2
            total[fold.test] = (truth - self.data.y[fold.train].mean()) ** 2
        value = 1 - float(error.sum() / total.sum())
        deleted = []
        for group in self.clusters:
            sums = [np.bincount(group, part) for part in (error, total)]
            deleted.append(1 - (sums[0].sum() - sums[0]) / (sums[1].sum() - sums[1]))
        return self._jackknifed(value, deleted, "R2 (training rows as they are)", fits, bounded=False)

    def _jackknifed(
        self, value: float, deleted: list[FloatArray], name: str, fits: Sequence[FoldFit], *, bounded: bool
    ) -> Estimate:
        known = all(fit.left_out for fit in fits) and not name.startswith("R2")
        inflation = 1.0 if known else UNKNOWN_DEPENDENCE
        columns = self.data.groups
        return jackknifed(value, deleted, columns, name=name, level=self.level, inflation=inflation, bounded=bounded)


def _inner(within: Callable[[int], tuple[Fold, ...]], k: int, n_candidates: int, inner_splits: int) -> tuple[Fold, ...]:
    try:
        return within(k)
    except ValueError as error:
        raise ValueError(
            f"choosing among {n_candidates} candidates needs {inner_splits} inner parts in each training part: "
            f"{error}; or lower inner_splits"
        ) from error


def _points(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    for name, values in grid.items():
        if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray) or not len(values):
            raise ValueError(f"grid[{name!r}] must be a sequence of values to try, got {values!r}")
    return [dict(zip(grid, point, strict=True)) for point in product(*grid.values())]


def _errors(
    probe: Any, rows: FloatArray, y: FloatArray, inner: Sequence[Fold], points: Sequence[Mapping[str, Any]], own: bool
) -> list[float]:
    """Mean squared error of each grid point within the training rows."""
    variants = [clone(probe).set_params(**point) for point in points]
    if own and len({variant.scale for variant in variants}) == 1:
        alphas = [variant.alpha for variant in variants]
        return list(squared_errors(rows, y, inner, alphas, scale=variants[0].scale))
    found = []
    for variant in variants:
        errors = [
            (clone(variant).fit(rows[fold.train], y[fold.train]).predict(rows[fold.test]) - y[fold.test]) ** 2
            for fold in inner
        ]
        found.append(float(np.concatenate(errors).mean()))
    return found


def _fitted_once(probe: Any, rows: FloatArray, y: FloatArray, fold: Fold, merit: float) -> FoldFit:
    """Any other regressor: what it gives with groups left out would take a fit for each."""
    fitted = probe.fit(rows[fold.train], y[fold.train])
    train, test = (np.asarray(fitted.predict(rows[part]), dtype=np.float64) for part in (fold.train, fold.test))
    spread = float(train.std()) or 1.0
    return FoldFit(merit, float("nan"), (test - train.mean()) / spread, test, ())


def _notes(data: GradedData, own: bool) -> tuple[str, ...]:
    notes = []
    if not own:
        notes.append(
            f"intervals take a variance inflation of {UNKNOWN_DEPENDENCE:g}: only RegressionProbe's is computed"
        )
    if len(data.groups) > 1:
        notes.append(
            f"{' and '.join(data.groups)} are held apart together; rows that share one with the test rows are "
            f"left out of training"
        )
    if not data.groups_given:
        notes.append("groups=None: intervals and folds take the rows as independent")
    if data.texts is None:
        notes.append("no text-only baseline: pass texts= to see whether this is more than words")
    elif data.token_ids is None:
        notes.append(TOKENS_MISSING)
    return tuple(notes)
