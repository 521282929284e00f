"""Where each prompt's text breaks, known only to lie between two alphas of the grid."""

from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf
from typing import Any, Literal

import numpy as np
from scipy.stats import binom

from empathy_geometry.foundation._types import ArrayLike, BoolArray, FloatArray, IntArray
from empathy_geometry.foundation._validation import as_float_array, check_choice
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table
from empathy_geometry.steering.sweep import SteeringSweep

Rule = Literal["first", "wide"]
RULES: tuple[Rule, ...] = ("first", "wide")

# Stops once no distribution could have a log-likelihood per interval that is higher by more than this.
_TOLERANCE = 1e-6
_MAX_ITERATIONS = 20_000


@dataclass(frozen=True, eq=False)
class Crossings(Result):
    """Crossings of a threshold, prompt by prompt, and the distribution that is most likely behind them.

    Attributes:
        intervals: |alpha| at which each prompt crosses, (last that passes, first that fails], [n_prompts, 2]; the
            upper end is infinite where no alpha of the grid fails (right-censored).
        cells: Disjoint intervals that carry the estimated distribution, [n_cells, 2].
        masses: Probability of each cell, [n_cells]; how it is spread inside a cell is not identified.
        median: Median crossing, interpolated inside its cell; right-censored if it lies beyond the grid.
        units: Unit of alpha.
    """

    intervals: FloatArray
    cells: FloatArray
    masses: FloatArray
    median: Estimate
    units: str = ""

    @property
    def n_censored(self) -> int:
        """Prompts whose text survives the whole grid."""
        return int(np.isinf(self.intervals[:, 1]).sum())

    def survival(self, alpha: ArrayLike) -> FloatArray:
        """Share of prompts whose text survives each |alpha|, interpolated inside cells, NaN beyond the grid's end."""
        x = as_float_array(alpha, "alpha", ndim=1)
        low, high = self.cells.T
        width = high - low
        with np.errstate(invalid="ignore"):
            inside = np.where(width > 0, (x[:, None] - low) / np.where(width > 0, width, 1.0), x[:, None] >= high)
        left: FloatArray = 1 - np.clip(inside, 0.0, 1.0) @ self.masses
        # Inside a cell without an upper end nothing says where its mass lies.
        return np.where((np.isinf(high) & (x[:, None] > low)).any(axis=1), np.nan, left)

    def json_content(self) -> dict[str, Any]:
        """Every field and the number of censored prompts."""
        return super().json_content() | {"n_censored": self.n_censored}

    def to_frame(self) -> Any:
        """One row per prompt, as a pandas DataFrame (pandas must be installed)."""
        import pandas as pd

        low, high = self.intervals.T
        return pd.DataFrame({"passes_at": low, "fails_at": high, "censored": np.isinf(high)})

    def tables(self) -> tuple[Table, ...]:
        """Where prompts break, cell by cell, and how many are left."""
        unit = f" {self.units}" if self.units else ""
        title = f"median crossing {self.median}{unit}; {len(self.intervals)} prompts, {self.n_censored} censored"
        left = np.maximum(1 - np.cumsum(self.masses), 0.0)
        rows = [
            {
                "from": float(low),
                "to": "beyond" if np.isinf(high) else float(high),
                "break here": float(mass),
                "survive": float(survive),
            }
            for (low, high), mass, survive in zip(self.cells, self.masses, left, strict=True)
        ]
        return (Table.of(title, rows),)


def crossings(
    sweep: SteeringSweep | ArrayLike,
    *,
    alphas: ArrayLike | None = None,
    threshold: float = 0.7,
    sign: int = 1,
    rule: Rule = "first",
    level: float = 0.95,
) -> Crossings:
    """Where each prompt of a sweep crosses the coherence threshold, and the median with its interval.

    `steering_range` asks where the mean coherence crosses; this asks where the typical prompt does. A few prompts that
    break early move the first and hardly the second.

    Args:
        sweep: A sweep whose grid reaches to that side, or coherence [n_alphas, n_prompts] as plain numbers.
        alphas: Of plain numbers, [n_alphas], 0 among them.
        threshold: Coherence at which text counts as broken, in (0, 1).
        sign: 1 for positive alphas, -1 for negative ones.
        rule: As in `crossing_intervals`.
        level: Coverage of the interval.

    Raises:
        TypeError: alphas beside a sweep, or coherence without them.
        ValueError: no alphas on that side, or options out of range.
    """
    magnitudes, coherence, units = one_side(sweep, alphas, sign)
    intervals = crossing_intervals(magnitudes, coherence, threshold=threshold, rule=rule)
    found = median_crossing(intervals, level=level, units=units)
    unit = f"; alpha in {units}, sign {sign:+d}" if units else f"; sign {sign:+d}"
    return replace(found, median=replace(found.median, method=f"{found.median.method}{unit}"))


