"""Ridge regression in folds: every penalty from one decomposition, and every group left out without refitting."""

from dataclasses import dataclass

import numpy as np

from empathy_geometry.foundation._types import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class RidgeFold:
    """Training and test rows of one fold, in the principal axes of the centred training rows.

    Attributes:
        train: [n_train, r]; its columns are orthogonal and sum to zero.
        test: [n_test, r].
        variances: Sums of squares of the columns of `train`, [r].
    """

    train: FloatArray
    test: FloatArray
    variances: FloatArray

    @classmethod
    def from_rows(cls, train: FloatArray, test: FloatArray, *, scale: bool) -> "RidgeFold":
        """Centred and (with `scale`) scaled by the training rows, as `RegressionProbe` does."""
        mean = train.mean(axis=0)
        deviation = train.std(axis=0) if scale else np.ones(train.shape[1])
        deviation = np.where(deviation > 1e-12 * (1 + np.abs(mean)), deviation, 1.0)
        inside, outside = (train - mean) / deviation, (test - mean) / deviation
        wide = len(inside) < inside.shape[1]
        values, axes = np.linalg.eigh(inside @ inside.T if wide else inside.T @ inside)
        # What is left of constant features by rounding is nothing to predict from.
        kept = values > max(float(values[-1]) * 1e-12, float((train**2).sum()) * 1e-24, 1e-300)
        if wide:
            axes = inside.T @ (axes / np.sqrt(np.where(kept, values, 1.0)))
        return cls(inside @ axes[:, kept], outside @ axes[:, kept], values[kept])

    def scores(self, y: FloatArray, alpha: float) -> FloatArray:
        """Test predictions less the mean of the training targets, for targets y [n_train] or [n_train, m]."""
        centred = y - y.mean(axis=0)
        weights = (self.train.T @ centred).T / (self.variances + alpha)
        return np.asarray(self.test @ weights.T)

    def spread(self, y: FloatArray, alpha: float) -> FloatArray:
        """Standard deviation of the training predictions, for each column of y."""
        weights = (self.train.T @ (y - y.mean(axis=0))).T / (self.variances + alpha)
        return np.asarray(np.sqrt((weights**2 * self.variances).sum(axis=-1) / len(self.train)))

    def scores_without(self, y: FloatArray, alpha: float, groups: IntArray, n_groups: int) -> FloatArray:
        """As `scores` with each group of training rows left out, [n_groups, n_test]; others give the whole fit.

        With A = [1, Z] and the diagonal P = (A'A + penalty)^-1, leaving rows B out moves the weights by
        -P A_B' (I - A_B P A_B')^-1 e_B, e the residuals. Centre and scale of the features stay those of all rows.
        """
        n = len(y)
        inverse = 1 / (self.variances + alpha)
        residuals = y - y.mean() - self.train @ ((self.train.T @ (y - y.mean())) * inverse)
        cross = (self.test * inverse) @ self.train.T
        found = np.repeat(self.scores(y, alpha)[None], n_groups, axis=0)
        order = np.argsort(groups, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
            mine = self.train[rows]
            hat = (mine * inverse) @ mine.T + 1 / n
            found[groups[rows[0]]] -= cross[:, rows] @ np.linalg.solve(np.eye(len(rows)) - hat, residuals[rows])
        return found
