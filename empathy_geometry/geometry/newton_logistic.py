"""L2-regularised logistic regression of one label vector: Newton's method where it is the faster one."""

import torch
from jaxtyping import Float
from torch import Tensor

from empathy_geometry.geometry.batched_logistic import batched_logistic

_LARGEST = 257  # with more unknowns a Newton step costs more than it saves
_MAX_STEPS = 30


def logistic_of_one(
    rows: Float[Tensor, "n rank"], onehot: Float[Tensor, "k n"], *, C: float, tolerance: float = 1e-9
) -> tuple[Float[Tensor, "k rank"], Float[Tensor, "k"]]:
    """The solution of `batched_logistic` for one label vector, to a tight tolerance.

    Args:
        rows: In their principal axes, float64.
        onehot: 1 where a row has the class; k = 1 for two classes (the positive one), else one row per class.
        C: Inverse strength of the penalty, as in scikit-learn.
        tolerance: As in `batched_logistic`.

    Raises:
        RuntimeError: it has not converged.
    """
    if len(onehot) * (rows.shape[1] + 1) <= _LARGEST:
        found = _newton(rows, onehot, C=C, tolerance=tolerance)
        if found is not None:
            return found
    try:
        weights, intercepts = batched_logistic(rows, onehot[None], C=C, tolerance=tolerance)
    except RuntimeError:
        # Classes that few columns tell apart, under a weak penalty: conjugate gradients creep.
        found = _newton(rows, onehot, C=C, tolerance=tolerance)
        if found is None:
            raise
        return found
    return weights[0], intercepts[0]


def _newton(
    rows: Float[Tensor, "n rank"], onehot: Float[Tensor, "k n"], *, C: float, tolerance: float
) -> tuple[Float[Tensor, "k rank"], Float[Tensor, "k"]] | None:
    if len(onehot) > 1:
        return newton_multinomial(rows, onehot, C=C, tolerance=tolerance)
    found = newton_logistic(rows, onehot[0], C=C, tolerance=tolerance)
    return None if found is None else (found[0][None], found[1][None])


def newton_logistic(
    rows: Float[Tensor, "n rank"], targets: Float[Tensor, "n"], *, C: float, tolerance: float
) -> tuple[Float[Tensor, "rank"], Float[Tensor, ""]] | None:
    """Minimise C * sum of log losses + |w|^2 / 2, the intercept unpenalised.

    A step that does not lower the objective enough is halved (Armijo). The Hessian is positive definite, so that few
    steps lead to the only minimum; they cost a Cholesky decomposition each.

    Args:
        rows: float64.
        targets: 1 or 0 a row.
        C: Inverse strength of the penalty, as in scikit-learn.
        tolerance: Stop when a step would change the training scores by this share of their norm.

    Returns:
        Weights and intercept; None where it has not converged.

    Source: Boyd & Vandenberghe (2004), Convex Optimization, section 9.5.

    Example:
        >>> rows = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
        >>> weights, intercept = newton_logistic(rows, torch.tensor([0.0, 1.0]).double(), C=1.0, tolerance=1e-9)
        >>> round(float(weights[0]), 3), abs(float(intercept)) < 1e-9
        (0.675, True)
    """
    n, rank = rows.shape
    extended = torch.cat([rows, rows.new_ones(n, 1)], dim=1)
    penalty = torch.full((rank + 1,), 1.0 / C, dtype=rows.dtype, device=rows.device)
    penalty[rank] = 0.0
    solution, fitted = rows.new_zeros(rank + 1), rows.new_zeros(n)
    signs = 1 - 2 * targets
    value = _objective(fitted, signs, solution, penalty)
    for _ in range(_MAX_STEPS):
        probability = torch.sigmoid(fitted)
        gradient = (probability - targets) @ extended + penalty * solution
        weighted = extended * (probability * (1 - probability))[:, None]
        hessian = extended.T @ weighted
        hessian.diagonal().add_(penalty)
        factor, failed = torch.linalg.cholesky_ex(hessian)
        if int(failed):
            return None
        step = -torch.cholesky_solve(gradient[:, None], factor)[:, 0]
        along = extended @ step
        # The floor ends the search where the solution is zero: nothing then gives the tolerance a scale.
        small = float(along @ along) <= tolerance**2 * (float(fitted @ fitted) + 1e-6 * n)
        slope, length = float(gradient @ step), 1.0
        while True:
            tried = solution + length * step, fitted + length * along
            found = _objective(tried[1], signs, tried[0], penalty)
            if small or found <= value + 1e-4 * length * slope:
                break
            length /= 2
            if length < 1e-6:
                return None
        (solution, fitted), value = tried, found
        if small:
            return solution[:rank], solution[rank]
    return None


