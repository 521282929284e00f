"""Similarity and distance in units of noise: Mahalanobis cosine, cross-validated Mahalanobis distance."""

import numpy as np

from empathy_geometry.foundation._types import ArrayLike, FloatArray, IntArray, LabelsLike
from empathy_geometry.foundation._validation import (
    as_binary,
    as_float_array,
    as_generator,
    as_groups,
    as_matrix,
    as_names,
)
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.jackknife import blocks_of, jackknife_interval
from empathy_geometry.foundation.whitening import shrinkage_of, whitened
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.texts.content_order import content_order
from empathy_geometry.texts.splits import grouped_folds

_BLOCKS = 50
_DISTANCE_BLOCKS = 25


def mahalanobis_cosine(
    a: ConceptDirection | ArrayLike,
    b: ConceptDirection | ArrayLike,
    x: ArrayLike,
    *,
    groups: LabelsLike | None,
    labels: LabelsLike | None = None,
    shrinkage: float = 0.0,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """w1' S w2 / sqrt(w1' S w1 * w2' S w2): how alike two read-out directions sort the texts.

    It is the correlation of the two projections over rows that neither direction was fitted to, so it is free of the
    arbitrary lengths of axes that a plain cosine depends on. Only the two projections enter, whose covariance n rows
    estimate well: no shrinkage is needed as long as the rows are held out.

    Args:
        a: First direction, or its vector [d_model].
        b: Second direction.
        x: Held-out rows, [n, d_model].
        groups: Scenario of each row, for the interval; None, said by name, takes rows as independent.
        labels: Class of each row. If given, S is the covariance within classes, so that two directions are not alike
            merely because both separate the classes.
        shrinkage: Towards the plain cosine, S = (1 - s) S + s tr(S)/d I; for rows that the directions were fitted to.
        level: Coverage of the interval (a jackknife over groups on Fisher's z scale).
        seed: Seed, for the jackknife's blocks where there are more than 50 groups.

    Raises:
        ValueError: widths differ, a projection is constant, fewer than six groups, or shrinkage outside [0, 1].

    Example:
        >>> rows = np.random.default_rng(0).standard_normal((200, 3)) * [10, 1, 1]
        >>> c = mahalanobis_cosine([1.0, 1.0, 0.0], [1.0, 0.0, 1.0], rows, groups=None)
        >>> float(c) > 0.95  # both read the first axis, although their plain cosine is 0.5
        True
    """
    rows = as_matrix(x, "x")
    vectors = [_vector(v, name, rows.shape[1]) for v, name in ((a, "a"), (b, "b"))]
    if not 0 <= shrinkage <= 1:
        raise ValueError(f"shrinkage must lie in [0, 1], got {shrinkage}")
    group = as_groups(groups, len(rows))
    n_groups = int(group.max()) + 1
    if n_groups < 6:
        raise ValueError(f"an interval needs at least 6 groups, got {n_groups}")
    classes = (
        np.zeros(len(rows), dtype=np.int64)
        if labels is None
        else np.unique(as_names(labels, "labels", len(rows)), return_inverse=True)[1].reshape(-1)
    )
    scores = rows @ np.stack(vectors, axis=1)
    target = shrinkage * float(_within(rows, classes).var(axis=0).mean()) if shrinkage else 0.0
    plain = np.array([[v @ w for w in vectors] for v in vectors])

    def correlation(kept: np.ndarray) -> float:
        inside = _within(scores[kept], classes[kept])
        s = (1 - shrinkage) * inside.T @ inside / len(inside) + target * plain
        return float(s[0, 1] / np.sqrt(s[0, 0] * s[1, 1])) if min(s[0, 0], s[1, 1]) > 0 else float("nan")

    value = correlation(np.ones(len(rows), dtype=bool))
    flat = _within(scores, classes).std(axis=0) <= 1e-12 * np.abs(scores).max(axis=0)
    if not np.isfinite(value) or flat.any():
        raise ValueError("a projection is constant over the rows, so there is no cosine; look for constant activations")
    value = float(np.clip(value, -1, 1))
    blocks = blocks_of(n_groups, _BLOCKS, as_generator(seed))
    z = np.arctanh(np.clip([correlation(np.isin(group, kept)) for kept in blocks], -1 + 1e-12, 1 - 1e-12))
    interval = jackknife_interval(float(np.arctanh(np.clip(value, -1 + 1e-12, 1 - 1e-12))), z, level=level)
    low, high = (None, None) if interval is None else np.tanh(interval).tolist()
    return Estimate(value, low, high, level, len(rows), n_groups, "jackknife over groups, Fisher's z", seed=seed)


def crossnobis(
    x: ArrayLike,
    labels: LabelsLike,
    *,
    groups: LabelsLike | None,
    level: float = 0.95,
    n_splits: int = 5,
    seed: int = 0,
) -> Estimate:
    """Cross-validated squared Mahalanobis distance between two class means; 0 where they do not differ.

    (mu_1 - mu_0)' Sigma^-1 (mu_1 - mu_0) without the bias that noise gives every squared distance: one difference comes
    from the training scenarios of a fold, the other from its test scenarios, so that for equal means the estimate is
    as often below 0 as above. With w = Sigma_train^-1 (training difference), Sigma_train shrunk (Ledoit & Wolf 2004),
    it is w'(test difference) in units of w'(training difference), divided by the variance of the test rows along w in
    those units. Dividing by held-out variance matters: the inverse of a covariance of few rows is too large, which
    inflates the plain product up to 16 times (n = 60, d = 576), this one at most 3 times. The square root compares with
    d'.

    Args:
        x: Rows, [n, d_model].
        labels: True for one of the two classes, [n].
        groups: Scenario of each row; None, said by name, takes rows as independent.
        level: Coverage of the interval (a jackknife over 25 blocks of groups, everything estimated anew).
        n_splits: Folds.
        seed: Seed, for folds and blocks.

    Returns:
        The squared distance, unit: variance of the noise within classes.

    Raises:
        ValueError: a class has fewer than two groups, fewer than six groups in all, or classes without variance.

    Source: Walther et al. (2016), NeuroImage 137; Diedrichsen, Provost & Zareamoghaddam (2016), arXiv:1607.01371.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, y = rng.standard_normal((200, 30)), np.arange(200) % 2
        >>> null = crossnobis(x, y, groups=None)
        >>> x[y == 1, 0] += 2
        >>> null.low < 0 < null.high, 3 < float(crossnobis(x, y, groups=None)) < 5
        (True, True)
    """
    rows = as_matrix(x, "x")
    classes = as_binary(labels, "labels", len(rows)).astype(np.int64)
    group = content_order(as_groups(groups, len(rows)), [rows, classes]).groups
    n_groups = int(group.max()) + 1
    fewest = min(len(np.unique(group[classes == k])) for k in (0, 1))
    if fewest < 2 or n_groups < 6:
        raise ValueError(
            f"a cross-validated distance needs two groups of each class and six in all, got {fewest} and {n_groups}"
        )
    generator = as_generator(seed)
    folds = grouped_folds(classes, groups=group, n_splits=n_splits, seed=int(generator.integers(2**31)))
    fold = np.empty(len(rows), dtype=np.int64)
    for k, split in enumerate(folds):
        fold[split.test] = k
    g = rows @ rows.T

    def distance(kept: IntArray) -> float:
        part, of, in_fold = g[np.ix_(kept, kept)], classes[kept], fold[kept]
        gaps, variances, weights = [], [], []
        for k in range(len(folds)):
            train, test = np.flatnonzero(in_fold != k), np.flatnonzero(in_fold == k)
            if np.bincount(of[test], minlength=2).min() >= 2 and len(np.unique(of[train])) == 2:
                gap, variance = _held_out_gap(part, of, train, test, rows.shape[1])
                gaps.append(gap)
                variances.append(variance)
                weights.append(len(test))
        return float(np.average(gaps, weights=weights) / np.average(variances, weights=weights)) if gaps else np.nan

    value = distance(np.arange(len(rows)))
    if not np.isfinite(value):
        raise ValueError(f"no fold has two rows of each class in its test part; use fewer folds than {n_splits}")
    blocks = blocks_of(n_groups, _DISTANCE_BLOCKS, generator)
    left_out = [distance(np.flatnonzero(np.isin(group, kept))) for kept in blocks]
    interval = jackknife_interval(value, left_out, level=level)
    low, high = (None, None) if interval is None else interval
    return Estimate(
        value, low, high, level, len(rows), n_groups, f"{n_splits} folds; jackknife over groups; null 0", seed=seed
    )


def _held_out_gap(
    g: FloatArray, classes: IntArray, train: IntArray, test: IntArray, d_model: int
) -> tuple[float, float]:
    """Difference of the test means along w and variance of the test rows along it, training difference = 1."""
    maps = []
    for part in (train, test):
        counts = np.bincount(classes[part], minlength=2)[classes[part]]
        difference = np.zeros((1, len(g)))
        difference[0, part] = np.where(classes[part] == 1, 1.0, -1.0) / counts
        residual = np.zeros((len(part), len(g)))
        residual[:, part] = np.eye(len(part)) - (classes[part][:, None] == classes[part][None, :]) / counts
        maps += [difference, residual]
    joint = np.vstack(maps)
    joint = joint @ g @ joint.T
    noise = 1 + np.arange(len(train))
    inner = joint[np.ix_(noise, noise)]
    if float(np.trace(inner)) <= 1e-12 * float(np.trace(g)):
        raise ValueError("the classes do not vary within, so there is no noise to measure distance by")
    first = np.array([0])
    along = whitened(joint, first, np.arange(len(joint)), noise, shrinkage_of(inner, d_model), d_model)[0]
    along = along / along[0]
    return float(along[1 + len(train)]), float((along[2 + len(train) :] ** 2).sum() / (len(test) - 2))


def _vector(v: ConceptDirection | ArrayLike, name: str, d_model: int) -> FloatArray:
    vector = as_float_array(v.vector if isinstance(v, ConceptDirection) else v, name, ndim=1)
    if len(vector) != d_model:
        raise ValueError(f"{name} must have the width of the rows, {d_model}, got {len(vector)}")
    if not vector.any():
        raise ValueError(f"{name} is zero and points nowhere")
    return vector


def _within(rows: FloatArray, classes: IntArray) -> FloatArray:
    counts = np.bincount(classes)
    sums = np.zeros((len(counts), rows.shape[1]))
    np.add.at(sums, classes, rows)
    return np.asarray(rows - (sums / np.maximum(counts, 1)[:, None])[classes])
