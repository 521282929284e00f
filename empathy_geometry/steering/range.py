"""How far a direction can be steered before the text breaks: a crossing with an interval, or a censored bound."""

from dataclasses import replace
from math import inf
from typing import Literal

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.stats import t as student

from empathy_geometry.foundation._types import ArrayLike, FloatArray
from empathy_geometry.foundation._validation import as_generator, check_choice
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.steering.interval_censored import check_grid, crossings, one_side
from empathy_geometry.steering.sweep import SteeringSweep

RangeMethod = Literal["isotonic", "turnbull"]
RANGE_METHODS: tuple[RangeMethod, ...] = ("isotonic", "turnbull")

DEFAULT_THRESHOLD = 0.7
"""The reference study's threshold; for the perplexity part it means 0.357 nats per token."""

PSEUDO_PROMPTS = 2
"""Weight, in prompts, of the largest variance at any |alpha| in the variance at each; see `crossing`."""

_FINER = 10
"""Steps between two grid points at which the interval's ends may lie."""


@takes_settings()
def steering_range(
    sweep: SteeringSweep | ArrayLike,
    *,
    alphas: ArrayLike | None = None,
    threshold: float = DEFAULT_THRESHOLD,
    sign: int = 1,
    method: RangeMethod = "isotonic",
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """The |alpha| at which coherence first falls below the threshold, on one side of zero.

    "isotonic": where the mean over prompts crosses. Coherence against |alpha| is fitted by a decreasing isotonic
    regression over all prompts and the crossing is interpolated, so a grid point that passes by luck beyond a failing
    one does not count; see `crossing` for the interval. "turnbull": the median of the prompts' own crossings, each of
    which is only known to lie between two alphas of the grid; see `crossings`, which also gives their distribution. If
    there is no crossing in the grid, the estimate is the largest |alpha| tried, right-censored, and prints as
    ">= alpha".

    Args:
        sweep: A sweep whose grid reaches to that side, or coherence [n_alphas, n_prompts] as plain numbers.
        alphas: Of plain numbers, [n_alphas], 0 among them.
        threshold: In (0, 1); `calibrate_threshold` finds one for a model.
        sign: 1 for positive alphas, -1 for negative ones.
        method: See above.
        level: Coverage of the interval.
        n_resamples: Bootstrap resamples that decide whether the interval is open above.
        seed: Seed of the bootstrap.

    Returns:
        The estimate in the sweep's units of alpha, positive for both signs. Its upper end is infinite where the
        prompts do not bound the crossing.

    Raises:
        TypeError: alphas beside a sweep, or coherence without them.
        ValueError: no alphas on that side, or options out of range.

    Example:
        >>> coherence = np.array([[1.0, 1.0, 1.0], [0.9, 0.8, 0.9], [0.4, 0.3, 0.5]])
        >>> round(float(steering_range(coherence, alphas=[0.0, 1.0, 2.0])), 2)
        1.36
    """
    check_choice(method, "method", RANGE_METHODS)
    if method == "turnbull":
        return crossings(sweep, alphas=alphas, threshold=threshold, sign=sign, level=level).median
    magnitudes, coherence, units = one_side(sweep, alphas, sign)
    estimate = crossing(magnitudes, coherence, threshold=threshold, level=level, n_resamples=n_resamples, seed=seed)
    unit = f"; alpha in {units}, sign {sign:+d}" if units else f"; sign {sign:+d}"
    return replace(estimate, method=f"{estimate.method}{unit}")


def crossing(
    magnitudes: ArrayLike,
    coherence: ArrayLike,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """`steering_range` for |alpha| and coherence as plain numbers.

    The interval holds every |alpha| at which the prompts' mean coherence is not told from the threshold: a t-test at
    each |alpha| (coherence interpolated between grid points), inverted. Few prompts that are all whole at some |alpha|
    look certain and are not, so their variance is mixed with the largest that they have at any |alpha| (that of texts
    either whole or broken, threshold (1 - threshold), at most), with the weight of `PSEUDO_PROMPTS` prompts, which also
    count as degrees of freedom. Simulated coverage of 95 % over seven designs: 0.92 to 0.99 with 4 to 16 prompts, but
    0.78 and 0.87 with 4 and 6 prompts of two kinds that break far apart. A percentile bootstrap covers 0.70 with 4, a
    jackknife of the logarithm 0.86 to 0.93 (0.47 to 0.74 with two kinds) and is no shorter (benchmarks/coverage.py).

    The upper end is infinite where the largest |alpha| is not told from the threshold, or where more than
    (1 - level) / 2 of resamples of the prompts never cross.

    Args:
        magnitudes: |alpha|, [n_alphas], 0 among them.
        coherence: [n_alphas, n_prompts], in [0, 1].
        threshold: In (0, 1).
        level: Coverage of the interval.
        n_resamples: Bootstrap resamples of prompts.
        seed: Seed of the bootstrap.

    Source: Fieller (1954), JRSS B 16, for intervals by inverting a test; derived here for crossings.

    Example:
        >>> e = crossing([0.0, 1.0, 2.0], [[1.0, 1.0], [0.9, 0.9], [0.4, 0.4]])
        >>> round(float(e), 3), crossing([0.0, 1.0], [[1.0, 1.0], [0.9, 0.9]]).censored
        (1.4, 'right')
    """
    x, y = check_grid(magnitudes, coherence, threshold)
    value, found = _first_crossing(x, y.mean(axis=1), threshold)
    n_prompts = y.shape[1]
    if n_prompts < 2:
        return Estimate(
            value, None, None, level, n_prompts, n_prompts, "one prompt: no interval", _censored(found), seed
        )
    low, high = _not_told_apart(x, y, threshold, level)
    if not found or _share_that_never_cross(y, threshold, n_resamples, as_generator(seed)) > (1 - level) / 2:
        high = inf
    return Estimate(
        value,
        min(low, value),
        max(high, value),
        level,
        n_prompts,
        n_prompts,
        "isotonic crossing; interval by inverting a t-test over prompts",
        _censored(found),
        seed,
    )


def _first_crossing(x: FloatArray, y: FloatArray, threshold: float) -> tuple[float, bool]:
    fitted = isotonic_regression(y, increasing=False).x
    below = np.flatnonzero(fitted < threshold)
    if not below.size:
        return float(x[-1]), False
    k = int(below[0])
    if k == 0:
        return 0.0, True
    drop = fitted[k - 1] - fitted[k]
    return float(x[k - 1] + (x[k] - x[k - 1]) * (fitted[k - 1] - threshold) / drop), True


def _not_told_apart(x: FloatArray, y: FloatArray, threshold: float, level: float) -> tuple[float, float]:
    """From the first to the last |alpha| at which a t-test does not tell the mean from the threshold."""
    n = y.shape[1]
    steps = np.linspace(0, len(x) - 1, (len(x) - 1) * _FINER + 1)
    left = np.minimum(steps.astype(int), len(x) - 2)
    share = (steps - left)[:, None]
    at = x[left] + (x[left + 1] - x[left]) * share[:, 0]
    between = y[left] * (1 - share) + y[left + 1] * share
    mean = between.mean(axis=1)
    squares = ((between - mean[:, None]) ** 2).sum(axis=1)
    largest = min(float(squares.max()) / (n - 1), threshold * (1 - threshold))
    df = n - 1 + PSEUDO_PROMPTS
    squares = squares + PSEUDO_PROMPTS * largest
    half = student.ppf((1 + level) / 2, df) * np.sqrt(squares / df / n)
    may_fail = np.flatnonzero(mean - half < threshold)
    may_pass = np.flatnonzero(mean + half >= threshold)
    low = float(at[may_fail[0]]) if may_fail.size else float(x[-1])
    if not may_pass.size:
        return low, 0.0
    last = int(may_pass[-1])
    return low, inf if last == len(at) - 1 else float(at[last + 1])


def _share_that_never_cross(y: FloatArray, threshold: float, n_resamples: int, generator: np.random.Generator) -> float:
    """Share of resamples of prompts whose isotonic fit stays at or above the threshold to the grid's end."""
    n = y.shape[1]
    weights = generator.multinomial(n, np.full(n, 1 / n), size=n_resamples) / n
    # The last value of a decreasing isotonic fit is the smallest mean of a run that ends there.
    runs = np.cumsum((weights @ y.T)[:, ::-1], axis=1) / np.arange(1, len(y) + 1)
    return float((runs.min(axis=1) >= threshold).mean())


def _censored(found: bool) -> str | None:
    return None if found else "right"
