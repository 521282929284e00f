"""How far a direction can be steered before the text breaks: a crossing with an interval, or a censored bound."""

from dataclasses import replace
from typing import Literal

import numpy as np
from scipy.optimize import isotonic_regression

from empathy_geometry.foundation._types import ArrayLike, FloatArray, Seed
from empathy_geometry.foundation._validation import as_rng, check_choice
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.steering.interval_censored import check_grid, crossings
from empathy_geometry.steering.sweep import SteeringSweep

RangeMethod = Literal["isotonic", "turnbull"]
RANGE_METHODS: tuple[RangeMethod, ...] = ("isotonic", "turnbull")

DEFAULT_THRESHOLD = 0.7
"""The reference study's threshold; for the perplexity part it means 0.357 nats per token."""


def steering_range(
    sweep: SteeringSweep,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    sign: int = 1,
    method: RangeMethod = "isotonic",
    level: float = 0.95,
    n_resamples: int = 2000,
    rng: Seed = 0,
) -> Estimate:
    """The |alpha| at which coherence first falls below the threshold, on one side of zero.

    "isotonic": where the mean over prompts crosses. Coherence against |alpha| is fitted by a decreasing isotonic
    regression over all prompts and the crossing is interpolated, so a grid point that passes by luck beyond a failing
    one does not count. "turnbull": the median of the prompts' own crossings, each of which is only known to lie
    between two alphas of the grid; see `crossings`, which also gives their distribution. If there is no crossing
    in the grid, the estimate is the largest |alpha| tried, right-censored, and prints as ">= alpha". The interval
    resamples prompts.

    Args:
        sweep: A sweep whose grid reaches to that side.
        threshold: In (0, 1); `calibrate_threshold` finds one for a model.
        sign: 1 for positive alphas, -1 for negative ones.
        method: See above.
        level: Coverage of the interval.
        n_resamples: Bootstrap resamples.
        rng: Seed of the bootstrap.

    Returns:
        The estimate in the sweep's units of alpha, positive for both signs.

    Raises:
        ValueError: no alphas on that side, or options out of range.
    """
    check_choice(sign, "sign", (1, -1))
    check_choice(method, "method", RANGE_METHODS)
    if method == "turnbull":
        found = crossings(sweep, threshold=threshold, sign=sign, level=level, n_resamples=n_resamples, rng=rng)
        return _named(found.median, sweep, sign)
    side = (sign * sweep.alphas) >= 0
    magnitudes = np.abs(sweep.alphas[side])
    estimate = crossing(
        magnitudes,
        sweep.coherence[side],
        threshold=threshold,
        level=level,
        n_resamples=n_resamples,
        rng=rng,
    )
    return _named(estimate, sweep, sign)


def crossing(
    magnitudes: ArrayLike,
    coherence: ArrayLike,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    level: float = 0.95,
    n_resamples: int = 2000,
    rng: Seed = 0,
) -> Estimate:
    """`steering_range` for plain numbers.

    Args:
        magnitudes: |alpha|, [n_alphas], 0 among them.
        coherence: [n_alphas, n_prompts].
        threshold: In (0, 1).
        level: Coverage of the interval.
        n_resamples: Bootstrap resamples of prompts.
        rng: Seed of the bootstrap.

    Example:
        >>> e = crossing([0.0, 1.0, 2.0], [[1.0, 1.0], [0.9, 0.9], [0.4, 0.4]])
        >>> round(float(e), 3), crossing([0.0, 1.0], [[1.0, 1.0], [0.9, 0.9]]).censored
        (1.4, 'right')
    """
    x, y = check_grid(magnitudes, coherence, threshold)
    value, found = _first_crossing(x, y.mean(axis=1), threshold)
    n_prompts = y.shape[1]
    if n_prompts < 2:
        return Estimate(value, None, None, level, n_prompts, n_prompts, "one prompt: no interval", _censored(found))
    generator = as_rng(rng)
    resampled = np.array(
        [
            _first_crossing(x, y[:, generator.integers(n_prompts, size=n_prompts)].mean(axis=1), threshold)[0]
            for _ in range(n_resamples)
        ]
    )
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(
        value,
        float(low),
        float(high),
        level,
        n_prompts,
        n_prompts,
        "isotonic crossing, bootstrap over prompts",
        _censored(found),
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


def _named(estimate: Estimate, sweep: SteeringSweep, sign: int) -> Estimate:
    return replace(estimate, method=f"{estimate.method}; alpha in {sweep.units}, sign {sign:+d}")


def _censored(found: bool) -> str | None:
    return None if found else "right"
