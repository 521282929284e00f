"""The label-free part of a fold: scaled rows, their inner products and their principal axes."""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class FoldGeometry:
    """Training and test rows of one fold, centred and scaled by the training rows.

    An L2 penalty, a shrunk covariance and a distance between means do not change under rotation, so every probe of
    this library has the same solution in terms of the inner products of the rows, or of their principal axes, as in
    d_model dimensions. Neither depends on the labels: they are computed once for any number of permutations.

    Attributes:
        rows: Training rows, [n_train, d_model]; column means are zero.
        held_out: Test rows, [n_test, d_model].

    Example:
        >>> rows = torch.tensor([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]], dtype=torch.float64)
        >>> geometry = FoldGeometry.from_rows(rows, rows[:1], scale=False)
        >>> geometry.train.abs().ravel().tolist(), geometry.variances.tolist()
        ([2.0, 0.0, 2.0], [8.0])
    """

    rows: Float[Tensor, "n_train d_model"]
    held_out: Float[Tensor, "n_test d_model"]
    _ridge: dict[float, tuple[Tensor, Tensor]] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def from_rows(
        cls, train: Float[Tensor, "n_train d_model"], test: Float[Tensor, "n_test d_model"], *, scale: bool
    ) -> "FoldGeometry":
        """Centre and scale as `Probe` does.

        Args:
            train: Training rows, float64.
            test: Test rows, float64.
            scale: Divide every feature by its standard deviation in the training rows.
        """
        mean = train.mean(dim=0)
        rows, held_out = train - mean, test - mean
        if scale:
            deviation = rows.square().mean(dim=0).sqrt_()
            # A feature that is constant in training carries no information; dividing by 1 leaves it at zero.
            inverse = torch.where(deviation > 1e-12 * (1 + mean.abs()), deviation.reciprocal(), 1.0)
            rows.mul_(inverse)
            held_out.mul_(inverse)
        return cls(rows, held_out)

    @property
    def n_train(self) -> int:
        """Number of training rows."""
        return int(self.rows.shape[0])

    @property
    def n_features(self) -> int:
        """Width of the rows: d_model."""
        return int(self.rows.shape[1])

    @property
    def wide(self) -> bool:
        """Whether there are at least as many features as training rows."""
        return self.n_features >= self.n_train

    @cached_property
    def kernel(self) -> Float[Tensor, "n_train n_train"]:
        """Inner products of the training rows."""
        if self.rows.device.type == "cpu":
            # numpy notices that both factors are the same matrix and computes half of the product.
            rows = self.rows.numpy()
            return torch.from_numpy(rows @ rows.T)
        return self.rows @ self.rows.T

    @cached_property
    def cross(self) -> Float[Tensor, "n_test n_train"]:
        """Inner products of the test rows with the training rows."""
        return self.held_out @ self.rows.T

    def ridge(self, alpha: float) -> tuple[Tensor, Tensor]:
        """Matrices that turn 0/1 labels into training and test scores of a ridge fit to -1/+1, less the intercept."""
        if alpha in self._ridge:
            return self._ridge[alpha]
        regular = self.kernel.clone()
        regular.diagonal().add_(alpha)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(regular)).mul_(2)
        to_test = inverse @ self.cross.T
        # K (K + alpha)^-1 = 1 - alpha (K + alpha)^-1
        to_train = inverse.mul_(-alpha)
        to_train.diagonal().add_(2)
        self._ridge[alpha] = (to_train, to_test)
        return self._ridge[alpha]

    @property
    def train(self) -> Float[Tensor, "n_train rank"]:
        """Training rows in their principal axes: columns orthogonal, column means zero."""
        return self._axes[0]

    @property
    def test(self) -> Float[Tensor, "n_test rank"]:
        """Test rows in those axes; what lies outside their span is orthogonal to every solution."""
        return self._axes[1]

    @property
    def variances(self) -> Float[Tensor, " rank"]:
        """Squared norms of the columns of `train`."""
        return self._axes[2]

    @cached_property
    def _axes(self) -> tuple[Tensor, Tensor, Tensor]:
        values, vectors = torch.linalg.eigh(self.kernel if self.wide else self.rows.T @ self.rows)
        # Centring costs one dimension; its eigenvalue is rounding error and must not become an axis.
        kept = values > values[-1].clamp(min=0) * 1e-13 * max(self.rows.shape)
        values, vectors = values[kept], vectors[:, kept]
        if not self.wide:
            return self.rows @ vectors, self.held_out @ vectors, values
        singular = values.sqrt()
        return vectors * singular, self.cross @ (vectors / singular), values

    @cached_property
    def shrinkage(self) -> float:
        """Ledoit & Wolf's (2004) intensity for the covariance of the training rows about their mean.

        As `sklearn.covariance.ledoit_wolf_shrinkage(rows, assume_centered=True)`, from the rotated rows.
        """
        n, d = self.n_train, self.n_features
        fourth = float(self.train.square().sum(dim=1).square().sum()) / n
        squared = float(self.variances.square().sum()) / n**2
        trace = float(self.variances.sum()) / n
        beta = (fourth - squared) / (d * n)
        delta = (squared - trace**2 / d) / d
        return 0.0 if min(beta, delta) <= 0 else min(beta, delta) / delta
