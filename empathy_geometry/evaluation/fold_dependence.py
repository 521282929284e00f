"""How much the errors of held-out scores depend on each other because every scenario also trains the others' probe."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from empathy_geometry.evaluation.batched_probes import as_onehot, solvable, solve
from empathy_geometry.evaluation.clustered import MOST_SHARED
from empathy_geometry.evaluation.fold_geometry import FoldGeometry
from empathy_geometry.evaluation.fold_scores import without_rounding
from empathy_geometry.foundation._types import FloatArray, IntArray
from empathy_geometry.geometry.newton_logistic import logistic_of_one
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.texts.splits import Fold

LARGEST = 4000
"""Training rows up to which the left-out fits are computed; they need an inverse of that size in every fold."""


def variance_inflation(scores: FloatArray, left_out: FloatArray, codes: IntArray, groups: IntArray) -> float:
    """Variance of a cross-validated AUROC over the variance that its placements show, in [1, 2].

    Intervals such as DeLong's take the scores as given. But scenario j trains the probe that scores scenario g, and g
    trains the one that scores j, so that chance pushes both up or down together. With h_g the contribution of the test
    rows of g to the AUROC, and D_gj the part of it that is lost when j is left out of the training of its fold,
    Cov(h_g, h_j) = E[D_gj D_jg], hence

        Var = sum_g h_g^2 + sum_{g != j} D_gj D_jg.

    In noise both D are the same number (a kernel times two labels), the second sum comes close to the first, and a
    95 % interval without it covers about 80 %; so it does for strong signals in many dimensions
    (benchmarks/calibration.py). It shrinks where the rows are many and the dimensions few.

    Args:
        scores: Pooled standardised scores, [n], or [n, n_classes].
        left_out: The same, each row by the probe of its fold fitted without one group, [n_groups, n] or
            [n_groups, n, n_classes].
        codes: Class of each row.
        groups: Group index of each row.

    Returns:
        1 + (second sum) / (first sum), cut to [1, 2]: neither term can be negative in expectation, nor the second
        exceed the first (Cauchy-Schwarz). 1 where the AUROC is 0 or 1.

    Source: derived here by the Hoeffding decomposition of the cross-validated AUROC; for the problem, Bengio &
        Grandvalet (2004), JMLR 5, and Bates, Hastie & Tibshirani (2023), JASA 119.
    """
    n_groups = len(left_out)
    columns = scores[:, None] if scores.ndim == 1 else scores
    without = left_out[:, :, None] if scores.ndim == 1 else left_out
    positives = [codes == 1] if scores.ndim == 1 else [codes == k for k in range(columns.shape[1])]
    member = (groups[:, None] == np.arange(n_groups)).astype(np.float64)
    contribution, lost = np.zeros(n_groups), np.zeros((n_groups, n_groups))
    for k, positive in enumerate(positives):
        weight = np.where(positive, 1 / positive.sum(), 1 / (~positive).sum())
        placed = _placements(columns[:, k], columns[:, k], positive)
        area = placed[positive].mean()
        for chosen in (positive, ~positive):
            holding = len(np.unique(groups[chosen]))
            if holding < 2:
                return 1.0
            part = ((placed - area) * weight * chosen) @ member
            contribution += part * np.sqrt(holding / (holding - 1))
        lost += ((placed - _placements(without[:, :, k], columns[:, k], positive)) * weight) @ member
    np.fill_diagonal(lost, 0.0)
    own = float((contribution**2).sum())
    return 1.0 if own <= 0 else float(np.clip(1 + (lost * lost.T).sum() / own, 1.0, MOST_SHARED))


def shared_training_inflation(
    fits: Sequence[tuple[Any, FloatArray, Fold]], scores: FloatArray, codes: IntArray, groups: IntArray
) -> tuple[float, bool]:
    """Factor on the variance of what is measured on out-of-fold scores, and whether it was computed.

    Args:
        fits: For each fold the unfitted probe, all rows at the layer it reads [n, d_model], and the fold.
        scores: Out-of-fold scores of those fits, [n], or [n, n_classes]; rows that no fold tests are left out.
        codes: Class of each row.
        groups: Group index of each row.

    Returns:
        The factor of `variance_inflation`. 2, its largest value, and False where a fit is not a `Probe` with a solution
        here or has more than `LARGEST` training rows.
    """
    n_groups = int(groups.max()) + 1
    left_out = np.zeros((n_groups, *scores.shape))
    for probe, rows, fold in fits:
        part = left_out_scores(probe, rows, codes, groups, fold, int(codes.max()) + 1)
        if part is None:
            return MOST_SHARED, False
        left_out[:, fold.test] = part
    tested = np.sort(np.concatenate([fold.test for *_, fold in fits]))
    return variance_inflation(scores[tested], left_out[:, tested], codes[tested], groups[tested]), True


def left_out_scores(
    probe: Any,
    rows: FloatArray,
    codes: IntArray,
    groups: IntArray,
    fold: Fold,
    n_classes: int,
) -> FloatArray | None:
    """Test scores of one fold, with each training group left out in turn, [n_groups, n_test(, n_classes)].

    Standardised as the scores of the whole training part are. Groups that do not train this fold give the scores of the
    whole training part. Exact for "ridge", two-class "lda" and "mean_difference", by deleting a block of the kernel
    system; for "logistic" one Newton step from the whole fit, for "lda" of more classes a ridge fit of equal penalty.

    Args:
        probe: A `Probe`.
        rows: All rows at the layer and position in question, [n, d_model].
        codes: Class of each row.
        groups: Group index of each row.
        fold: The fold.
        n_classes: Number of classes.

    Returns:
        None where the estimator is not a `Probe` with a solution here, or the fold is larger than `LARGEST`.

    Source: block deletion in the kernel system, Cauwenberghs & Poggio (2000), NeurIPS 13; Rad & Maleki (2020), JRSS B
        82, for the Newton step.
    """
    if not solvable(probe, len(fold.train), rows.shape[1]) or len(fold.train) > LARGEST:
        return None
    geometry = FoldGeometry.from_rows(
        torch.from_numpy(rows[fold.train]), torch.from_numpy(rows[fold.test]), scale=probe.scale
    )
    onehot = as_onehot(torch.from_numpy(codes[fold.train])[None], n_classes)
    whole = solve(probe, geometry, onehot)
    spread = float(whole.spread[0])
    n_groups = int(groups.max()) + 1
    scores = np.repeat(whole.standardised.numpy(), n_groups, axis=0)
    if spread <= 0:
        return _classes_last(scores)
    kernel, cross = geometry.kernel.numpy(), geometry.cross.numpy()
    members = groups[fold.train]
    shrinkage = geometry.shrinkage if probe.shrinkage == "auto" else float(probe.shrinkage)
    if probe.kind == "mean_difference" or (probe.kind == "lda" and shrinkage > 1 - 1e-6):
        deleted = _means_without(kernel, cross, onehot[0].numpy(), members, n_groups)
        reference = _means_without(kernel, cross, onehot[0].numpy(), np.full_like(members, -1), 1)
    else:
        dual, fitted, ridge = _dual_solution(probe, geometry, onehot, shrinkage)
        deleted = _solutions_without(kernel, cross, dual, fitted, ridge, members, n_groups)
        reference = _solutions_without(kernel, cross, dual, fitted, ridge, np.full_like(members, -1), 1)
    # The difference to the whole fit, in its unit, so that an approximation of the fit cancels.
    unit = scores[:1].std() / max(reference.std(), 1e-300)
    trains = np.isin(np.arange(n_groups), members)
    scores[trains] += (deleted - reference)[trains] * unit
    return _classes_last(scores)


def _classes_last(scores: FloatArray) -> FloatArray:
    scores = without_rounding(scores)
    return scores[:, 0] if scores.shape[1] == 1 else np.ascontiguousarray(scores.transpose(0, 2, 1))


def _placements(new: FloatArray, reference: FloatArray, positive: np.ndarray) -> FloatArray:
    """Share of the other class that each score is on the right side of, ties counting half; [..., n]."""
    placed = np.empty_like(new)
    for chosen, sign in ((positive, 1.0), (~positive, -1.0)):
        others = np.sort(sign * reference[~chosen])
        values = sign * new[..., chosen]
        below = np.searchsorted(others, values, "left") + np.searchsorted(others, values, "right")
        placed[..., chosen] = below / (2 * len(others))
    return placed


def _dual_solution(
    probe: Probe, geometry: FoldGeometry, onehot: torch.Tensor, shrinkage: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Dual coefficients, fitted values and diagonal of the kernel system whose solution the probe is; each [k, n]."""
    kernel, targets = geometry.kernel.numpy(), onehot[0].numpy()
    n = geometry.n_train
    if probe.kind == "logistic":
        weights, intercepts = logistic_of_one(geometry.train, onehot[0], C=probe.C)
        fitted = (weights @ geometry.train.T + intercepts[:, None]).numpy()
        odds = np.exp(fitted - fitted.max(axis=0))
        probability = 1 / (1 + np.exp(-fitted)) if len(fitted) == 1 else odds / odds.sum(axis=0)
        curvature = np.maximum(probability * (1 - probability), 1e-10)
        return probe.C * (targets - probability), fitted, 1 / (probe.C * curvature)
    if probe.kind == "ridge":
        alpha = probe.alpha
    else:
        # Shrinkage LDA for two classes is a ridge fit with this penalty, up to the length of the direction.
        counts = targets.sum(axis=1)
        means = (targets @ geometry.train.numpy()) / counts[:, None]
        share = counts / n
        odds = share / (1 - share) if len(targets) == 1 else share
        between = float((odds * (means**2).sum(axis=1)).sum())
        within = float(geometry.variances.sum()) / n - between
        alpha = n * shrinkage * within / geometry.n_features / (1 - shrinkage)
    ridge = np.full(targets.shape, max(alpha, 1e-12))
    signs = 2 * targets - 1
    dual = np.linalg.solve(kernel + ridge[0, 0] * np.eye(n), (signs - signs.mean(axis=1, keepdims=True)).T).T
    return dual, signs - ridge * dual, ridge


