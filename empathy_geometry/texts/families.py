"""Train on one phrasing family, test on the other: does a probe read the concept or the way it is put?"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from empathy_geometry.foundation._types import StrArray
from empathy_geometry.foundation._validation import class_name
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.splits import Fold


@runtime_checkable
class Rows(Protocol):
    """What `LabeledTexts` and `Activations` have in common."""

    @property
    def groups(self) -> StrArray:
        """Scenario of each row."""

    @property
    def labels(self) -> StrArray:
        """Class of each row."""

    def where(self, *, family: str | Sequence[str] | None = ...) -> Any:
        """The rows of a family."""


R = TypeVar("R", bound=Rows)


def family_split(rows: R, *, train: str = "a", test: str = "b") -> tuple[R, R]:
    """The rows of one phrasing family to fit on, and those of another to judge.

    Args:
        rows: `LabeledTexts`, or `Activations` of them.
        train: Family to fit on.
        test: Family to judge.

    Returns:
        Both parts; they share no scenario.

    Raises:
        ValueError: the rows have no families, a family does not occur, both are the same, or a scenario is in both.

    Example:
        >>> from empathy_geometry import datasets
        >>> train, test = family_split(datasets.formality_pairs())
        >>> len(train), len(test), set(train.groups) & set(test.groups)
        (100, 100, set())
    """
    families = _families(rows)
    train, test = (
        class_name(families, train, "train", "the families"),
        class_name(families, test, "test", "the families"),
    )
    if train == test:
        raise ValueError(f"train and test must be two families, both are {train!r}; there are {_names(families)}")
    _check_groups(rows.groups, families)
    return rows.where(family=train), rows.where(family=test)


def family_folds(rows: Rows) -> tuple[Fold, ...]:
    """One fold per phrasing family, which is tested by what was fitted on all others.

    Where every scenario is in every family (`datasets.support_moves`), two folds per family: one half of the scenarios
    is tested by what was fitted on the other half in the other families, so that no scenario is on both sides.

    They go where `grouped_folds` would: `cross_validate(probe, acts, folds=family_folds(acts))` gives the evaluation
    across families. Select classes first (`acts.where(label=[...])`), since folds are row numbers.

    Raises:
        ValueError: the rows have no families or only one, some scenarios are in two families and others are not, or a
            class is missing in all but one.

    Example:
        >>> from empathy_geometry import datasets
        >>> [(len(f.train), len(f.test)) for f in family_folds(datasets.humor_pairs())]
        [(60, 60), (60, 60)]
    """
    families = _families(rows)
    names = _names(families)
    if len(names) < 2:
        raise ValueError(f"there is only one family, {names[0]!r}; two are needed, so that one can be held out")
    tested = [families == name for name in names]
    if _crossed(rows.groups, families):
        # Every other scenario, sorted, so that the halves hold alike many of scenarios numbered within a context.
        half = np.isin(rows.groups, np.unique(rows.groups)[::2])
        names = [name for name in names for _ in range(2)]
        folds = tuple(
            Fold(np.flatnonzero(~rows_of & (half != part)), np.flatnonzero(rows_of & (half == part)))
            for rows_of in tested
            for part in (True, False)
        )
    else:
        _check_groups(rows.groups, families)
        folds = tuple(Fold(np.flatnonzero(~rows_of), np.flatnonzero(rows_of)) for rows_of in tested)
    for name, fold in zip(names, folds, strict=True):
        missing = np.setdiff1d(rows.labels[fold.test], rows.labels[fold.train]).tolist()
        if missing:
            raise ValueError(f"class {missing} occurs in family {name!r} only, so that it cannot be held out")
    return folds


def _families(rows: Rows) -> StrArray:
    texts = rows if isinstance(rows, LabeledTexts) else getattr(rows, "texts", None)
    families = getattr(texts, "families", None)
    if families is None:
        raise ValueError(
            f"{type(rows).__name__} without families cannot be split by family; give LabeledTexts(..., families=...), "
            f"or use grouped_folds"
        )
    return np.asarray(families)


def _names(families: StrArray) -> list[str]:
    return [str(name) for name in np.unique(families)]


def _crossed(groups: StrArray, families: StrArray) -> bool:
    """Whether there are several scenarios, each of them in every family."""
    n_groups = len(np.unique(groups))
    n_pairs = len(np.unique(np.stack([groups, families], axis=1), axis=0))
    return n_groups > 1 and n_pairs == n_groups * len(_names(families))


def _check_groups(groups: StrArray, families: StrArray) -> None:
    pairs = np.unique(np.stack([groups, families], axis=1), axis=0)
    names, counts = np.unique(pairs[:, 0], return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"{int((counts > 1).sum())} scenario(s) are in two families, such as {str(names[counts > 1][0])!r}; "
            f"a scenario must be on one side of the split; try family_folds where every scenario is in every family, "
            f"or choose scenarios for each family with where(group=..., family=...)"
        )
