"""What cosine two unrelated directions have, in isotropic space and in activations."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import beta

from empathy_geometry.dimensionality.participation import corrected_participation
from empathy_geometry.dimensionality.spectrum import centred
from empathy_geometry.foundation._types import ArrayLike, FloatArray
from empathy_geometry.foundation._validation import as_generator, as_matrix
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class RandomCosine(Result):
    """Law of the cosine of two random directions.

    Attributes:
        d_model: Width.
        isotropic_sd: 1 / sqrt(d_model).
        isotropic_95: 95 % point of |cosine| where all directions are alike; cos^2 ~ Beta(1/2, (d_model - 1)/2).
        sd: 1 / sqrt(participation ratio) of the rows, the ratio corrected for finite n; None without rows.
        cosines: Of pairs of directions drawn from N(0, S), S the sample covariance of the rows; empty without rows.
            S of few rows is more concentrated than the truth, so these are somewhat too wide (see `sd`).
        participation_ratio: Of the rows, corrected; None without rows.
        seed: Of the draws.
    """

    d_model: int
    isotropic_sd: float
    isotropic_95: float
    sd: float | None
    cosines: FloatArray
    participation_ratio: float | None
    seed: int | None = None

    @property
    def empirical_95(self) -> float | None:
        """95 % point of |cosine| of directions drawn from the rows' covariance."""
        return float(np.quantile(np.abs(self.cosines), 0.95)) if len(self.cosines) else None

    def pvalue(self, cosine: float) -> float:
        """Two-sided p of an observed cosine: from the rows where there are some, else from the isotropic law.

        Raises:
            ValueError: the cosine is not in [-1, 1].
        """
        if not -1 <= cosine <= 1:
            raise ValueError(f"cosine must lie in [-1, 1], got {cosine}")
        if len(self.cosines):
            return float((1 + (np.abs(self.cosines) >= abs(cosine)).sum()) / (len(self.cosines) + 1))
        return float(beta.sf(cosine**2, 0.5, (self.d_model - 1) / 2))

    def json_content(self) -> dict[str, Any]:
        """Every field and the 95 % point of the rows' law."""
        return super().json_content() | {"empirical_95": self.empirical_95}

    def tables(self) -> tuple[Table, ...]:
        """One row for each law."""
        rows = [
            {"law": "isotropic", "sd": f"{self.isotropic_sd:.4f}", "|cos| in 95 % below": f"{self.isotropic_95:.4f}"}
        ]
        if self.sd is not None and self.participation_ratio is not None:
            law = f"as activations vary, participation ratio {self.participation_ratio:.1f}"
            rows.append({"law": law, "sd": f"{self.sd:.4f}", "|cos| in 95 % below": f"{self.empirical_95:.4f}"})
        return (Table.of(f"Cosine of unrelated directions, d = {self.d_model}", rows),)

    def to_frame(self) -> "pd.DataFrame":
        """One row for each law."""
        import pandas as pd

        laws = [{"law": "isotropic", "sd": self.isotropic_sd, "abs_cosine_95": self.isotropic_95}]
        if self.sd is not None:
            laws.append({"law": "rows", "sd": self.sd, "abs_cosine_95": self.empirical_95})
        return pd.DataFrame(laws)


def random_cosine(
    d_model: int | None = None, *, rows: ArrayLike | None = None, n_draws: int = 9999, seed: int = 0
) -> RandomCosine:
    """What cosine to expect between unrelated directions.

    Isotropic directions have cos^2 ~ Beta(1/2, (d-1)/2), sd 1/sqrt(d). Activations vary along few directions, so that
    directions found in them are less orthogonal: sd about 1/sqrt(PR), PR their participation ratio.

    Args:
        d_model: Width; not needed with rows.
        rows: Activations (any class), [n, d_model].
        n_draws: Pairs of directions drawn from the rows' covariance.
        seed: Seed.

    Raises:
        ValueError: neither width nor rows, widths that differ, fewer than six rows or rows that do not vary.

    Example:
        >>> random_cosine(100).isotropic_sd
        0.1
        >>> x = np.random.default_rng(0).standard_normal((300, 100)) / np.arange(1, 101)
        >>> law = random_cosine(rows=x)
        >>> round(law.participation_ratio, 1), round(law.sd, 2), law.pvalue(0.5) > 0.05 > random_cosine(100).pvalue(0.5)
        (2.5, 0.63, True)
    """
    if rows is None and d_model is None:
        raise ValueError("give d_model, or rows of activations")
    cosines, ratio, sd = np.empty(0), None, None
    if rows is not None:
        x = as_matrix(rows, "rows", d_model=d_model)
        d_model = x.shape[1]
        if len(x) < 6:
            raise ValueError(f"rows must have at least 6 rows, got {len(x)}")
        g = centred(x @ x.T)
        if np.trace(g) <= 1e-12 * float((x**2).sum()):
            raise ValueError("the rows do not vary, so they define no random directions")
        values = np.linalg.eigvalsh(g)
        scales = np.sqrt(np.clip(values, 0, None))
        generator = as_generator(seed)
        first, second = (generator.standard_normal((n_draws, len(x))) * scales for _ in range(2))
        cosines = (first * second).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
        ratio = corrected_participation(x @ x.T, center=True)
        sd = float(1 / np.sqrt(ratio))
    assert d_model is not None
    if d_model < 2:
        raise ValueError(f"d_model must be at least 2, got {d_model}")
    quantile = float(np.sqrt(beta.ppf(0.95, 0.5, (d_model - 1) / 2)))
    return RandomCosine(d_model, float(1 / np.sqrt(d_model)), quantile, sd, cosines, ratio, seed)
