"""Probes behind an eraser of a concept or of covariates that is fitted to the same training rows."""

from typing import Any

import numpy as np
import torch
from concept_erasure import LeaceFitter
from sklearn.base import BaseEstimator, ClassifierMixin, clone

from empathy_geometry.evaluation.fold_scores import decision_values
from empathy_geometry.foundation._types import FloatArray, IntArray
from empathy_geometry.foundation.whitening import shrinkage_of


def leace(train: FloatArray, concept: FloatArray | IntArray) -> "LinearEraser":
    """LEACE fitted to training rows, in the span of those rows (an exact reduction where d_model exceeds n).

    The concept's covariance with the rows is removed by the least change of the rows; every linear probe fitted to the
    erased training rows then does no better than a constant.

    Args:
        train: Rows, [n, d_model].
        concept: Values of the concept, [n] or [n, k]; classes as one-hot columns.

    Raises:
        RuntimeError: the eraser does not erase its own training rows.

    Source: Belrose et al. (2023), LEACE: Perfect linear concept erasure in closed form, through `concept-erasure`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> z = np.arange(40) % 2
        >>> x = rng.standard_normal((40, 5)) + 2 * z[:, None]
        >>> erased = leace(x, z)(x)
        >>> bool(np.abs(erased[z == 1].mean(axis=0) - erased[z == 0].mean(axis=0)).max() < 1e-8)
        True
    """
    n, d_model = train.shape
    mean = train.mean(axis=0)
    left, singular, basis = np.linalg.svd(train - mean, full_matrices=False)
    kept = singular > 1e-10 * max(float(singular[0]), 1e-300)
    rows, basis = left[:, kept] * singular[kept], basis[kept]
    target = np.ascontiguousarray(concept, dtype=np.float64).reshape(n, -1)
    # The norm constraint mixes in a projection that leaves part of the concept; rows here are not fed back to a model.
    fitter = LeaceFitter(
        rows.shape[1],
        target.shape[1],
        constrain_cov_trace=False,
        shrinkage=d_model < n,
        svd_tol=1e-6,
        dtype=torch.float64,
    ).update(torch.from_numpy(np.ascontiguousarray(rows)), torch.from_numpy(target))
    if d_model >= n:
        # Its own shrinkage breaks down in the span of fewer rows than features, where the spectrum is all but flat;
        # Ledoit & Wolf's intensity is that of all d_model dimensions.
        shrinkage = shrinkage_of(rows @ rows.T, d_model)
        variances = (1 - shrinkage) * singular[kept] ** 2 + shrinkage * (singular**2).sum() / d_model
        fitter.sigma_xx_ = torch.from_numpy(np.diag(variances))
    eraser = LinearEraser(mean, basis, fitter.eraser.proj_left.numpy(), fitter.eraser.proj_right.numpy())
    contrast = target - target.mean(axis=0)
    left_over, before = np.linalg.norm(contrast.T @ eraser(train)), np.linalg.norm(contrast.T @ (train - mean))
    if left_over > 1e-6 * before + 1e-9 * float(np.linalg.norm(train - mean)):
        raise RuntimeError(
            f"erasure left {left_over / before:.2g} of the concept's covariance with its own training rows; "
            f"look for a concept that is (nearly) constant, or rows of very different scales"
        )
    return eraser


class LinearEraser:
    """x -> x - (x - mean) B' R' L' B, with B the basis [r, d_model] in which the projection L R was fitted."""

    def __init__(self, mean: FloatArray, basis: FloatArray, left: FloatArray, right: FloatArray) -> None:
        self.mean, self.read, self.write = mean, right @ basis, left.T @ basis

    def __call__(self, x: FloatArray) -> FloatArray:
        """The rows without the concept."""
        return np.asarray(x - (x - self.mean) @ self.read.T @ self.write)


