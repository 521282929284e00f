"""How much of a held-out AUROC survives a change of the data."""

import numpy as np

from empathy_geometry.evaluation.metrics import auroc
from empathy_geometry.evaluation.placements import inflated_method
from empathy_geometry.foundation._types import BoolArray, FloatArray, IntArray
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.jackknife import blocks_of, jackknife_interval

_BLOCKS = 50


def surviving_share(
    before: FloatArray,
    after: FloatArray,
    positive: BoolArray,
    groups: IntArray,
    *,
    level: float,
    seed: int,
    inflation: float,
) -> Estimate | None:
    """(AUROC after - 1/2) / (AUROC before - 1/2) of out-of-fold scores, with a jackknife over groups.

    Args:
        before: Out-of-fold scores of the data as they are, [n].
        after: Of the data as changed, [n].
        positive: True for the concept class, [n].
        groups: Group index of each row, [n].
        level: Coverage of the interval.
        seed: Of blocks of groups where there are more than 50.
        inflation: Factor on the variance, the larger of both scores'; see `fold_dependence.variance_inflation`.

    Returns:
        The share, which may exceed 1 or fall below 0; None if the AUROC before is not above chance, when there is
        nothing to survive.

    Example:
        >>> y, g = np.tile([False, True], 10), np.repeat(np.arange(10), 2)
        >>> s = y + 0.1 * np.arange(20)
        >>> share = surviving_share(s, s, y, g, level=0.95, seed=0, inflation=1.0)
        >>> (share.value, share.low, share.high)
        (1.0, 1.0, 1.0)
    """
    first = auroc(before, positive, groups=groups, level=level, inflation=inflation)
    if first.low is None or first.low <= 0.5:
        return None

    def share(kept: np.ndarray) -> float:
        if len(np.unique(positive[kept])) < 2:
            return float("nan")
        gain = float(auroc(before[kept], positive[kept])) - 0.5
        return (float(auroc(after[kept], positive[kept])) - 0.5) / gain if gain > 0 else float("nan")

    n_groups = int(groups.max()) + 1
    value = share(np.ones(len(positive), dtype=bool))
    blocks = blocks_of(n_groups, _BLOCKS, np.random.default_rng(seed))
    left_out = [share(np.isin(groups, kept)) for kept in blocks]
    interval = jackknife_interval(value, left_out, level=level, inflation=inflation)
    low, high = (None, None) if interval is None else interval
    method = inflated_method("share above chance; jackknife over groups", inflation)
    return Estimate(value, low, high, level, len(positive), n_groups, method)
