"""A frozen direction against one level of one rated target: its words, its ceiling, and what labelling would buy."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from empathy_geometry.evaluation.baselines import CHOSEN
from empathy_geometry.evaluation.graded import UNKNOWN_DEPENDENCE, GradedEvaluation
from empathy_geometry.evaluation.metrics import auroc, auroc_excess, excess_over_best
from empathy_geometry.foundation._types import FloatArray, LabelsLike
from empathy_geometry.foundation._validation import as_groups
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.studies.labelled_worth import LabelledWorth, labelled_worth

_MOST_LEVELS = 8
"""Targets with more values than this are graded finely; they are cut at their median only."""

_FEWEST_TEXTS = 10


@dataclass(frozen=True)
class LevelTruth:
    """One rated target cut at one level.

    Attributes:
        target: Its name.
        level: Texts at or above it are told from those below.
        n_above: How many those are.
        auroc: Of the frozen direction.
        words: Of the words carried over.
        excess: Of the direction over the words carried over; the lower end is the smallest over all baselines.
        in_domain: Of a probe that is trained on the ratings of other persons; None where it was not asked for.
        in_domain_words: Of the text-only baseline trained alike.
        worth: How many labelled texts the direction is worth; None where it was not asked for.
    """

    target: str
    level: float
    n_above: int
    auroc: Estimate
    words: Estimate
    excess: Estimate
    in_domain: Estimate | None = None
    in_domain_words: Estimate | None = None
    worth: LabelledWorth | None = None

    @property
    def cells(self) -> dict[str, Any]:
        """The level as a row of its table."""
        return {
            "target": self.target,
            "level": f">= {self.level:g}",
            "texts": self.n_above,
            "AUROC": self.auroc,
            "words carried over": self.words,
            "excess": self.excess,
            "trained on ratings": self.in_domain,
            "words trained on ratings": self.in_domain_words,
            "worth, labelled texts": "-" if self.worth is None else str(self.worth),
        }


def levels_of(grades: FloatArray) -> tuple[float, ...]:
    """Where a target is cut: at each of its levels but the lowest, or at the median where it has many.

    Example:
        >>> levels_of(np.array([0, 1, 2, 1.0])), levels_of(np.linspace(1, 7, 61))
        ((1.0, 2.0), (4.0,))
    """
    found = np.unique(grades)
    if len(found) > _MOST_LEVELS:
        median = float(np.median(grades))
        return (median if median > found[0] else float(found[1]),)
    return tuple(float(level) for level in found[1:])


def level_truths(
    target: str,
    grades: FloatArray,
    scores: FloatArray,
    told: Mapping[str, FloatArray],
    rows: FloatArray,
    groups: LabelsLike,
    trained: GradedEvaluation | None,
    *,
    level: float,
    seed: int,
) -> Iterable[LevelTruth]:
    """Each level at which enough texts stand on both sides.

    Args:
        target: Name.
        grades: Its values, [n].
        scores: Of the frozen direction, [n].
        told: Of each baseline carried over, [n].
        rows: Activations at the direction's layer, [n, d_model].
        groups: Person of each text.
        trained: A regression on the same texts, persons held apart; None leaves the ceiling and the worth out.
        level: Coverage of the intervals.
        seed: Of the draws of labelled texts.
    """
    index = as_groups(groups, len(grades))
    for cut in levels_of(grades):
        above = grades >= cut
        if min(above.sum(), (~above).sum()) < _FEWEST_TEXTS:
            continue
        excess = excess_over_best(auroc_excess(scores, told, above, groups=groups, level=level), CHOSEN)
        ceiling, ceiling_words, worth = None, None, None
        if trained is not None:
            ceiling = auroc(trained.scores, above, groups=groups, level=level, inflation=UNKNOWN_DEPENDENCE)
            if trained.baseline_scores:
                ceiling_words = auroc(
                    trained.baseline_scores[CHOSEN],
                    above,
                    groups=groups,
                    level=level,
                    inflation=UNKNOWN_DEPENDENCE,
                )
            worth = labelled_worth(scores, rows, above, index, seed=seed)
        yield LevelTruth(
            target,
            cut,
            int(above.sum()),
            auroc(scores, above, groups=groups, level=level),
            auroc(told[CHOSEN], above, groups=groups, level=level),
            excess,
            ceiling,
            ceiling_words,
            worth,
        )
