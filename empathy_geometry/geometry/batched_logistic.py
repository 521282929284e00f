"""L2-regularised logistic regression of many label vectors, on the same rows or on as many sets of rows, at once."""

import torch
from jaxtyping import Float
from torch import Tensor


def batched_logistic(
    rows: Float[Tensor, "*m n rank"],
    onehot: Float[Tensor, "m k n"],
    *,
    C: float,
    tolerance: float,
    max_iter: int = 1000,
) -> tuple[Float[Tensor, "m k rank"], Float[Tensor, "m k"]]:
    """Minimise C * sum of log losses + |w|^2 / 2 for each of m label vectors.

    Nonlinear conjugate gradients (Polak-Ribiere+) with one Newton step along each direction, preconditioned by
    1 / (kappa s^2 + 1/C): the Hessian R' D R + 1/C with the rows' curvatures D replaced by their mean kappa is diagonal
    in the principal axes. The first step, from zero, where all curvatures are equal, is Newton's. An iteration is two
    matrix products, whatever m. A label vector stops by its own residual, so its solution does not depend on its
    neighbours.

    Args:
        rows: In their principal axes (columns orthogonal, column means zero), float32 or float64; [n, rank] if the
            label vectors share them, else [m, n, rank].
        onehot: 1 where a row has the class; k = 1 for two classes (the positive one), else one slice per class.
        C: Inverse strength of the penalty, as in scikit-learn.
        tolerance: Stop when the preconditioned step would change the training scores by this share of their norm.
        max_iter: Give up after so many iterations.

    Returns:
        Weights in the principal axes and intercepts.

    Raises:
        RuntimeError: some label vector has not converged.

    Source: Hager & Zhang (2006), Pacific J. Optim. 2, for the family of methods.
    """
    m, k, n = onehot.shape
    penalty = 1.0 / C
    variances = rows.square().sum(dim=-2, keepdim=True)
    weights = rows.new_zeros(m, k, rows.shape[-1])
    intercept = rows.new_zeros(m, k, 1)
    fitted = rows.new_zeros(m, k, n)
    step, step_intercept, previous = weights, intercept, weights
    previous_intercept, descent = intercept, rows.new_full((m, 1, 1), torch.inf)
    for iteration in range(max_iter):
        probability = torch.sigmoid(fitted) if k == 1 else torch.softmax(fitted, dim=1)
        residual = probability - onehot
        curvature = torch.addcmul(probability, probability, probability, value=-1)
        kappa = curvature.mean(dim=(1, 2), keepdim=True)
        gradient = (residual @ rows).add_(weights, alpha=penalty)
        gradient_intercept = residual.sum(dim=2, keepdim=True)
        newton = gradient / (kappa * variances).add_(penalty)
        newton_intercept = gradient_intercept / (kappa * n).clamp_(min=1e-30)
        change = _dot(newton, newton * variances) + n * _dot(newton_intercept, newton_intercept)
        # The floor ends the search where the solution is zero: nothing then gives the tolerance a scale.
        active = change > (tolerance**2 * (_dot(fitted, fitted) + 1e-6 * n * k) if iteration else 0.0)
        if not active.any():
            return weights, intercept[..., 0]
        current = _dot(gradient, newton) + _dot(gradient_intercept, newton_intercept)
        kept = _dot(previous, newton) + _dot(previous_intercept, newton_intercept)
        beta = ((current - kept) / descent.clamp(min=1e-38)).clamp_(min=0)
        step = (beta * step).sub_(newton)
        step_intercept = (beta * step_intercept).sub_(newton_intercept)
        previous, previous_intercept, descent = gradient, gradient_intercept, current
        along = (step @ rows.mT).add_(step_intercept)
        bend = penalty * _dot(step, step)
        if k == 1:
            bend += _dot(curvature.mul_(along), along)
        else:
            weighted = probability.mul_(along)
            bend += _dot(weighted, along) - weighted.sum(dim=1).square().sum(dim=1)[:, None, None]
        slope = _dot(gradient, step) + _dot(gradient_intercept, step_intercept)
        length = torch.where(active, -slope / bend.clamp_(min=1e-38), 0.0)
        weights = torch.addcmul(weights, length, step)
        intercept = torch.addcmul(intercept, length, step_intercept)
        fitted = torch.addcmul(fitted, length, along)
    raise RuntimeError(
        f"logistic regression has not converged for {int(active.sum())} of {m} label vectors in {max_iter} iterations; "
        f"try a smaller C (got {C}) or scale=True"
    )


def _dot(a: Float[Tensor, "m k r"], b: Float[Tensor, "m k r"]) -> Float[Tensor, "m 1 1"]:
    product: Tensor = torch.linalg.vecdot(a.flatten(1), b.flatten(1))
    return product[:, None, None]
