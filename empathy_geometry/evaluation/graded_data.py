"""What a regression question is made of, checked once: rows, target, groups, candidate layers and positions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.classification import MISSING, Missing, given_rows
from empathy_geometry.evaluation.rank_correlation import clusters_of
from empathy_geometry.foundation._types import ArrayLike, FloatArray, IntArray, LabelsLike, Layer
from empathy_geometry.foundation._validation import as_float_array
from empathy_geometry.texts.content_order import content_order
from empathy_geometry.texts.held_apart import held_apart_folds
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.splits import Fold
from empathy_geometry.texts.targets import target_of
from empathy_geometry.texts.token_ids import TokenIds, TokenIdsLike


@dataclass(frozen=True, eq=False)
class GradedData:
    """Rows to regress on, with everything that evaluation needs to know about them.

    Attributes:
        values: [n, pos, layer, d_model].
        y: Target of each row.
        target: Its name.
        groups: Columns of group indices by name, in the order of what the groups hold, as in `Classification`.
        order: Rows in order of the first column's groups and of contents.
        groups_given: False where the caller said groups=None.
        layers: What the layer axis holds.
        texts: What is judged by the text-only baselines, or None.
        token_embeddings: Mean token embedding of each row, or None.
        token_ids: The model's tokens of each row, or None.
    """

    values: np.ndarray
    y: FloatArray
    target: str
    groups: Mapping[str, IntArray]
    order: IntArray
    groups_given: bool
    layers: tuple[Layer, ...]
    texts: tuple[str, ...] | None
    token_embeddings: FloatArray | None
    token_ids: TokenIds | None

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.y)

    def rows(self, layer: int, pos: int) -> FloatArray:
        """The rows at the layer with this index and at one position, [n, d_model], float64."""
        found: FloatArray = self.values[:, pos, layer].astype(np.float64)
        return found

    def folds(self, given: Sequence[Fold] | None, *, n_splits: int, seed: int) -> tuple[Fold, ...]:
        """The caller's folds, checked, or such as hold every column apart."""
        if given is None:
            return held_apart_folds(self.groups, n_splits=n_splits, seed=seed)
        tested = np.sort(np.concatenate([np.asarray(fold.test) for fold in given])) if len(given) else np.array([])
        if not np.array_equal(tested, np.arange(self.n)):
            raise ValueError(f"folds must test each of {self.n} rows exactly once, got {len(tested)} test rows")
        for k, fold in enumerate(given):
            for name, column in self.groups.items():
                if np.intersect1d(column[fold.train], column[fold.test]).size:
                    raise ValueError(f"fold {k} has a {name} in training and test at once; try held_apart_folds")
        return tuple(given)


def graded_data(
    X: ArrayLike | Activations,
    y: ArrayLike | None,
    *,
    groups: LabelsLike | Mapping[str, LabelsLike] | Missing | None,
    target: str | None,
    layers: Sequence[Layer] | None,
    texts: LabeledTexts | Sequence[str] | None = None,
    token_embeddings: ArrayLike | None = None,
    token_ids: TokenIdsLike | None = None,
) -> GradedData:
    """Check and assemble what cross-validation and permutation tests of a regression share.

    Raises:
        TypeError: the target or the groups are missing.
        ValueError: shapes differ, a value is not finite, or the target does not vary.
    """
    if (y is None) == (target is None):
        raise TypeError("give the graded target: y with one number a row, or target= with its name in Activations")
    if target is not None:
        if not isinstance(X, Activations):
            raise TypeError(f"target={target!r} names a column of Activations; plain arrays need y")
        y = target_of(X.targets, target)
    if groups is MISSING and isinstance(X, Activations):
        groups = X.groups
    given = given_rows(
        X, groups=groups, layers=layers, texts=texts, token_embeddings=token_embeddings, token_ids=token_ids
    )
    n = len(given.values)
    assert y is not None
    values = as_float_array(y, "y", ndim=1)
    if len(values) != n:
        raise ValueError(f"y must have one number for each of {n} rows, got {len(values)}")
    if np.ptp(values) == 0:
        raise ValueError(f"the target is {values[0]:g} in all {n} rows: there is nothing to predict")
    assert not isinstance(groups, Missing)
    contents = [given.texts, given.values, given.token_embeddings, values]
    ordered = {name: content_order(column, contents) for name, column in clusters_of(groups, n).items()}
    return GradedData(
        values=given.values,
        y=values,
        target="target" if target is None else target,
        groups={name: column.groups for name, column in ordered.items()},
        order=next(iter(ordered.values())).rows,
        groups_given=groups is not None,
        layers=given.layers,
        texts=given.texts,
        token_embeddings=given.token_embeddings,
        token_ids=given.token_ids,
    )
