"""Folds that keep every scenario on one side."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from empathy_geometry.foundation._types import ArrayLike, IntArray, LabelsLike
from empathy_geometry.foundation._validation import as_groups, as_names, to_numpy
from empathy_geometry.foundation.names import as_texts
from empathy_geometry.texts.content_order import Content, content_order


@dataclass(frozen=True, eq=False)
class Fold:
    """Row indices of one split."""

    train: IntArray
    test: IntArray


def grouped_folds(
    y: LabelsLike,
    *,
    groups: LabelsLike | None,
    n_splits: int = 5,
    seed: int = 0,
    content: ArrayLike | Sequence[str] | None = None,
) -> tuple[Fold, ...]:
    """Folds in which no group is on both sides and the classes are spread as evenly as the groups allow.

    Args:
        y: Class of each row, [n].
        groups: Scenario of each row, [n]; None makes each row its own group.
        n_splits: Number of folds.
        seed: Order of the groups.
        content: What each row holds, texts or numbers [n, ...]: groups are then dealt in an order of their contents
            (`content_order`), so that neither their names nor the order of rows decide the folds. `cross_validate` and
            its kin deal by the texts, or by the rows where there are no texts. None deals by the names.

    Raises:
        ValueError: fewer groups than folds, or a training part that lacks a class.

    Example:
        >>> folds = grouped_folds([0, 1, 0, 1], groups=["a", "a", "b", "b"], n_splits=2)
        >>> [f.test.tolist() for f in folds]
        [[2, 3], [0, 1]]
    """
    labels = as_names(y, "y")
    group = as_groups(groups, len(labels))
    n_groups = int(group.max()) + 1
    if n_splits < 2:
        raise ValueError(f"n_splits must be at least 2, got {n_splits}")
    if n_groups < n_splits:
        raise ValueError(f"{n_splits} folds need at least as many groups, got {n_groups}; try n_splits={n_groups}")
    codes = np.unique(labels, return_inverse=True)[1].reshape(-1)
    fewest = np.min([len(np.unique(group[codes == k])) for k in range(codes.max() + 1)])
    if fewest < 2:
        raise ValueError("every class must occur in at least two groups, so that it can be held out; got one with 1")
    if content is not None:
        textual = isinstance(content, Sequence) and isinstance(content[0], str)
        known: Content = as_texts(content) if textual else to_numpy(content)
        if len(known) != len(labels):
            raise ValueError(f"content must have one entry for each of {len(labels)} rows, got {len(known)}")
        group = content_order(group, [known, codes]).groups
    folds = tuple(
        Fold(*(part.copy() for part in parts)) for parts in _split(_Exactly(codes), _Exactly(group), n_splits, seed)
    )
    for k, fold in enumerate(folds):
        missing = np.setdiff1d(np.arange(codes.max() + 1), codes[fold.train])
        if missing.size:
            names = np.unique(labels)[missing].tolist()
            raise ValueError(f"the training part of fold {k} lacks class {names}; use fewer folds or more groups")
        if fold.test.size == 0:
            raise ValueError(f"fold {k} has no test rows; use fewer folds than {n_splits}")
    return folds


class _Exactly:
    """Integers that are looked up by their values."""

    def __init__(self, values: IntArray) -> None:
        self.values = values
        self._key = (values.dtype.str, values.tobytes())

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Exactly) and self._key == other._key


@lru_cache(maxsize=16)
def _split(codes: _Exactly, group: _Exactly, n_splits: int, seed: int) -> tuple[tuple[IntArray, IntArray], ...]:
    """scikit-learn's folds; kept, since a study asks for the same ones layer by layer."""
    splitter = StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # scikit-learn warns when a class has fewer rows than folds; the caller checks it, as an error.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        return tuple(splitter.split(codes.values, codes.values, group.values))


def check_folds(folds: Sequence[Fold], y: LabelsLike, *, groups: LabelsLike | None) -> tuple[Fold, ...]:
    """The folds, if every row is tested once, no group is on both sides and every training part has every class.

    Raises:
        ValueError: one of these is not so.
    """
    labels = as_names(y, "y")
    group = as_groups(groups, len(labels))
    if not len(folds):
        raise ValueError("folds is empty; try grouped_folds(y, groups=groups)")
    tested = np.concatenate([np.asarray(f.test) for f in folds])
    if not np.array_equal(np.sort(tested), np.arange(len(labels))):
        raise ValueError(
            f"folds must test each of {len(labels)} rows exactly once, got {len(tested)} test rows of which "
            f"{len(np.unique(tested))} are distinct"
        )
    for k, fold in enumerate(folds):
        shared = np.intersect1d(group[fold.train], group[fold.test])
        if shared.size:
            raise ValueError(f"fold {k} has {shared.size} group(s) in training and test at once; try grouped_folds")
        missing = np.setdiff1d(labels, labels[fold.train])
        if missing.size:
            raise ValueError(f"the training part of fold {k} lacks class {missing.tolist()}")
    return tuple(folds)
