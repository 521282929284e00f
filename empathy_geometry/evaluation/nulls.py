"""What chance looks like: shuffled labels, and corrections for looking at many results."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from empathy_geometry.evaluation.label_permutations import Scheme, label_permutations
from empathy_geometry.foundation._types import ArrayLike, FloatArray, LabelsLike
from empathy_geometry.foundation._validation import as_float_array, as_generator, as_names
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table


def shuffled_labels(
    y: LabelsLike, *, groups: LabelsLike | None, n: int = 1, scheme: Scheme = "auto", seed: int = 0
) -> np.ndarray:
    """Label vectors that are as likely as the true one if labels mean nothing, [n, rows].

    Args:
        y: Class of each row.
        groups: Scenario of each row; labels move within scenarios, or between those with one label (see
            `label_permutations`). None makes each row its own.
        n: How many label vectors.
        scheme: "auto", "within" or "between".
        seed: Seed.

    Raises:
        ValueError: no label can change place.

    Example:
        >>> shuffled = shuffled_labels(["p", "n", "p", "n"], groups=["a", "a", "b", "b"], n=3, seed=0)
        >>> shuffled.shape, sorted(shuffled[0, :2].tolist())
        ((3, 4), ['n', 'p'])
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    labels = as_names(y, "y")
    permutations = label_permutations(labels, groups=groups, scheme=scheme)
    shuffled: np.ndarray = np.unique(labels)[permutations.draw(n, generator=as_generator(seed))]
    return shuffled


@dataclass(frozen=True, eq=False)
class NullTest(Result):
    """A statistic and what it is under shuffled labels.

    Attributes:
        statistic: Under the true labels.
        pvalue: (b + 1) / (m + 1), b the shuffles that reach the statistic.
        null_distribution: Under each shuffle, [n_permutations].
        scheme: How labels moved.
        seed: Of the shuffles.
    """

    statistic: float
    pvalue: float
    null_distribution: FloatArray
    scheme: str
    seed: int | None = None

    def tables(self) -> tuple[Table, ...]:
        """Statistic, null and p."""
        null = self.null_distribution
        title = f"{self.statistic:.3f}, null mean {null.mean():.3f}, p = {self.pvalue:.3g}"
        row = {"statistic": self.statistic, "null mean": float(null.mean()), "p": f"{self.pvalue:.3g}"}
        return (Table.of(title, [row], notes=[f"{len(null)} shuffles {self.scheme} groups"]),)


def label_null(
    statistic: Callable[[np.ndarray], float],
    y: LabelsLike,
    *,
    groups: LabelsLike | None,
    n_permutations: int = 1000,
    scheme: Scheme = "auto",
    seed: int = 0,
) -> NullTest:
    """Permutation test of any statistic of the labels, such as a cluster purity or a cosine between class means.

    For held-out scores of probes use `permutation_test`, which solves all permutations together.

    Args:
        statistic: From labels [n] to a number; large means more.
        y: True labels.
        groups: Scenario of each row; None makes each row its own.
        n_permutations: How many.
        scheme: "auto", "within" or "between"; see `label_permutations`.
        seed: Seed.

    Example:
        >>> from empathy_geometry.evaluation.clusters import purity
        >>> y, clusters, groups = [0, 1] * 10, [0, 1] * 10, [i // 2 for i in range(20)]
        >>> share = lambda labels: float(purity(clusters, labels))
        >>> test = label_null(share, y, groups=groups, n_permutations=199, seed=0)
        >>> test.pvalue
        0.005
    """
    labels = as_names(y, "y")
    permutations = label_permutations(labels, groups=groups, scheme=scheme)
    names = np.unique(labels)
    observed = float(statistic(labels))
    drawn = permutations.draw(n_permutations, generator=as_generator(seed))
    null = np.array([statistic(names[codes]) for codes in drawn], dtype=float)
    return NullTest(observed, empirical_pvalue(observed, null), null, permutations.scheme, seed)


def empirical_pvalue(statistic: float, null: ArrayLike) -> float:
    """(b + 1) / (m + 1), b the number of null values that reach the statistic.

    Source: Phipson & Smyth (2010), Stat. Appl. Genet. Mol. Biol. 9.

    Example:
        >>> empirical_pvalue(2.0, [0.0, 1.0, 3.0])
        0.5
    """
    values = as_float_array(null, "null", ndim=1)
    return float((1 + (values >= statistic - 1e-9 * max(1.0, abs(statistic))).sum()) / (1 + len(values)))


def holm(pvalues: ArrayLike) -> FloatArray:
    """p-values corrected for their number by Holm's step-down procedure, in the order given.

    Holds under any dependence; for permutations of the same data `max_t` is more powerful.

    Args:
        pvalues: [n], each in [0, 1].

    Raises:
        ValueError: a value outside [0, 1].

    Source: Holm (1979), Scandinavian Journal of Statistics 6.

    Example:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    p = as_float_array(pvalues, "pvalues", ndim=1)
    if p.min() < 0 or p.max() > 1:
        raise ValueError(f"pvalues must lie in [0, 1], got {p.min()} to {p.max()}")
    order = np.argsort(p, kind="stable")
    adjusted = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    result = np.empty_like(p)
    result[order] = adjusted
    return result


def max_t(statistics: ArrayLike, null: ArrayLike, *, step_down: bool = True) -> FloatArray:
    """p-values of several statistics, corrected for their number by the distribution of their maximum.

    The correlations between the statistics are in the null, so that 30 layers that say the same cost little.

    Args:
        statistics: Observed, [k]; larger means more extreme. They should be on one scale (all AUROCs, say).
        null: The same statistics in each permutation, [k, m]; the permutations must be the same ones for all.
        step_down: Compare each with the maximum over itself and those below it only; more powerful, and the
            family-wise error is still controlled.

    Raises:
        ValueError: shapes do not fit.

    Source: Westfall & Young (1993), Resampling-Based Multiple Testing, algorithms 2.8 and 4.1.

    Example:
        >>> max_t([3.0, 1.0], [[0.0, 1.0, 2.0], [2.0, 0.0, 0.5]]).tolist()
        [0.25, 0.5]
    """
    observed = as_float_array(statistics, "statistics", ndim=1)
    drawn = as_float_array(null, "null", ndim=2)
    if len(drawn) != len(observed):
        raise ValueError(f"null must be [{len(observed)}, m], one row per statistic, got {drawn.shape}")
    m = drawn.shape[1]
    tolerance = 1e-9 * np.maximum(1.0, np.abs(observed))
    if not step_down:
        largest = drawn.max(axis=0)
        return np.asarray((1 + (largest >= (observed - tolerance)[:, None]).sum(axis=1)) / (1 + m))
    order = np.argsort(-observed, kind="stable")
    below = np.maximum.accumulate(drawn[order][::-1], axis=0)[::-1]
    raw = (1 + (below >= (observed - tolerance)[order][:, None]).sum(axis=1)) / (1 + m)
    result = np.empty_like(observed)
    result[order] = np.maximum.accumulate(raw)
    return result