def _solutions_without(
    kernel: FloatArray,
    cross: FloatArray,
    dual: FloatArray,
    fitted: FloatArray,
    ridge: FloatArray,
    members: IntArray,
    n_groups: int,
) -> FloatArray:
    """Test scores less the mean training score after each group is deleted, [n_groups, k, n_test].

    (K + diag) c + b = z, sum(c) = 0; deleting rows B changes c by -M^-1[:, B] (M^-1[B, B])^-1 c_B.
    """
    k, n = dual.shape
    result = np.empty((n_groups, k, len(cross)))
    kept = members[None] != np.arange(n_groups)[:, None]
    for column in range(k):
        system = np.zeros((n + 1, n + 1))
        system[:n, :n] = kernel
        system[np.arange(n), np.arange(n)] += ridge[column]
        system[n, :n] = system[:n, n] = 1.0
        inverse = np.linalg.inv(system)
        target = fitted[column] + ridge[column] * dual[column]
        # The intercept of the whole fit, from any row of the system.
        offset = float((fitted[column] - kernel @ dual[column]).mean())
        coefficients = np.repeat(np.r_[dual[column], offset][None], n_groups, axis=0)
        for rows, at in _by_size(members, n_groups):
            block = inverse[rows[:, :, None], rows[:, None, :]]
            change = np.linalg.solve(block, dual[column][rows][..., None])[..., 0]
            coefficients[at] -= np.einsum("njb,jb->jn", inverse[:, rows], change)
        test = coefficients[:, :n] @ cross.T + coefficients[:, n:]
        training = target - ridge[column] * coefficients[:, :n]
        centre = (training * kept).sum(axis=1) / kept.sum(axis=1)
        result[:, column] = test - centre[:, None]
    return result


