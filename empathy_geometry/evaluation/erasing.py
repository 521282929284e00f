"""Does one concept survive the erasure of another? Linear erasure inside folds, with its positive controls."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from empathy_geometry.evaluation.cross_validation import Evaluation, cross_validate
from empathy_geometry.evaluation.erasers import ErasedProbe
from empathy_geometry.evaluation.fold_dependence import shared_training_inflation
from empathy_geometry.evaluation.surviving import surviving_share
from empathy_geometry.foundation._types import ArrayLike, LabelsLike
from empathy_geometry.foundation._validation import as_binary, as_groups, as_matrix
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.texts.content_order import content_order
from empathy_geometry.texts.splits import grouped_folds

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Erasure(Result):
    """Held-out AUROC of two concepts before and after each is erased (LEACE, fitted inside the training folds).

    Attributes:
        target: AUROC of the target with nothing erased.
        concept: AUROC of the concept to be erased, with nothing erased.
        target_without_concept: AUROC of the target after erasing the concept: the answer.
        concept_without_concept: AUROC of the concept after erasing it: the positive control, which must be 1/2. For a
            linear probe it is by theorem; a nonlinear probe may still read the concept.
        target_without_target: The same control of the crossed design.
        concept_without_target: AUROC of the concept after erasing the target.
        fresh_control: AUROC of the concept where the eraser comes from one half of the training scenarios and the
            probe from the other. Above 1/2, rows that the eraser has not seen keep part of the concept: then "survives"
            is a statement about probes, not about the representation.
        surviving: Share of the target's AUROC above chance that survives; None where it may not be read.
        association: Correlation (phi) of the two labels; what a target shares with the concept by design is erased too.
        conclusive: Whether `surviving` may be read: both concepts readable before, both controls at 1/2 after.
        notes: What a reader must know.
        probe: Description of the probe.
        seed: Of the folds.
    """

    target: Estimate
    concept: Estimate
    target_without_concept: Estimate
    concept_without_concept: Estimate
    target_without_target: Estimate
    concept_without_target: Estimate
    fresh_control: Estimate
    surviving: Estimate | None
    association: float
    conclusive: bool
    notes: tuple[str, ...]
    probe: str
    seed: int

    def tables(self) -> tuple[Table, ...]:
        """AUROC of both concepts by what was erased."""
        rows = (
            ("nothing", str(self.target), str(self.concept)),
            ("the concept", str(self.target_without_concept), str(self.concept_without_concept)),
            ("the target", str(self.target_without_target), str(self.concept_without_target)),
            ("fresh control", "", str(self.fresh_control)),
        )
        title = f"Held-out AUROC, {self.probe}, n = {self.target.n} in {self.target.n_groups} groups"
        survives = f"share of the target that survives: {self.surviving or 'not to be read'}"
        notes = (survives, *(f"note: {note}" for note in self.notes))
        return (Table(title, ("erased", "target", "concept"), rows, notes),)

    def to_frame(self) -> "pd.DataFrame":
        """One row for each estimate."""
        import pandas as pd

        rows = []
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, Estimate):
                rows.append({"quantity": name, **value.to_dict()})
        return pd.DataFrame(rows)


def erasure(
    X: ArrayLike,
    target: LabelsLike,
    concept: LabelsLike,
    *,
    groups: LabelsLike | None,
    probe: Any = None,
    n_splits: int = 5,
    level: float = 0.95,
    seed: int = 0,
) -> Erasure:
    """Erase a concept inside the training folds and measure what a probe of the target still reads, and vice versa.

    Projecting out another probe's direction has almost no power (at a cosine of 1/2 it leaves an AUROC of 0.997), and
    erasure fitted on all rows drives held-out AUROC to 0 (see `pitfalls.ungrouped_folds`). LEACE in the training rows
    of each fold does neither.

    Args:
        X: Rows at one layer, [n, d_model].
        target: Class of each row in the concept of interest, boolean or 0/1, [n].
        concept: Class of each row in the concept to erase, boolean or 0/1, [n]; all four combinations must occur.
        groups: Scenario of each row; None, said by name, takes rows as independent.
        probe: How concepts are read: a `Probe` or another scikit-learn classifier; None takes `Probe("lda")`.
        n_splits: Folds.
        level: Coverage of the intervals.
        seed: Of the folds.

    Raises:
        ValueError: a combination of the two labels does not occur, or rows are unusable.

    Source: Belrose et al. (2023), through `concept-erasure`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> a, b = np.tile([0, 0, 1, 1], 40), np.tile([0, 1, 0, 1], 40)
        >>> x = rng.standard_normal((160, 16))
        >>> x[:, 0] += 4 * a
        >>> x[:, 1] += 4 * b
        >>> result = erasure(x, a, b, groups=np.repeat(np.arange(40), 4))
        >>> result.conclusive, round(float(result.concept_without_concept), 3), round(float(result.surviving), 1)
        (True, 0.5, 1.0)
    """
    rows = as_matrix(X, "X")
    n = len(rows)
    wanted, erased = as_binary(target, "target", n), as_binary(concept, "concept", n)
    group = as_groups(groups, n)
    if len(set(zip(wanted.tolist(), erased.tolist(), strict=True))) < 4:
        raise ValueError(
            "all four combinations of target and concept must occur (a crossed design), otherwise erasing one erases "
            "the other by design; got only " + str(sorted(set(zip(wanted.tolist(), erased.tolist(), strict=True))))
        )
    chosen = Probe("lda") if probe is None else probe
    group = content_order(group, [rows, wanted, erased]).groups
    folds = grouped_folds(wanted * 2 + erased, groups=group, n_splits=n_splits, seed=seed)

    def read(y: np.ndarray, without: np.ndarray | None, *, fresh: bool = False) -> Evaluation:
        columns = [rows, group] if without is None else [rows, without.astype(float), group]
        return cross_validate(
            ErasedProbe(chosen, 0 if without is None else 1, fresh=fresh),
            np.column_stack(columns),
            y.astype(int),
            groups=None if groups is None else group,
            folds=folds,
            level=level,
            seed=seed,
        )

    before, before_concept = read(wanted, None), read(erased, None)
    after = read(wanted, erased)
    control, mirrored = read(erased, erased).auroc, read(wanted, wanted).auroc
    fresh = read(erased, erased, fresh=True).auroc
    association = float(np.corrcoef(wanted, erased)[0, 1])
    notes = _notes(before.auroc, before_concept.auroc, control, mirrored, fresh, association)
    conclusive = not any(note.startswith("inconclusive") for note in notes)
    surviving = None
    if conclusive:
        fits = [(chosen, rows, fold) for fold in before.folds]
        inflation, _ = shared_training_inflation(fits, before.scores, wanted.astype(int), group)
        surviving = surviving_share(
            before.scores, after.scores, wanted, group, level=level, seed=seed, inflation=inflation
        )
    return Erasure(
        target=before.auroc,
        concept=before_concept.auroc,
        target_without_concept=after.auroc,
        concept_without_concept=control,
        target_without_target=mirrored,
        concept_without_target=read(erased, wanted).auroc,
        fresh_control=fresh,
        surviving=surviving,
        association=association,
        conclusive=conclusive,
        notes=notes,
        probe=" ".join(str(chosen).split()),
        seed=seed,
    )


def _notes(
    target: Estimate, concept: Estimate, control: Estimate, mirrored: Estimate, fresh: Estimate, association: float
) -> tuple[str, ...]:
    notes = []
    for name, e in (("target", target), ("concept", concept)):
        if e.low is None or e.low <= 0.5:
            notes.append(f"inconclusive: the {name} cannot be read to begin with (AUROC {e}), so nothing can be erased")
    for name, e in (("concept", control), ("target", mirrored)):
        if e.low is not None and e.high is not None and not e.low <= 0.5 <= e.high:
            notes.append(
                f"inconclusive: erasing the {name} leaves its own AUROC at {e}, not 1/2; "
                f"try another probe, or look for scenarios on both sides of a fold"
            )
    if fresh.low is not None and fresh.low > 0.5:
        notes.append(
            f"scenarios that the eraser has not seen keep part of the concept "
            f"(AUROC {fresh} for a probe fitted there): more scenarios make a better eraser"
        )
    if abs(association) > 0.1:
        notes.append(f"target and concept are associated (phi = {association:.2f}): part of the loss is the design's")
    return tuple(notes)
