"""Decision values of several folds on one scale, so that their scores can be pooled."""

from typing import Any

import numpy as np

from empathy_geometry.foundation._types import FloatArray

_DECIMALS = 10
"""Of standardised scores, whose spread is about 1."""


def decision_values(estimator: Any, X: Any) -> FloatArray:
    """Decision values [n] (two classes) or [n, n_classes] of a fitted scikit-learn classifier.

    Raises:
        TypeError: the estimator has neither `decision_function` nor `predict_proba`.
    """
    if hasattr(estimator, "decision_function"):
        return np.asarray(estimator.decision_function(X), dtype=np.float64)
    if hasattr(estimator, "predict_proba"):
        probability = np.asarray(estimator.predict_proba(X), dtype=np.float64)
        return probability[:, 1] if probability.shape[1] == 2 else probability
    raise TypeError(f"{type(estimator).__name__} has neither decision_function nor predict_proba")


def standardise(test: FloatArray, train: FloatArray) -> FloatArray:
    """Test scores of one fold, centred and scaled by the scores of that fold's training rows.

    (s - mean_train) / sd_train, with one sd for all classes. Folds differ in intercept (their class proportions
    differ, in the direction opposite to those of their test rows, which alone biases a pooled AUROC downwards) and in
    unit (another layer, another penalty). Only training rows enter, so a score remains a function of its own row.

    Args:
        test: [n_test] or [n_test, n_classes].
        train: [n_train] or [n_train, n_classes], from the same fitted probe.

    Source: Forman & Scholz (2010), SIGKDD Explorations 12, for what pooling unadjusted folds does.

    Example:
        >>> standardise(np.array([5.0, 7.0]), np.array([4.0, 6.0])).tolist()
        [0.0, 2.0]
    """
    centre = train.mean(axis=0)
    spread = float(np.sqrt(((train - centre) ** 2).mean()))
    # Constant training scores: the probe found nothing to tell rows apart by.
    if spread <= 1e-12 * (1.0 + float(np.abs(centre).max(initial=0.0))):
        return np.zeros_like(test)
    return without_rounding((test - centre) / spread)


def without_rounding(scores: FloatArray) -> FloatArray:
    """Standardised scores to ten decimals, so that rows which are the same tie, whatever the order of the arithmetic.

    Equal texts have equal words; a product that adds them up in another order would make one of them the winner.

    Example:
        >>> a, b = without_rounding(np.array([0.1 + 0.2, 0.3]))
        >>> bool(a == b)
        True
    """
    return np.asarray(np.round(scores, _DECIMALS), dtype=np.float64)
