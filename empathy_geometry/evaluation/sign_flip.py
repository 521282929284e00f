"""Does a concept shift the stream at all? Sign flips of the mean paired difference."""

import numpy as np

from empathy_geometry.evaluation.nulls import NullTest, empirical_pvalue
from empathy_geometry.foundation._types import ArrayLike, FloatArray
from empathy_geometry.foundation._validation import as_generator, as_matrix


def sign_flip_test(
    differences: ArrayLike, *, penalty: float = 1.0, n_permutations: int = 1000, seed: int = 0
) -> NullTest:
    """Test of no mean difference between the classes of a pair, with more power than an AUROC held out.

    Without a concept a pair's difference is as likely as its negative, so the signs of whole rows may be flipped. The
    statistic is the squared mean difference m in the metric of what varies, m' (S + l I)^-1 m, with S the second moment
    about zero (which no flip changes, so that one inverse serves all of them) and l the penalty times its mean
    eigenvalue. It says whether there is a difference; how well single texts are told apart, and whether beyond words,
    say `cross_validate` and `permutation_test`.

    Args:
        differences: One paired difference for each scenario, [n, d_model].
        penalty: Large for the plain squared distance, small for Hotelling's T squared.
        n_permutations: How many flips.
        seed: Seed.

    Raises:
        ValueError: fewer than 6 scenarios (2 of 2^5 flips are more than 5 %), a penalty that is not positive, or rows
            that are all zero.

    Source: Fisher (1935), The Design of Experiments, section 21; Hotelling (1931) for the statistic; Winkler et al.
        (2014), NeuroImage 92, for flips of whole rows.

    Example:
        >>> x = np.random.default_rng(0).standard_normal((20, 50))
        >>> sign_flip_test(x + 0.5).pvalue, sign_flip_test(x).pvalue > 0.05
        (0.000999000999000999, True)
    """
    x = as_matrix(differences, "differences")
    if len(x) < 6:
        raise ValueError(f"differences must have 6 rows at least (one a scenario), got {len(x)}: 2 / 2^5 > 0.05")
    if not penalty > 0:
        raise ValueError(f"penalty must be positive, got {penalty}; try 1.0")
    if not x.any():
        raise ValueError("differences are all zero; are both texts of each pair the same?")
    metric = _metric(x, penalty)
    signs = 2.0 * as_generator(seed).integers(0, 2, (n_permutations, len(x))) - 1.0
    null = ((signs @ metric) * signs).sum(axis=1)
    observed = float(metric.sum())
    # A flip of all rows is the same statistic; rounding must not put it on the other side.
    null = np.where(np.abs(null - observed) < 1e-10 * abs(observed), observed, null)
    return NullTest(observed, empirical_pvalue(observed, null), null, "signs flipped of whole", seed)


def _metric(x: FloatArray, penalty: float) -> FloatArray:
    """Inner products of the rows in the metric of the statistic, over n squared, [n, n]."""
    n, d = x.shape
    g = x @ x.T
    floor = penalty * float(np.trace(g)) / (n * d)
    # x (x'x/n + l)^-1 x' = g (g/n + l)^-1
    metric: FloatArray = np.linalg.solve(g / n + floor * np.eye(n), g) / n**2
    return metric
