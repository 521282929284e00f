"""Dimension counts that read the sample spectrum as it is: components for a share of variance, effective rank."""

import numpy as np

from empathy_geometry.foundation._types import FloatArray


def components_for(spectrum: FloatArray, variance: float = 0.9) -> int:
    """Number of leading components that carry a share of the variance.

    It follows n more than the truth (a spectrum that needs 902 gives 8 at n = 10, 38 at n = 50 and 153 at n = 250), so
    read it beside its rarefaction.

    Raises:
        ValueError: the share is not in (0, 1].

    Example:
        >>> components_for(np.array([8.0, 1.0, 1.0]))
        2
    """
    if not 0 < variance <= 1:
        raise ValueError(f"variance must lie in (0, 1], got {variance}; try 0.9")
    shares = np.cumsum(spectrum) / spectrum.sum()
    return int(np.searchsorted(shares, variance - 1e-12) + 1)


def fractional_components_for(spectrum: FloatArray, variance: float = 0.9) -> float:
    """`components_for` without rounding up (linear between components), so that it can be jackknifed.

    Example:
        >>> round(fractional_components_for(np.array([8.0, 1.0, 1.0]), 0.85), 6)
        1.5
    """
    shares = np.concatenate([[0.0], np.cumsum(spectrum) / spectrum.sum()])
    return float(np.interp(variance, shares, np.arange(len(shares))))


def entropy_rank(spectrum: FloatArray) -> float:
    """Entropy effective rank: exp H(p), p = s / sum s over the singular values s.

    Source: Roy & Vetterli (2007), The effective rank.

    Example:
        >>> round(entropy_rank(np.ones(7)), 6)
        7.0
    """
    singular = np.sqrt(spectrum[spectrum > spectrum[0] * 1e-14])
    p = singular / singular.sum()
    return float(np.exp(-(p * np.log(p)).sum()))
