"""Every kind of `Probe`, solved for many label vectors on the same rows at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from empathy_geometry.evaluation.fold_geometry import FoldGeometry
from empathy_geometry.geometry.batched_logistic import batched_logistic
from empathy_geometry.geometry.newton_logistic import logistic_of_one
from empathy_geometry.geometry.probes import Probe


@dataclass(frozen=True, eq=False)
class HeldOutScores:
    """Test scores of m probes that were fitted to the same rows under m label vectors.

    Attributes:
        decision: Decision values less the intercepts, [m, k, n_test]; k = 1 for two classes, else one slice per class.
        intercepts: [m, k]; also the mean training score, because the training rows are centred.
        spread: Root mean square of the centred training scores, [m].
    """

    decision: Float[Tensor, "m k n_test"]
    intercepts: Float[Tensor, "m k"]
    spread: Float[Tensor, " m"]

    @property
    def standardised(self) -> Float[Tensor, "m k n_test"]:
        """Centred and scaled by the training scores, as `fold_scores.standardise` does."""
        floor = 1e-12 * (1 + self.intercepts.abs().amax(dim=1))
        scale = torch.where(self.spread > floor, 1 / self.spread, 0.0)
        return self.decision * scale[:, None, None]

    @property
    def predicted(self) -> Int[Tensor, "m n_test"]:
        """Index of the most likely class of each test row."""
        value = self.decision + self.intercepts[..., None]
        return (value[:, 0] > 0).long() if value.shape[1] == 1 else value.argmax(dim=1)


def solvable(probe: Any, n_train: int, n_features: int) -> bool:
    """Whether `solve` covers this estimator: a `Probe`, and not an LDA whose covariance is singular."""
    if type(probe) is not Probe:
        return False
    return not (probe.kind == "lda" and probe.shrinkage == 0 and n_features >= n_train - 2)


def as_onehot(codes: Int[Tensor, "m n"], n_classes: int) -> Float[Tensor, "m k n"]:
    """1 where a row has the class: of the second class only where there are two, else a slice per class."""
    if n_classes == 2:
        return (codes == 1).unsqueeze(1).double()
    return (codes.unsqueeze(1) == torch.arange(n_classes, device=codes.device)[:, None]).double()


def solve(
    probe: Probe, geometry: FoldGeometry, onehot: Float[Tensor, "m k n_train"], *, tolerance: float = 1e-9
) -> HeldOutScores:
    """Fit the probe under each of m label vectors and score the test rows.

    The results equal those of `Probe.fit` on the same rows, to rounding for "ridge", "lda" and "mean_difference" and to
    `tolerance` for "logistic".

    Args:
        probe: Kind and parameters.
        geometry: The label-free part of the fold.
        onehot: Labels of the training rows, from `as_onehot`, in float64.
        tolerance: Of the iterative solver; above 1e-6 it works in float32.

    Raises:
        ValueError: a label vector lacks a class, or a parameter is out of its range.
        RuntimeError: the iterative solver has not converged.

    Example:
        >>> rows = torch.randn(12, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        >>> y = torch.tensor([[0, 1] * 6, [1, 1, 0, 0] * 3])
        >>> scores = solve(Probe("ridge"), FoldGeometry.from_rows(rows, rows, scale=True), as_onehot(y, 2))
        >>> scores.predicted.tolist() == [Probe("ridge").fit(rows, labels).predict(rows).tolist() for labels in y]
        True
    """
    probe.check_parameters()
    shares = onehot.mean(dim=2)
    if bool((shares == 0).any()) or bool((shares == 1).any()):
        raise ValueError("a training part lacks a class under some label vector; use fewer folds or more groups")
    if probe.kind == "ridge":
        return _ridge(geometry, onehot, shares, probe.alpha)
    if probe.kind == "logistic":
        return _logistic(geometry, onehot, probe.C, tolerance)
    n = geometry.n_train
    means = (onehot @ geometry.train) / (n * shares)[..., None]
    if probe.kind == "mean_difference":
        metric = geometry.variances.new_ones(1, 1, 1)
        return _discriminant(geometry, means, shares, metric, between=0.0, prior=False)
    shrinkage = geometry.shrinkage if probe.shrinkage == "auto" else float(probe.shrinkage)
    odds = shares / (1 - shares) if onehot.shape[1] == 1 else shares
    between = (odds * means.square().sum(dim=2)).sum(dim=1)
    floor = shrinkage * (geometry.variances.sum() / n - between) / geometry.n_features
    metric = (1 - shrinkage) * geometry.variances / n + floor[:, None, None]
    return _discriminant(geometry, means, shares, metric, between=1 - shrinkage, prior=True)


def solve_each(
    probe: Probe,
    geometries: Sequence[FoldGeometry],
    onehot: Float[Tensor, "1 k n_train"],
    *,
    tolerance: float = 1e-9,
) -> list[HeldOutScores]:
    """Fit the probe under one label vector to the same rows at several layers; as `solve` on each, and faster.

    Args:
        probe: Kind and parameters.
        geometries: Of the same training and test rows at different layers.
        onehot: Labels of the training rows, from `as_onehot`.
        tolerance: Of the iterative solver.
    """
    if probe.kind != "logistic":
        return [solve(probe, geometry, onehot, tolerance=tolerance) for geometry in geometries]
    probe.check_parameters()
    rank = max(geometry.variances.numel() for geometry in geometries)
    rows = torch.stack([pad(g.train, (0, rank - g.variances.numel())) for g in geometries])
    weights, intercepts = batched_logistic(rows, onehot.expand(len(geometries), -1, -1), C=probe.C, tolerance=tolerance)
    return [
        _from_weights(g, weights[i : i + 1, :, : g.variances.numel()], intercepts[i : i + 1])
        for i, g in enumerate(geometries)
    ]


def _ridge(geometry: FoldGeometry, onehot: Tensor, shares: Tensor, alpha: float) -> HeldOutScores:
    # Targets are -1/+1; their mean drops out of the products because the rows are centred.
    if geometry.wide:
        to_train, to_test = geometry.ridge(alpha)
        fitted = onehot @ to_train
        spread = torch.linalg.vector_norm(fitted, dim=(1, 2)) / fitted[0].numel() ** 0.5
        return HeldOutScores(onehot @ to_test, 2 * shares - 1, spread)
    weights = onehot @ (geometry.train * (2 / (geometry.variances + alpha)))
    return _from_weights(geometry, weights, 2 * shares - 1)


def _logistic(geometry: FoldGeometry, onehot: Tensor, C: float, tolerance: float) -> HeldOutScores:
    if tolerance <= 1e-6 and len(onehot) == 1:
        weights, intercepts = logistic_of_one(geometry.train, onehot[0], C=C, tolerance=tolerance)
        return _from_weights(geometry, weights[None], intercepts[None])
    if tolerance <= 1e-6:
        return _from_weights(geometry, *batched_logistic(geometry.train, onehot, C=C, tolerance=tolerance))
    weights, intercepts = batched_logistic(geometry.train.float(), onehot.float(), C=C, tolerance=tolerance)
    return _from_weights(geometry, weights.double(), intercepts.double())


def _discriminant(
    geometry: FoldGeometry,
    means: Float[Tensor, "m k rank"],
    shares: Float[Tensor, "m k"],
    metric: Float[Tensor, "#m 1 #rank"],
    *,
    between: float,
    prior: bool,
) -> HeldOutScores:
    """Sigma^-1 mu_k for Sigma = diag(metric) - between * sum_k share_k mu_k mu_k'.

    The within-class covariance is the total covariance, diagonal here, less the covariance of the class means. The
    latter has rank k - 1, so that Woodbury's identity needs a k x k inverse per label vector instead of one in
    rank dimensions.
    """
    if means.shape[1] == 1:
        positive, negative = shares, 1 - shares
        gap = means / negative[..., None]
        solved = gap / metric
        gain = (gap * solved).sum(dim=2)
        shrink = 1 / (1 - between * positive * negative * gain)
        bias = -0.5 * (negative.square() - positive.square()) * gain * shrink
        bias = bias + torch.log(positive / negative) if prior else bias
        return _from_weights(geometry, solved * shrink[..., None], bias)
    solved = means / metric
    if between:
        coupling = solved @ means.transpose(1, 2) * (between * shares)[:, None, :]
        identity = torch.eye(means.shape[1], dtype=means.dtype, device=means.device)
        solved = torch.linalg.solve(identity - coupling, solved)
    bias = -0.5 * (solved * means).sum(dim=2)
    return _from_weights(geometry, solved, bias + torch.log(shares) if prior else bias)


def _from_weights(
    geometry: FoldGeometry, weights: Float[Tensor, "m k rank"], intercepts: Float[Tensor, "m k"]
) -> HeldOutScores:
    squared = (weights.square() @ geometry.variances).mean(dim=1) / geometry.n_train
    return HeldOutScores(weights @ geometry.test.T, intercepts, squared.sqrt())
