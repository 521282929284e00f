"""A concept in two halves of the scenarios: how much of it lies in the span of features, and what noise takes away."""

from dataclasses import dataclass

import numpy as np

from empathy_geometry.activations.pairing import paired_differences
from empathy_geometry.evaluation.label_permutations import label_permutations
from empathy_geometry.foundation._types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class AgreementData:
    """What the agreement of one dictionary is computed from.

    Attributes:
        features: Feature activations of the texts, [n, d_sae].
        decoder: [d_sae, d_model].
        rows: Activations of the texts, [n, d_model].
        positive: Which rows have the concept, [n].
        groups: Scenario index of each row, [n].
        frequency: Share of tokens on which each feature fires, [d_sae].
    """

    features: FloatArray
    decoder: FloatArray
    rows: FloatArray
    positive: BoolArray
    groups: IntArray
    frequency: FloatArray


_SMALLEST = 1e-10


def captured(directions: FloatArray, basis: FloatArray) -> FloatArray | np.float64:
    """Mean squared cosine of the principal angles, ||U'V||_F^2 / min(k, r).

    U is an orthonormal basis of the span of k directions, V one of the subspace of rank r. In [0, 1]; directions drawn
    at random give max(k, r) / d_model on average. Equals `Subspace.overlap`, for many sets of directions at once;
    directions that depend on others add nothing.

    Args:
        directions: [..., k, d_model], any lengths.
        basis: [..., r, d_model], rows orthonormal.

    Returns:
        [...]

    Example:
        >>> round(float(captured(np.array([[2.0, 0, 0], [2, 1, 0]]), np.array([[0.0, 1, 0]]))), 6)
        1.0
    """
    lengths = np.linalg.norm(directions, axis=-1, keepdims=True)
    unit = directions / np.where(lengths > 0, lengths, 1.0)
    values, vectors = np.linalg.eigh(unit @ np.swapaxes(unit, -1, -2))
    kept = values > _SMALLEST * np.maximum(values[..., -1:], _SMALLEST)
    scale = np.where(kept, 1 / np.sqrt(np.where(kept, values, 1.0)), 0.0)
    # Rows of scale * vectors' * unit are orthonormal and span the directions.
    shared = (np.swapaxes(vectors, -1, -2) @ (unit @ np.swapaxes(basis, -1, -2))) * scale[..., None]
    smaller = np.minimum(kept.sum(axis=-1), basis.shape[-2])
    total: FloatArray | np.float64 = (shared**2).sum(axis=(-1, -2)) / np.maximum(smaller, 1)
    return total


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


_DRAWS = 20
_LEAST_CEILING = 0.1


def between_halves(bases: list[FloatArray]) -> float:
    """Mean squared cosine between the subspaces of the two halves of each split."""
    return float(np.mean([captured(a, b) for a, b in zip(bases[::2], bases[1::2], strict=True)]))


def noise_captured(data: AgreementData, parts: list[Half], chosen: IntArray, *, seed: int) -> float:
    """How much of a mean difference that is noise alone lies in the span of the chosen features.

    Rows less their class means, and labels shuffled within scenarios: differences with the covariance of the noise.
    """
    residual = data.rows - np.where(
        data.positive[:, None], data.rows[data.positive].mean(axis=0), data.rows[~data.positive].mean(axis=0)
    )
    (rng,) = np.random.default_rng(seed).spawn(1)
    labels = label_permutations(data.positive.astype(int), groups=data.groups).draw(_DRAWS, generator=rng) == 1
    found = [
        captured(data.decoder[rows], mean_difference_basis(residual[half.judge], label[half.judge]))
        for label in labels
        for half, rows in zip(parts, chosen, strict=True)
    ]
    return float(np.mean(found))


def noise_corrected(value: float, ceiling: float, noise: float) -> float | None:
    """The agreement that a mean difference without noise would have.

    An estimated difference is signal and noise, and q = sqrt(ceiling) is the share of its square that is signal: two
    independent estimates have a squared cosine of q^2. If a share t of the signal and a share c of the noise lie in
    the span, the estimate's share is about q t + (1 - q) c, so that t = (value - (1 - q) c) / q.

    Args:
        value: Share of the estimated difference in the span.
        ceiling: Squared cosine between the differences of two halves.
        noise: Share c, from `noise_captured`.

    Returns:
        t, which may exceed 1 by chance; None where the ceiling is below 0.1, too little signal to divide by.

    Source: derived here; the correction for attenuation (Spearman, 1904) with noise that is not orthogonal to the span.

    Example:
        >>> round(noise_corrected(0.9 * 0.8 + 0.1 * 0.3, 0.81, 0.3), 6)
        0.8
    """
    if ceiling < _LEAST_CEILING:
        return None
    signal = float(np.sqrt(ceiling))
    return (value - (1 - signal) * noise) / signal