def one_side(
    sweep: SteeringSweep | ArrayLike, alphas: ArrayLike | None, sign: int
) -> tuple[FloatArray, FloatArray, str]:
    """|alpha| [n_alphas], coherence [n_alphas, n_prompts] and the unit of alpha, on one side of zero.

    Raises:
        TypeError: alphas beside a sweep, or coherence without them.
        ValueError: shapes differ, or the sign is neither 1 nor -1.
    """
    check_choice(sign, "sign", (1, -1))
    if hasattr(sweep, "coherence") and hasattr(sweep, "units"):
        if alphas is not None:
            raise TypeError("a SteeringSweep has its own alphas; leave alphas= out, or pass sweep.coherence with them")
        given: Any = sweep
        grid, coherence, units = given.alphas, given.coherence, given.units
    elif alphas is None:
        raise TypeError(
            f"expected a SteeringSweep, or coherence [n_alphas, n_prompts] with alphas= [n_alphas]; got "
            f"{type(sweep).__name__} without alphas"
        )
    else:
        grid = as_float_array(alphas, "alphas", ndim=1)
        coherence, units = as_float_array(sweep, "coherence", ndim=2), ""
        if len(grid) != len(coherence):
            raise ValueError(f"coherence must be [{len(grid)}, n_prompts] as there are alphas, got {coherence.shape}")
    side = (sign * grid) >= 0
    return np.abs(grid[side]), coherence[side], units


def crossing_intervals(
    magnitudes: ArrayLike, coherence: ArrayLike, *, threshold: float = 0.7, rule: Rule = "first"
) -> FloatArray:
    """For each prompt the two neighbouring |alpha| between which its coherence falls below the threshold.

    Args:
        magnitudes: |alpha|, [n_alphas], 0 among them.
        coherence: [n_alphas, n_prompts].
        threshold: In (0, 1).
        rule: What to make of a prompt that fails and passes again further out. "first": the first failure decides.
            "wide": the crossing lies anywhere from there to the last failure that follows a pass, so that intervals
            of prompts overlap.

    Returns:
        [n_prompts, 2], (last that passes, first that fails]; (x, inf) where the grid ends first, (0, 0) where the
        unsteered text fails already.

    Example:
        >>> crossing_intervals([0.0, 1.0, 2.0], [[1.0, 1.0], [0.9, 0.5], [0.8, 0.4]]).tolist()
        [[2.0, inf], [0.0, 1.0]]
    """
    check_choice(rule, "rule", RULES)
    x, y = check_grid(magnitudes, coherence, threshold)
    passes = y >= threshold
    found = np.empty((y.shape[1], 2))
    for p, column in enumerate(passes.T):
        failing = np.flatnonzero(~column)
        if not failing.size:
            found[p] = x[-1], np.inf
            continue
        first = int(failing[0])
        last = first if rule == "first" else int(np.flatnonzero(column)[-1]) + 1 if column.any() else 0
        low = x[first - 1] if first else 0.0
        found[p] = low, x[max(first, last)] if max(first, last) < len(x) else np.inf
    return found


def median_crossing(intervals: ArrayLike, *, level: float = 0.95, units: str = "") -> Crossings:
    """Non-parametric maximum likelihood for interval-censored crossings, and its median.

    The median's interval holds every |alpha| at which a sign test does not tell the share of prompts that survive from
    one half (exact binomial, mid-p), so with fewer than five prompts it reaches from 0 to infinity at 95 %. A
    percentile bootstrap covers 0.70 with four prompts.

    Args:
        intervals: (low, high] of each prompt, [n, 2]; low = high for an exact value, high infinite where censored.
        level: Coverage of the median's interval.
        units: Unit of the intervals.

    Raises:
        ValueError: an interval is empty, negative or not a number.

    Source: Turnbull (1976), JRSS B 38; Brookmeyer & Crowley (1982), Biometrics 38, for the interval; Lancaster (1961),
        JASA 56, for mid-p.

    Example:
        >>> found = median_crossing([[0.0, 1.0], [1.0, 2.0], [1.0, 2.0], [2.0, float("inf")]])
        >>> found.cells.tolist(), found.masses.tolist(), found.median.value
        ([[0.0, 1.0], [1.0, 2.0], [2.0, inf]], [0.25, 0.5, 0.25], 1.5)
    """
    given = _check_intervals(intervals)
    cells = innermost_cells(given)
    n = len(given)
    masses = _most_likely_masses(_contains(given, cells))
    value, censored = _quantile(cells, masses, 0.5)
    # Fewest survivors of n that a sign test at this level takes for more than half.
    counts = np.arange(n + 1)
    beyond = binom.sf(counts - 1, n, 0.5) / 2 + binom.sf(counts, n, 0.5) / 2
    enough = np.flatnonzero(beyond <= (1 - level) / 2)
    low, high = 0.0, inf
    if enough.size:
        share = enough[0] / n
        low = _quantile(cells, masses, 1 - share)[0]
        high, unbounded = _quantile(cells, masses, share)
        high = inf if unbounded else high
    estimate = Estimate(
        value, low, high, level, n, n, "median of the interval-censored NPMLE (Turnbull), sign test", censored
    )
    return Crossings(given, cells, masses, estimate, units)


