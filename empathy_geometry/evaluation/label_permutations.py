"""Which rearrangements of the labels leave the null hypothesis as it is: within scenarios, between them, or both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from empathy_geometry.foundation._types import IntArray, LabelsLike
from empathy_geometry.foundation._validation import as_groups, as_names, check_choice

Scheme = Literal["auto", "within", "between"]


@dataclass(frozen=True, eq=False)
class LabelPermutations:
    """The label vectors that are equally likely if labels mean nothing, given the scenarios.

    Attributes:
        codes: True class of each row, 0..n_classes-1.
        within: For each size of group, the rows of the groups whose labels are permuted inside them, [groups, size].
        between: For each size of group, the rows of the groups with one label each, which exchange their labels.
    """

    codes: IntArray
    within: tuple[IntArray, ...]
    between: tuple[IntArray, ...]

    @property
    def scheme(self) -> str:
        """Where labels move: "within", "between", or "within and between" groups."""
        return " and ".join(name for name in ("within", "between") if getattr(self, name))

    @property
    def n_distinct(self) -> float:
        """How many different label vectors there are; p cannot fall below its inverse."""
        logarithm = 0.0
        for rows in self.within:
            logarithm += _log_arrangements(self.codes[rows])
        for rows in self.between:
            logarithm += _log_arrangements(self.codes[rows[:, :1].T])
        return float(np.exp(min(logarithm, 700.0)))

    def draw(self, m: int, *, generator: np.random.Generator) -> npt.NDArray[np.int16]:
        """Random label vectors [m, n], each arrangement equally likely.

        Source: exchangeability blocks, Winkler et al. (2014), NeuroImage 92.

        Example:
            >>> permutations = label_permutations([0, 1, 0, 1], groups=["a", "a", "b", "b"])
            >>> drawn = permutations.draw(100, generator=np.random.default_rng(0))
            >>> permutations.scheme, bool((drawn[:, 0] + drawn[:, 1] == 1).all())
            ('within', True)
        """
        # Many permutations of many rows are held at once, and sixteen bits are enough for a class.
        codes = self.codes.astype(np.int16)
        drawn = np.repeat(codes[None], m, axis=0)
        for rows in self.within:
            if rows.shape[1] == 2:
                swap = generator.integers(2, size=(m, len(rows)), dtype=np.int8)
                first, second = codes[rows[:, 0]], codes[rows[:, 1]]
                moved = swap * (second - first)
                drawn[:, rows[:, 0]] = first + moved
                drawn[:, rows[:, 1]] = second - moved
            else:
                order = generator.random((m, *rows.shape)).argsort(axis=2)
                labels = np.broadcast_to(codes[rows], order.shape)
                drawn[:, rows.ravel()] = np.take_along_axis(labels, order, axis=2).reshape(m, -1)
        for rows in self.between:
            labels = codes[rows[:, 0]][generator.random((m, len(rows))).argsort(axis=1)]
            drawn[:, rows.ravel()] = np.repeat(labels, rows.shape[1], axis=1)
        return drawn


def label_permutations(
    y: LabelsLike, *, groups: LabelsLike | None, scheme: Scheme = "auto", order: IntArray | None = None
) -> LabelPermutations:
    """Read off the design which permutations of the labels are allowed.

    Where a group has several classes, its rows exchange their labels ("within"). Where a group has one class, it
    exchanges that label with groups of the same size ("between"); permuting single rows would pretend that they are
    independent.

    Args:
        y: Class of each row.
        groups: Scenario of each row; None makes every row its own, so that all permutations are allowed.
        scheme: "auto" does what each group allows; "within" leaves groups with one class as they are; "between"
            requires one class per group.
        order: Rows group by group, such as `content_order` gives: which of the equally likely rearrangements a seed
            draws then does not depend on the order of rows.

    Raises:
        ValueError: the scheme does not fit the design, or no label can change place.
    """
    check_choice(scheme, "scheme", ("auto", "within", "between"))
    labels = as_names(y, "y")
    codes = np.unique(labels, return_inverse=True)[1].reshape(-1).astype(np.int64)
    group = as_groups(groups, len(codes))
    order = np.argsort(group, kind="stable") if order is None else order
    members = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    several = np.zeros(len(members), dtype=bool)
    several[group[codes != codes[order[np.searchsorted(group[order], group)]]]] = True
    mixed = [rows for rows, mix in zip(members, several, strict=True) if mix]
    constant = [rows for rows, mix in zip(members, several, strict=True) if not mix]
    if scheme == "between" and mixed:
        raise ValueError(
            f"scheme='between' needs one class per group, but {len(mixed)} of {len(members)} groups have several; "
            f"try scheme='within' or 'auto'"
        )
    exchanging = [rows for rows in _by_size(constant) if len(np.unique(codes[rows[:, 0]])) > 1 and scheme != "within"]
    found = LabelPermutations(codes, tuple(_by_size(mixed)), tuple(exchanging))
    if not found.scheme:
        raise ValueError(
            "no label can change place: "
            + (
                "no group has two classes; try scheme='between'"
                if scheme == "within"
                else "groups that differ in class differ in size, so that none can stand for another"
            )
        )
    return found


def _by_size(members: Sequence[IntArray]) -> list[IntArray]:
    sizes = sorted({len(rows) for rows in members})
    return [np.stack([rows for rows in members if len(rows) == size]) for size in sizes]


def _log_arrangements(labels: IntArray) -> float:
    """Log of the number of ways to rearrange the labels inside each row of [groups, size]."""
    counts = np.stack([(labels == c).sum(axis=1) for c in np.unique(labels)])
    return float((gammaln(labels.shape[1] + 1) - gammaln(counts + 1).sum(axis=0)).sum())
