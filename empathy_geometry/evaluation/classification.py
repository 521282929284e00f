"""What a detection question is made of, checked once: rows, classes, scenarios, candidate layers and positions."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.foundation._types import ArrayLike, FloatArray, IntArray, LabelsLike, Layer
from empathy_geometry.foundation._validation import as_groups, as_names, rows_named, to_numpy
from empathy_geometry.foundation.names import as_texts
from empathy_geometry.texts.content_order import content_order
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.splits import Fold, check_folds, grouped_folds
from empathy_geometry.texts.token_ids import TokenIds, TokenIdsLike, as_token_ids


class Missing(Enum):
    """Marks a required argument that was not given, where None has a meaning of its own."""

    GROUPS = "groups"


MISSING: Final = Missing.GROUPS


@dataclass(frozen=True, eq=False)
class Classification:
    """Rows to classify, with everything that evaluation needs to know about them.

    Attributes:
        values: [n, pos, layer, d_model], of any float width, on the CPU.
        codes: Class of each row as an index into `classes`; for two classes, 1 is the concept.
        classes: Names of the classes; for two, (negative, positive).
        groups: Scenario of each row as an index 0..n_groups-1, in the order of what the scenarios hold (their texts,
            or their rows where there are none; `content_order`): neither names nor the order of rows decide folds.
        order: Rows in order of scenarios and contents, for draws that must not depend on the order of rows.
        groups_given: False where the caller said groups=None, so that each row is its own group.
        layers: What the layer axis holds.
        rows_kept: Row numbers, in the caller's rows, of the rows of the two classes.
        n_given: Number of the caller's rows.
        texts: What is judged by the text-only baselines, row by row, or None.
        token_embeddings: Mean token embedding of each row, or None.
        token_ids: The model's tokens of each row, or None.
    """

    values: np.ndarray
    codes: IntArray
    classes: tuple[str, ...]
    groups: IntArray
    order: IntArray
    groups_given: bool
    layers: tuple[Layer, ...]
    rows_kept: IntArray
    n_given: int
    texts: tuple[str, ...] | None = None
    token_embeddings: FloatArray | None = None
    token_ids: TokenIds | None = None

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.codes)

    @property
    def n_groups(self) -> int:
        """Number of scenarios."""
        return int(self.groups.max()) + 1

    @property
    def n_positions(self) -> int:
        """How many vectors each text has per layer."""
        return int(self.values.shape[1])

    @property
    def binary(self) -> bool:
        """Whether there are two classes."""
        return len(self.classes) == 2

    def rows(self, layer: int, pos: int) -> FloatArray:
        """The rows at the layer with this index and at one position, [n, d_model], float64."""
        return self.values[:, pos, layer].astype(np.float64)

    def folds(self, given: Sequence[Fold] | None, *, n_splits: int, seed: int) -> tuple[Fold, ...]:
        """The caller's folds, checked and in row numbers of the kept rows, or grouped ones."""
        if given is None:
            return grouped_folds(self.codes, groups=self.groups, n_splits=n_splits, seed=seed)
        number = np.full(self.n_given, -1)
        number[self.rows_kept] = np.arange(self.n)

        def kept(rows: IntArray) -> IntArray:
            found: IntArray = number[np.asarray(rows)]
            return found[found >= 0]

        return check_folds([Fold(kept(f.train), kept(f.test)) for f in given], self.codes, groups=self.groups)