def newton_multinomial(
    rows: Float[Tensor, "n rank"], onehot: Float[Tensor, "k n"], *, C: float, tolerance: float
) -> tuple[Float[Tensor, "k rank"], Float[Tensor, "k"]] | None:
    """The same for k classes, one row of weights each; of the intercepts, which one number may be added to, sum 0.

    Args:
        rows: float64.
        onehot: 1 where a row has the class.
        C: As in `newton_logistic`.
        tolerance: As in `newton_logistic`.

    Returns:
        Weights and intercepts; None where it has not converged.

    Example:
        >>> rows = torch.tensor([[-1.0], [0.0], [1.0]], dtype=torch.float64)
        >>> weights, intercepts = newton_multinomial(rows, torch.eye(3).double(), C=1.0, tolerance=1e-9)
        >>> abs(float(weights.sum())) < 1e-6, bool(weights[0] < weights[1] < weights[2])
        (True, True)
    """
    n, rank = rows.shape
    k, width = len(onehot), rank + 1
    extended = torch.cat([rows, rows.new_ones(n, 1)], dim=1)
    penalty = torch.full((width,), 1.0 / C, dtype=rows.dtype, device=rows.device)
    penalty[rank] = 0.0

    def objective(scores: Tensor, tried: Tensor) -> float:
        losses = (torch.logsumexp(scores, dim=0) - (scores * onehot).sum(dim=0)).sum()
        return float(losses + 0.5 * (penalty * tried.square()).sum() + 0.5 * tried[:, rank].sum().square())

    solution, fitted = rows.new_zeros(k, width), rows.new_zeros(k, n)
    value = objective(fitted, solution)
    for _ in range(_MAX_STEPS):
        probability = torch.softmax(fitted, dim=0)
        gradient = (probability - onehot) @ extended + penalty * solution
        gradient[:, rank] += solution[:, rank].sum()
        curvature = torch.diag_embed(probability.T) - probability.T[:, :, None] * probability.T[:, None, :]
        blocks = [[extended.T @ (extended * curvature[:, a, b, None]) for b in range(k)] for a in range(k)]
        hessian = torch.cat([torch.cat(line, dim=1) for line in blocks])
        hessian.diagonal().add_(penalty.repeat(k))
        constants = torch.arange(k, device=rows.device) * width + rank
        hessian[constants[:, None], constants[None]] += 1.0
        factor, failed = torch.linalg.cholesky_ex(hessian)
        if int(failed):
            return None
        step = -torch.cholesky_solve(gradient.reshape(-1, 1), factor).reshape(k, width)
        along = step @ extended.T
        small = float(along.square().sum()) <= tolerance**2 * (float(fitted.square().sum()) + 1e-6 * n)
        slope, length = float((gradient * step).sum()), 1.0
        while True:
            tried = solution + length * step, fitted + length * along
            found = objective(tried[1], tried[0])
            # Near the minimum a step lowers the objective by less than its rounding.
            if small or found <= value + 1e-4 * length * slope + 1e-13 * abs(value):
                break
            length /= 2
            if length < 1e-6:
                return None
        (solution, fitted), value = tried, found
        if small:
            return solution[:, :rank], solution[:, rank]
    return None


def _objective(fitted: Tensor, signs: Tensor, solution: Tensor, penalty: Tensor) -> float:
    losses = torch.nn.functional.softplus(signs * fitted).sum()
    return float(losses + 0.5 * (penalty * solution) @ solution)
