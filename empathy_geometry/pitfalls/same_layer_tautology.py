"""Pitfall: a probe at the steered layer moves by algebra, for any direction."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from empathy_geometry.foundation._types import FloatArray
from empathy_geometry.foundation._validation import as_generator
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.pitfalls.demonstration import BLUE, GREY, ORANGE, Demonstration, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Readout = Callable[[Float[Tensor, "n d_model"]], Float[Tensor, " n"]]


@dataclass(frozen=True, eq=False)
class SameLayerTautology(Demonstration):
    """Effect of adding a direction on its own projection at that layer, and on the output.

    Attributes:
        concept_probe: Shift of the concept's own probe at the steered layer, in standard deviations over rows.
        concept_output: Shift of the output that the concept should move, in standard deviations over rows.
        random_probe: The first for each random direction and its own probe.
        random_output: The second for each random direction.
        pvalue: Of `concept_output` by rank among the random directions, two-sided.
        alpha: Length added, in standard deviations of the projection.
        provenance: Planted or measured.
    """

    title: ClassVar[str] = "Steering moves its own probe, always"
    lesson: ClassVar[str] = (
        "Judge an intervention by logits, text or later layers, against random directions of the same length."
    )

    concept_probe: float
    concept_output: float
    random_probe: FloatArray
    random_output: FloatArray
    pvalue: float
    alpha: float
    provenance: Provenance

    def rows(self) -> list[dict[str, Any]]:
        """The table, one dictionary for each row."""
        spread = float(np.quantile(np.abs(self.random_output), 0.95))
        return [
            {
                "direction": "concept",
                "own probe, same layer (sd)": self.concept_probe,
                "output (sd)": f"{self.concept_output:.3f}",
                "p": f"{self.pvalue:.3f}",
            },
            {
                "direction": f"{len(self.random_probe)} random ones",
                "own probe, same layer (sd)": float(self.random_probe.mean()),
                "output (sd)": f"{self.random_output.mean():.3f} (95 % within {spread:.3f})",
                "p": "",
            },
        ]

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the figure on `ax`, or on a new one."""
        ax = axes_or_new(ax)
        ax.axhline(0, color=GREY, linestyle="--", linewidth=1)
        ax.scatter(self.random_probe, self.random_output, s=22, color=BLUE, alpha=0.6, label="random directions")
        ax.scatter(
            self.concept_probe, self.concept_output, s=90, color=ORANGE, marker="*", label="concept direction", zorder=3
        )
        top = 1.25 * max(self.alpha, self.concept_probe)
        ax.set(
            xlabel="shift of the direction's own probe, same layer (sd)",
            ylabel="shift of the output (sd)",
            title=self.title,
            xlim=(0, top),
        )
        ax.legend(frameon=False, loc="best")
        return ax


def same_layer_tautology(
    hidden: Float[Tensor, "n d_model"] | None = None,
    direction: Float[Tensor, " d_model"] | None = None,
    readout: Readout | None = None,
    *,
    alpha: float = 3.0,
    n_random: int = 200,
    seed: int = 0,
) -> SameLayerTautology:
    """Add alpha * sd * v to the stream and look at v's own probe and at the output, for a concept and random v.

    The probe w = v at the edited layer moves by alpha standard deviations whatever v is: (h + a v) v = h v + a.

    Args:
        hidden: Residual stream at the edited layer, [n, d_model]; None plants a small readout network whose output
            depends on one direction.
        direction: The concept's direction; needed with `hidden`.
        readout: Maps a stream [n, d_model] to the output that the concept should move, [n] (the rest of the model and
            the logit difference of marker tokens); needed with `hidden`.
        alpha: How much is added, in standard deviations of the rows along each direction.
        n_random: Random directions, drawn from the covariance of the rows (so they are as long and as typical).
        seed: Seed.

    Raises:
        ValueError: only some of the three are given, shapes do not fit, or the readout does not vary.

    Example:
        >>> demo = same_layer_tautology(n_random=50)
        >>> round(demo.concept_probe, 3), bool(np.allclose(demo.random_probe, 3)), demo.pvalue < 0.05
        (3.0, True, True)
    """
    generator = as_generator(seed)
    planted = hidden is None
    if hidden is None or direction is None or readout is None:
        if not (hidden is None and direction is None and readout is None):
            raise ValueError("give hidden, direction and readout together, or none of them")
        hidden, direction, readout = _planted_model(generator)
    if hidden.ndim != 2 or direction.shape != hidden.shape[1:]:
        raise ValueError(
            f"hidden must be [n, d_model] and direction [d_model], got {tuple(hidden.shape)} and "
            f"{tuple(direction.shape)}"
        )
    stream = hidden.detach()
    centred = stream - stream.mean(dim=0)
    with torch.no_grad():
        before = readout(stream).double()
    spread = float(before.std())
    if not spread > 0:
        raise ValueError("the readout is constant over the rows, so no shift can be measured")

    def shifts(v: Tensor) -> tuple[float, float]:
        unit = v / torch.linalg.vector_norm(v)
        sd = float((centred @ unit).std())
        with torch.no_grad():
            moved = stream + alpha * sd * unit
            output = readout(moved).double()
        probe = float(((moved - stream) @ unit).mean()) / sd
        return probe, float((output - before).mean()) / spread

    concept = shifts(direction.to(stream))
    weights = torch.as_tensor(generator.standard_normal((n_random, len(stream))), dtype=stream.dtype)
    random = np.array([shifts(v) for v in weights.to(stream.device) @ centred])
    reached = int((np.abs(random[:, 1]) >= abs(concept[1])).sum())
    provenance = Provenance(
        "planted" if planted else "measured", seed=seed, settings={"alpha": alpha, "n_random": n_random}
    )
    return SameLayerTautology(
        concept_probe=concept[0],
        concept_output=concept[1],
        random_probe=random[:, 0],
        random_output=random[:, 1],
        pvalue=(reached + 1) / (n_random + 1),
        alpha=alpha,
        provenance=provenance,
    )


def _planted_model(generator: np.random.Generator) -> tuple[Tensor, Tensor, Readout]:
    """A stream of 128 dimensions and a random residual block after it; the output reads one direction of the stream."""
    d = 128

    def draw(*shape: int) -> Tensor:
        return torch.as_tensor(generator.standard_normal(shape))

    hidden = draw(200, d) * torch.arange(1, d + 1) ** -0.25
    concept = draw(d)
    concept = concept / torch.linalg.vector_norm(concept)
    inward, outward = draw(d, 4 * d) / d**0.5, draw(4 * d, d) / (4 * d) ** 0.5
    unembed = concept + 0.1 * draw(d) / d**0.5

    def readout(stream: Tensor) -> Tensor:
        normed = stream / stream.norm(dim=1, keepdim=True) * d**0.5
        output: Tensor = (stream + 0.3 * torch.tanh(normed @ inward) @ outward) @ unembed
        return output

    return hidden, concept, readout
