"""Choosing layer, position and parameters inside the training rows."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from sklearn.base import clone
from torch import Tensor

from empathy_geometry.evaluation.batched_probes import as_onehot, solvable, solve_each
from empathy_geometry.evaluation.classification import Classification
from empathy_geometry.evaluation.fold_geometry import FoldGeometry
from empathy_geometry.evaluation.fold_scores import decision_values, standardise
from empathy_geometry.evaluation.ranking import one_vs_rest
from empathy_geometry.foundation._types import FloatArray, IntArray
from empathy_geometry.texts.splits import Fold, grouped_folds


@dataclass(frozen=True)
class Candidate:
    """One competitor: indices of a position and a layer, and parameters of the probe."""

    pos: int = 0
    layer: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)


def candidates(data: Classification, grid: Mapping[str, Sequence[Any]] | None) -> tuple[Candidate, ...]:
    """Every combination of position, layer and grid point.

    Raises:
        ValueError: a grid entry is empty or not a sequence.
    """
    grid = {} if grid is None else dict(grid)
    for name, values in grid.items():
        if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray) or not len(values):
            raise ValueError(f"grid[{name!r}] must be a sequence of values to try, got {values!r}")
    points = [dict(zip(grid, combination, strict=True)) for combination in itertools.product(*grid.values())]
    return tuple(
        Candidate(pos, layer, params)
        for pos in range(data.n_positions)
        for layer in range(len(data.layers))
        for params in points
    )


@dataclass(frozen=True, eq=False)
class Contest:
    """How the candidates did in grouped cross-validation within the training rows of a fold.

    Attributes:
        best: Index of the one with the best AUROC; of equals the one with the larger d', then the first.
        scores: Out-of-fold scores of each candidate, [candidate, k, n]; zero outside the training rows.
        train: The training rows.
    """

    best: int
    scores: Float[Tensor, "candidate k n"] | None
    train: IntArray


def select(
    probe: Any,
    data: Classification,
    train: IntArray,
    competing: Sequence[Candidate],
    *,
    inner_splits: int,
    seed: int,
) -> Candidate:
    """The best of `contest`."""
    return competing[contest(probe, data, train, competing, inner_splits=inner_splits, seed=seed).best]


def contest(
    probe: Any,
    data: Classification,
    train: IntArray,
    competing: Sequence[Candidate],
    *,
    inner_splits: int,
    seed: int,
) -> Contest:
    """The candidates compared within the training rows.

    Args:
        probe: Any scikit-learn classifier; those that `batched_probes.solve` covers are fitted there, to the same
            result.
        data: All rows.
        train: Training rows of the outer fold; no other row is touched.
        competing: From `candidates`; of equals the first wins.
        inner_splits: Number of inner folds.
        seed: Of the inner folds.

    Raises:
        ValueError: the training rows have too few groups for the inner folds.
    """
    if len(competing) == 1:
        return Contest(0, None, train)
    try:
        inner = grouped_folds(data.codes[train], groups=data.groups[train], n_splits=inner_splits, seed=seed)
    except ValueError as error:
        raise ValueError(
            f"choosing among {len(competing)} candidates needs {inner_splits} inner folds in each training part: "
            f"{error}; or lower inner_splits, or leave one candidate only"
        ) from error
    folds = [Fold(train[f.train], train[f.test]) for f in inner]
    scores = inner_scores(probe, data, competing, folds)[:, :, train]
    merits = merits_of(scores, data.codes[train])
    return Contest(max(range(len(competing)), key=lambda i: merits[i]), scores, train)


def merits_of(scores: Float[Tensor, "candidate k n"], codes: IntArray) -> list[tuple[float, float]]:
    """AUROC and d' of each candidate; those that differ by rounding only are equal, whatever the arithmetic's order."""
    labels = torch.from_numpy(codes).expand(len(scores), -1)
    areas, distances = (one_vs_rest(scores, labels, name).tolist() for name in ("auroc", "d_prime"))
    return [(round(area, 10), round(distance, 7)) for area, distance in zip(areas, distances, strict=True)]


def inner_scores(
    probe: Any,
    data: Classification,
    competing: Sequence[Candidate],
    folds: Sequence[Fold],
    *,
    tolerance: float = 1e-9,
) -> Float[Tensor, "candidate k n"]:
    """Standardised out-of-fold scores of every candidate; rows that no fold tests stay zero."""
    k, d_model = 1 if data.binary else len(data.classes), data.values.shape[-1]
    scores = torch.zeros(len(competing), k, data.n, dtype=torch.float64)
    onehot = as_onehot(torch.from_numpy(data.codes)[None], len(data.classes))
    variants = [(clone(probe).set_params(**params), members) for params, members in _by_params(competing)]
    places = list(dict.fromkeys((c.pos, c.layer) for c in competing))
    # The scaled rows of several layers are held at once, within half a gigabyte.
    at_once = max(1, 2**29 // (16 * data.n * d_model))
    for start in range(0, len(places), at_once):
        part = places[start : start + at_once]
        for fold in folds:
            test, labels = torch.from_numpy(fold.test), onehot[:, :, torch.from_numpy(fold.train)]
            geometries: dict[tuple[int, int, bool], FoldGeometry] = {}
            for variant, members in variants:
                here = [i for i in members if (competing[i].pos, competing[i].layer) in part]
                if not solvable(variant, len(fold.train), d_model):
                    for i in here:
                        one = fit_and_score(probe, data, competing[i], fold)[0]
                        scores[i][:, test] = torch.from_numpy(np.atleast_2d(one.T))
                    continue
                used = []
                for i in here:
                    key = competing[i].pos, competing[i].layer, bool(variant.scale)
                    if key not in geometries:
                        geometries[key] = _geometry(data, competing[i], fold, scale=key[2])
                    used.append(geometries[key])
                for i, held_out in zip(here, solve_each(variant, used, labels, tolerance=tolerance), strict=True):
                    scores[i][:, test] = held_out.standardised[0]
    return scores


def _geometry(data: Classification, candidate: Candidate, fold: Fold, *, scale: bool) -> FoldGeometry:
    rows = data.rows(candidate.layer, candidate.pos)
    train, test = torch.from_numpy(rows[fold.train]), torch.from_numpy(rows[fold.test])
    return FoldGeometry.from_rows(train, test, scale=scale)


def _by_params(competing: Sequence[Candidate]) -> list[tuple[Mapping[str, Any], list[int]]]:
    """Candidates that differ in layer or position only, together."""
    found: list[tuple[Mapping[str, Any], list[int]]] = []
    for i, candidate in enumerate(competing):
        for params, members in found:
            if params is candidate.params:
                members.append(i)
                break
        else:
            found.append((candidate.params, [i]))
    return found


def fit_and_score(probe: Any, data: Classification, candidate: Candidate, fold: Fold) -> tuple[FloatArray, IntArray]:
    """Standardised test scores and predicted codes of one candidate in one fold."""
    rows = data.rows(candidate.layer, candidate.pos)
    fitted = clone(probe).set_params(**candidate.params).fit(rows[fold.train], data.codes[fold.train])
    scores = standardise(decision_values(fitted, rows[fold.test]), decision_values(fitted, rows[fold.train]))
    return scores, np.asarray(fitted.predict(rows[fold.test]), dtype=np.int64)