def innermost_cells(intervals: FloatArray) -> FloatArray:
    """The disjoint intervals that alone can carry mass of the most likely distribution, [n_cells, 2].

    They run from a lower end to the next upper end with no other end in between.

    Source: Peto (1973), JRSS C 22; Turnbull (1976), JRSS B 38.

    Example:
        >>> innermost_cells(np.array([[0.0, 3.0], [1.0, 2.0], [2.0, 4.0]])).tolist()
        [[1.0, 2.0], [2.0, 3.0]]
    """
    low, high = intervals.T
    # At equal values: an exact value's lower end, then upper ends (which are included), then open lower ends.
    ends = [(x, 0 if x == y else 2, 0) for x, y in zip(low, high, strict=True)]
    ends += [(y, 1, 1) for y in high]
    ends = sorted(set(ends))
    return np.array([(a[0], b[0]) for a, b in pairwise(ends) if a[2] == 0 and b[2] == 1])


def check_grid(magnitudes: ArrayLike, coherence: ArrayLike, threshold: float) -> tuple[FloatArray, FloatArray]:
    """|alpha| in rising order [n_alphas] and coherence [n_alphas, n_prompts] in the same order.

    Raises:
        ValueError: the threshold is out of range, shapes differ, or the grid lacks 0 or anything else.
    """
    x = as_float_array(magnitudes, "magnitudes", ndim=1)
    y = as_float_array(coherence, "coherence", ndim=2)
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must lie strictly between 0 and 1, got {threshold}; try 0.7")
    if len(x) != len(y):
        raise ValueError(f"coherence must be [{len(x)}, n_prompts], got {tuple(y.shape)}")
    if len(x) < 2 or x.min() != 0 or x.max() == 0:
        raise ValueError(f"the grid must hold 0 and at least one alpha on this side, got |alpha| {x.tolist()}")
    order: IntArray = np.argsort(x, kind="stable")
    return x[order], y[order]


def _check_intervals(intervals: ArrayLike) -> FloatArray:
    given = np.asarray(intervals, dtype=np.float64)
    if given.ndim != 2 or given.shape[-1] != 2 or not len(given):
        raise ValueError(f"intervals must be [n, 2], (low, high] of each prompt, got shape {given.shape}")
    low, high = given.T
    bad = ~np.isfinite(low) | np.isnan(high) | (low > high) | (low < 0)
    if bad.any():
        raise ValueError(f"each interval needs 0 <= low <= high, low finite; got {given[bad][0].tolist()}")
    return given


def _contains(intervals: FloatArray, cells: FloatArray) -> BoolArray:
    """Whether each interval contains each cell, [n, n_cells]."""
    low, high = intervals[:, :1], intervals[:, 1:]
    exact = cells[:, 0] == cells[:, 1]
    # (1, 2] does not contain the point 1, (1, 1] does.
    starts = np.where(exact & (low < high), cells[:, 0] > low, cells[:, 0] >= low)
    inside: BoolArray = starts & (cells[:, 1] <= high)
    return inside


def _most_likely_masses(inside: BoolArray) -> FloatArray:
    """Masses of the cells, by Turnbull's self-consistency (an EM)."""
    contains = inside.astype(np.float64)
    masses = np.full(contains.shape[1], 1 / contains.shape[1])
    for _ in range(_MAX_ITERATIONS):
        gradient = (1 / np.maximum(contains @ masses, 1e-300)) @ contains / len(contains)
        # The log-likelihood is concave: what can still be gained is at most max gradient - 1.
        if gradient.max() - 1 <= _TOLERANCE:
            break
        masses = masses * gradient
    return masses


def _quantile(cells: FloatArray, masses: FloatArray, share: float) -> tuple[float, str | None]:
    """Where this share of prompts has crossed, interpolated inside its cell; the grid's end and "right" beyond it."""
    cumulative = np.cumsum(masses)
    k = min(int(np.searchsorted(cumulative, share - 1e-9)), len(cells) - 1)
    low, high = cells[k]
    if np.isinf(high):
        return float(low), "right"
    before = cumulative[k] - masses[k]
    return float(low + (high - low) * min(max((share - before) / masses[k], 0.0), 1.0)), None
