"""The estimators of a direction between two classes."""

from typing import Literal

import numpy as np

from empathy_geometry.foundation._types import FloatArray

Method = Literal["mean_difference", "pairs", "pca", "lda", "logistic", "ridge"]
METHODS: tuple[Method, ...] = ("mean_difference", "pairs", "pca", "lda", "logistic", "ridge")
PAIRED_METHODS: tuple[Method, ...] = ("pairs", "pca")


def fit_vector(method: Method, positive: FloatArray, negative: FloatArray) -> FloatArray:
    """The direction before normalisation, [d_model]; rows of both classes are paired for "pairs" and "pca".

    Example:
        >>> fit_vector("mean_difference", np.array([[3.0, 0.0]]), np.array([[1.0, 0.0]])).tolist()
        [2.0, 0.0]
    """
    if method == "mean_difference" or method == "pairs":
        return np.asarray(positive.mean(axis=0) - negative.mean(axis=0))
    if method == "pca":
        differences = positive - negative
        # Both orders of every pair have mean zero, so no centring: the mean difference itself is part of the variance.
        first = np.asarray(np.linalg.svd(differences, full_matrices=False)[2][0])
        return first if differences.mean(axis=0) @ first >= 0 else -first
    from empathy_geometry.geometry.probes import Probe  # here, because it brings scikit-learn

    X = np.concatenate([negative, positive])
    y = np.repeat([0, 1], [len(negative), len(positive)])
    return np.asarray(Probe(method).fit(X, y).coef_[0])
