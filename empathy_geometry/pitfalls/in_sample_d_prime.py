"""Pitfall: d' of the rows that made the direction is large for random labels."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.dimensionality.participation import corrected_participation
from empathy_geometry.evaluation.metrics import d_prime
from empathy_geometry.foundation._types import FloatArray, Layer
from empathy_geometry.foundation._validation import as_generator, as_matrix
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.pitfalls.demonstration import BLUE, GREEN, ORANGE, Demonstration, axes_or_new, origin

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class InSampleDPrime(Demonstration):
    """d' of random labels along their own difference in means.

    Attributes:
        sizes: Numbers of rows, half of them in each class.
        in_sample: Mean d' on the rows that made the direction.
        held_out: Mean d' on as many other rows.
        predicted: 2 sqrt(PR / n).
        participation_ratio: PR of the rows.
        provenance: Planted or measured.
    """

    title: ClassVar[str] = "In-sample d' of random labels"
    lesson: ClassVar[str] = "Report d' of out-of-fold scores only (cross_validate does)."

    sizes: tuple[int, ...]
    in_sample: tuple[float, ...]
    held_out: tuple[float, ...]
    predicted: tuple[float, ...]
    participation_ratio: float
    provenance: Provenance

    def rows(self) -> list[dict[str, Any]]:
        """The table, one dictionary for each row."""
        return [
            {"n": n, "d' in sample": a, "2 sqrt(PR/n)": p, "d' held out": b}
            for n, a, p, b in zip(self.sizes, self.in_sample, self.predicted, self.held_out, strict=True)
        ]

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the figure on `ax`, or on a new one."""
        ax = axes_or_new(ax)
        ax.plot(self.sizes, self.in_sample, "o", color=ORANGE, label="in sample")
        ax.plot(self.sizes, self.predicted, "-", color=ORANGE, label=f"2 √(PR/n), PR = {self.participation_ratio:.0f}")
        ax.plot(self.sizes, self.held_out, "s-", color=BLUE, label="held out")
        ax.axhline(0, color=GREEN, linestyle="--", linewidth=1, label="truth (random labels)")
        ax.set(xlabel="number of rows n", ylabel="d' (standard deviations)", xscale="log", title=self.title)
        ax.set_xticks(self.sizes, [str(n) for n in self.sizes])
        ax.minorticks_off()
        ax.legend(frameon=False)
        return ax


def in_sample_d_prime(
    activations: Activations | None = None,
    *,
    layer: Layer | None = None,
    n_draws: int = 30,
    seed: int = 0,
) -> InSampleDPrime:
    """Random labels' d', in sample and held out, against 2 sqrt(PR / n).

    The difference in means of random labels follows the noise of the rows it is made of; their projections on it
    differ by just that noise.

    Args:
        activations: Rows of any classes, whose labels are thrown away; None plants 768-dimensional rows with variances
            1/sqrt(k).
        layer: Which layer of the activations.
        n_draws: Random labelings at each size.
        seed: Seed.

    Raises:
        ValueError: fewer than 40 rows, or an unknown layer.

    Example:
        >>> demo = in_sample_d_prime(n_draws=5)
        >>> demo.in_sample[0] > 3, abs(demo.held_out[0]) < 0.5
        (True, True)
    """
    generator = as_generator(seed)
    x: FloatArray
    if activations is None:
        x = generator.standard_normal((1000, 768)) * np.arange(1, 769) ** -0.25
    else:
        chosen = activations.layers[len(activations.layers) // 2] if layer is None else layer
        x = as_matrix(activations.layer(chosen), "activations")
    if len(x) < 40:
        raise ValueError(f"the demonstration needs at least 40 rows, got {len(x)}")
    ratio = corrected_participation(x @ x.T, center=True)
    sizes = tuple(n for n in (20, 40, 80, 160, 320, 480) if 2 * n <= len(x))
    inside, outside = [], []
    for n in sizes:
        pairs = np.array([_one_draw(x, n, generator) for _ in range(n_draws)])
        inside.append(float(pairs[:, 0].mean()))
        outside.append(float(pairs[:, 1].mean()))
    predicted = tuple(float(2 * np.sqrt(ratio / n)) for n in sizes)
    settings = {"n_draws": n_draws, "layer": layer}
    return InSampleDPrime(sizes, tuple(inside), tuple(outside), predicted, ratio, origin(activations, seed, settings))


def _one_draw(x: FloatArray, n: int, generator: np.random.Generator) -> tuple[float, float]:
    order = generator.permutation(len(x))
    labels = np.arange(n) % 2 == 1
    first, second = x[order[:n]], x[order[n : 2 * n]]
    direction = first[labels].mean(axis=0) - first[~labels].mean(axis=0)
    return float(d_prime(first @ direction, labels)), float(d_prime(second @ direction, labels))
