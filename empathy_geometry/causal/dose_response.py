"""Does the readout follow the dose, scenario by scenario?"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import rankdata

from empathy_geometry.foundation._types import ArrayLike, FloatArray
from empathy_geometry.foundation._validation import as_float_array
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.jackknife import jackknife_interval
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table


@dataclass(frozen=True, eq=False)
class DoseResponse(Result):
    """A readout at every dose.

    Attributes:
        alphas: Doses, 0 among them, ascending, [n_alphas].
        response: Shift of the readout against dose 0, in standard deviations, [n_alphas, n_scenarios].
        slope: Standard deviations per unit of alpha, least squares through all doses, mean over scenarios.
        spearman: Rank correlation of readout and dose within a scenario, mean over scenarios.
        opposed: Share of scenarios that move the other way: by more than a thousandth of a standard deviation, at the
            largest dose.
    """

    alphas: FloatArray
    response: FloatArray
    slope: Estimate
    spearman: Estimate
    opposed: float

    def tables(self) -> tuple[Table, ...]:
        """Mean shift at every dose; slope, rank correlation and opposed scenarios below."""
        rows = [
            {"alpha": float(a), "mean shift": float(r.mean())} for a, r in zip(self.alphas, self.response, strict=True)
        ]
        note = f"slope {self.slope}, Spearman {self.spearman}, {self.opposed:.0%} of scenarios the other way"
        return (Table.of("Dose and response", rows, notes=[note]),)


def dose_response(alphas: ArrayLike, response: ArrayLike, *, level: float = 0.95) -> DoseResponse:
    """Slope, rank correlation and share of opposed scenarios from the readout at every dose.

    Args:
        alphas: Doses, [n_alphas].
        response: Readout of each scenario at each dose, [n_alphas, n_scenarios].
        level: Coverage of the intervals (a jackknife over scenarios).

    Raises:
        ValueError: fewer than two doses, or shapes do not fit.

    Example:
        >>> print(dose_response([-1.0, 0.0, 1.0], [[-2.0, -1.0], [0.0, 0.0], [2.0, 1.0]]))
        Dose and response
          alpha   mean shift
          -1.000  -1.500
          0.000   0.000
          1.000   1.500
          slope 1.500 [-4.853, 7.853], Spearman 1.000 [-0.684, 1.000], 0% of scenarios the other way
    """
    x, y = as_float_array(alphas, "alphas", ndim=1), as_float_array(response, "response", ndim=2)
    if len(np.unique(x)) < 2 or len(x) != len(y):
        raise ValueError(
            f"response must be [n_alphas, n_scenarios] for two doses at least, got {x.shape} and {y.shape}"
        )
    order = np.argsort(x)
    x, y = x[order], y[order]
    centred = x - x.mean()
    slopes: FloatArray = centred @ y / float(centred @ centred)
    return DoseResponse(
        x,
        y,
        mean_over_scenarios(slopes, level=level),
        _mean_correlation(_spearman(x, y), level),
        float((slopes * np.abs(x).max() < -1e-3).mean()),
    )


def mean_over_scenarios(values: FloatArray, *, level: float = 0.95) -> Estimate:
    """Mean with its interval over scenarios; no interval for fewer than two, or where all are alike.

    Example:
        >>> print(mean_over_scenarios(np.array([1.0, 1.0, 1.0])), mean_over_scenarios(np.array([1.0, 2.0, 3.0])))
        1.000 2.000 [-0.484, 4.484]
    """
    return over_scenarios(lambda kept: float(values[kept].mean()), len(values), level=level)


def over_scenarios(statistic: Callable[[FloatArray], float], n: int, *, level: float = 0.95) -> Estimate:
    """A statistic of scenarios, given as booleans [n], with a jackknife interval over them."""
    everything = np.ones(n, dtype=bool)
    value = float(statistic(everything))
    if n < 2:
        return Estimate(value, None, None, level, n, n, "one scenario: no interval")
    left_out = [float(statistic(np.arange(n) != i)) for i in range(n)]
    interval = jackknife_interval(value, left_out, level=level)
    if interval is None or interval[0] == interval[1]:
        return Estimate(value, None, None, level, n, n, "no interval: all scenarios alike")
    return Estimate(value, *interval, level, n, n, "jackknife over scenarios")


def _mean_correlation(correlations: FloatArray, level: float) -> Estimate:
    """Mean with an interval that ends at -1 and 1, and is not of zero width where all scenarios reach one of them.

    Of n of n scenarios at 1, at least a share ((1 - level)/2)^(1/n) is there (Clopper & Pearson 1934); the others may
    be anywhere.
    """
    found = mean_over_scenarios(correlations, level=level)
    if found.low is not None and found.high is not None:
        return replace(found, low=max(found.low, -1.0), high=min(found.high, 1.0))
    n = len(correlations)
    if n < 2 or abs(found.value) < 1 - 1e-9:
        return found
    least = 2 * ((1 - level) / 2) ** (1 / n) - 1
    ends = (least, 1.0) if found.value > 0 else (-1.0, -least)
    return replace(found, low=ends[0], high=ends[1], method=f"exact bound, {n} of {n} scenarios")


def _spearman(x: FloatArray, y: FloatArray) -> FloatArray:
    """Rank correlation of each column of y with x; 0 for a column that does not vary."""
    ranks, ranked = rankdata(x), np.asarray(rankdata(y, axis=0))
    a, b = ranks - ranks.mean(), ranked - ranked.mean(axis=0)
    scale = np.sqrt(float(a @ a) * (b**2).sum(axis=0))
    return np.asarray(np.where(scale > 0, a @ b / np.where(scale > 0, scale, 1.0), 0.0))
