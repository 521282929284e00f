"""How many labelled texts a frozen direction is worth: the learning curve of a probe that is trained on the ratings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from empathy_geometry.evaluation.graded_baselines import ALPHAS, squared_errors
from empathy_geometry.evaluation.ridge_folds import RidgeFold
from empathy_geometry.foundation._types import BoolArray, FloatArray, IntArray
from empathy_geometry.foundation.terminal import printable
from empathy_geometry.texts.held_apart import held_apart_folds

SIZES = (20, 50, 100, 200, 400, 800, 1600)
"""Numbers of labelled texts that are tried, as far as half of the persons have so many."""

DRAWS = 10
_FEWEST = 3
"""Texts of each class without which nothing is trained."""


@dataclass(frozen=True)
class LabelledWorth:
    """A probe trained on so many rated texts of some persons, beside the frozen direction, on the texts of the others.

    Attributes:
        sizes: Numbers of labelled texts.
        trained: Mean AUROC over draws at each size.
        frozen: Mean AUROC of the frozen direction on the same texts.
        n_draws: How often persons were halved and texts drawn.
    """

    sizes: tuple[int, ...]
    trained: tuple[float, ...]
    frozen: float
    n_draws: int

    @printable
    def __str__(self) -> str:
        """Between which sizes the trained probe overtakes the direction.

        Example:
            >>> str(LabelledWorth((20, 50, 100), (0.6, 0.7, 0.8), 0.75, 10))
            '50 to 100'
            >>> str(LabelledWorth((20, 50), (0.6, 0.7), 0.5, 10)), str(LabelledWorth((20, 50), (0.6, 0.7), 0.9, 10))
            ('under 20', 'over 50')
        """
        reached = [size for size, area in zip(self.sizes, self.trained, strict=True) if area >= self.frozen]
        if not reached:
            return f"over {self.sizes[-1]}" if self.sizes else "too few texts to say"
        before = [size for size in self.sizes if size < reached[0]]
        return f"{before[-1]} to {reached[0]}" if before else f"under {reached[0]}"


def labelled_worth(
    scores: FloatArray,
    rows: FloatArray,
    above: BoolArray,
    groups: IntArray,
    *,
    sizes: Sequence[int] = SIZES,
    n_draws: int = DRAWS,
    seed: int = 0,
) -> LabelledWorth:
    """Train ridge probes on more and more rated texts, always judged on persons they have not seen.

    In each draw the persons are halved; texts of one half are what may be labelled, those of the other what both the
    probe and the direction are judged on. The penalty is chosen among the labelled texts, persons held apart.

    Args:
        scores: Of the frozen direction, [n].
        rows: Activations at its layer, [n, d_model].
        above: Whether each text has the rated level, [n].
        groups: Person of each text, as an index, [n].
        sizes: Numbers of labelled texts.
        n_draws: How often.
        seed: Of the draws.

    Example:
        >>> r = np.random.default_rng(0)
        >>> above, groups = r.random(400) < 0.5, np.arange(400) // 2
        >>> rows = r.normal(size=(400, 8)) + above[:, None]
        >>> found = labelled_worth(rows.sum(axis=1), rows, above, groups, sizes=[20, 100], n_draws=3)
        >>> found.frozen > 0.95, found.trained[1] > 0.9
        (True, True)
    """
    n_groups = int(groups.max()) + 1
    curve, frozen = np.full((n_draws, len(sizes)), np.nan), np.full(n_draws, np.nan)
    for draw in range(n_draws):
        generator = np.random.default_rng([seed, draw])
        first = np.isin(groups, generator.permutation(n_groups)[: n_groups // 2])
        labelled, judged = generator.permutation(np.flatnonzero(first)), np.flatnonzero(~first)
        if not 0 < above[judged].sum() < len(judged):
            continue
        frozen[draw] = roc_auc_score(above[judged], scores[judged])
        for k, size in enumerate(sizes):
            train = labelled[:size]
            enough = min(above[train].sum(), (~above[train]).sum()) >= _FEWEST
            if len(train) == size and enough:
                told = _trained(rows, above.astype(np.float64), train, judged, groups)
                curve[draw, k] = roc_auc_score(above[judged], told)
    # A size counts where every draw reached it, so that all points of the curve are of the same draws.
    known = [k for k in range(len(sizes)) if not np.isnan(curve[:, k]).any()]
    return LabelledWorth(
        tuple(int(sizes[k]) for k in known),
        tuple(float(curve[:, k].mean()) for k in known),
        float(np.nanmean(frozen)) if not np.isnan(frozen).all() else float("nan"),
        n_draws,
    )


def _trained(rows: FloatArray, y: FloatArray, train: IntArray, test: IntArray, groups: IntArray) -> FloatArray:
    inside, inner = groups[train], train
    # Persons of one text each among few: every text then is its own.
    column = inside if len(np.unique(inside)) >= _FEWEST else np.arange(len(inner))
    folds = held_apart_folds({"person": column}, n_splits=_FEWEST)
    errors = squared_errors(rows[train], y[train], folds, ALPHAS, scale=True)
    ridge = RidgeFold.from_rows(rows[train], rows[test], scale=True)
    return np.asarray(ridge.scores(y[train], ALPHAS[int(errors.argmin())]))
