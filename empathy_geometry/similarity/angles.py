"""Principal angles between subspaces, beside what unrelated subspaces have."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float
from torch import Tensor

from empathy_geometry.foundation._types import ArrayLike, FloatArray
from empathy_geometry.foundation._validation import as_generator, as_matrix
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table
from empathy_geometry.geometry.subspaces import Subspace

if TYPE_CHECKING:
    import pandas as pd

Null = Literal["isotropic", "rows"]


@dataclass(frozen=True, eq=False)
class PrincipalAngles(Result):
    """Angles between two subspaces and the overlap that chance gives.

    Attributes:
        angles: Radians, ascending, as many as the smaller rank.
        overlap: Mean squared cosine of the angles, in [0, 1].
        null_distribution: Overlap of random subspaces of the same ranks, [n_draws].
        pvalue: (b + 1) / (m + 1), b the number of random overlaps that reach `overlap`.
        null: "isotropic" (every direction alike) or "rows" (directions as likely as activations vary along them).
        rank_a: Rank of the first subspace.
        rank_b: Rank of the second.
        d_model: Width.
        seed: Of the random subspaces.
    """

    angles: tuple[float, ...]
    overlap: float
    null_distribution: FloatArray
    pvalue: float
    null: Null
    rank_a: int
    rank_b: int
    d_model: int
    seed: int | None = None

    def tables(self) -> tuple[Table, ...]:
        """Overlap beside that of random subspaces, then the angles."""
        degrees = ", ".join(f"{np.degrees(a):.1f}" for a in self.angles[:8]) + (", ..." if len(self.angles) > 8 else "")
        row = {
            "overlap": f"{self.overlap:.4f}",
            f"random subspaces ({self.null}), mean": f"{self.null_distribution.mean():.4f}",
            "95 % point": f"{np.quantile(self.null_distribution, 0.95):.4f}",
            "p": f"{self.pvalue:.4f}",
        }
        title = f"overlap {self.overlap:.4f} of subspaces of ranks {self.rank_a} and {self.rank_b} of {self.d_model}"
        return (Table.of(title, [row], notes=[f"principal angles {degrees} degrees"]),)

    def to_frame(self) -> "pd.DataFrame":
        """One row for each angle."""
        import pandas as pd

        return pd.DataFrame(
            {"angle_degrees": np.degrees(self.angles), "cosine_squared": np.cos(np.array(self.angles)) ** 2}
        )


def principal_angles(
    a: Subspace | Float[Tensor, "rank_a d_model"],
    b: Subspace | Float[Tensor, "rank_b d_model"],
    *,
    rows: ArrayLike | None = None,
    n_draws: int = 999,
    seed: int = 0,
) -> PrincipalAngles:
    """Principal angles between two subspaces with a test against unrelated ones.

    Args:
        a: A subspace, or vectors that span it, [rank, d_model].
        b: Another one.
        rows: Activations, [n, d_model]. If given, random subspaces are spanned by directions drawn from their
            covariance, N(0, S): activations vary along few directions, in which any two concepts meet more often than
            isotropy says. Without, the null is isotropic, whose mean overlap is max(rank) / d_model.
        n_draws: Random subspaces (in place of b).
        seed: Seed.

    Raises:
        ValueError: widths differ, or the rows cannot span as many dimensions.

    Source: Knyazev & Argentati (2002), through `scipy.linalg.subspace_angles`.

    Example:
        >>> import torch
        >>> e = torch.eye(6)
        >>> found = principal_angles(e[:2], e[1:3], n_draws=199)
        >>> [round(a, 3) for a in found.angles], round(found.overlap, 3)
        ([0.0, 1.571], 0.5)
    """
    first = a if isinstance(a, Subspace) else Subspace.from_directions(a)
    second = b if isinstance(b, Subspace) else Subspace.from_directions(b)
    angles = first.principal_angles(second).double().numpy()
    overlap = float((np.cos(angles) ** 2).mean())
    basis = first.basis.double().numpy()
    generator = as_generator(seed)
    sample = None
    if rows is not None:
        sample = as_matrix(rows, "rows", d_model=first.d_model)
        sample = sample - sample.mean(axis=0)
        if len(sample) <= second.rank:
            raise ValueError(f"{len(sample)} rows span fewer than {second.rank} dimensions; give more rows")
    draws = np.array([_random_overlap(basis, second.rank, sample, generator) for _ in range(n_draws)])
    return PrincipalAngles(
        angles=tuple(float(v) for v in angles),
        overlap=overlap,
        null_distribution=draws,
        pvalue=float((1 + (draws >= overlap - 1e-12).sum()) / (n_draws + 1)),
        null="isotropic" if sample is None else "rows",
        rank_a=first.rank,
        rank_b=second.rank,
        d_model=first.d_model,
        seed=seed,
    )


def _random_overlap(basis: FloatArray, rank: int, sample: FloatArray | None, generator: np.random.Generator) -> float:
    if sample is None:
        vectors = generator.standard_normal((basis.shape[1], rank))
    else:
        vectors = sample.T @ generator.standard_normal((len(sample), rank))
    orthonormal = np.linalg.qr(vectors)[0]
    return float(((basis @ orthonormal) ** 2).sum() / min(len(basis), rank))