def classification(
    X: ArrayLike | Activations,
    y: LabelsLike | None,
    *,
    groups: LabelsLike | Missing | None,
    positive: object | None = None,
    negative: object | None = None,
    layers: Sequence[Layer] | None = None,
    texts: LabeledTexts | Sequence[str] | None = None,
    token_embeddings: ArrayLike | None = None,
    token_ids: TokenIdsLike | None = None,
) -> Classification:
    """Check and assemble the arguments that `cross_validate` and `permutation_test` share.

    Args:
        X: [n, d_model], [n, layer, d_model], [n, pos, layer, d_model], or `Activations`.
        y: Class of each row; None takes the labels of `Activations`.
        groups: Scenario of each row; None (said by name) makes each row its own; `MISSING` takes those of
            `Activations` and is an error for plain arrays.
        positive: The class that high scores mean; None takes the last of two sorted classes.
        negative: The class to compare with; rows of other classes are left out. None with `positive` given
            compares with all other rows.
        layers: Names of the layer axis of an array (0, 1, ... by default), or which layers of `Activations` to use.
        texts: Texts for text-only baselines; None takes those of `Activations`.
        token_embeddings: [n, d]; None takes those of `Activations`.
        token_ids: The model's tokens of each text; None takes those of `Activations`.

    Raises:
        TypeError: groups are missing, or X does not hold numbers.
        ValueError: lengths or shapes differ, a value is not finite, or fewer than two classes are left.
    """
    if isinstance(X, Activations):
        y = X.labels if y is None else y
        groups = X.groups if groups is MISSING else groups
    elif y is None:
        _finite(X, "X")
        raise TypeError("y is missing: give the class of each row (only Activations carry their own)")
    given = given_rows(
        X, groups=groups, layers=layers, texts=texts, token_embeddings=token_embeddings, token_ids=token_ids
    )
    n = len(given.values)
    labels = as_names(y, "y", n)
    assert not isinstance(groups, Missing)
    group_names = as_names(groups, "groups", n) if groups is not None else np.arange(n)
    codes, classes, keep = _classes(labels, positive, negative)
    judged = None if given.texts is None else tuple(t for t, k in zip(given.texts, keep, strict=True) if k)
    embedded = None if given.token_embeddings is None else given.token_embeddings[keep]
    values, codes = given.values if keep.all() else given.values[keep], codes[keep]
    ordered = content_order(as_groups(group_names[keep], len(codes)), [judged, values, embedded, codes])
    return Classification(
        values=values,
        codes=codes,
        classes=classes,
        groups=ordered.groups,
        order=ordered.rows,
        groups_given=groups is not None,
        layers=given.layers,
        rows_kept=np.flatnonzero(keep),
        n_given=n,
        texts=judged,
        token_embeddings=embedded,
        token_ids=None if given.token_ids is None else given.token_ids[keep],
    )


@dataclass(frozen=True, eq=False)
class GivenRows:
    """Rows as the caller gave them, checked.

    Attributes:
        values: [n, pos, layer, d_model].
        layers: What the layer axis holds.
        texts: What text-only baselines judge, or None.
        token_embeddings: [n, d], or None.
        token_ids: The model's tokens of each row, or None.
    """

    values: np.ndarray
    layers: tuple[Layer, ...]
    texts: tuple[str, ...] | None
    token_embeddings: FloatArray | None
    token_ids: TokenIds | None


