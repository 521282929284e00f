"""Aliases that several modules share. Axis names: n (rows), layer, pos, d_model, rank."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor

ArrayLike: TypeAlias = Tensor | npt.NDArray[np.floating] | Sequence[float]
"""Numbers as users have them: a tensor on any device, an array or a sequence."""

LabelsLike: TypeAlias = Tensor | npt.NDArray[np.generic] | Sequence[object]
"""Class labels or group names, one per row: strings, integers or booleans."""

NamesLike: TypeAlias = str | int | np.generic | Sequence[str | int | np.generic] | npt.NDArray[np.generic]
"""One name or several, to choose rows by."""

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
if TYPE_CHECKING:
    StrArray: TypeAlias = npt.NDArray[np.str_]
else:  # how long strings may be is part of numpy's type of an array, so at run time only the kind can be compared
    StrArray = npt.NDArray[np.character]

Layer: TypeAlias = int | Literal["embed"]
"""A layer index i means the residual stream after block i; "embed" is the stream before block 0."""
