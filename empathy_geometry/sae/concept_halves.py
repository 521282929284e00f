"""Random halves of scenarios: features are selected in one, the concept's subspace is estimated in the other."""

from dataclasses import dataclass

import numpy as np

from empathy_geometry.activations.pairing import paired_differences
from empathy_geometry.foundation._types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Half:
    """One way round of one split.

    Attributes:
        select: Rows in which features are chosen.
        judge: Rows whose concept they are held against; of other scenarios.
    """

    select: IntArray
    judge: IntArray


def halves(positive: BoolArray, groups: IntArray, *, n_splits: int, generator: np.random.Generator) -> list[Half]:
    """Both ways round of random splits of the scenarios into halves.

    Scenarios of one class are split class by class, so that each half has both.

    Example:
        >>> y = np.array([True, False, True, False])
        >>> found = halves(y, np.array([0, 0, 1, 1]), n_splits=1, generator=np.random.default_rng(0))
        >>> len(found), sorted(found[0].select.tolist() + found[0].judge.tolist())
        (2, [0, 1, 2, 3])
    """
    n_groups = int(groups.max()) + 1
    has = np.array([np.bincount(groups[chosen], minlength=n_groups) > 0 for chosen in (positive, ~positive)])
    kinds = [np.flatnonzero(kind) for kind in (has[0] & has[1], has[0] & ~has[1], ~has[0] & has[1])]
    found = []
    for _ in range(n_splits):
        first = np.concatenate([generator.permutation(kind)[: len(kind) // 2] for kind in kinds])
        chosen = np.isin(groups, first)
        one, other = np.flatnonzero(chosen), np.flatnonzero(~chosen)
        found += [Half(one, other), Half(other, one)]
    return found


def is_paired(positive: BoolArray, groups: IntArray) -> bool:
    """Whether every scenario has both classes.

    Example:
        >>> is_paired(np.array([True, False, True]), np.array([0, 0, 1]))
        False
    """
    return bool(np.array_equal(np.unique(groups[positive]), np.unique(groups[~positive])))


def without(parts: list[Half], groups: IntArray, kept: IntArray) -> list[Half]:
    """The same halves with only the rows of some scenarios left."""
    left = np.isin(groups, kept)
    return [Half(h.select[left[h.select]], h.judge[left[h.judge]]) for h in parts]


def mean_difference_basis(rows: FloatArray, positive: BoolArray) -> FloatArray:
    """The unit difference of the class means, [1, d_model]."""
    difference = rows[positive].mean(axis=0) - rows[~positive].mean(axis=0)
    length = float(np.linalg.norm(difference))
    basis: FloatArray = (difference / length if length > 0 else difference)[None]
    return basis


def pairs_basis(rows: FloatArray, positive: BoolArray, groups: IntArray, rank: int) -> FloatArray:
    """The leading components of the paired differences within scenarios, uncentred, [rank, d_model]."""
    differences, _ = paired_differences(rows, np.where(positive, "p", "n"), groups, positive="p", negative="n")
    # Through the smaller side: half as many scenarios as dimensions is usual.
    values, vectors = np.linalg.eigh(differences @ differences.T)
    kept = values[-rank:] > 1e-10 * max(values[-1], 1e-300)
    found: FloatArray = (vectors[:, -rank:][:, kept] / np.sqrt(values[-rank:][kept])).T @ differences
    return found[::-1]
