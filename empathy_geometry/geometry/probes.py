"""Linear probes as scikit-learn estimators, with directions in raw activation space."""

from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from empathy_geometry.foundation._types import FloatArray
from empathy_geometry.foundation._validation import as_names, check_choice, to_numpy
from empathy_geometry.geometry.newton_logistic import logistic_of_one

ProbeKind = Literal["logistic", "ridge", "lda", "mean_difference"]
PROBE_KINDS: tuple[ProbeKind, ...] = ("logistic", "ridge", "lda", "mean_difference")


class Probe(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A linear classifier of activations, binary or multi-class.

    Kinds:
        "logistic": L2-regularised logistic regression (softmax for more than two classes), as in scikit-learn, but
            converged (scikit-learn's default stops early enough to move an AUROC by 2e-3).
        "ridge": least squares on -1/+1 targets, one against the rest, with an L2 penalty.
        "lda": shrinkage discriminant, w = Sigma^-1 (mu_1 - mu_0), Sigma the shrunk pooled within-class covariance.
        "mean_difference": w = mu_1 - mu_0 (nearest class mean; no covariance).

    All are fitted in the span of the training rows, which gives the same solution as in d_model dimensions and is
    fast where d_model exceeds n.

    Args:
        kind: Which one.
        C: Inverse strength of the L2 penalty of "logistic", as in scikit-learn.
        alpha: Strength of the L2 penalty of "ridge", as in scikit-learn.
        shrinkage: Of "lda", in [0, 1]; "auto" is Ledoit & Wolf's (2004) intensity for the covariance of all training
            rows about their mean, which does not depend on the labels.
        scale: Divide every feature by its standard deviation in the training rows. `coef_` and `directions()` are in
            raw space all the same: they are the gradient of `decision_function`.

    Attributes:
        classes_: The classes, sorted.
        coef_: [1, d_model] for two classes (higher means `classes_[1]`), else [n_classes, d_model].
        intercept_: [1] or [n_classes].

    Raises:
        ValueError: unknown kind or a parameter out of its range (at `fit`), or input that is not finite.

    Source: Alain & Bengio (2017) for probes; Ledoit & Wolf (2004) for the shrinkage.

    Example:
        >>> X = torch.tensor([[0.0, 0.0], [0.0, 1.0], [3.0, 0.0], [3.0, 1.0]])
        >>> probe = Probe("mean_difference", scale=False).fit(X, [0, 0, 1, 1])
        >>> probe.directions().tolist(), probe.predict(X).tolist()
        ([[3.0, 0.0]], [0, 0, 1, 1])
    """

    def __init__(
        self,
        kind: ProbeKind = "logistic",
        *,
        C: float = 1.0,
        alpha: float = 1.0,
        shrinkage: float | Literal["auto"] = "auto",
        scale: bool = True,
    ) -> None:
        self.kind = kind
        self.C = C
        self.alpha = alpha
        self.shrinkage = shrinkage
        self.scale = scale

    def fit(self, X: Any, y: Any) -> "Probe":
        """Fit to rows X [n, d_model] (tensor or array) with classes y [n]."""
        self.check_parameters()
        X, y = validate_data(self, _off_torch(X), _names(y), dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"a probe needs two classes, got 1 class: {self.classes_[0]!r}")
        mean = X.mean(axis=0)
        deviation = X.std(axis=0) if self.scale else np.ones(X.shape[1])
        # A feature that is constant in training carries no information; dividing by 1 leaves it at zero.
        deviation = np.where(deviation > 1e-12 * (1 + np.abs(mean)), deviation, 1.0)
        scaled = (X - mean) / deviation
        fit = {
            "logistic": self._fit_logistic,
            "ridge": self._fit_ridge,
            "lda": self._fit_lda,
            "mean_difference": self._fit_mean_difference,
        }[self.kind]
        coef, intercept = fit(scaled, codes)
        self.coef_ = coef / deviation
        self.intercept_ = intercept - self.coef_ @ mean
        return self

    def decision_function(self, X: Any) -> FloatArray:
        """Scores [n] for two classes (higher means `classes_[1]`), else [n, n_classes]."""
        check_is_fitted(self)
        X = validate_data(self, _off_torch(X), dtype=np.float64, reset=False)
        scores: FloatArray = X @ self.coef_.T + self.intercept_
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> np.ndarray:
        """The most likely class of each row."""
        scores = self.decision_function(X)
        chosen = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        result: np.ndarray = self.classes_[chosen]
        return result

    def _has_probabilities(self) -> bool:
        if self.kind in ("ridge", "mean_difference"):
            raise AttributeError(
                f"a {self.kind!r} probe has no probabilities; use decision_function, or kind='logistic'"
            )
        return True

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> FloatArray:
        """Class probabilities [n, n_classes] of "logistic" and "lda"; the other kinds have no probability model.

        Raises:
            AttributeError: for "ridge" and "mean_difference".
        """
        scores = self.decision_function(X)
        logits = np.stack([np.zeros_like(scores), scores], axis=1) if scores.ndim == 1 else scores
        logits = logits - logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        probabilities: FloatArray = odds / odds.sum(axis=1, keepdims=True)
        return probabilities

    def directions(self) -> Float[Tensor, "k d_model"]:
        """Gradients of `decision_function` in raw activation space: one row for two classes, else one per class."""
        check_is_fitted(self)
        return torch.as_tensor(self.coef_, dtype=torch.float32)

    def check_parameters(self) -> None:
        """Raise ValueError if the kind is unknown or a parameter out of its range."""
        check_choice(self.kind, "kind", PROBE_KINDS)
        for name in ("C", "alpha"):
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"{name} must be positive, got {value!r}")
        if self.shrinkage != "auto" and not 0 <= float(self.shrinkage) <= 1:
            raise ValueError(f"shrinkage must be 'auto' or lie in [0, 1], got {self.shrinkage!r}")

    def _fit_logistic(self, X: FloatArray, codes: np.ndarray) -> tuple[FloatArray, FloatArray]:
        # The L2 penalty is invariant to rotation, so the solution lies in the span of the rows.
        basis, reduced = _row_space(X)
        onehot = codes == np.arange(len(self.classes_))[:, None]
        targets = torch.as_tensor(onehot[1:] if len(onehot) == 2 else onehot, dtype=torch.float64)
        weights, intercepts = logistic_of_one(torch.as_tensor(reduced), targets, C=self.C)
        return weights.numpy() @ basis, intercepts.numpy()

    def _fit_ridge(self, X: FloatArray, codes: np.ndarray) -> tuple[FloatArray, FloatArray]:
        targets = np.where(codes[:, None] == np.arange(len(self.classes_)), 1.0, -1.0)
        if len(self.classes_) == 2:
            targets = targets[:, 1:]
        basis, reduced = _row_space(X)
        variances = (reduced**2).sum(axis=0)
        weights = (reduced.T @ (targets - targets.mean(axis=0))) / (variances + self.alpha)[:, None]
        return weights.T @ basis, targets.mean(axis=0)

    def _fit_lda(self, X: FloatArray, codes: np.ndarray) -> tuple[FloatArray, FloatArray]:
        n, d_model = X.shape
        counts = np.bincount(codes)
        means = np.stack([X[codes == k].mean(axis=0) for k in range(len(counts))])
        shrinkage = _label_free_shrinkage(X) if self.shrinkage == "auto" else float(self.shrinkage)
        within = X - means[codes]
        floor = shrinkage * (within**2).sum() / (n * d_model)
        basis, reduced = _row_space(within)
        variances = (1 - shrinkage) * (reduced**2).sum(axis=0) / n + floor
        # Sigma^-1 = basis' diag(1/variances) basis + (I - basis' basis) / floor
        if floor <= 1e-12 * max(variances.max(initial=0.0), 1e-300):
            solved = (means @ basis.T / np.maximum(variances, 1e-12 * variances.max(initial=1.0))) @ basis
        else:
            inside = means @ basis.T
            solved = (inside / variances) @ basis + (means - inside @ basis) / floor
        intercepts = -0.5 * (solved * means).sum(axis=1) + np.log(counts / n)
        if len(counts) == 2:
            return solved[1:] - solved[:1], intercepts[1:] - intercepts[:1]
        return solved, intercepts

    def _fit_mean_difference(self, X: FloatArray, codes: np.ndarray) -> tuple[FloatArray, FloatArray]:
        means = np.stack([X[codes == k].mean(axis=0) for k in range(len(self.classes_))])
        intercepts = -0.5 * (means**2).sum(axis=1)
        if len(means) == 2:
            return means[1:] - means[:1], intercepts[1:] - intercepts[:1]
        return means, intercepts


def _row_space(X: FloatArray) -> tuple[FloatArray, FloatArray]:
    """An orthonormal basis [r, d] of the row space and the rows in it [n, r]."""
    if X.shape[0] >= X.shape[1]:
        values, vectors = np.linalg.eigh(X.T @ X)
        kept = values > max(values[-1], 0.0) * 1e-14
        basis = vectors.T[kept]
        return basis, X @ basis.T
    left, singular, basis = np.linalg.svd(X, full_matrices=False)
    kept = singular > (singular[0] if singular.size else 0.0) * 1e-10
    return basis[kept], left[:, kept] * singular[kept]


def _label_free_shrinkage(X: FloatArray) -> float:
    # Rotation leaves the intensity as it is except for the number of dimensions, so it is computed on X itself.
    return float(ledoit_wolf_shrinkage(X, assume_centered=True))


def _names(y: Any) -> Any:
    # scikit-learn's own checks say what is wrong with no classes at all, a table, or measurements.
    given = _off_torch(y)
    floats = getattr(getattr(given, "dtype", None), "kind", "") in ("f", "c")
    return given if given is None or floats or getattr(given, "ndim", 1) != 1 else as_names(given, "y")


def _off_torch(x: Any) -> Any:
    # scikit-learn checks arrays and lists itself; a tensor may sit on another device or be half precision.
    return to_numpy(x) if isinstance(x, Tensor) else x
