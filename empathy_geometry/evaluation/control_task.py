"""Does the probe read the concept or remember the types? Accuracy against that on control labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

from empathy_geometry.evaluation.batched_probes import as_onehot, solvable, solve
from empathy_geometry.evaluation.classification import Classification, classification
from empathy_geometry.evaluation.clustered import t_quantile
from empathy_geometry.evaluation.fold_dependence import shared_training_inflation
from empathy_geometry.evaluation.fold_geometry import FoldGeometry
from empathy_geometry.evaluation.metrics import accuracy
from empathy_geometry.evaluation.placements import inflated_method
from empathy_geometry.evaluation.selection import Candidate, fit_and_score
from empathy_geometry.foundation._types import ArrayLike, FloatArray, IntArray, LabelsLike
from empathy_geometry.foundation._validation import as_generator, as_names
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table
from empathy_geometry.texts.splits import Fold


@dataclass(frozen=True, eq=False)
class Selectivity(Result):
    """Result of `selectivity`.

    Attributes:
        selectivity: Accuracy minus mean accuracy on control labels.
        accuracy: Held-out accuracy on the true labels.
        control_accuracies: Held-out accuracy on each set of control labels, [n_controls].
        seed: Of folds and control labels.
    """

    selectivity: Estimate
    accuracy: Estimate
    control_accuracies: FloatArray
    seed: int | None = None

    def tables(self) -> tuple[Table, ...]:
        """Accuracy on true and on control labels, and their difference."""
        rows = [
            {"labels": "true", "accuracy": self.accuracy},
            {"labels": f"control ({len(self.control_accuracies)} sets)", "accuracy": self.control_accuracies.mean()},
        ]
        return (Table.of(f"selectivity {self.selectivity}", rows),)


def selectivity(
    probe: Any,
    X: ArrayLike,
    y: LabelsLike,
    *,
    groups: LabelsLike | None,
    types: LabelsLike,
    n_controls: int = 20,
    n_splits: int = 5,
    folds: Sequence[Fold] | None = None,
    seed: int = 0,
    level: float = 0.95,
) -> Selectivity:
    """Held-out accuracy minus that on labels which carry nothing but the type of each row.

    A control label is a random class given to each type (each first word, each topic), with the frequencies of the
    true classes. A probe that scores as well on those reads types that occur on both sides of the split, not the
    concept.

    Args:
        probe: A `Probe` or any scikit-learn classifier.
        X: Rows at one layer, [n, d_model].
        y: Class of each row.
        groups: Scenario of each row, kept on one side; None, said by name, takes rows as independent.
        types: What a probe could remember instead: first word, topic, template. Types that occur in one group only
            cannot be remembered across folds, and leave control accuracy at chance.
        n_controls: How many sets of control labels.
        n_splits: Number of folds.
        folds: Folds to use instead of grouped ones, which are dealt by contents (`grouped_folds`).
        seed: Seed of the folds and of the control labels.
        level: Coverage of the interval (clustered, of the difference row by row).

    Raises:
        ValueError: fewer than two types, or control labels that leave a training part without a class.

    Source: Hewitt & Liang (2019), EMNLP.

    Example:
        >>> from empathy_geometry.geometry.probes import Probe
        >>> rng = np.random.default_rng(0)
        >>> X, y, groups = rng.normal(size=(60, 8)), [0, 1] * 30, np.repeat(np.arange(30), 2)
        >>> X[1::2, 0] += 6
        >>> result = selectivity(Probe("ridge"), X, y, groups=groups, types=groups % 10, seed=0)
        >>> float(result.accuracy) > 0.95, float(result.selectivity) > 0.3
        (True, True)
    """
    data = classification(X, y, groups=groups)
    if len(data.layers) > 1 or data.n_positions > 1:
        raise ValueError(f"selectivity takes one layer, X [n, d_model]; got {len(data.layers)} layers")
    type_of = np.unique(as_names(types, "types", data.n), return_inverse=True)[1].reshape(-1)
    if type_of.max() < 1:
        raise ValueError("types must hold at least two types, got one; try the first word of each text")
    if n_controls < 1:
        raise ValueError(f"n_controls must be at least 1, got {n_controls}")
    used = data.folds(folds, n_splits=n_splits, seed=seed)
    controls = _control_labels(data.codes, type_of, used, n_controls, as_generator(seed))
    labels = np.concatenate([data.codes[None], controls])
    right = _right(probe, data.rows(0, 0), labels, used, len(data.classes))
    clusters = data.groups if data.groups_given else None
    inflation = _inflation(probe, data, used)
    measured = accuracy(right[0], np.ones(data.n, dtype=bool), groups=clusters, level=level, inflation=inflation)
    gain = right[0] - right[1:].mean(axis=0)
    value, n_groups = float(gain.mean()), data.n_groups
    parts = np.bincount(data.groups, gain - value, minlength=n_groups) / data.n
    parts *= np.sqrt(inflation * n_groups / (n_groups - 1))
    half = t_quantile(parts, level) * float(np.sqrt((parts**2).sum())) if parts.any() else 0.0
    method = inflated_method(f"clustered, {n_controls} sets of control labels", inflation)
    estimate = Estimate(value, value - half, value + half, level, data.n, n_groups, method)
    return Selectivity(estimate, measured, right[1:].mean(axis=1), seed)


def _inflation(probe: Any, data: Classification, folds: Sequence[Fold]) -> float:
    scores = np.zeros((data.n,) if data.binary else (data.n, len(data.classes)))
    for fold in folds:
        scores[fold.test] = fit_and_score(probe, data, Candidate(), fold)[0]
    fits = [(probe, data.rows(0, 0), fold) for fold in folds]
    return shared_training_inflation(fits, scores, data.codes, data.groups)[0]


def _control_labels(
    codes: IntArray, type_of: IntArray, folds: Sequence[Fold], n_controls: int, generator: np.random.Generator
) -> IntArray:
    n_types, n_classes = int(type_of.max()) + 1, int(codes.max()) + 1
    shares = np.bincount(codes) / len(codes)
    drawn: list[IntArray] = []
    for _ in range(100 * n_controls):
        labels = generator.choice(n_classes, size=n_types, p=shares)[type_of]
        if all(len(np.unique(labels[fold.train])) == n_classes for fold in folds):
            drawn.append(labels)
        if len(drawn) == n_controls:
            return np.stack(drawn)
    raise ValueError(
        f"control labels over {n_types} types hardly ever give every training part all {n_classes} classes; "
        f"use finer types or fewer folds"
    )


def _right(probe: Any, rows: FloatArray, labels: IntArray, folds: Sequence[Fold], n_classes: int) -> FloatArray:
    """Whether each row is predicted right under each label vector when held out, [m, n]."""
    right = np.empty(labels.shape)
    for fold in folds:
        train, test = labels[:, fold.train], labels[:, fold.test]
        if solvable(probe, len(fold.train), rows.shape[1]):
            geometry = FoldGeometry.from_rows(
                torch.from_numpy(rows[fold.train]), torch.from_numpy(rows[fold.test]), scale=probe.scale
            )
            predicted = solve(probe, geometry, as_onehot(torch.from_numpy(train), n_classes)).predicted.numpy()
        else:
            predicted = np.stack([clone(probe).fit(rows[fold.train], y).predict(rows[fold.test]) for y in train])
        right[:, fold.test] = predicted == test
    return right
