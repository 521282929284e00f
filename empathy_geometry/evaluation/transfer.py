"""Does what was learned in one context hold in another?"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.classification import MISSING, Classification, classification
from empathy_geometry.evaluation.metrics import auroc
from empathy_geometry.evaluation.selection import candidates, fit_and_score, select
from empathy_geometry.foundation._types import FloatArray, IntArray, Layer, Seed
from empathy_geometry.foundation._validation import as_rng, check_choice
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.html_table import html_table
from empathy_geometry.texts.splits import Fold, grouped_folds


@dataclass(frozen=True, eq=False)
class TransferMatrix:
    """Held-out AUROC of a probe trained in one context and tested in another.

    Attributes:
        names: The contexts; rows train, columns test.
        auroc: [context][context] estimates; the diagonal is cross-validated within the context.
        ratio: Mean excess over chance off the diagonal / mean excess on it, with an interval over scenarios.
        layers: Layers among which one was chosen inside the training rows.
    """

    names: tuple[str, ...]
    auroc: tuple[tuple[Estimate, ...], ...]
    ratio: Estimate
    layers: tuple[Layer, ...]

    @property
    def values(self) -> FloatArray:
        """The AUROCs, [context, context]."""
        return np.array([[e.value for e in row] for row in self.auroc])

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return {
            "names": list(self.names),
            "auroc": [[e.to_dict() for e in row] for row in self.auroc],
            "ratio": self.ratio.to_dict(),
            "layers": list(self.layers),
        }

    def to_frame(self) -> Any:
        """AUROCs with training contexts as rows, as a pandas DataFrame (pandas must be installed)."""
        import pandas as pd

        return pd.DataFrame(self.values, index=list(self.names), columns=list(self.names))

    def __str__(self) -> str:
        width = max(len(n) for n in self.names) + 2
        lines = ["train \\ test".ljust(width) + "".join(n.rjust(width) for n in self.names)]
        for name, row in zip(self.names, self.values, strict=True):
            lines.append(name.ljust(width) + "".join(f"{v:.3f}".rjust(width) for v in row))
        return "\n".join([*lines, f"transfer ratio {self.ratio}"])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [
            {"train \\ test": name, **dict(zip(self.names, row, strict=True))}
            for name, row in zip(self.names, self.auroc, strict=True)
        ]
        return html_table("AUROC by training and test context", rows, notes=[f"transfer ratio {self.ratio}"])


def transfer_matrix(
    probe: Any,
    activations: Activations,
    *,
    positive: str,
    negative: str,
    by: Literal["context", "family"] = "context",
    n_splits: int = 5,
    n_resamples: int = 500,
    level: float = 0.95,
    seed: int = 0,
) -> TransferMatrix:
    """Train in each context, test in every other; the layer is chosen inside the training rows.

    Args:
        probe: A `Probe` or another scikit-learn classifier.
        activations: With texts that have contexts (or families).
        positive: The concept's class.
        negative: The neutral class.
        by: What to transfer between.
        n_splits: Folds of the diagonal.
        n_resamples: Resamples of scenarios (without refitting) for the interval of the ratio.
        level: Coverage of the intervals.
        seed: Of folds and resampling.

    Raises:
        ValueError: no contexts, fewer than two, or a context with too few scenarios or one class.
    """
    check_choice(by, "by", ("context", "family"))
    fields = (
        None if activations.texts is None else getattr(activations.texts, f"{by}s" if by == "context" else "families")
    )
    if fields is None:
        raise ValueError(f"these activations have no {by}; extract from LabeledTexts with {by} of each text")
    chosen = np.isin(activations.labels, [positive, negative])
    acts, fields = activations[np.flatnonzero(chosen)], fields[chosen]
    names = [str(n) for n in dict.fromkeys(fields.tolist())]
    if len(names) < 2:
        raise ValueError(f"transfer needs two {by}s at least, got {names}")
    data = classification(acts, None, groups=MISSING, positive=positive, negative=negative)
    competing = candidates(data, None)
    rows = {name: np.flatnonzero(fields == name) for name in names}
    estimates, tested = [], {}
    for source in names:
        line = []
        for target in names:
            folds = (
                _within(data, rows[source], n_splits, seed) if source == target else [Fold(rows[source], rows[target])]
            )
            scores = np.full(data.n, np.nan)
            for fold in folds:
                best = select(probe, data, fold.train, competing, inner_splits=4, seed=seed)
                scores[fold.test] = fit_and_score(probe, data, best, fold)[0]
            test = rows[target]
            tested[source, target] = scores[test]
            line.append(auroc(scores[test], data.codes[test], groups=data.groups[test], level=level))
        estimates.append(tuple(line))
    ratio = _ratio(names, rows, tested, data, n_resamples, level, seed)
    return TransferMatrix(tuple(names), tuple(estimates), ratio, acts.layers)


def _within(data: Classification, rows: IntArray, n_splits: int, seed: int) -> list[Fold]:
    inner = grouped_folds(data.codes[rows], groups=data.groups[rows], n_splits=n_splits, seed=seed)
    return [Fold(rows[f.train], rows[f.test]) for f in inner]


def _ratio(
    names: list[str],
    rows: dict[str, IntArray],
    tested: dict[tuple[str, str], FloatArray],
    data: Classification,
    n_resamples: int,
    level: float,
    rng: Seed,
) -> Estimate:
    """Scenarios are resampled within each test context; the same resample serves every training context."""
    generator = as_rng(rng)

    def ratio(take: dict[str, IntArray]) -> float:
        excess = np.zeros((len(names), len(names)))
        for i, source in enumerate(names):
            for j, target in enumerate(names):
                scores, codes = tested[source, target][take[target]], data.codes[rows[target]][take[target]]
                excess[i, j] = _area(scores, codes) - 0.5
        on = np.trace(excess) / len(names)
        off = (excess.sum() - np.trace(excess)) / (len(names) * (len(names) - 1))
        return float(off / on) if on > 0 else float("nan")

    members = {
        name: [np.flatnonzero(data.groups[r] == g) for g in np.unique(data.groups[r])] for name, r in rows.items()
    }
    value = ratio({name: np.arange(len(r)) for name, r in rows.items()})
    n_groups = sum(len(m) for m in members.values())
    if not np.isfinite(value):
        raise ValueError(
            "the transfer ratio is not defined: the probe is not above chance within the contexts themselves"
        )
    resampled = []
    for _ in range(n_resamples):
        take = {
            name: np.concatenate([m[k] for k in generator.integers(len(m), size=len(m))]) for name, m in members.items()
        }
        resampled.append(ratio(take))
    low, high = np.nanquantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high), level, data.n, n_groups, "bootstrap over scenarios, no refitting")


def _area(scores: FloatArray, codes: IntArray) -> float:
    """AUROC without an interval, quick enough for thousands of resamples."""
    positive, negative = scores[codes == 1], np.sort(scores[codes == 0])
    if not len(positive) or not len(negative):
        return float("nan")
    below = np.searchsorted(negative, positive, side="left") + np.searchsorted(negative, positive, side="right")
    return float(below.mean() / 2 / len(negative))
