"""How far a direction can be steered before the text breaks: a crossing with an interval, or a censored bound."""

from dataclasses import replace

import numpy as np
from scipy.optimize import isotonic_regression

from empathy_geometry.foundation._types import ArrayLike, FloatArray, Seed
from empathy_geometry.foundation._validation import as_float_array, as_rng, check_choice
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.steering.sweep import SteeringSweep

DEFAULT_THRESHOLD = 0.7
"""The reference study's threshold; for the perplexity part it means 0.357 nats per token."""


def steering_range(
    sweep: SteeringSweep,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    sign: int = 1,
    level: float = 0.95,
    n_resamples: int = 2000,
    rng: Seed = 0,
) -> Estimate:
    """The |alpha| at which mean coherence first falls below the threshold, on one side of zero.

    Coherence against |alpha| is fitted by a decreasing isotonic regression over all prompts and the crossing is
    interpolated, so a grid point that passes by luck beyond a failing one does not count. If there is no crossing
    in the grid, the estimate is the largest |alpha| tried, right-censored, and prints as ">= alpha". The interval
    resamples prompts.

    Args:
        sweep: A sweep whose grid reaches to that side.
        threshold: In (0, 1).
        sign: 1 for positive alphas, -1 for negative ones.
        level: Coverage of the interval.
        n_resamples: Bootstrap resamples.
        rng: Seed of the bootstrap.

    Returns:
        The estimate in the sweep's units of alpha, positive for both signs.

    Raises:
        ValueError: no alphas on that side, or options out of range.
    """
    check_choice(sign, "sign", (1, -1))
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
    return replace(estimate, method=f"{estimate.method}; alpha in {sweep.units}, sign {sign:+d}")


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
    x = as_float_array(magnitudes, "magnitudes", ndim=1)
    y = as_float_array(coherence, "coherence", ndim=2)
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must lie strictly between 0 and 1, got {threshold}; try 0.7")
    if len(x) != len(y):
        raise ValueError(f"coherence must be [{len(x)}, n_prompts], got {tuple(y.shape)}")
    if len(x) < 2 or x.min() != 0 or x.max() == 0:
        raise ValueError(f"the grid must hold 0 and at least one alpha on this side, got |alpha| {x.tolist()}")
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
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


def _censored(found: bool) -> str | None:
    return None if found else "right"