class ErasedProbe(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A probe behind an eraser; the concept's values travel as the last columns of X and are used in `fit` only.

    Args:
        probe: Any scikit-learn classifier.
        n_concept: How many of the last columns are the concept; 0 erases nothing.
        fresh: Fit the eraser on one half of the training scenarios and the probe on the other; the last column of X is
            then the scenario index.
    """

    def __init__(self, probe: Any, n_concept: int = 1, *, fresh: bool = False) -> None:
        self.probe = probe
        self.n_concept = n_concept
        self.fresh = fresh

    def fit(self, X: FloatArray, y: np.ndarray) -> "ErasedProbe":
        """Fit the eraser, then the probe on what is left."""
        rows, concept, group = self._split(X)
        teach = learn = np.ones(len(rows), dtype=bool)
        if self.fresh:
            names = np.random.default_rng(0).permutation(np.unique(group))
            teach = np.isin(group, names[: len(names) // 2])
            learn = ~teach
        self.eraser_ = leace(rows[teach], concept[teach]) if self.n_concept else None
        erased = self._erased(rows[learn])
        self.probe_ = clone(self.probe).fit(erased, y[learn])
        self.classes_ = self.probe_.classes_
        # What erasure leaves of a concept in its own training rows is rounding, and so is a probe fitted to that.
        before = decision_values(clone(self.probe).fit(rows[learn], y[learn]), rows[learn])
        self.blind_ = bool(np.std(decision_values(self.probe_, erased)) <= 1e-6 * np.std(before))
        return self

    def decision_function(self, X: FloatArray) -> FloatArray:
        """Scores of the probe on erased rows; the concept's columns are ignored."""
        scores = decision_values(self.probe_, self._erased(self._split(X)[0]))
        return np.zeros_like(scores) if self.blind_ else scores

    def predict(self, X: FloatArray) -> np.ndarray:
        """Classes that the probe predicts on erased rows."""
        return np.asarray(self.probe_.predict(self._erased(self._split(X)[0])))

    def _split(self, X: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        extra = self.n_concept + 1
        return X[:, :-extra], X[:, -extra:-1], X[:, -1]

    def _erased(self, rows: FloatArray) -> FloatArray:
        return rows if self.eraser_ is None else self.eraser_(rows)


class ResidualProbe(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A probe of what covariates do not predict; the covariates travel as the last columns of X.

    In `fit` every feature is regressed on the covariates (with intercept); test rows are residualised with the
    coefficients of the training rows and their own covariates.

    Args:
        probe: Any scikit-learn classifier.
        n_covariates: How many of the last columns are covariates.
        penalty: L2 penalty on standardised covariates, in units of the number of rows.
    """

    def __init__(self, probe: Any, n_covariates: int = 1, *, penalty: float = 1e-6) -> None:
        self.probe = probe
        self.n_covariates = n_covariates
        self.penalty = penalty

    def fit(self, X: FloatArray, y: np.ndarray) -> "ResidualProbe":
        """Fit the regression on the covariates, then the probe on the residuals."""
        rows, covariates = self._split(X)
        self.covariate_mean_ = covariates.mean(axis=0)
        spread = covariates.std(axis=0)
        self.covariate_scale_ = np.where(spread > 0, spread, 1.0)
        z = (covariates - self.covariate_mean_) / self.covariate_scale_
        penalty = self.penalty * len(z) * np.eye(z.shape[1])
        self.coef_on_covariates_ = np.linalg.solve(z.T @ z + penalty, z.T @ (rows - rows.mean(axis=0)))
        self.probe_ = clone(self.probe).fit(self._residuals(X), y)
        self.classes_ = self.probe_.classes_
        return self

    def decision_function(self, X: FloatArray) -> FloatArray:
        """Scores of the probe on residuals."""
        return decision_values(self.probe_, self._residuals(X))

    def predict(self, X: FloatArray) -> np.ndarray:
        """Classes that the probe predicts on residuals."""
        return np.asarray(self.probe_.predict(self._residuals(X)))

    def _split(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        return X[:, : -self.n_covariates], X[:, -self.n_covariates :]

    def _residuals(self, X: FloatArray) -> FloatArray:
        rows, covariates = self._split(X)
        z = (covariates - self.covariate_mean_) / self.covariate_scale_
        return np.asarray(rows - z @ self.coef_on_covariates_)
