"""Permutation test of a regression: targets rearranged as the design allows, all of them solved together."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from scipy.stats import rankdata

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.classification import Missing
from empathy_geometry.evaluation.graded_data import GradedData, graded_data
from empathy_geometry.evaluation.label_permutations import Scheme, label_permutations
from empathy_geometry.evaluation.rank_correlation import kendall_of
from empathy_geometry.evaluation.ridge_folds import RidgeFold
from empathy_geometry.foundation._types import ArrayLike, FloatArray, IntArray, LabelsLike, Layer
from empathy_geometry.foundation._validation import as_generator, check_choice
from empathy_geometry.geometry.regression_probe import RegressionProbe
from empathy_geometry.texts.splits import Fold

GradedStatistic = Literal["spearman", "kendall", "r2"]
GRADED_STATISTICS: tuple[GradedStatistic, ...] = ("spearman", "kendall", "r2")
_AT_ONCE = 200


def graded_nulls(
    probe: Any,
    X: ArrayLike | Activations,
    y: ArrayLike | None,
    *,
    groups: LabelsLike | Missing | None,
    target: str | None,
    statistic: str,
    scheme: Scheme,
    n_permutations: int,
    layers: Sequence[Layer] | None,
    n_splits: int,
    folds: Sequence[Fold] | None,
    seed: int,
) -> tuple[GradedData, FloatArray, str, float]:
    """The statistic of each layer under the true target and under permuted ones.

    Args:
        probe: A `RegressionProbe`; its penalty is taken as it is.
        statistic: One of `GRADED_STATISTICS`, of pooled out-of-fold scores.
        X: As in `permutation_test`.
        y: As in `permutation_test`.
        groups: As in `permutation_test`; one column.
        target: As in `permutation_test`.
        scheme: As in `permutation_test`.
        n_permutations: How many.
        layers: As in `permutation_test`.
        n_splits: Number of folds.
        folds: As in `permutation_test`.
        seed: Of folds and permutations.

    Returns:
        The data; [layer, 1 + n_permutations], the true target first, the largest over positions; where targets moved;
        and how many arrangements there are.

    Raises:
        TypeError: another regressor, or several columns of groups.
        ValueError: an unknown statistic, or no target can change place.
    """
    check_choice(statistic, "statistic", GRADED_STATISTICS)
    if not isinstance(probe, RegressionProbe):
        raise TypeError(f"a graded permutation test needs a RegressionProbe, got {type(probe).__name__}")
    if isinstance(groups, Mapping):
        raise TypeError(
            "a permutation test takes one column of groups: with two crossed columns no rearrangement of targets keeps "
            "both dependences; test within the one whose rows are exchangeable"
        )
    probe.check_parameters()
    data = graded_data(X, y, groups=groups, target=target, layers=layers)
    used = data.folds(folds, n_splits=n_splits, seed=seed)
    values, codes = np.unique(data.y, return_inverse=True)
    group: IntArray = next(iter(data.groups.values()))
    allowed = label_permutations(codes, groups=group, scheme=scheme, order=data.order)
    drawn = values[allowed.draw(n_permutations, generator=as_generator(seed))]
    targets = np.concatenate([data.y[None], drawn])
    found = np.full((len(data.layers), len(targets)), -np.inf)
    for layer in range(len(data.layers)):
        for pos in range(data.values.shape[1]):
            rows = data.rows(layer, pos)
            ridges = [RidgeFold.from_rows(rows[f.train], rows[f.test], scale=probe.scale) for f in used]
            for start in range(0, len(targets), _AT_ONCE):
                part = slice(start, start + _AT_ONCE)
                each = _statistics(ridges, used, targets[part].T, probe.alpha, statistic)
                found[layer, part] = np.maximum(found[layer, part], each)
    return data, found, allowed.scheme, allowed.n_distinct


def _statistics(
    ridges: Sequence[RidgeFold], folds: Sequence[Fold], targets: FloatArray, alpha: float, statistic: str
) -> FloatArray:
    """The statistic of each column of targets [n, m]."""
    scores, centred, centres = np.zeros_like(targets), np.zeros_like(targets), np.zeros_like(targets)
    for ridge, fold in zip(ridges, folds, strict=True):
        inside = targets[fold.train]
        spread = ridge.spread(inside, alpha)
        centred[fold.test] = ridge.scores(inside, alpha)
        scores[fold.test] = centred[fold.test] / np.where(spread > 0, spread, 1.0)
        centres[fold.test] = inside.mean(axis=0)
    if statistic == "kendall":
        return np.array([kendall_of(s, t) for s, t in zip(scores.T, targets.T, strict=True)])
    if statistic == "r2":
        beyond = targets - centres
        return np.asarray(1 - ((beyond - centred) ** 2).sum(axis=0) / (beyond**2).sum(axis=0))
    a, b = rankdata(scores, axis=0), rankdata(targets, axis=0)
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    size = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return np.asarray((a * b).sum(axis=0) / np.where(size > 0, size, 1.0))
