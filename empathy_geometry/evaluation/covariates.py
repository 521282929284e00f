"""How much of a probe's AUROC is left once length and other covariates are taken out, inside folds."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from empathy_geometry.evaluation.cross_validation import Evaluation, cross_validate
from empathy_geometry.evaluation.erasers import ResidualProbe
from empathy_geometry.evaluation.surviving import surviving_share
from empathy_geometry.foundation._types import ArrayLike, FloatArray, LabelsLike
from empathy_geometry.foundation._validation import as_binary, as_float_array, as_groups, as_matrix
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.names import as_texts
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.texts.content_order import content_order
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.splits import grouped_folds

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class CovariateControl(Result):
    """Held-out AUROC with and without what covariates predict of the activations.

    Attributes:
        before: AUROC of the probe on the rows as they are.
        after: AUROC of the probe on residuals; the regression on the covariates is fitted in the training folds.
        covariates_alone: AUROC of a logistic regression on the covariates, same folds.
        surviving: Share of the AUROC above chance that survives; None if the AUROC before is not above chance.
        names: What the covariates are.
        notes: What a reader must know.
        probe: Description of the probe.
        seed: Of the folds.
    """

    before: Estimate
    after: Estimate
    covariates_alone: Estimate
    surviving: Estimate | None
    names: tuple[str, ...]
    notes: tuple[str, ...]
    probe: str
    seed: int

    def tables(self) -> tuple[Table, ...]:
        """AUROC as it is, without the covariates, and of these alone."""
        names = ", ".join(self.names)
        rows = [
            {"what is read": "as it is", "AUROC": self.before},
            {"what is read": f"without {names}", "AUROC": self.after},
            {"what is read": f"{names} alone", "AUROC": self.covariates_alone},
        ]
        title = f"Held-out AUROC, {self.probe}, n = {self.before.n} in {self.before.n_groups} groups"
        survives = f"share above chance that survives: {self.surviving or 'nothing above chance to begin with'}"
        return (Table.of(title, rows, notes=[survives, *(f"note: {note}" for note in self.notes)]),)

    def to_frame(self) -> "pd.DataFrame":
        """One row for each estimate."""
        import pandas as pd

        named = {
            "before": self.before,
            "after": self.after,
            "covariates_alone": self.covariates_alone,
            "surviving": self.surviving,
        }
        return pd.DataFrame([{"quantity": k, **v.to_dict()} for k, v in named.items() if v is not None])


def residualise(
    X: ArrayLike,
    y: LabelsLike,
    covariates: ArrayLike,
    *,
    groups: LabelsLike | None,
    names: Sequence[str] | None = None,
    probe: Any = None,
    n_splits: int = 5,
    level: float = 0.95,
    seed: int = 0,
) -> CovariateControl:
    """Compare a probe of the activations with the same probe of what covariates do not predict of them.

    The regression removes what is linear in the covariates; give transformations (a logarithm, a square) as further
    columns. Where a covariate goes with the class, it also removes the part of the concept that goes with it, so that
    the share that survives is a lower bound.

    Args:
        X: Rows at one layer, [n, d_model].
        y: Class of each row, boolean or 0/1, [n].
        covariates: [n] or [n, k], such as `length_covariates(texts)`.
        groups: Scenario of each row; None, said by name, takes rows as independent.
        names: What the covariates are, for the result.
        probe: How the concept is read: a `Probe` or another scikit-learn classifier; None takes `Probe("lda")`.
        n_splits: Folds.
        level: Coverage of the intervals.
        seed: Of the folds.

    Raises:
        ValueError: rows and covariates differ in number, a covariate is constant, or rows are unusable.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> y, length = np.tile([0, 1], 60), rng.standard_normal(120)
        >>> length = length + 2 * y
        >>> x = rng.standard_normal((120, 8)) + 3 * length[:, None] * np.eye(8)[0]
        >>> result = residualise(x, y, length, groups=np.repeat(np.arange(60), 2), names=["length"])
        >>> float(result.before) > 0.85, abs(float(result.surviving)) < 0.3
        (True, True)
    """
    rows = as_matrix(X, "X")
    positive = as_binary(y, "y", len(rows))
    group = as_groups(groups, len(rows))
    columns = as_float_array(covariates, "covariates", ndim=(1, 2))
    columns = columns.reshape(len(columns), -1)
    if len(columns) != len(rows):
        raise ValueError(f"covariates must have one row for each of {len(rows)} rows of X, got {len(columns)}")
    flat = np.flatnonzero(np.ptp(columns, axis=0) == 0)
    if flat.size:
        raise ValueError(f"covariate column(s) {flat.tolist()} are constant and can be left out")
    named = tuple(names) if names is not None else tuple(f"covariate {i}" for i in range(columns.shape[1]))
    if len(named) != columns.shape[1]:
        raise ValueError(f"names must have one entry for each of {columns.shape[1]} covariates, got {len(named)}")
    chosen = Probe("lda") if probe is None else probe
    group = content_order(group, [rows, columns, positive]).groups
    folds = grouped_folds(positive, groups=group, n_splits=n_splits, seed=seed)

    def read(estimator: Any, x: FloatArray) -> Evaluation:
        scenario = None if groups is None else group
        return cross_validate(estimator, x, positive.astype(int), groups=scenario, folds=folds, level=level, seed=seed)

    before = read(chosen, rows)
    after = read(ResidualProbe(chosen, columns.shape[1]), np.column_stack([rows, columns]))
    alone = read(Probe("logistic"), columns).auroc
    notes = []
    if alone.low is not None and alone.low > 0.5:
        notes.append(
            f"the covariates alone tell the classes apart (AUROC {alone}), so taking them out also takes out the part "
            f"of the concept that goes with them: what survives is a lower bound"
        )
    return CovariateControl(
        before=before.auroc,
        after=after.auroc,
        covariates_alone=alone,
        surviving=surviving_share(
            before.scores,
            after.scores,
            positive,
            group,
            level=level,
            seed=seed,
            inflation=before.variance_inflation,
        ),
        names=named,
        notes=tuple(notes),
        probe=" ".join(str(chosen).split()),
        seed=seed,
    )


def length_covariates(texts: LabeledTexts | Sequence[str]) -> FloatArray:
    """Characters, words and sentences of each response (or text), [n, 3].

    Example:
        >>> length_covariates(["One. Two three."]).tolist()
        [[15.0, 3.0, 2.0]]
    """
    responses = texts.responses if isinstance(texts, LabeledTexts) else as_texts(texts)
    return np.array(
        [[len(t), len(t.split()), max(len(re.findall(r"[.!?]+(?:\s|$)", t)), 1)] for t in responses], dtype=np.float64
    )
