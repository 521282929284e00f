"""A number that carries its context: value, interval, sample size and how the interval was made."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import inf, isinf, isnan
from typing import Any, NoReturn

import numpy as np

from empathy_geometry.foundation.terminal import printable


@dataclass(frozen=True, eq=False)
class Estimate:
    """A point estimate with its interval.

    It stands for its value where that is safe: in `float`, `round`, a format such as `f"{e:.2f}"`, comparisons and
    numpy. Two of them are equal where all fields are. Arithmetic raises a sentence, since intervals do not add; say
    `e.value` or `float(e)` for a bare number. `low` and `high` are None where no interval was asked for.

    Attributes:
        value: The point estimate.
        low: Lower end of the interval at `level`.
        high: Upper end of the interval at `level`; infinite where the data set no upper limit.
        level: Coverage that the interval aims at, in (0, 1).
        n: Number of rows (scores, pairs, prompts) behind the value.
        n_groups: Number of independent units (scenarios) behind it.
        method: How the interval was computed.
        censored: "right" if the true value is at least `value`, "left" if at most, else None.
        seed: Of the random draws behind it; None where there were none.

    Example:
        >>> e = Estimate(0.9, low=0.8, high=1.0, n=40, n_groups=20, method="DeLong")
        >>> float(e), str(e)
        (0.9, '0.900 [0.800, 1.000]')
        >>> print(Estimate(3.7, low=3.1, high=float("inf")))
        3.700 [3.100, open)
        >>> f"{e:.2f}", round(e, 1), e > 0.85, e.interval
        ('0.90', 0.9, True, (0.8, 1.0))
    """

    # numpy's own operators leave arithmetic to this class, which refuses it.
    __array_ufunc__ = None

    value: float
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    n: int = 0
    n_groups: int = 0
    method: str = ""
    censored: str | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ValueError(f"level must lie strictly between 0 and 1, got {self.level}; try 0.95")
        if self.censored not in (None, "left", "right"):
            raise ValueError(f"censored must be None, 'left' or 'right', got {self.censored!r}")
        if any(end is not None and isnan(end) for end in (self.low, self.high)):
            raise ValueError(f"the ends of an interval must be numbers, got [{self.low}, {self.high}]; None for none")

    def __float__(self) -> float:
        return float(self.value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.value, dtype=float if dtype is None else dtype)

    def __format__(self, spec: str) -> str:
        return format(self.value, spec) if spec else str(self)

    def __round__(self, digits: int | None = None) -> float:
        return round(float(self.value), digits) if digits is not None else round(float(self.value))

    def __lt__(self, other: object) -> Any:
        return self.value < _bare(other) if _is_comparable(other) else NotImplemented

    def __le__(self, other: object) -> Any:
        return self.value <= _bare(other) if _is_comparable(other) else NotImplemented

    def __gt__(self, other: object) -> Any:
        return self.value > _bare(other) if _is_comparable(other) else NotImplemented

    def __ge__(self, other: object) -> Any:
        return self.value >= _bare(other) if _is_comparable(other) else NotImplemented

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Estimate):
            return asdict(self) == asdict(other)
        return self.value == float(other) if isinstance(other, _NUMBERS) else NotImplemented

    def __hash__(self) -> int:
        return hash(float(self.value))

    def _refuse(self, *others: object) -> NoReturn:
        raise TypeError(
            f"arithmetic with an estimate ({self}) would lose its interval, and intervals do not add; calculate with "
            f"its value (estimate.value or float(estimate)), or compare two quantities by a function that knows how "
            f"their errors go together"
        )

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refuse
    __pow__ = __rpow__ = __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = __neg__ = __pos__ = __abs__ = _refuse

    @property
    def interval(self) -> tuple[float, float]:
        """The ends, `low, high = estimate.interval`.

        Raises:
            ValueError: no interval was computed.
        """
        if self.low is None or self.high is None:
            raise ValueError(f"no interval was computed for this estimate ({self.method or 'method unknown'})")
        return self.low, self.high

    @printable
    def __str__(self) -> str:
        sign = {None: "", "right": ">= ", "left": "<= "}[self.censored]
        if self.low is None or self.high is None:
            return f"{sign}{self.value:.3f}"
        if isinf(self.high):
            return f"{sign}{self.value:.3f} [{self.low:.3f}, open)"
        high = ">" + f"{self.high:.3f}" if self.censored == "right" and self.high <= self.value else f"{self.high:.3f}"
        return f"{sign}{self.value:.3f} [{self.low:.3f}, {high}]"

    @property
    def is_open(self) -> bool:
        """Whether the interval has no upper limit."""
        return self.high is not None and isinf(self.high)

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON: an infinite upper end is null beside a lower end that is not.

        A seed is there where something was drawn.
        """
        described = asdict(self) | {"high": None if self.is_open else self.high}
        if self.seed is None:
            del described["seed"]
        return described

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Estimate":
        """What `to_dict` was made of.

        Example:
            >>> e = Estimate(3.7, low=3.1, high=float("inf"))
            >>> Estimate.from_dict(e.to_dict()) == e
            True
        """
        return cls(**cls.json_fields(content))

    @staticmethod
    def json_fields(content: Mapping[str, Any]) -> dict[str, Any]:
        """The fields from what JSON held, where an infinite value or upper end is null."""
        fields = dict(content)
        if fields.get("low") is not None and fields.get("high", 0.0) is None:
            fields["high"] = inf
        if fields.get("value", 0.0) is None:
            fields["value"] = inf
        return fields


_NUMBERS = (int, float, np.number, np.bool_)


def _is_comparable(other: object) -> bool:
    """Numbers, other estimates, and arrays and tensors of numbers."""
    return isinstance(other, (Estimate, *_NUMBERS)) or hasattr(other, "__array__")


def _bare(other: Any) -> Any:
    return other.value if isinstance(other, Estimate) else other
