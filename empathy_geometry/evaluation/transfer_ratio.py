"""Transfer between contexts relative to reading within them, with an interval that counts the training as well.

Two things spoil the plain quotient of a transfer matrix. Off the diagonal the probes have seen all scenarios of their
context, on it four fifths of them, so that the quotient is above 1 where everything transfers (1.22 at 12 scenarios in
200 dimensions). And the probes are as random as the rows they score: an interval from resampled test scenarios
under fixed probes covered 0.50 to 0.92 for 0.95. `benchmarks/transfer.py` prints the coverage of this one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.base import clone

from empathy_geometry.evaluation.batched_probes import solvable
from empathy_geometry.evaluation.classification import Classification
from empathy_geometry.evaluation.clustered import t_quantile
from empathy_geometry.evaluation.fold_dependence import LARGEST, left_out_scores
from empathy_geometry.evaluation.selection import Candidate, fit_and_score
from empathy_geometry.foundation._types import FloatArray, IntArray
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.texts.splits import Fold

_MOST_UNITS = 100
"""Scenarios of a context that are left out one by one; where there are more, so many blocks of them."""

_MOST_REFITS = 10
"""The same where leaving out means fitting again: estimators other than `Probe`, or very many rows."""

_OWN, _OTHER = 0, 1


def transfer_ratio(
    probe: Any,
    data: Classification,
    rows: Sequence[IntArray],
    folds: Sequence[Sequence[Fold]],
    chosen: Sequence[Sequence[Candidate]],
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Mean excess over chance in other contexts / mean excess in the context of training, of the same probes.

    The probe of each fold is judged by its AUROC within each fold of test rows: that of its own context which did not
    train it, and all folds of the other contexts. So numerator and denominator compare scores of one probe, from
    equally many training scenarios, in test parts of one size, and have one expectation where contexts do not differ.

    Let J_g be what the ratio owes to scenario g, as a test scenario (its placements) and as a training scenario (what
    the probes lose without it), and D_gj the part of the placements of j that is due to training on g, with the mean
    effects of g and of j taken out. Then

        Var = sum_g J_g^2 - sum_{g<j} (D_gj + D_jg)^2.

    The first sum alone is the jackknife's variance. It counts each pair of a training and a test scenario twice; at
    least half of it is kept, which is what is left where pairs are all there is.

    Args:
        probe: A scikit-learn classifier; leaving out is exact or a Newton step for a `Probe`, a new fit for others.
        data: All rows, two classes.
        rows: Those of each context.
        folds: Of each context, in row numbers of `data`.
        chosen: Layer, position and parameters in each fold of each context; taken as given.
        level: Coverage of the interval (Student's t).
        seed: Of the blocks of scenarios, where there are too many to leave out each.

    Raises:
        ValueError: the probes are not above chance within the contexts, or no fold of a context tests both classes.

    Source: derived here by the Hoeffding decomposition; Efron & Stein (1981), Annals of Statistics 9, for the bias of
        the jackknife.
    """
    units, n_units = _units(probe, data, rows, folds, seed)
    pairs = [np.array([_n_pairs(data.codes[fold.test]) for fold in own], dtype=np.float64) for own in folds]
    if not all(p.any() for p in pairs):
        raise ValueError(
            "the transfer ratio needs folds whose test rows have both classes; try fewer folds or more scenarios"
        )
    shares = [p / p.sum() / len(rows) for p in pairs]
    value, tested = np.zeros(2), np.zeros((2, data.n))
    weights = np.zeros((2, data.n))
    trained, paired = np.zeros((2, n_units)), np.zeros((2, n_units, n_units))
    for i, own_folds in enumerate(folds):
        elsewhere = [
            (_OTHER, fold.test, share / len(own_folds) / (len(rows) - 1))
            for j in range(len(rows))
            if j != i
            for fold, share in zip(folds[j], shares[j], strict=True)
        ]
        moved = np.zeros((2, n_units, n_units))
        for fold, candidate, share in zip(own_folds, chosen[i], shares[i], strict=True):
            tests = [t for t in [(_OWN, fold.test, share), *elsewhere] if t[2] > 0]
            trains = np.unique(units[fold.train])
            scores = _scores(probe, data, candidate, fold, np.concatenate([t[1] for t in tests]), units, trains)
            ends = np.cumsum([len(t[1]) for t in tests])
            for (kind, test, part), here in zip(tests, np.split(scores, ends[:-1], axis=1), strict=True):
                positive = data.codes[test] == 1
                weight = part * np.where(positive, 1 / positive.sum(), 1 / (~positive).sum())
                placed = _placements(here, positive) * weight
                value[kind] += placed[0].sum() / 2 - part / 2
                tested[kind, test] += placed[0]
                weights[kind, test] += weight
                # One of m left out changes a mean by 1/(m - 1) of its deviation, of which it contributes 1/m.
                lost = (1 - 1 / len(trains)) * (placed[0] - placed[1:])
                moved[kind, trains] += lost @ _membership(units[test], n_units)
        members = np.unique(units[rows[i]])
        # Placements of both classes move with the area, so it moves by half of their sum.
        effect = moved[:, members].sum(axis=2) / 2
        trained[:, members] += effect - effect.mean(axis=1, keepdims=True)
        for r in rows:
            block = np.ix_(np.arange(2), members, np.unique(units[r]))
            paired[block] += _without_means(moved[block])
    if value[_OWN] <= 0:
        raise ValueError(
            "the transfer ratio is not defined: the probe is not above chance within the contexts themselves"
        )
    ratio = float(value[_OTHER] / value[_OWN])
    owed = trained + _tested_units(tested, weights, rows, units, n_units)
    low, high = _interval(
        ratio,
        (owed[_OTHER] - ratio * owed[_OWN]) / value[_OWN] * _small_sample(rows, units, n_units),
        (paired[_OTHER] - ratio * paired[_OWN]) / value[_OWN],
        level,
    )
    method = "scenarios left out of test and training, t; probes trained on equally many scenarios"
    return Estimate(ratio, low, high, level, data.n, data.n_groups, method, seed=seed)


