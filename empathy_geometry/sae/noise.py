"""How much the noise of a mean difference lowers its agreement with features, and the agreement without it."""

import numpy as np

from empathy_geometry.evaluation.label_permutations import label_permutations
from empathy_geometry.foundation._types import FloatArray, IntArray
from empathy_geometry.sae.agreement_data import AgreementData
from empathy_geometry.sae.captured import captured
from empathy_geometry.sae.concept_halves import Half, mean_difference_basis

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
