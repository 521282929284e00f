"""Pitfall: differences from one baseline look alike whatever the concepts are."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.foundation._types import FloatArray, Layer
from empathy_geometry.foundation._validation import as_generator, as_matrix
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.pitfalls.demonstration import BLUE, GREY, ORANGE, Demonstration, axes_or_new, origin

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class SharedBaseline(Demonstration):
    """Cosine of two differences in means between sets that do not differ.

    Attributes:
        shared: Cosines of (mean A - mean 0) with (mean B - mean 0), one for each draw of the three sets.
        disjoint: Cosines of (mean A - mean 0) with (mean B - mean 0'), 0 and 0' different rows.
        n: Rows in each set.
        provenance: Planted or measured.
    """

    title: ClassVar[str] = "Cosine of two differences from one baseline, no concept at all"
    lesson: ClassVar[str] = (
        "Use disjoint halves of the baseline: similarity.disattenuated_cosine. A cosine between such directions warns."
    )

    shared: FloatArray
    disjoint: FloatArray
    n: int
    provenance: Provenance

    def rows(self) -> list[dict[str, Any]]:
        """The table, one dictionary for each row."""
        return [
            {
                "baseline": name,
                "mean cosine": float(c.mean()),
                "2.5 %": float(np.quantile(c, 0.025)),
                "97.5 %": float(np.quantile(c, 0.975)),
            }
            for name, c in (("shared", self.shared), ("disjoint", self.disjoint))
        ]

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the figure on `ax`, or on a new one."""
        ax = axes_or_new(ax)
        bins = np.linspace(-1, 1, 81).tolist()
        ax.hist(self.disjoint, bins=bins, color=BLUE, alpha=0.8, label="disjoint baselines")
        ax.hist(self.shared, bins=bins, color=ORANGE, alpha=0.8, hatch="//", edgecolor="white", label="one baseline")
        ax.axvline(0, color=GREY, linestyle="--", linewidth=1)
        ax.axvline(0.5, color=GREY, linestyle=":", linewidth=1.5, label="+1/2")
        ax.set(xlabel="cosine", ylabel="number of draws", title=self.title, xlim=(-0.75, 1))
        ax.legend(frameon=False, loc="upper left")
        return ax


def shared_baseline(
    activations: Activations | None = None,
    *,
    layer: Layer | None = None,
    label: str | None = None,
    n_draws: int = 500,
    seed: int = 0,
) -> SharedBaseline:
    """Cosine of (mean A - mean 0) and (mean B - mean 0) where A, B and 0 are random rows of one class.

    Both differences contain minus the noise of mean 0, which is a half of the variance of each: the null is +1/2.

    Args:
        activations: Rows of one class (see `label`) are dealt to four sets; None plants 256-dimensional noise with
            variances 1/sqrt(k).
        layer: Which layer of the activations.
        label: Which class; None takes the largest.
        n_draws: Deals.
        seed: Seed.

    Raises:
        ValueError: fewer than 40 rows of that class, or an unknown layer.

    Example:
        >>> demo = shared_baseline(n_draws=100)
        >>> round(float(demo.shared.mean()), 1), abs(round(float(demo.disjoint.mean()), 1))
        (0.5, 0.0)
    """
    generator = as_generator(seed)
    x: FloatArray | None = None
    if activations is not None:
        chosen = activations.layers[len(activations.layers) // 2] if layer is None else layer
        names, counts = np.unique(activations.labels, return_counts=True)
        wanted = str(names[counts.argmax()]) if label is None else label
        x = as_matrix(activations.where(label=wanted).layer(chosen), "activations")
        if len(x) < 40:
            raise ValueError(f"the demonstration needs at least 40 rows of class {wanted!r}, got {len(x)}")
    shared, disjoint = [], []
    size = 40 if x is None else len(x) // 4
    for _ in range(n_draws):
        if x is None:
            rows = generator.standard_normal((4 * size, 256)) * np.arange(1, 257) ** -0.25
        else:
            rows = x[generator.permutation(len(x))[: 4 * size]]
        a, b, zero, other = rows.reshape(4, size, -1).mean(axis=1)
        shared.append(_cosine(a - zero, b - zero))
        disjoint.append(_cosine(a - zero, b - other))
    settings = {"n_draws": n_draws, "layer": layer, "label": label}
    return SharedBaseline(np.array(shared), np.array(disjoint), size, origin(activations, seed, settings))


def _cosine(a: FloatArray, b: FloatArray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
