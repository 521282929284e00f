"""Does what was learned in one context hold in another?"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.base import clone

from empathy_geometry.activations.pairing import rows_of_classes
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.choice import choice_inflation
from empathy_geometry.evaluation.classification import MISSING, Classification, classification
from empathy_geometry.evaluation.fold_dependence import shared_training_inflation
from empathy_geometry.evaluation.metrics import auroc
from empathy_geometry.evaluation.selection import candidates, contest, fit_and_score, select
from empathy_geometry.evaluation.transfer_ratio import transfer_ratio
from empathy_geometry.foundation._types import FloatArray, IntArray, Layer
from empathy_geometry.foundation._validation import check_choice
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.foundation.table import Table
from empathy_geometry.texts.splits import Fold, grouped_folds


@dataclass(frozen=True, eq=False)
class TransferMatrix(Result):
    """Held-out AUROC of a probe trained in one context and tested in another.

    Attributes:
        names: The contexts; rows train, columns test.
        auroc: [context][context] estimates; the diagonal is cross-validated within the context. Intervals are over
            test scenarios: off the diagonal they hold for the probe as it was trained.
        ratio: Mean excess over chance in other contexts / mean excess in the own one, both of the probes of the
            diagonal, so that they have seen equally many scenarios; not the quotient of the cells, whose probes off
            the diagonal have seen more. The interval counts test and training scenarios (`transfer_ratio`).
        layers: Layers among which one was chosen inside the training rows.
    """

    names: tuple[str, ...]
    auroc: tuple[tuple[Estimate, ...], ...]
    ratio: Estimate
    layers: tuple[Layer, ...]
    seed: int | None = None

    @property
    def values(self) -> FloatArray:
        """The AUROCs, [context, context]."""
        return np.array([[e.value for e in row] for row in self.auroc])

    def to_frame(self) -> Any:
        """AUROCs with training contexts as rows, as a pandas DataFrame (pandas must be installed)."""
        import pandas as pd

        return pd.DataFrame(self.values, index=list(self.names), columns=list(self.names))

    def tables(self) -> tuple[Table, ...]:
        """AUROC of every training context (rows) in every test context (columns)."""
        rows = tuple((name, *map(str, row)) for name, row in zip(self.names, self.auroc, strict=True))
        title, columns = "AUROC by training and test context", ("train \\ test", *self.names)
        return (Table(title, columns, rows, (f"transfer ratio {self.ratio}",)),)


@takes_settings()
def transfer_matrix(
    probe: Any,
    activations: Activations,
    *,
    positive: str,
    negative: str,
    by: Literal["context", "family"] = "context",
    n_splits: int = 5,
    n_resamples: int = 500,
    level: float = 0.95,
    seed: int = 0,
) -> TransferMatrix:
    """Train in each context, test in every other; the layer is chosen inside the training rows.

    Args:
        probe: A `Probe` or another scikit-learn classifier.
        activations: With texts that have contexts (or families).
        positive: The concept's class.
        negative: The neutral class.
        by: What to transfer between.
        n_splits: Folds of the diagonal.
        n_resamples: Has no effect; scenarios are left out instead of resampled.
        level: Coverage of the intervals.
        seed: Of folds, and of blocks of scenarios where there are more than 100 in a context.

    Raises:
        ValueError: no contexts, fewer than two, a context with too few scenarios or one class, or probes that are not
            above chance within their own contexts.
    """
    check_choice(by, "by", ("context", "family"))
    fields = (
        None if activations.texts is None else getattr(activations.texts, f"{by}s" if by == "context" else "families")
    )
    if fields is None:
        raise ValueError(f"these activations have no {by}; extract from LabeledTexts with {by} of each text")
    chosen = np.logical_or(*rows_of_classes(activations.labels, positive, negative))
    acts, fields = activations[np.flatnonzero(chosen)], fields[chosen]
    names = [str(n) for n in dict.fromkeys(fields.tolist())]
    if len(names) < 2:
        raise ValueError(f"transfer needs two {by}s at least, got {names}")
    data = classification(acts, None, groups=MISSING, positive=positive, negative=negative)
    competing = candidates(data, None)
    rows = {name: np.flatnonzero(fields == name) for name in names}
    folds = [_within(data, rows[name], n_splits, seed) for name in names]
    contests = [[contest(probe, data, f.train, competing, inner_splits=4, seed=seed) for f in own] for own in folds]
    selected = [[competing[c.best] for c in own] for own in contests]
    estimates = []
    for i, source in enumerate(names):
        whole = select(probe, data, rows[source], competing, inner_splits=4, seed=seed)
        line = []
        for target in names:
            scores, test, inflation = np.zeros(data.n), rows[target], 1.0
            if source == target:
                fits = []
                for fold, best in zip(folds[i], selected[i], strict=True):
                    scores[fold.test] = fit_and_score(probe, data, best, fold)[0]
                    fits.append((clone(probe).set_params(**best.params), data.rows(best.layer, best.pos), fold))
                inflation = shared_training_inflation(fits, scores, data.codes, data.groups)[0]
                inflation *= choice_inflation(
                    probe, data, folds[i], competing, contests[i], scores, inflation=inflation, seed=seed
                )
            else:
                scores[test] = fit_and_score(probe, data, whole, Fold(rows[source], test))[0]
            held_out, labels, scenarios = scores[test], data.codes[test], data.groups[test]
            line.append(auroc(held_out, labels, groups=scenarios, level=level, inflation=inflation))
        estimates.append(tuple(line))
    ratio = transfer_ratio(probe, data, [rows[name] for name in names], folds, selected, level=level, seed=seed)
    return TransferMatrix(tuple(names), tuple(estimates), ratio, acts.layers, seed)


def _within(data: Classification, rows: IntArray, n_splits: int, seed: int) -> list[Fold]:
    inner = grouped_folds(data.codes[rows], groups=data.groups[rows], n_splits=n_splits, seed=seed)
    return [Fold(rows[f.train], rows[f.test]) for f in inner]