def given_rows(
    X: ArrayLike | Activations,
    *,
    groups: object,
    layers: Sequence[Layer] | None,
    texts: LabeledTexts | Sequence[str] | None,
    token_embeddings: ArrayLike | None,
    token_ids: TokenIdsLike | None,
) -> GivenRows:
    """The rows of an array or of `Activations` with their layers, texts and token embeddings.

    Raises:
        TypeError: groups are missing, or X does not hold numbers.
        ValueError: lengths or shapes differ, a value is not finite, or a layer was not extracted.
    """
    if isinstance(X, Activations):
        values, names = X.values, tuple(X.layers)
        if layers is not None:
            unknown = [layer for layer in layers if layer not in names]
            if unknown or not len(layers):
                raise ValueError(f"layers {unknown} were not extracted; there are {list(names)}")
            values = values[..., [names.index(layer) for layer in layers], :]
            names = tuple(layers)
        texts = X.texts if texts is None else texts
        token_embeddings = X.token_embeddings if token_embeddings is None else token_embeddings
        # Tokens are those of the texts that came with them.
        token_ids = X.token_ids if token_ids is None and texts is X.texts else token_ids
        array = _finite(values, "X")
    else:
        array = _finite(X, "X")
        names = tuple(layers) if layers is not None else tuple(range(array.shape[-2] if array.ndim > 2 else 1))
    if groups is MISSING:
        raise TypeError(
            "groups is missing: give the scenario of each row, so that no scenario is in training and test at once; "
            "if the rows really are independent, say groups=None by name"
        )
    if array.ndim not in (2, 3, 4):
        raise ValueError(
            f"X must be [n, d_model], [n, layer, d_model] or [n, pos, layer, d_model], got shape {array.shape}"
        )
    array = array.reshape(len(array), *(1,) * (4 - array.ndim), *array.shape[1:])
    if len(names) != array.shape[2]:
        raise ValueError(f"layers must name each of {array.shape[2]} layers, got {len(names)} names")
    n = len(array)
    embedded = None if token_embeddings is None else _finite(token_embeddings, "token_embeddings")
    if embedded is not None and (embedded.ndim != 2 or len(embedded) != n):
        raise ValueError(f"token_embeddings must be [{n}, d_model], got shape {embedded.shape}")
    return GivenRows(
        array,
        names,
        _responses(texts, n),
        None if embedded is None else embedded.astype(np.float64),
        as_token_ids(token_ids, n),
    )


def _classes(
    labels: np.ndarray, positive: object | None, negative: object | None
) -> tuple[IntArray, tuple[str, ...], np.ndarray]:
    """Codes, class names and which rows to keep."""
    present = np.unique(labels)
    shown = [str(v) for v in present[:8]]
    is_positive, is_negative = (
        None if value is None else rows_named(labels, value, name)
        for name, value in (("positive", positive), ("negative", negative))
    )
    if len(present) < 2:
        raise ValueError(f"y must hold at least two classes, got only {shown} in {len(labels)} rows")
    if is_positive is None and negative is not None:
        raise ValueError("negative needs positive beside it: which class should high scores mean?")
    if is_positive is None:
        codes = np.searchsorted(present, labels)
        return codes.astype(np.int64), tuple(str(v) for v in present), np.ones(len(labels), dtype=bool)
    if is_negative is None:
        others = [str(v) for v in np.unique(labels[~is_positive])]
        keep = np.ones(len(labels), dtype=bool)
        name = others[0] if len(others) == 1 else "rest"
    else:
        if (is_positive & is_negative).any():
            raise ValueError(f"positive and negative must differ, both are {positive!r}")
        keep = is_positive | is_negative
        name = str(labels[is_negative][0])
    return is_positive.astype(np.int64), (name, str(labels[is_positive][0])), keep


def _responses(texts: LabeledTexts | Sequence[str] | None, n: int) -> tuple[str, ...] | None:
    if texts is None:
        return None
    judged = texts.responses if isinstance(texts, LabeledTexts) else as_texts(texts)
    if len(judged) != n:
        raise ValueError(f"texts must have one text for each of {n} rows, got {len(judged)}")
    return judged


def _finite(x: Any, name: str) -> np.ndarray:
    """`x` as an array in its own float width (activations may be large), refused where it is not finite."""
    if isinstance(x, Tensor) and x.dtype == torch.bfloat16:
        x = x.float()
    array: np.ndarray = to_numpy(x)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}; try float32")
    if array.size == 0:
        raise ValueError(f"{name} is empty, shape {array.shape}")
    if array.ndim < 2:
        raise ValueError(f"{name} must have an axis of rows and one of features, got shape {array.shape}")
    finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"{name} must be finite, got NaN or infinity in {int((~finite).sum())} of {len(array)} rows "
            f"(first: row {int(np.argmin(finite))}); look for empty texts or an overflow in half precision"
        )
    return array
