"""What `dimensionality` returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from empathy_geometry.activations.dominance import dominance_note
from empathy_geometry.dimensionality.rarefaction import Rarefaction
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table

if TYPE_CHECKING:
    import pandas as pd

_ROWS = (
    ("participation_ratio", "participation ratio"),
    ("participation_ratio_naive", "participation ratio, naive"),
    ("k90", "k(90 % of variance)"),
    ("effective_rank", "entropy effective rank"),
    ("parallel_analysis", "parallel analysis"),
    ("hard_threshold", "optimal hard threshold"),
    ("replicable", "replicable components"),
    ("mean_share", "share of the mean difference"),
)


@dataclass(frozen=True, eq=False)
class Dimensionality(Result):
    """Dimensionality of a concept's paired differences.

    Report `participation_ratio`: it is the only one of the first four whose expectation does not depend on n. The
    others describe a sample of this size; their intervals are for their expectation at this n.

    Attributes:
        participation_ratio: Corrected for finite n, (tr M)^2 / tr M^2.
        participation_ratio_naive: The same on the sample spectrum; too small.
        k90: Components for 90 % of the variance; follows n.
        effective_rank: exp of the entropy of the singular values; follows n.
        parallel_analysis: Leading components with more variance than noise has.
        hard_threshold: Singular values above Gavish & Donoho's threshold.
        replicable: Leading components whose variance holds up on scenarios that did not choose them.
        mean_share: Share of the uncentred second moment that lies along the mean difference.
        mean_share_pvalue: Of `mean_share` when the two classes are swapped at random within scenarios. A swap flips
            the sign of a difference and leaves its second moment as it is, so this is the only one of these numbers
            that random labels can test; the others are judged against `null`.
        rarefaction: The first four at smaller n.
        null: The same for differences without the concept at the same n (or as many as there were), or None.
        n: Number of differences (scenarios).
        d_model: Width.
        center: Whether the mean difference was subtracted.
        seed: Of the resampling.
        dominant: Scenarios that carry more than a fifth of the second moment each, with their shares; the numbers are
            then about them.
    """

    participation_ratio: Estimate
    participation_ratio_naive: Estimate
    k90: Estimate
    effective_rank: Estimate
    parallel_analysis: Estimate
    hard_threshold: Estimate
    replicable: Estimate
    mean_share: Estimate
    mean_share_pvalue: float
    rarefaction: Rarefaction
    null: "Dimensionality | None"
    n: int
    d_model: int
    center: bool
    seed: int | None
    dominant: Mapping[str, float] = field(default_factory=dict)

    def tables(self) -> tuple[Table, ...]:
        """Every estimator beside its null, then the rarefaction."""
        moment = "centred" if self.center else "uncentred"
        rows = []
        for name, title in _ROWS:
            null = {} if self.null is None else {f"null (n = {self.null.n})": getattr(self.null, name)}
            rows.append({"": title, "estimate": getattr(self, name), **null})
        notes = [f"share of the mean difference, p with labels swapped: {self.mean_share_pvalue:.3f}"]
        if self.dominant:
            notes.append(f"note: {dominance_note(self.dominant)}")
        heading = f"Dimensionality of {self.n} paired differences in {self.d_model} dimensions ({moment})"
        return (Table.of(heading, rows, notes=notes), *self.rarefaction.tables())

    def to_frame(self) -> "pd.DataFrame":
        """One row for each estimator."""
        import pandas as pd

        rows = []
        for name, _ in _ROWS:
            e: Estimate = getattr(self, name)
            row = {"estimator": name, "value": e.value, "low": e.low, "high": e.high, "n": e.n, "method": e.method}
            if self.null is not None:
                null: Estimate = getattr(self.null, name)
                row |= {"null_value": null.value, "null_low": null.low, "null_high": null.high}
            rows.append(row)
        return pd.DataFrame(rows).set_index("estimator")
