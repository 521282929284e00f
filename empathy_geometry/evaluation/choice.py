"""How much the choice of layer, position and parameters inside the folds adds to the variance of what they report."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import rankdata
from torch import Tensor

from empathy_geometry.evaluation.classification import Classification
from empathy_geometry.evaluation.ranking import one_vs_rest
from empathy_geometry.evaluation.selection import Candidate, Contest, inner_scores
from empathy_geometry.foundation._types import FloatArray, IntArray
from empathy_geometry.texts.splits import Fold

DRAWS = 200
"""Sets of scenario weights under which the choice is made again."""

_TOLERANCE = 1e-4
"""Of the fits of candidates that were not chosen; only the spread of their AUROCs counts."""


def choice_inflation(
    probe: Any,
    data: Classification,
    folds: Sequence[Fold],
    competing: Sequence[Candidate],
    contests: Sequence[Contest],
    scores: FloatArray,
    *,
    inflation: float,
    seed: int,
) -> float:
    """Factor on the variance of an AUROC whose folds chose among candidates, beside `variance_inflation`; at least 1.

    The training parts of folds overlap, so that they choose together; and the scenarios that decide the choice of one
    fold are test rows of the others, so that choice and score move together. An interval that takes the choices as
    given covers 0.68 to 0.90 where a weak signal is at one of several layers (benchmarks/coverage.py).

    With one standard normal weight w_g for each scenario, the same in all folds and candidates, fold k would choose

        c_k(w) = argmax_l  a_kl + sqrt(phi) sum_g w_g H_kl(g)

    with a_kl the AUROC of candidate l within its training rows, H_kl(g) what scenario g contributes to it, and phi the
    inflation for shared training rows. The AUROC would be A(w) = AUROC of the test scores so chosen + sum_g w_g h_g,
    with the contributions h of those scores. Over `DRAWS` sets of weights, Var = Var A(w) + (phi - 1) sum h^2, not
    less than phi sum h^2, which it is where the choice is certain.

    Args:
        probe: What was fitted.
        data: All rows.
        folds: The outer folds.
        competing: The candidates.
        contests: Of each fold.
        scores: Pooled scores of the chosen ones, [n] or [n, n_classes]; rows that no fold tests are left out.
        inflation: For shared training rows.
        seed: Of the weights.

    Source: derived here; a multiplier bootstrap as in van der Vaart & Wellner (1996), section 2.9, of choice and score
        together.
    """
    if len(competing) == 1:
        return 1.0
    weights = np.random.default_rng([seed, 3]).standard_normal((DRAWS, data.n_groups))
    picks = np.stack([_picks(contest, data, weights, inflation) for contest in contests], axis=1)
    combinations, drawn = np.unique(picks, axis=0, return_inverse=True)
    original = [contest.best for contest in contests]
    if len(combinations) == 1 and combinations[0].tolist() == original:
        return 1.0
    columns = torch.from_numpy(np.ascontiguousarray(scores[None] if scores.ndim == 1 else scores.T))
    pooled = columns.expand(len(combinations), -1, -1).clone()
    for k, fold in enumerate(folds):
        others = sorted(set(combinations[:, k].tolist()) - {original[k]})
        if not others:
            continue
        test = torch.from_numpy(fold.test)
        found = inner_scores(probe, data, [competing[i] for i in others], [fold], tolerance=_TOLERANCE)
        for i, of_candidate in zip(others, found, strict=True):
            for row in np.flatnonzero(combinations[:, k] == i).tolist():
                pooled[row][:, test] = of_candidate[:, test]
    tested = np.sort(np.concatenate([fold.test for fold in folds]))
    columns, pooled = columns[:, tested], pooled[:, :, tested]
    codes, groups = data.codes[tested], data.groups[tested]
    given = float((contributions(columns[None], codes, groups, data.n_groups) ** 2).sum())
    if given <= 0:
        return 1.0
    areas = one_vs_rest(pooled, torch.from_numpy(codes).expand(len(pooled), -1)).numpy()
    moved = areas[:, None] + contributions(pooled, codes, groups, data.n_groups) @ weights.T
    variance = float(moved[drawn.reshape(-1), np.arange(DRAWS)].var(ddof=1))
    return max((variance / given + inflation - 1) / inflation, 1.0)


def _picks(contest: Contest, data: Classification, weights: FloatArray, inflation: float) -> IntArray:
    """Index of the candidate that is the best under each set of weights, [DRAWS]."""
    assert contest.scores is not None  # several candidates were compared
    codes, groups = data.codes[contest.train], data.groups[contest.train]
    areas = one_vs_rest(contest.scores, torch.from_numpy(codes).expand(len(contest.scores), -1)).numpy()
    parts = contributions(contest.scores, codes, groups, data.n_groups)
    # The chosen one wins ties, as it did by its d'.
    areas[contest.best] += 1e-9
    picks: IntArray = (areas + np.sqrt(inflation) * (weights @ parts.T)).argmax(axis=1)
    return picks


def contributions(
    scores: Float[Tensor, "candidate k n"], codes: IntArray, groups: IntArray, n_groups: int
) -> FloatArray:
    """What each group contributes to the deviation of each candidate's AUROC, [candidate, n_groups].

    As `placements.auroc_contributions`, for many score vectors at once.
    """
    member = (groups[:, None] == np.arange(n_groups)).astype(np.float64)
    values, k = scores.numpy(), scores.shape[1]
    total = np.zeros((len(values), n_groups))
    for column in range(k):
        positive = codes == (1 if k == 1 else column)
        ranks = rankdata(values[:, column], axis=1)
        for chosen, sign in ((positive, 1), (~positive, -1)):
            placed = sign * (ranks[:, chosen] - rankdata(values[:, column][:, chosen], axis=1)) / (~chosen).sum()
            holding = int((member[chosen].sum(axis=0) > 0).sum())
            centred = (placed - placed.mean(axis=1, keepdims=True)) / chosen.sum()
            total += np.sqrt(holding / max(holding - 1, 1)) * (centred @ member[chosen])
    return total / k
