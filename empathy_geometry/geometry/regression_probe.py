"""A linear probe of graded targets as a scikit-learn regressor, with its direction in raw activation space."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from empathy_geometry.foundation._types import FloatArray
from empathy_geometry.foundation._validation import to_numpy


class RegressionProbe(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Ridge regression of a graded target on activations.

    Minimises sum (y - b - w'x)^2 + alpha |w|^2 over rows x whose features are centred and scaled by the training rows.
    Fitted in the smaller of d_model and n dimensions, which gives the same solution.

    Args:
        alpha: Strength of the L2 penalty. `cross_validate` chooses it inside the folds unless it is told otherwise.
        scale: Divide every feature by its standard deviation in the training rows. `coef_` and `directions()` are in
            raw space all the same.

    Attributes:
        coef_: [d_model]; higher projections mean a higher target.
        intercept_: Number.

    Raises:
        ValueError: alpha is not positive (at `fit`), or input that is not finite.

    Source: Hoerl & Kennard (1970), Technometrics 12.

    Example:
        >>> X = torch.tensor([[0.0, 0.0], [0.0, 1.0], [3.0, 0.0], [3.0, 1.0]])
        >>> probe = RegressionProbe(alpha=1e-6, scale=False).fit(X, [1.0, 1.0, 7.0, 7.0])
        >>> probe.predict(X).round(3).tolist(), probe.directions().round(decimals=3).tolist()
        ([1.0, 1.0, 7.0, 7.0], [[2.0, 0.0]])
    """

    def __init__(self, *, alpha: float = 100.0, scale: bool = True) -> None:
        self.alpha = alpha
        self.scale = scale

    def fit(self, X: Any, y: Any) -> "RegressionProbe":
        """Fit to rows X [n, d_model] (tensor or array) with targets y [n]."""
        self.check_parameters()
        X, y = validate_data(self, _off_torch(X), _off_torch(y), dtype=np.float64, y_numeric=True, ensure_min_samples=2)
        mean, centre = X.mean(axis=0), float(y.mean())
        deviation = X.std(axis=0) if self.scale else np.ones(X.shape[1])
        # A feature that is constant in training carries no information; dividing by 1 leaves it at zero.
        deviation = np.where(deviation > 1e-12 * (1 + np.abs(mean)), deviation, 1.0)
        rows = (X - mean) / deviation
        n, d_model = rows.shape
        if n < d_model:
            weights = rows.T @ np.linalg.solve(rows @ rows.T + self.alpha * np.eye(n), y - centre)
        else:
            weights = np.linalg.solve(rows.T @ rows + self.alpha * np.eye(d_model), rows.T @ (y - centre))
        self.coef_ = weights / deviation
        self.intercept_ = centre - float(self.coef_ @ mean)
        return self

    def predict(self, X: Any) -> FloatArray:
        """Predicted target of each row, [n]."""
        check_is_fitted(self)
        X = validate_data(self, _off_torch(X), dtype=np.float64, reset=False)
        predicted: FloatArray = X @ self.coef_ + self.intercept_
        return predicted

    def directions(self) -> Float[Tensor, "1 d_model"]:
        """Gradient of the prediction in raw activation space, [1, d_model], as `Probe.directions` gives it."""
        check_is_fitted(self)
        return torch.as_tensor(self.coef_[None], dtype=torch.float32)

    def check_parameters(self) -> None:
        """Raise ValueError if the penalty is out of its range."""
        if not self.alpha > 0:
            raise ValueError(f"alpha must be positive, got {self.alpha!r}; try 100.0")


def _off_torch(x: Any) -> Any:
    # scikit-learn checks arrays and lists itself; a tensor may sit on another device or be half precision.
    return to_numpy(x) if isinstance(x, Tensor) else x