def _interval(ratio: float, owed: FloatArray, paired: FloatArray, level: float) -> tuple[float | None, float | None]:
    jackknife = float((owed**2).sum())
    if jackknife > 1e-18:
        both = np.triu(paired + paired.T, 1)
        half = t_quantile(owed, level) * float(np.sqrt(max(jackknife - float((both**2).sum()), jackknife / 2)))
        return ratio - half, ratio + half
    # Every pair is in the right order: both excesses lie between that of the exact bound for G of G and 1/2.
    least = 2 * ((1 - level) / 2) ** (1 / len(owed)) - 1
    return (least, 1 / least) if least > 0 and ratio > 0 else (None, None)


def _units(
    probe: Any, data: Classification, rows: Sequence[IntArray], folds: Sequence[Sequence[Fold]], seed: int
) -> tuple[IntArray, int]:
    """What is left out at a time, for each row, and how many there are: scenarios, or random blocks of them."""
    largest = max(len(fold.train) for own in folds for fold in own)
    quick = largest <= LARGEST and solvable(probe, largest, data.values.shape[-1])
    rng = np.random.default_rng([seed, 1])
    unit_of, count = np.full(data.n_groups, -1), 0
    # Contexts in the order of their scenarios' contents: which stands first decides the blocks.
    for r in sorted(rows, key=lambda r: int(data.groups[r].min())):
        members = np.unique(data.groups[r])
        # A scenario that occurs in several contexts is one unit.
        new = rng.permutation(members[unit_of[members] < 0])
        n_blocks = min(_MOST_UNITS if quick else _MOST_REFITS, len(new))
        unit_of[new] = count + np.arange(len(new)) % max(n_blocks, 1)
        count += n_blocks
    return unit_of[data.groups], count


def _scores(
    probe: Any,
    data: Classification,
    candidate: Candidate,
    fold: Fold,
    test: IntArray,
    units: IntArray,
    trains: IntArray,
) -> FloatArray:
    """Scores of the test rows by the probe of a fold and by that without each unit training it, [1 + m, n_test]."""
    fold = Fold(fold.train, test)
    whole = fit_and_score(probe, data, candidate, fold)[0]
    known = left_out_scores(
        clone(probe).set_params(**candidate.params),
        data.rows(candidate.layer, candidate.pos),
        data.codes,
        units,
        fold,
        2,
    )
    if known is not None:
        return np.vstack([whole[None], known[trains]])
    kept = [fold.train[units[fold.train] != unit] for unit in trains]
    return np.stack([whole, *(fit_and_score(probe, data, candidate, Fold(k, test))[0] for k in kept)])


def _placements(scores: FloatArray, positive: np.ndarray) -> FloatArray:
    """Share of the other class that each score is on the right side of, ties counting half, [m, n_test].

    Example:
        >>> _placements(np.array([[3.0, 1.0, 2.0, 2.0]]), np.array([True, True, False, False])).tolist()
        [[1.0, 0.0, 0.5, 0.5]]
    """
    rank: FloatArray = rankdata(scores, axis=1)
    placed: FloatArray = np.empty_like(rank)
    for chosen in (positive, ~positive):
        below = (rank[:, chosen] - rankdata(scores[:, chosen], axis=1)) / (~chosen).sum()
        placed[:, chosen] = below if chosen is positive else 1 - below
    return placed


def _tested_units(
    tested: FloatArray, weights: FloatArray, rows: Sequence[IntArray], units: IntArray, n_units: int
) -> FloatArray:
    """What each unit contributes as a test unit: its placements relative to those of its context, [2, n_units]."""
    found = np.zeros((2, n_units))
    for r in rows:
        mean = tested[:, r].sum(axis=1, keepdims=True) / weights[:, r].sum(axis=1, keepdims=True)
        found += (tested[:, r] - weights[:, r] * mean) @ _membership(units[r], n_units)
    return found


def _without_means(block: FloatArray) -> FloatArray:
    """Effects of training units on test units without the mean of either; zeros (never trained) stay."""
    known = block != 0
    for axis in (1, 2):
        mean = block.sum(axis=axis, keepdims=True) / np.maximum(known.sum(axis=axis, keepdims=True), 1)
        block = np.where(known, block - mean, 0.0)
    return block


def _small_sample(rows: Sequence[IntArray], units: IntArray, n_units: int) -> FloatArray:
    """Square root of G / (G - 1) for the units of a context of G."""
    factor = np.ones(n_units)
    for r in rows:
        members = np.unique(units[r])
        factor[members] = np.sqrt(len(members) / max(len(members) - 1, 1))
    return factor


def _membership(units: IntArray, n_units: int) -> FloatArray:
    membership: FloatArray = (units[:, None] == np.arange(n_units)).astype(np.float64)
    return membership


def _n_pairs(codes: IntArray) -> int:
    return int((codes == 1).sum() * (codes == 0).sum())
