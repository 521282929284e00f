"""Pitfall: cosines of one-vs-rest probes sit at a floor, and reverse the order of similarity."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.foundation._types import FloatArray, IntArray, Layer
from empathy_geometry.foundation._validation import as_generator, as_matrix
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.pitfalls.demonstration import BLUE, GREEN, GREY, ORANGE, Demonstration, axes_or_new, origin
from empathy_geometry.similarity import crossnobis, disattenuated_cosine

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_D_MODEL = 48
_SCENARIOS = 80
_NOISE = 0.5


@dataclass(frozen=True)
class Floor:
    """Mean pairwise cosine of K one-vs-rest probes fitted to nothing.

    Attributes:
        n_classes: K.
        null: Mean over random labelings.
        bound: -1/(K - 1), which no K unit vectors can stay below.
    """

    n_classes: int
    null: float
    bound: float


@dataclass(frozen=True)
class PairSimilarity:
    """Similarity of two classes, by the wrong and the right quantity.

    Attributes:
        pair: Names of the classes.
        truth: Planted cosine of the two concepts; None if unknown.
        one_vs_rest: Cosine of the two one-vs-rest logistic weights.
        disattenuated: Cosine of the differences from a neutral class, disjoint and corrected for noise; None without
            a neutral class or where a direction is not distinguishable from noise.
        distance: Cross-validated squared Mahalanobis distance of the two classes.
    """

    pair: tuple[str, str]
    truth: float | None
    one_vs_rest: float
    disattenuated: Estimate | None
    distance: Estimate


@dataclass(frozen=True, eq=False)
class SimplexFloor(Demonstration):
    """One-vs-rest cosines against what they are taken for.

    Attributes:
        floors: What probes of random labels give, by number of classes.
        pairs: Similarity of pairs of classes. Planted: concepts "a" and "b" at several angles, "c" far from both.
        provenance: Planted or measured.
    """

    title: ClassVar[str] = "Cosines of one-vs-rest probes"
    lesson: ClassVar[str] = (
        "Their weights sum to about zero, so the mean cosine is near -1/(K-1) whatever the concepts are, and the\n"
        "closest pair looks most opposed. Report similarity.disattenuated_cosine, or similarity.crossnobis distances."
    )

    floors: tuple[Floor, ...]
    pairs: tuple[PairSimilarity, ...]
    provenance: Provenance

    def rows(self) -> list[dict[str, Any]]:
        """The table, one dictionary for each row."""
        table: list[dict[str, Any]] = [
            {
                "case": f"random labels, K = {f.n_classes}",
                "one-vs-rest cosine": f.null,
                "planted": None,
                "disattenuated cosine": f"floor {f.bound:.3f}",
                "squared distance": None,
            }
            for f in self.floors
        ]
        pairs = [
            {
                "case": " - ".join(p.pair),
                "one-vs-rest cosine": p.one_vs_rest,
                "planted": p.truth,
                "disattenuated cosine": p.disattenuated,
                "squared distance": p.distance,
            }
            for p in self.pairs
        ]
        return table + pairs

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the figure on `ax`, or on a new one."""
        ax = axes_or_new(ax, width=7.6)
        planted = all(p.truth is not None for p in self.pairs)
        floor = self.floors[0].bound
        ax.axhline(floor, color=GREY, linestyle=":", linewidth=1.5, label=f"floor -1/(K-1) = {floor:.2f}")
        shown = [p for p in self.pairs if p.pair == ("a", "b")] if planted else list(self.pairs)
        at = np.array([p.truth for p in shown], dtype=float) if planted else np.arange(len(shown), dtype=float)
        if planted:
            ax.plot([-1, 1], [-1, 1], color=GREEN, linewidth=1, linestyle="--", label="truth")
        line = "-" if planted else ""
        ax.plot(at, [p.one_vs_rest for p in shown], "o" + line, color=ORANGE, label="one-vs-rest probes, a and b")
        if planted:
            others = [p.one_vs_rest for p in self.pairs if p.pair == ("a", "c")]
            ax.plot(at, others, "^--", color=ORANGE, alpha=0.5, label="one-vs-rest probes, a and c (far)")
        found = [(x, p.disattenuated) for x, p in zip(at, shown, strict=True) if p.disattenuated is not None]
        if found:
            values = np.array([e.value for _, e in found])
            low = values - np.array([e.value if e.low is None else e.low for _, e in found])
            high = np.array([e.value if e.high is None else e.high for _, e in found]) - values
            ax.errorbar(
                [x for x, _ in found],
                values,
                yerr=[low, high],
                fmt="s",
                color=BLUE,
                capsize=2,
                label="disattenuated cosine, a and b" if planted else "disattenuated cosine",
            )
        if planted:
            ax.set(xlabel="planted cosine of a and b", xlim=(-0.65, 1.05))
        else:
            ax.set_xticks(at, [" -\n".join(p.pair) for p in shown], fontsize="small")
        ax.set(ylabel="cosine", ylim=(-1.05, 1.15), title=self.title)
        ax.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
        return ax


