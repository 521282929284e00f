"""Held-out evaluation of a probe: grouped folds, selection inside the training part, text-only baselines beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
from sklearn.base import clone, is_regressor

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.baselines import CHOSEN, TextBaseline, text_baselines
from empathy_geometry.evaluation.choice import choice_inflation
from empathy_geometry.evaluation.classification import MISSING, Classification, Missing, classification
from empathy_geometry.evaluation.fold_dependence import LARGEST, shared_training_inflation
from empathy_geometry.evaluation.graded import GradedEvaluation, cross_validate_graded
from empathy_geometry.evaluation.metrics import (
    accuracy,
    auroc,
    auroc_excess,
    balanced_accuracy,
    d_prime,
    excess_over_best,
    forced_choice,
    macro_auroc,
)
from empathy_geometry.evaluation.placements import FEW_GROUPS
from empathy_geometry.evaluation.selection import Candidate, Contest, candidates, contest, fit_and_score
from empathy_geometry.evaluation.text_features import BASELINES, NO_TEXTS, TOKENS_MISSING
from empathy_geometry.foundation._types import ArrayLike, FloatArray, IntArray, LabelsLike, Layer, StrArray
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.foundation.table import Table
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.splits import Fold
from empathy_geometry.texts.token_ids import TokenIdsLike


@dataclass(frozen=True, eq=False)
class Evaluation(Result):
    """How well a probe tells classes apart in scenarios it was not fitted to.

    Attributes:
        scores: Out-of-fold scores, [n] (two classes; higher means the positive class) or [n, n_classes], standardised
            per fold by the training rows' scores, so that folds can be pooled.
        predicted: Out-of-fold predicted class of each row.
        labels: True class of each row.
        groups: Scenario index of each row.
        classes: Names; for two classes (negative, positive).
        auroc: Of the pooled scores, with a clustered interval; the macro average for more than two classes.
        accuracy: Share of right out-of-fold predictions.
        macro_auroc: Mean over classes of one-vs-rest AUROC; equals `auroc` for two classes.
        d_prime: Of the pooled scores; None for more than two classes, or where no class varies.
        forced_choice: Within-scenario two-alternative forced choice; None where no scenario has both classes.
        chosen_layers: Layer chosen inside each training fold.
        chosen_positions: Index of the position chosen inside each training fold.
        chosen_params: Grid parameters chosen inside each training fold.
        baselines: AUROC of each text-only baseline on the same folds; empty where no texts were given.
        best_baseline: The one to compare with, "best_in_training": in each fold the baseline that is best within the
            training rows. None without texts.
        excess: AUROC minus that of `best_baseline`. Its lower end is the smallest over all baselines, so that it holds
            against whichever is the best (see `metrics.excess_over_best`). None without texts.
        excesses: AUROC minus each baseline's.
        baseline_scores: Out-of-fold scores of the baselines.
        variance_inflation: Factor on the variance in the intervals, because scenarios train each other's probe (see
            `fold_dependence.variance_inflation`; 2, its largest value, for estimators other than `Probe`) times that
            for the choice among candidates (see `choice.choice_inflation`).
        groups_given: False if the caller said groups=None.
        folds: The outer folds.
        n_candidates: How many combinations of layer, position and parameters competed.
        probe: Description of the probe.
        notes: What a reader must know about this run, in words.
        seed: Of folds and resampling.
    """

    scores: FloatArray
    predicted: StrArray
    labels: StrArray
    groups: IntArray
    classes: tuple[str, ...]
    auroc: Estimate
    accuracy: Estimate
    macro_auroc: Estimate
    d_prime: Estimate | None
    forced_choice: Estimate | None
    chosen_layers: tuple[Layer, ...]
    chosen_positions: tuple[int, ...]
    chosen_params: tuple[Mapping[str, Any], ...]
    baselines: Mapping[str, Estimate]
    best_baseline: str | None
    excess: Estimate | None
    excesses: Mapping[str, Estimate]
    baseline_scores: Mapping[str, FloatArray]
    variance_inflation: float
    groups_given: bool
    folds: tuple[Fold, ...]
    n_candidates: int
    probe: str
    notes: tuple[str, ...] = field(default=())
    seed: int = 0

    @property
    def balanced_accuracy(self) -> Estimate:
        """Mean over classes of the share that is predicted right; 1/n_classes for who always says one class."""
        return balanced_accuracy(
            self.predicted,
            self.labels,
            groups=self.groups if self.groups_given else None,
            level=self.accuracy.level,
            inflation=self.variance_inflation,
        )

    @property
    def majority_share(self) -> float:
        """Share of the largest class: the accuracy of who always says that class."""
        return float(np.unique(self.labels, return_counts=True)[1].max() / len(self.labels))

    def estimates(self) -> dict[str, Estimate]:
        """Every estimate by the name it is printed under."""
        shown: dict[str, Estimate | None] = {
            "AUROC": self.auroc,
            "d'": self.d_prime,
            "accuracy": self.accuracy,
            "balanced accuracy": self.balanced_accuracy,
            "forced choice": self.forced_choice,
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
        groups = f"{self.auroc.n_groups} groups" if self.groups_given else "NO GROUPS (rows taken as independent)"
        title = (
            f"{self.probe}: {' vs '.join(reversed(self.classes))}, held out\n"
            f"n = {len(self.labels)}, {groups}, {len(self.folds)} folds, {self.n_candidates} candidate(s); "
            f"layers chosen: {', '.join(map(str, self.chosen_layers))}"
        )
        rows: list[dict[str, object]] = [{"quantity": name, "estimate": e} for name, e in self.estimates().items()]
        after = next(i for i, row in enumerate(rows) if row["quantity"] == "accuracy")
        rows.insert(after + 1, {"quantity": "accuracy of the largest class alone", "estimate": self.majority_share})
        return (Table.of(title, rows, notes=[f"note: {note}" for note in self.notes]),)


@overload
def cross_validate(
    probe: Any,
    X: ArrayLike | Activations,
    y: None = ...,
    *,
    groups: LabelsLike | Mapping[str, LabelsLike] | Missing | None = ...,
    target: str,
    n_splits: int = ...,
    inner_splits: int = ...,
    layers: Sequence[Layer] | None = ...,
    grid: Mapping[str, Sequence[Any]] | None = ...,
    folds: Sequence[Fold] | None = ...,
    texts: LabeledTexts | Sequence[str] | None = ...,
    token_embeddings: ArrayLike | None = ...,
    token_ids: TokenIdsLike | None = ...,
    seed: int = ...,
    level: float = ...,
) -> GradedEvaluation: ...
@overload
def cross_validate(
    probe: Any,
    X: ArrayLike | Activations,
    y: LabelsLike | None = ...,
    *,
    groups: LabelsLike | Missing | None = ...,
    positive: object | None = ...,
    negative: object | None = ...,
    n_splits: int = ...,
    inner_splits: int = ...,
    layers: Sequence[Layer] | None = ...,
    grid: Mapping[str, Sequence[Any]] | None = ...,
    folds: Sequence[Fold] | None = ...,
    texts: LabeledTexts | Sequence[str] | None = ...,
    token_embeddings: ArrayLike | None = ...,
    token_ids: TokenIdsLike | None = ...,
    seed: int = ...,
    level: float = ...,
) -> Evaluation: ...
@takes_settings(gone={"cv": "n_splits=...", "n_folds": "n_splits=...", "layer": "layers=[...]"})
def cross_validate(
    probe: Any,
    X: ArrayLike | Activations,
    y: Any = None,
    *,
    groups: Any = MISSING,
    target: str | None = None,
    positive: object | None = None,
    negative: object | None = None,
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
) -> Evaluation | GradedEvaluation:
    """Fit a probe in training scenarios, judge it in others, and choose layer and parameters without peeking.

    Args:
        probe: A `Probe` or any scikit-learn classifier with `decision_function` or `predict_proba`. A `RegressionProbe`
            (or any scikit-learn regressor) is judged on a graded target instead: `graded.cross_validate_graded` says
            how its arguments differ, and the result is its `GradedEvaluation` (type checkers see that with `target`).
        X: [n, d_model], [n, layer, d_model], [n, pos, layer, d_model], or `Activations`. With several layers or
            positions, one is chosen by grouped cross-validation inside each training fold.
        y: Class of each row; `Activations` bring their own.
        groups: Scenario of each row. Required for arrays; None, said by name, takes rows as independent, and the
            result records it. `Activations` bring their own.
        target: For a regression: the name of a target of `Activations`, in place of y.
        positive: The class that high scores mean; None takes the last of two sorted classes.
        negative: The class to compare with; rows of other classes are left out. None compares with all others.
        n_splits: Number of outer folds.
        inner_splits: Number of folds inside each training fold, for the choice.
        layers: Names of the layer axis of an array, or which layers of `Activations` compete.
        grid: Parameters of the probe to choose among, as in scikit-learn: {"C": [0.1, 1.0]}.
        folds: Outer folds to use instead of grouped ones, which are dealt by contents (`grouped_folds`), in row
            numbers of X; no group may be on both sides.
        texts: What text-only baselines judge; `Activations` bring their own.
        token_embeddings: [n, d] for the baseline of that name; `Activations` bring their own.
        token_ids: The model's tokens of each text, for the baseline "model_tokens"; `Activations` of
            `extract_activations` bring their own. A result without that baseline says so in its notes.
        seed: Of folds and resampling.
        level: Coverage of the intervals.

    Raises:
        TypeError: groups (or y) are missing for a plain array.
        ValueError: shapes differ, values are not finite, a class is missing, too few groups, folds that split a group.

    Source: nested selection: Varma & Simon (2006), BMC Bioinformatics 7.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X, y, groups = rng.normal(size=(40, 3, 8)), [0, 1] * 20, np.repeat(np.arange(20), 2)
        >>> X[1::2, 2, 0] += 4
        >>> evaluation = cross_validate(Probe("ridge"), X, y, groups=groups)
        >>> float(evaluation.auroc) > 0.9, evaluation.chosen_layers
        (True, (2, 2, 2, 2, 2))
    """
    if is_regressor(probe):
        if positive is not None or negative is not None:
            raise TypeError("positive and negative name classes; a regression follows a graded target")
        return cross_validate_graded(
            probe,
            X,
            y,
            groups=groups,
            target=target,
            n_splits=n_splits,
            inner_splits=inner_splits,
            layers=layers,
            grid=grid,
            folds=folds,
            texts=texts,
            token_embeddings=token_embeddings,
            token_ids=token_ids,
            seed=seed,
            level=level,
        )
    if target is not None:
        raise TypeError(f"target={target!r} is graded and needs a RegressionProbe; a classifier takes y and positive=")
    if isinstance(groups, Mapping):
        raise TypeError(
            "a classifier takes one column of groups; hold several apart with folds=held_apart_folds({...}) and give "
            "the column that the interval is clustered by"
        )
    data = classification(
        X,
        y,
        groups=groups,
        positive=positive,
        negative=negative,
        layers=layers,
        texts=texts,
        token_embeddings=token_embeddings,
        token_ids=token_ids,
    )
    outer = data.folds(folds, n_splits=n_splits, seed=seed)
    competing = candidates(data, grid)
    shape = (data.n,) if data.binary else (data.n, len(data.classes))
    scores, predicted = np.zeros(shape), np.zeros(data.n, dtype=np.int64)
    chosen: list[Candidate] = []
    fits: list[tuple[Any, FloatArray, Fold]] = []
    contests: list[Contest] = []
    for fold in outer:
        contests.append(contest(probe, data, fold.train, competing, inner_splits=inner_splits, seed=seed))
        best = competing[contests[-1].best]
        scores[fold.test], predicted[fold.test] = fit_and_score(probe, data, best, fold)
        fits.append((clone(probe).set_params(**best.params), data.rows(best.layer, best.pos), fold))
        chosen.append(best)
    inflation, known = shared_training_inflation(fits, scores, data.codes, data.groups)
    inflation *= choice_inflation(probe, data, outer, competing, contests, scores, inflation=inflation, seed=seed)
    codes, clusters = data.codes, data.groups if data.groups_given else None
    words = _baselines(data, outer)
    metric = auroc if data.binary else macro_auroc
    baselines = {
        name: metric(b.scores, codes, groups=clusters, level=level, inflation=b.inflation) for name, b in words.items()
    }
    excesses = auroc_excess(
        scores,
        {name: b.scores for name, b in words.items()},
        codes,
        groups=clusters,
        level=level,
        inflation=inflation,
        baseline_inflation={name: b.inflation for name, b in words.items()},
    )
    names = np.array(data.classes)
    return Evaluation(
        scores=scores,
        predicted=names[predicted],
        labels=names[codes],
        groups=data.groups,
        classes=data.classes,
        **_measures(scores, predicted, codes, clusters, level, inflation),
        chosen_layers=tuple(data.layers[c.layer] for c in chosen),
        chosen_positions=tuple(c.pos for c in chosen),
        chosen_params=tuple(c.params for c in chosen),
        baselines=baselines,
        best_baseline=CHOSEN if baselines else None,
        excess=excess_over_best(excesses, CHOSEN) if excesses else None,
        excesses=excesses,
        baseline_scores={name: b.scores for name, b in words.items()},
        variance_inflation=inflation,
        groups_given=data.groups_given,
        folds=outer,
        n_candidates=len(competing),
        probe=_described(probe),
        notes=_notes(data, outer, chosen, known),
        seed=seed,
    )


def _measures(
    scores: FloatArray, predicted: IntArray, codes: IntArray, groups: IntArray | None, level: float, inflation: float
) -> dict[str, Any]:
    binary = scores.ndim == 1
    macro = (auroc if binary else macro_auroc)(scores, codes, groups=groups, level=level, inflation=inflation)
    measured: dict[str, Estimate | None] = {
        "auroc": macro,
        "macro_auroc": macro,
        "accuracy": accuracy(predicted, codes, groups=groups, level=level, inflation=inflation),
        "d_prime": None,
        "forced_choice": None,
    }
    if not binary:
        return measured
    positive = codes == 1
    if min(positive.sum(), (~positive).sum()) > 1 and (np.ptp(scores[positive]) or np.ptp(scores[~positive])):
        measured["d_prime"] = d_prime(scores, codes, groups=groups, level=level, inflation=inflation)
    if groups is not None and np.intersect1d(groups[positive], groups[~positive]).size:
        measured["forced_choice"] = forced_choice(scores, codes, groups=groups, level=level, inflation=inflation)
    return measured


def _baselines(data: Classification, folds: Sequence[Fold]) -> dict[str, TextBaseline]:
    if all(given is None for given in (data.texts, data.token_embeddings, data.token_ids)):
        return {}
    return text_baselines(
        data.texts if data.texts is not None else [""] * data.n,
        data.codes,
        groups=data.groups,
        folds=folds,
        token_embeddings=data.token_embeddings,
        token_ids=data.token_ids,
        which=BASELINES if data.texts is not None else NO_TEXTS,
    )


def _described(probe: Any) -> str:
    if not isinstance(probe, Probe):
        return " ".join(str(probe).split())
    parameter = {"logistic": "C", "ridge": "alpha", "lda": "shrinkage"}.get(probe.kind)
    shown = "" if parameter is None else f", {parameter}={getattr(probe, parameter)!r}"
    return f"Probe({probe.kind!r}{shown}, scale={probe.scale})"


def _notes(data: Classification, folds: Sequence[Fold], chosen: Sequence[Candidate], known: bool) -> tuple[str, ...]:
    notes = []
    if not known:
        notes.append(
            f"intervals take the largest variance inflation, 2: the dependence between folds is computed for a Probe "
            f"on at most {LARGEST} training rows only"
        )
    if len({(c.pos, c.layer) for c in chosen}) > 1:
        notes.append("folds chose different layers; the intervals count how uncertain the choice is")
    fewest = min(len(np.unique(data.groups[data.codes == c])) for c in range(len(data.classes)))
    if fewest < FEW_GROUPS:
        notes.append(f"the rarest class is in {fewest} groups only: intervals rest on very few independent scenarios")
    if not data.groups_given:
        notes.append("groups=None: intervals and folds take the rows as independent")
    if data.texts is None:
        notes.append("no text-only baseline: pass texts= to see whether this is more than words")
    elif data.token_ids is None:
        notes.append(TOKENS_MISSING)
    for layer, name in enumerate(data.layers):
        for pos in range(data.n_positions):
            at = data.values[:, pos, layer]
            if (at == at[:1]).all():
                where = f"layer {name}" + (f", position {pos}" if data.n_positions > 1 else "")
                notes.append(f"{where} is the same in every row and can tell nothing apart")
    single = [k for k, fold in enumerate(folds) if len(np.unique(data.codes[fold.test])) == 1]
    if single:
        notes.append(f"fold(s) {single} have test rows of one class only, which count in the pooled AUROC")
    return tuple(notes)
