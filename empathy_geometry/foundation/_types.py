"""Aliases that several modules share. Axis names: n (rows), layer, pos, d_model, rank."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, SupportsIndex, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
from torch import Tensor


@runtime_checkable
class HasArray(Protocol):
    """What numpy can read as an array, such as a column of pandas."""

    def __array__(self) -> npt.NDArray[Any]:
        """The array."""

    def __len__(self) -> int:
        """How many rows."""

    def __iter__(self) -> Iterator[Any]:
        """The rows."""


ArrayLike: TypeAlias = Tensor | npt.NDArray[np.floating] | Sequence[float] | Sequence[Sequence[float]] | HasArray
"""Numbers as users have them: a tensor on any device, an array, a column, a sequence or rows of them."""

LabelsLike: TypeAlias = Tensor | npt.NDArray[np.generic] | Sequence[object] | HasArray
"""Class labels or group names, one per row: strings, integers or booleans."""

NamesLike: TypeAlias = str | float | np.generic | Sequence[str | float | np.generic] | npt.NDArray[np.generic]
"""One name or several, to choose rows by."""

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.integer]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
if TYPE_CHECKING:
    StrArray: TypeAlias = npt.NDArray[np.str_]
else:  # how long strings may be is part of numpy's type of an array, so at run time only the kind can be compared
    StrArray = npt.NDArray[np.character]

if TYPE_CHECKING:
    NameField: TypeAlias = StrArray
else:  # given as users have names, and an array of strings once the object is made
    NameField = LabelsLike

if TYPE_CHECKING:
    Layer: TypeAlias = int | Literal["embed"]
else:  # integers of numpy and torch are taken, too (`as_layer`), and become int
    Layer = SupportsIndex | Literal["embed"]
"""A layer index i means the residual stream after block i; "embed" is the stream before block 0."""

Layers: TypeAlias = Layer | Sequence[Layer] | IntArray
"""One layer or several."""
