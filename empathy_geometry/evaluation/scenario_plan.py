"""How many scenarios a study needs, before its data: power by simulation, with the noise of a pilot if there is one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.stats import beta

from empathy_geometry.evaluation.permutation import permutation_test
from empathy_geometry.evaluation.sign_flip import sign_flip_test
from empathy_geometry.foundation._types import ArrayLike, FloatArray
from empathy_geometry.foundation._validation import as_generator, as_matrix, check_choice
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.foundation.table import Table
from empathy_geometry.geometry.probes import Probe

PlanTest = Literal["sign_flip", "auroc"]

SIZES = (8, 12, 16, 24, 32, 48, 64, 96, 128)
"""Numbers of scenarios that are tried."""

_PERMUTATIONS = 199


@dataclass(frozen=True, eq=False)
class ScenarioPlan(Result):
    """Result of `plan_scenarios`.

    Attributes:
        n_scenarios: The smallest number with the power asked for, interpolated; None where no size that was tried has
            it.
        sizes: Numbers of scenarios tried.
        power: Share of simulated studies that reach p <= alpha, with its exact interval, at each size.
        rejections_without_effect: The same at the largest size without any effect: the check that the test holds its
            level; its interval should hold alpha.
        effect: d' that was planted.
        target: Power asked for.
        alpha: Level of the test.
        test: "sign_flip" or "auroc".
        noise: Where the noise came from.
        seed: Of the simulation.
    """

    n_scenarios: int | None
    sizes: tuple[int, ...]
    power: tuple[Estimate, ...]
    rejections_without_effect: Estimate
    effect: float
    target: float
    alpha: float
    test: str
    noise: str
    seed: int

    def tables(self) -> tuple[Table, ...]:
        """Power by number of scenarios."""
        needed = f"{self.n_scenarios} scenarios" if self.n_scenarios else f"more than {self.sizes[-1]} scenarios"
        title = f"{needed} for power {self.target:.0%} at d' = {self.effect:g} (test: {self.test}, p <= {self.alpha:g})"
        rows = [{"scenarios": n, "power": e} for n, e in zip(self.sizes, self.power, strict=True)]
        notes = [
            f"noise: {self.noise}",
            f"check: without an effect {self.rejections_without_effect} of the studies reach p <= {self.alpha:g}",
        ]
        return (Table.of(title, rows, notes=notes),)


@takes_settings()
def plan_scenarios(
    effect: float,
    power: float = 0.8,
    *,
    pilot: ArrayLike | None = None,
    n_features: int = 50,
    test: PlanTest = "sign_flip",
    probe: Any = None,
    sizes: Sequence[int] = SIZES,
    alpha: float = 0.05,
    n_simulations: int = 100,
    seed: int = 0,
) -> ScenarioPlan:
    """Number of scenarios, with a text of each of two classes, that a study needs to find an effect.

    Studies of each size are simulated and tested as the real one will be. The concept shifts the paired difference
    along one random direction, by `effect` standard deviations of one text's noise there: the d' that a probe which
    knew the direction would have. Power at each size is smoothed by an isotonic fit, in which the target is
    interpolated.

    Args:
        effect: d' along the concept's own direction, above 0.
        power: Share of studies that should find it, in (0, 1).
        pilot: Paired differences of some scenarios, [n, d_model], for instance of `pairing.paired_differences`; their
            mean is taken out, and their covariance is that of the noise (which lies in the n - 1 dimensions they span).
            None takes noise alike in `n_features` dimensions.
        n_features: Dimensions of the noise without a pilot. Power falls with them: take about the participation ratio
            of the differences.
        test: "sign_flip" asks whether the classes differ at all, "auroc" whether a probe tells single texts apart held
            out (`permutation_test`), which needs more scenarios.
        probe: For "auroc"; None takes `Probe("ridge")`.
        sizes: Numbers of scenarios to try, ascending, 6 at least.
        alpha: Level of the test.
        n_simulations: Studies of each size.
        seed: Seed.

    Raises:
        ValueError: values out of range, or a pilot of fewer than 6 scenarios.

    Source: power by simulation, as in Arnold et al. (2011), BMC Medical Research Methodology 11.

    Example:
        >>> plan = plan_scenarios(2.0, 0.8, n_features=10, sizes=(8, 16, 32), n_simulations=40)
        >>> 8 < plan.n_scenarios < 32, float(plan.power[0]) < float(plan.power[-1])
        (True, True)
    """
    check_choice(test, "test", ("sign_flip", "auroc"))
    for name, value, most in (("effect", effect, np.inf), ("power", power, 1), ("alpha", alpha, 1)):
        if not 0 < value < most:
            raise ValueError(f"{name} must lie strictly between 0 and {most:g}, got {value}")
    tried = tuple(int(n) for n in sizes)
    if len(tried) < 2 or sorted(set(tried)) != list(tried) or tried[0] < 6:
        raise ValueError(f"sizes must be two or more ascending numbers from 6 on, got {list(sizes)}; try {list(SIZES)}")
    if n_simulations < 10:
        raise ValueError(f"n_simulations must be at least 10, got {n_simulations}; try 100")
    noise, described = _noise(pilot, n_features)
    used = Probe("ridge") if probe is None else probe
    generator = as_generator(seed)

    def rejected(n: int, size: float) -> Estimate:
        found = sum(_pvalue(n, size, noise, test, used, generator) <= alpha for _ in range(n_simulations))
        return _share(found, n_simulations, n, seed)

    shares = tuple(rejected(n, effect) for n in tried)
    return ScenarioPlan(
        _smallest(tried, np.array([float(s) for s in shares]), power),
        tried,
        shares,
        rejected(tried[-1], 0.0),
        float(effect),
        float(power),
        float(alpha),
        test,
        described,
        seed,
    )


def _noise(pilot: ArrayLike | None, n_features: int) -> tuple[FloatArray, str]:
    """Rows whose normal combinations are noise of a difference, [m, d]."""
    if pilot is None:
        if n_features < 2:
            raise ValueError(f"n_features must be at least 2, got {n_features}")
        return np.sqrt(2.0) * np.eye(n_features), f"alike in {n_features} dimensions"
    x = as_matrix(pilot, "pilot")
    if len(x) < 6:
        raise ValueError(f"pilot must have 6 scenarios at least, got {len(x)}; or leave it out and give n_features")
    centred = (x - x.mean(axis=0)) / np.sqrt(len(x) - 1)
    # In the principal axes of the pilot, where distances and penalties are the same and rows are short.
    values = np.linalg.eigvalsh(centred @ centred.T)
    kept = values > values[-1] * 1e-10
    if not kept.any() or values[-1] <= 0:
        raise ValueError("pilot has no variance between scenarios; are its rows all equal?")
    rows = np.diag(np.sqrt(values[kept]))
    return rows, f"covariance of {len(x)} pilot differences"


def _pvalue(n: int, effect: float, noise: FloatArray, test: str, probe: Any, generator: np.random.Generator) -> float:
    """P of one simulated study."""
    drawn = generator.standard_normal(noise.shape[1])
    direction = drawn / float(np.linalg.norm(drawn))
    # A difference of two texts has twice the variance of one.
    spread = float(np.linalg.norm(noise @ direction)) / np.sqrt(2.0)
    shift = effect * spread * direction
    seed = int(generator.integers(2**31))
    if test == "sign_flip":
        rows = generator.standard_normal((n, len(noise))) @ noise + shift
        return sign_flip_test(rows, n_permutations=_PERMUTATIONS, seed=seed).pvalue
    texts = generator.standard_normal((2 * n, len(noise))) @ noise / np.sqrt(2.0)
    y, groups = np.tile([1, 0], n), np.repeat(np.arange(n), 2)
    texts[::2] += shift
    found = permutation_test(probe, texts, y, groups=groups, n_permutations=_PERMUTATIONS, seed=seed, progress=False)
    return float(found.pvalue)


def _share(found: int, of: int, n: int, seed: int) -> Estimate:
    low = float(beta.ppf(0.025, found, of - found + 1)) if found else 0.0
    high = float(beta.ppf(0.975, found + 1, of - found)) if found < of else 1.0
    return Estimate(found / of, low, high, 0.95, of, n, "Clopper-Pearson over simulated studies", seed=seed)


def _smallest(sizes: Sequence[int], power: FloatArray, target: float) -> int | None:
    """Where the isotonic fit of power against the number of scenarios reaches the target."""
    fitted = isotonic_regression(power, increasing=True).x
    reached = np.flatnonzero(fitted >= target)
    if not reached.size:
        return None
    k = int(reached[0])
    if k == 0:
        return int(sizes[0])
    share = (target - fitted[k - 1]) / (fitted[k] - fitted[k - 1])
    return int(np.ceil(sizes[k - 1] + share * (sizes[k] - sizes[k - 1])))
