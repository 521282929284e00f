"""Do clusters follow the classes? Purity, silhouette and adjusted Rand index, with intervals over scenarios.

Their chance levels depend on the numbers and sizes of clusters and classes: report `nulls.label_null` beside them.
"""

import numpy as np
from sklearn.metrics import adjusted_rand_score, silhouette_samples

from empathy_geometry.evaluation.clustered import ceiling_interval, t_quantile, wilson_interval
from empathy_geometry.foundation._types import ArrayLike, FloatArray, IntArray, LabelsLike
from empathy_geometry.foundation._validation import as_groups, as_matrix, as_names
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.settings import takes_settings


@takes_settings()
def purity(
    clusters: LabelsLike, labels: LabelsLike, *, groups: LabelsLike | None = None, level: float = 0.95
) -> Estimate:
    """Share of rows that have the most frequent class of their cluster: (1/n) sum_k max_c n_kc.

    Chance is at least the share of the largest class, and more clusters give more of it: one cluster per row scores 1.

    Args:
        clusters: Cluster of each row, [n].
        labels: Class of each row, [n].
        groups: Scenario of each row; None treats each row as independent.
        level: Coverage of the interval (Wilson's, clustered, the clusters' majorities taken as given).

    Source: Manning, Raghavan & Schuetze (2008), Introduction to Information Retrieval, ch. 16.

    Example:
        >>> float(purity([0, 0, 0, 1, 1, 1], ["a", "a", "b", "b", "b", "b"]))
        0.8333333333333334
    """
    cluster, label, group = _checked(clusters, labels, groups)
    table = np.zeros((cluster.max() + 1, label.max() + 1), dtype=np.int64)
    np.add.at(table, (cluster, label), 1)
    right = table.argmax(axis=1)[cluster] == label
    share, n, n_groups = float(right.mean()), len(label), int(group.max()) + 1
    if share == 1:
        low, high = ceiling_interval(share, n_groups, level)
        return Estimate(share, low, high, level, n, n_groups, f"exact bound, {n_groups} groups")
    parts = _parts(right - share, group)
    if parts is None:
        return Estimate(share, None, None, level, n, n_groups, "no interval: groups do not differ")
    low, high = wilson_interval(share, parts, level)
    return Estimate(share, low, high, level, n, n_groups, "Wilson, clustered")


def silhouette(X: ArrayLike, labels: LabelsLike, *, groups: LabelsLike | None = None, level: float = 0.95) -> Estimate:
    """Mean silhouette width of the classes as clusters: (b - a) / max(a, b) of each row, in [-1, 1].

    a is the mean distance to the other rows of its class, b to those of the nearest other class. In high dimensions
    all distances are alike, so that values near 0 are usual even for classes that a probe tells apart without error.

    Args:
        X: Rows, [n, d_model].
        labels: Class (or cluster) of each row, [n].
        groups: Scenario of each row; None treats each row as independent.
        level: Coverage of the interval (clustered; the widths of the other rows taken as given).

    Raises:
        ValueError: fewer than two classes, or as many as rows.

    Source: Rousseeuw (1987), Journal of Computational and Applied Mathematics 20.

    Example:
        >>> round(float(silhouette([[0.0], [0.1], [5.0], [5.1]], [0, 0, 1, 1])), 2)
        0.98
    """
    rows = as_matrix(X, "X")
    _, label, group = _checked(labels, labels, groups)
    if len(label) != len(rows):
        raise ValueError(f"labels must have one entry for each of {len(rows)} rows, got {len(label)}")
    if not 2 <= label.max() + 1 <= len(rows) - 1:
        raise ValueError(f"a silhouette needs 2 to {len(rows) - 1} classes, got {label.max() + 1}")
    widths = silhouette_samples(rows, label)
    value, n_groups = float(widths.mean()), int(group.max()) + 1
    parts = _parts(widths - value, group)
    return _around(value, parts, level, len(rows), n_groups, "clustered", (-1.0, 1.0))


def adjusted_rand(
    clusters: LabelsLike, labels: LabelsLike, *, groups: LabelsLike | None = None, level: float = 0.95
) -> Estimate:
    """Adjusted Rand index: agreement over pairs of rows, 0 expected by chance for given sizes, 1 for identity.

    Args:
        clusters: Cluster of each row, [n].
        labels: Class of each row, [n].
        groups: Scenario of each row; None treats each row as independent.
        level: Coverage of the interval (jackknife over groups).

    Source: Hubert & Arabie (1985), Journal of Classification 2.

    Example:
        >>> float(adjusted_rand([0, 0, 1, 1], ["a", "a", "b", "b"]))
        1.0
    """
    cluster, label, group = _checked(clusters, labels, groups)
    value, n, n_groups = float(adjusted_rand_score(label, cluster)), len(label), int(group.max()) + 1
    if n_groups < 3:
        return Estimate(value, None, None, level, n, n_groups, "no interval: too few groups")
    left_out = np.array([adjusted_rand_score(label[group != g], cluster[group != g]) for g in range(n_groups)])
    parts = np.sqrt((n_groups - 1) / n_groups) * (left_out - left_out.mean())
    return _around(value, parts if parts.any() else None, level, n, n_groups, "jackknife over groups", (-0.5, 1.0))


def _checked(
    clusters: LabelsLike, labels: LabelsLike, groups: LabelsLike | None
) -> tuple[IntArray, IntArray, IntArray]:
    label = np.unique(as_names(labels, "labels"), return_inverse=True)[1].reshape(-1)
    cluster = np.unique(as_names(clusters, "clusters", len(label)), return_inverse=True)[1].reshape(-1)
    return cluster, label, as_groups(groups, len(label))


def _parts(deviations: FloatArray, group: IntArray) -> FloatArray | None:
    """Contribution of each group to the deviation of a mean; None if they do not vary."""
    n_groups = int(group.max()) + 1
    if n_groups < 2:
        return None
    parts = np.bincount(group, deviations, minlength=n_groups) / len(group) * np.sqrt(n_groups / (n_groups - 1))
    return parts if np.abs(parts).max() > 1e-14 else None


def _around(
    value: float,
    parts: FloatArray | None,
    level: float,
    n: int,
    n_groups: int,
    method: str,
    possible: tuple[float, float],
) -> Estimate:
    """A t interval, cut at the values that the index can take."""
    if parts is None:
        return Estimate(value, None, None, level, n, n_groups, "no interval: groups do not differ")
    half = t_quantile(parts, level) * float(np.sqrt((parts**2).sum()))
    low, high = max(possible[0], value - half), min(possible[1], value + half)
    return Estimate(value, low, high, level, n, n_groups, method)
