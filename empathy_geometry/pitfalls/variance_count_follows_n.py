"""Pitfall: the number of components for 90 % of variance counts scenarios, not dimensions."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from empathy_geometry.activations.pairing import paired_differences
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.dimensionality.ranks import components_for
from empathy_geometry.dimensionality.rarefaction import Rarefaction, check_sizes, rarefy
from empathy_geometry.dimensionality.spectrum import check_differences, gram
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation._validation import as_generator
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.pitfalls.demonstration import BLUE, GREY, ORANGE, Demonstration, axes_or_new, origin

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class VarianceCountFollowsN(Demonstration):
    """k(90 %) and participation ratio at growing numbers of scenarios.

    Attributes:
        rarefaction: The estimates at each n.
        true_k90: Of the planted spectrum; None for measured data.
        true_participation_ratio: Of the planted spectrum; None for measured data.
        provenance: Planted or measured.
    """

    title: ClassVar[str] = "k(90 %) follows n"
    lesson: ClassVar[str] = "Report the corrected participation ratio, show the rarefaction, compare at matched n only."

    rarefaction: Rarefaction
    true_k90: int | None
    true_participation_ratio: float | None
    provenance: Provenance

    def rows(self) -> list[dict[str, Any]]:
        """The table, one dictionary for each row."""
        r = self.rarefaction
        table: list[dict[str, Any]] = [
            {"n": str(n), "k90": k, "PR naive": naive, "PR corrected": pr}
            for n, k, naive, pr in zip(r.sizes, r.k90, r.participation_ratio_naive, r.participation_ratio, strict=True)
        ]
        if self.true_k90 is not None:
            pr = self.true_participation_ratio
            table.append({"n": "truth", "k90": float(self.true_k90), "PR naive": pr, "PR corrected": pr})
        return table

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the figure on `ax`, or on a new one."""
        ax = axes_or_new(ax)
        r = self.rarefaction
        ax.plot(r.sizes, r.sizes, ":", color=GREY, label="n")
        ax.plot(r.sizes, r.k90, "o-", color=ORANGE, label="k(90 %)")
        ax.plot(r.sizes, r.participation_ratio_naive, "^--", color=BLUE, alpha=0.7, label="participation ratio, naive")
        ax.plot(r.sizes, r.participation_ratio, "s-", color=BLUE, label="participation ratio, corrected")
        if self.true_k90 is not None and self.true_participation_ratio is not None:
            ax.axhline(
                self.true_k90, color=ORANGE, linewidth=1, linestyle="-.", label=f"true k(90 %) = {self.true_k90}"
            )
            ax.axhline(
                self.true_participation_ratio,
                color=BLUE,
                linewidth=1,
                linestyle="-.",
                label=f"true ratio = {self.true_participation_ratio:.0f}",
            )
        ax.set(xlabel="number of scenarios n", ylabel="dimensions", xscale="log", yscale="log", title=self.title)
        ax.set_xticks(r.sizes, [str(n) for n in r.sizes])
        ax.minorticks_off()
        ax.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
        return ax


def variance_count_follows_n(
    activations: Activations | None = None,
    *,
    positive: str | None = None,
    negative: str | None = None,
    layer: Layer | None = None,
    n_draws: int = 10,
    seed: int = 0,
) -> VarianceCountFollowsN:
    """k(90 %) of paired differences against n, beside the corrected participation ratio.

    Args:
        activations: Paired within scenarios; None plants 2048-dimensional differences with variances 1/k, which need
            902 components for 90 %.
        positive: The concept's class; needed with activations.
        negative: The neutral class; needed with activations.
        layer: Which layer of the activations.
        n_draws: Random subsets averaged at each n.
        seed: Seed.

    Raises:
        ValueError: activations without class names, an unknown layer, or too few scenarios.

    Example:
        >>> demo = variance_count_follows_n(n_draws=2)
        >>> demo.true_k90, demo.rarefaction.k90[0] < 10 < 30 < demo.rarefaction.at(50)["k90"] < 45
        (902, True)
    """
    generator = as_generator(seed)
    true_k90, true_ratio = None, None
    if activations is None:
        spectrum = 1 / np.arange(1, 2049)
        x = generator.standard_normal((500, 2048)) * np.sqrt(spectrum)
        sizes: tuple[int, ...] | None = (10, 25, 50, 100, 250, 500)
        true_k90, true_ratio = components_for(spectrum), float(spectrum.sum() ** 2 / (spectrum**2).sum())
    else:
        if positive is None or negative is None:
            raise ValueError("activations need positive=... and negative=..., the classes whose differences are taken")
        chosen = activations.layers[len(activations.layers) // 2] if layer is None else layer
        x, _ = paired_differences(
            activations.layer(chosen), activations.labels, activations.groups, positive=positive, negative=negative
        )
        sizes = None
    differences = check_differences(x)
    found = rarefy(
        gram(differences), check_sizes(sizes, len(x)), center=False, n_draws=n_draws, seed=seed, generator=generator
    )
    settings = {"n_draws": n_draws, "layer": layer, "positive": positive, "negative": negative}
    return VarianceCountFollowsN(found, true_k90, true_ratio, origin(activations, seed, settings))