def simplex_floor(
    activations: Activations | None = None,
    *,
    classes: Sequence[str] | None = None,
    neutral: str | None = None,
    layer: Layer | None = None,
    n_draws: int = 5,
    seed: int = 0,
) -> SimplexFloor:
    """One-vs-rest cosines of random labels and of classes, beside quantities that mean something.

    Args:
        activations: With at least three classes; None plants concepts at known angles.
        classes: Which classes to compare; None takes all but `neutral`.
        neutral: Class that the concepts are differences from, for the disattenuated cosine.
        layer: Which layer of the activations.
        n_draws: Random labelings (and planted data sets) to average one-vs-rest cosines over.
        seed: Seed.

    Raises:
        ValueError: fewer than three classes, or an unknown class or layer.

    Example:
        >>> demo = simplex_floor(n_draws=2)
        >>> [round(f.null, 1) for f in demo.floors[:2]]
        [-0.5, -0.3]
        >>> ab = [p for p in demo.pairs if p.pair == ("a", "b")]
        >>> ab[-1].truth, ab[-1].one_vs_rest < -0.5, abs(ab[-1].disattenuated.value - 0.9) < 0.1
        (0.9, True, True)
    """
    generator = as_generator(seed)
    settings = {"classes": classes, "neutral": neutral, "layer": layer, "n_draws": n_draws}
    if activations is None:
        floors = tuple(_planted_floor(k, n_draws, generator) for k in (3, 4, 5, 8))
        pairs = [p for c in (-0.5, 0.0, 0.5, 0.9) for p in _planted_pairs(c, n_draws, generator)]
        return SimplexFloor(floors, tuple(pairs), origin(None, seed, settings))
    chosen = activations.layers[len(activations.layers) // 2] if layer is None else layer
    names = [c for c in np.unique(activations.labels).tolist() if c != neutral] if classes is None else list(classes)
    if len(names) < 3:
        raise ValueError(f"one-vs-rest probes need at least three classes, got {names}")
    used = activations.where(label=names)
    x, groups = as_matrix(used.layer(chosen), "activations"), np.unique(used.groups, return_inverse=True)[1]
    codes = np.array([names.index(label) for label in used.labels])
    null = [_mean_off_diagonal(_cosines(x, generator.permutation(codes), len(names))) for _ in range(n_draws)]
    floor = Floor(len(names), float(np.mean(null)), -1 / (len(names) - 1))
    cosines = _cosines(x, codes, len(names))
    base = None if neutral is None else activations.where(label=neutral)
    pairs = []
    for i, j in combinations(range(len(names)), 2):
        two = [used.where(label=names[k]) for k in (i, j)]
        value = None
        if base is not None:
            value = disattenuated_cosine(
                two[0].layer(chosen),
                two[1].layer(chosen),
                groups_a=two[0].groups,
                groups_b=two[1].groups,
                baseline=base.layer(chosen),
                groups_baseline=base.groups,
            ).value
        inside = np.isin(codes, (i, j))
        distance = crossnobis(x[inside], codes[inside] == i, groups=groups[inside])
        pairs.append(PairSimilarity((names[i], names[j]), None, float(cosines[i, j]), value, distance))
    return SimplexFloor((floor,), tuple(pairs), origin(activations, seed, settings))


def _planted_floor(n_classes: int, n_draws: int, generator: np.random.Generator) -> Floor:
    means = []
    for _ in range(n_draws):
        x = generator.standard_normal((_SCENARIOS * n_classes, _D_MODEL))
        means.append(_mean_off_diagonal(_cosines(x, np.tile(np.arange(n_classes), _SCENARIOS), n_classes)))
    return Floor(n_classes, float(np.mean(means)), -1 / (n_classes - 1))


def _planted_pairs(cosine: float, n_draws: int, generator: np.random.Generator) -> list[PairSimilarity]:
    """Concepts a and b of length 2 at an angle, c of length 5 orthogonal to both, and neutral texts, in scenarios."""
    e = np.eye(_D_MODEL)
    concepts = np.stack([2 * e[0], 2 * (cosine * e[0] + np.sqrt(1 - cosine**2) * e[1]), 5 * e[2], np.zeros(_D_MODEL)])
    codes, groups = np.tile(np.arange(4), _SCENARIOS), np.repeat(np.arange(_SCENARIOS), 4)
    cosines = np.zeros((3, 3))
    for _ in range(n_draws):
        topic = _NOISE * generator.standard_normal((_SCENARIOS, _D_MODEL))
        x = topic[groups] + _NOISE * generator.standard_normal((len(codes), _D_MODEL)) + concepts[codes]
        cosines += _cosines(x[codes < 3], codes[codes < 3], 3) / n_draws
    pairs = []
    for i, j, truth in ((0, 1, cosine), (0, 2, 0.0)):
        clean = disattenuated_cosine(
            x[codes == i],
            x[codes == j],
            groups_a=groups[codes == i],
            groups_b=groups[codes == j],
            baseline=x[codes == 3],
            groups_baseline=groups[codes == 3],
        )
        inside = np.isin(codes, (i, j))
        distance = crossnobis(x[inside], codes[inside] == i, groups=groups[inside])
        pairs.append(PairSimilarity(("abc"[i], "abc"[j]), truth, float(cosines[i, j]), clean.value, distance))
    return pairs


def _cosines(x: FloatArray, codes: IntArray, n_classes: int) -> FloatArray:
    """Cosines between the weights of one-vs-rest logistic probes, [K, K]."""
    weights = np.stack([Probe("logistic").fit(x, (codes == k).astype(int)).coef_[0] for k in range(n_classes)])
    unit = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    return np.asarray(unit @ unit.T)


def _mean_off_diagonal(cosines: FloatArray) -> float:
    k = len(cosines)
    return float((cosines.sum() - k) / (k * (k - 1)))
