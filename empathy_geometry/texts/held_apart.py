"""Folds that hold several things apart at once: persons and scenarios, writers and articles."""

from collections.abc import Mapping
from itertools import product

import numpy as np

from empathy_geometry.foundation._types import IntArray, LabelsLike
from empathy_geometry.foundation._validation import as_groups, as_names
from empathy_geometry.texts.splits import Fold


def held_apart_folds(groups: Mapping[str, LabelsLike], *, n_splits: int = 4, seed: int = 0) -> tuple[Fold, ...]:
    """Folds whose test rows share no group of any column with their training rows.

    Each column's groups are dealt into `n_splits` parts. A fold tests the rows of one part of every column, and trains
    on the rows that are in none of these parts; rows in some of them are left out of it. Every row is tested once, in
    at most n_splits ** columns folds. Connected components of the columns would keep more training rows where they are
    nested (scenarios of one person each), but where they are crossed (372 writers of five essays about 418 articles)
    all rows are one component, which nothing can be held apart from.

    Args:
        groups: Columns by name, each [n].
        n_splits: Parts of each column.
        seed: Of the dealing.

    Raises:
        ValueError: no column, fewer than two parts, a column with fewer groups than parts, lengths that differ, or a
            training part with fewer than two rows.

    Source: two-way splits of crossed data: Owen (2007), The Annals of Applied Statistics 1.

    Example:
        >>> persons, items = np.repeat(range(4), 4), np.tile(range(4), 4)
        >>> folds = held_apart_folds({"person": persons, "item": items}, n_splits=2)
        >>> [(len(fold.train), len(fold.test)) for fold in folds]
        [(4, 4), (4, 4), (4, 4), (4, 4)]
    """
    codes = columns_of(groups)
    if isinstance(n_splits, bool) or n_splits < 2:
        raise ValueError(f"n_splits must be at least 2, got {n_splits!r}")
    parts = []
    for number, (name, column) in enumerate(codes.items()):
        n_groups = int(column.max()) + 1
        if n_groups < n_splits:
            raise ValueError(f"{n_splits} parts need at least as many groups, {name!r} has {n_groups}; lower n_splits")
        parts.append(_dealt(column, n_splits, np.random.default_rng([seed, number]))[column])
    folds: list[Fold] = []
    for chosen in product(range(n_splits), repeat=len(parts)):
        inside = np.array([part == k for part, k in zip(parts, chosen, strict=True)])
        test, train = np.flatnonzero(inside.all(axis=0)), np.flatnonzero(~inside.any(axis=0))
        if test.size:
            if train.size < 2:
                raise ValueError(
                    f"the training part of fold {len(folds)} has {train.size} row(s): too few rows share no group with "
                    f"the test rows; raise n_splits, or hold fewer columns apart"
                )
            folds.append(Fold(train, test))
    return tuple(folds)


def columns_of(groups: Mapping[str, LabelsLike]) -> dict[str, IntArray]:
    """Group index of each row in each column.

    Raises:
        ValueError: no column, or lengths that differ.
    """
    if not groups:
        raise ValueError("groups names no column; give at least one, as {'person': [...]}")
    n = len(as_names(next(iter(groups.values())), "groups"))
    return {str(name): as_groups(as_names(x, f"groups[{name!r}]", n), n) for name, x in groups.items()}


def _dealt(column: IntArray, n_splits: int, rng: np.random.Generator) -> IntArray:
    """Part of each group: large groups first, each into the part with the fewest rows so far."""
    sizes = np.bincount(column)
    filled, part = np.zeros(n_splits, dtype=np.int64), np.zeros(len(sizes), dtype=np.int64)
    for group in sorted(rng.permutation(len(sizes)), key=lambda g: -sizes[g]):
        part[group] = filled.argmin()
        filled[part[group]] += sizes[group]
    return part
