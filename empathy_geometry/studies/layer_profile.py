"""Where in the model a concept can be read: every layer's held-out AUROC, with intervals that hold together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.stats import t as student
from sklearn.base import clone

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.choice import contributions
from empathy_geometry.evaluation.classification import MISSING, Missing, classification
from empathy_geometry.evaluation.clustered import ceiling_interval
from empathy_geometry.evaluation.fold_dependence import shared_training_inflation
from empathy_geometry.evaluation.ranking import one_vs_rest
from empathy_geometry.evaluation.selection import candidates, inner_scores
from empathy_geometry.foundation._types import ArrayLike, FloatArray, LabelsLike, Layer
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.foundation.table import Table
from empathy_geometry.geometry.probes import Probe

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRAWS = 2000
"""Sets of scenario weights that give the critical value."""


@dataclass(frozen=True, eq=False)
class LayerProfile(Result):
    """Result of `layer_profile`.

    Attributes:
        layers: What the layer axis holds.
        estimates: Held-out AUROC of each layer; with the level asked for, all intervals hold at once.
        pointwise: The same with intervals that each hold for their own layer.
        critical: Multiple of the standard error that the simultaneous intervals reach, on the logit scale.
        n_groups: Scenarios.
        probe: Kind of the probe.
        seed: Of folds and weights.
    """

    layers: tuple[Layer, ...]
    estimates: tuple[Estimate, ...]
    pointwise: tuple[Estimate, ...]
    critical: float
    n_groups: int
    probe: str
    seed: int

    def tables(self) -> tuple[Table, ...]:
        """One row for each layer."""
        rows = [
            {"layer": layer, "AUROC": e, "alone": f"[{p.low:.3f}, {p.high:.3f}]" if p.low is not None else "-"}
            for layer, e, p in zip(self.layers, self.estimates, self.pointwise, strict=True)
        ]
        notes = [
            f"{self.estimates[0].level:.0%} intervals that hold for all {len(self.layers)} layers at once; alone: for "
            f"one layer that was named before",
            "the largest of these AUROCs is not that of a layer chosen honestly: see cross_validate",
        ]
        title = f"AUROC by layer, held out ({self.probe}, {self.n_groups} groups)"
        return (Table.of(title, rows, notes=notes),)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """The curve with its simultaneous band.

        Args:
            ax: Axes to draw on; None makes a figure.
        """
        from empathy_geometry.plots.layer_profile import layer_profile as draw

        return draw(self.layers, self.estimates, name=f"{self.probe} probe, held out", ax=ax)


@takes_settings(gone={"cv": "n_splits=...", "n_folds": "n_splits=..."})
def layer_profile(
    probe: Any,
    X: ArrayLike | Activations,
    y: LabelsLike | None = None,
    *,
    groups: LabelsLike | Missing | None = MISSING,
    positive: object | None = None,
    negative: object | None = None,
    layers: Sequence[Layer] | None = None,
    n_splits: int = 5,
    seed: int = 0,
    level: float = 0.95,
) -> LayerProfile:
    """Held-out AUROC at every layer, all layers in the same folds, with simultaneous intervals.

    Layers share scenarios, so their errors move together. With h_l(g) the contribution of scenario g at layer l, s_l
    its standard error and w_g one standard normal weight for each scenario, the critical value is the quantile of
    max_l |sum_g w_g h_l(g)| / s_l: hardly above that of one layer where all layers err alike, and less than
    Bonferroni's wherever they do so in part. Each layer's variance counts the shared training rows
    (`fold_dependence`); intervals are on the logit scale.

    Args:
        probe: A `Probe` or any scikit-learn classifier.
        X: [n, layer, d_model] or `Activations` with one position.
        y: Class of each row; `Activations` bring their own.
        groups: Scenario of each row, as in `cross_validate`.
        positive: As in `cross_validate`.
        negative: As in `cross_validate`.
        layers: As in `cross_validate`.
        n_splits: Number of folds.
        seed: Of folds and weights.
        level: Coverage of all intervals together.

    Raises:
        TypeError: groups (or y) are missing for a plain array.
        ValueError: several positions, or as in `cross_validate`.

    Source: Montiel Olea & Plagborg-Moller (2019), Journal of Applied Econometrics 34, for sup-t bands.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> X, y, groups = rng.normal(size=(60, 3, 8)), [0, 1] * 30, np.repeat(np.arange(30), 2)
        >>> X[1::2, 2, 0] += 3
        >>> profile = layer_profile(Probe("ridge"), X, y, groups=groups)
        >>> [bool(e.low > 0.5) for e in profile.estimates]
        [False, False, True]
    """
    data = classification(X, y, groups=groups, positive=positive, negative=negative, layers=layers)
    if data.n_positions > 1:
        raise ValueError(f"layer_profile takes one position, got {data.n_positions}; choose one of them first")
    if not 0 < level < 1:
        raise ValueError(f"level must lie strictly between 0 and 1, got {level}; try 0.95")
    used = data.folds(None, n_splits=n_splits, seed=seed)
    competing = candidates(data, None)
    scores = inner_scores(probe, data, competing, used)
    areas = one_vs_rest(scores, torch.from_numpy(data.codes).expand(len(scores), -1)).numpy()
    parts = contributions(scores, data.codes, data.groups, data.n_groups)
    inflations = []
    for candidate, own in zip(competing, scores, strict=True):
        fits = [(clone(probe), data.rows(candidate.layer, 0), fold) for fold in used]
        pooled = np.ascontiguousarray(own[0].numpy() if data.binary else own.numpy().T)
        inflations.append(shared_training_inflation(fits, pooled, data.codes, data.groups)[0])
    errors = np.sqrt((parts**2).sum(axis=1))
    df = data.n_groups - 1
    single = float(student.ppf((1 + level) / 2, df))
    critical = max(_critical(parts, errors, df, level, seed), single)
    spread = errors * np.sqrt(inflations)

    def estimates(multiple: float, method: str) -> tuple[Estimate, ...]:
        return tuple(
            _estimate(float(a), float(s), multiple, level, data.n, data.n_groups, method, seed)
            for a, s in zip(areas, spread, strict=True)
        )

    return LayerProfile(
        data.layers,
        estimates(critical, f"simultaneous over {len(areas)} layers, logit scale"),
        estimates(single, "of one layer, logit scale"),
        critical,
        data.n_groups,
        probe.kind if isinstance(probe, Probe) else type(probe).__name__,
        seed,
    )


def _critical(parts: FloatArray, errors: FloatArray, df: int, level: float, seed: int) -> float:
    """Quantile of the largest studentised deviation over layers."""
    varying = errors > 1e-12
    if not varying.any():
        return 0.0
    generator = np.random.default_rng([seed, 5])
    weights = generator.standard_normal((DRAWS, parts.shape[1]))
    largest = np.abs(weights @ (parts[varying] / errors[varying, None]).T).max(axis=1)
    # One chi-square for all layers: their errors are estimated from the same scenarios.
    largest /= np.sqrt(generator.chisquare(df, DRAWS) / df)
    return float(np.quantile(largest, level))


def _estimate(
    area: float, error: float, multiple: float, level: float, n: int, n_groups: int, method: str, seed: int
) -> Estimate:
    if area in (0.0, 1.0):
        low, high = ceiling_interval(area, n_groups, level)
        return Estimate(area, low, high, level, n, n_groups, f"exact bound at the ceiling, {n_groups} units", seed=seed)
    if error <= 0:
        return Estimate(area, None, None, level, n, n_groups, "no interval: all groups alike", seed=seed)
    half, centre = multiple * error / (area * (1 - area)), np.log(area / (1 - area))
    low, high = (float(1 / (1 + np.exp(-end))) for end in (centre - half, centre + half))
    return Estimate(area, low, high, level, n, n_groups, method, seed=seed)