def _means_without(
    kernel: FloatArray, cross: FloatArray, targets: FloatArray, members: IntArray, n_groups: int
) -> FloatArray:
    """As `_solutions_without`, for directions between class means."""
    kept = (members[None] != np.arange(n_groups)[:, None]).astype(np.float64)
    result = np.empty((n_groups, len(targets), len(cross)))
    for column, target in enumerate(targets):
        dual = kept * target
        dual /= np.maximum(dual.sum(axis=1, keepdims=True), 1)
        if len(targets) == 1:
            other = kept * (1 - target)
            dual -= other / np.maximum(other.sum(axis=1, keepdims=True), 1)
        else:
            # Relative to the mean of the kept rows, on which multi-class scores are centred.
            dual -= kept / kept.sum(axis=1, keepdims=True)
        centre = ((dual @ kernel) * kept).sum(axis=1, keepdims=True) / kept.sum(axis=1, keepdims=True)
        result[:, column] = dual @ cross.T - centre
    return result


def _by_size(members: IntArray, n_groups: int) -> list[tuple[IntArray, IntArray]]:
    """Rows of each group that occurs, [groups, size], and which groups these are, by size."""
    order = np.argsort(members, kind="stable")
    present, start, counts = np.unique(members[order], return_index=True, return_counts=True)
    found: list[tuple[IntArray, IntArray]] = []
    for size in np.unique(counts):
        alike = (counts == size) & (present >= 0) & (present < n_groups)
        if alike.any():
            rows = order[start[alike][:, None] + np.arange(size)]
            found.append((rows, present[alike]))
    return found
