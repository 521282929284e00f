"""The reference study's own SAE numbers, beside ours, as what they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.cluster import KMeans

from empathy_geometry.evaluation.clusters import adjusted_rand, purity, silhouette
from empathy_geometry.evaluation.nulls import NullTest, label_null
from empathy_geometry.foundation._types import BoolArray, FloatArray, IntArray
from empathy_geometry.foundation._validation import as_generator
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table

COUNTED_ABOVE = 0.01
WITHIN = 0.2
NOTE = (
    "Features above 0.01 are counted in units that scaling the SAE changes, and the count grows with the number of "
    "texts and the width of the SAE; an untrained dictionary gives such a count too. Two counts within 20 % of each "
    "other say nothing about which directions they count. Purity grows with the number of clusters, which the "
    "best silhouette does not choose for the classes' sake: read it beside shuffled labels."
)


@dataclass(frozen=True, eq=False)
class ReferenceCounts(Result):
    """Counts and clusterings as the reference study made them (in sample).

    Attributes:
        features: Features whose mean activation over the concept's texts exceeds 0.01.
        features_negative: The same over the other class.
        features_untrained: The same over the concept's texts, of the untrained dictionary; None without.
        components: Principal components for 90 % of the variance of the concept's activations.
        within: Whether `features` and `components` agree within 20 % of the larger.
        clusters: Number of k-means clusters with the best silhouette.
        silhouette: Of those clusters.
        purity: Of those clusters against the classes.
        adjusted_rand: Of those clusters against the classes; 0 by chance.
        purity_null: Purity under labels shuffled within scenarios.
        note: Why these numbers do not say much.
        seed: Of k-means and shuffles.
    """

    features: int
    features_negative: int
    features_untrained: int | None
    components: int
    within: bool
    clusters: int
    silhouette: float
    purity: Estimate
    adjusted_rand: Estimate
    purity_null: NullTest
    note: str = NOTE
    seed: int | None = None

    def json_content(self) -> dict[str, Any]:
        """Every field; of the null of the purity its mean and p."""
        null = self.purity_null
        return super().json_content() | {
            "purity_null": {"mean": float(null.null_distribution.mean()), "pvalue": null.pvalue},
        }

    @staticmethod
    def json_fields(content: Mapping[str, Any]) -> dict[str, Any]:
        """The fields from what `to_dict` gave; the null of the purity then has its mean only."""
        null, purity = content["purity_null"], content["purity"]["value"]
        if "mean" not in null:
            return dict(content)
        scheme = {"statistic": purity, "scheme": "within", "null_distribution": [null["mean"]]}
        return {**content, "purity_null": {**null, **scheme}}

    def rows(self) -> list[tuple[str, str, str]]:
        """Quantity, value, what it is to be held against."""
        untrained = "" if self.features_untrained is None else f", untrained dictionary {self.features_untrained}"
        return [
            (
                "reference: features above 0.01 (in sample)",
                str(self.features),
                f"other class {self.features_negative}{untrained}; components for 90 %: {self.components}, "
                f"within 20 %: {'yes' if self.within else 'no'}",
            ),
            (
                f"reference: purity of {self.clusters} clusters (in sample)",
                str(self.purity),
                f"shuffled labels {self.purity_null.null_distribution.mean():.3f} (p {self.purity_null.pvalue:.3f}); "
                f"silhouette {self.silhouette:.3f}; adjusted Rand {self.adjusted_rand}",
            ),
        ]

    def tables(self) -> tuple[Table, ...]:
        """The counts, and why they do not say much."""
        title, columns = "Counts of the reference study", ("quantity", "value", "null or control")
        return (Table(title, columns, tuple(self.rows()), (self.note,)),)


def reference_counts(
    features: FloatArray,
    rows: FloatArray,
    positive: BoolArray,
    groups: IntArray,
    *,
    untrained: FloatArray | None = None,
    most_clusters: int = 8,
    n_permutations: int = 199,
    seed: int = 0,
) -> ReferenceCounts:
    """Count features and components, and cluster the feature activations by k-means.

    Args:
        features: Feature activations of the texts, [n, d_sae].
        rows: Their activations, [n, d_model].
        positive: Which have the concept.
        groups: Scenario index of each row.
        untrained: Feature activations of an untrained dictionary.
        most_clusters: Numbers of clusters from 2 to this one compete by their silhouette.
        n_permutations: Of the null of the purity.
        seed: Of k-means and shuffles.

    Source: Santarcangelo (2026) for the quantities.
    """
    generator = as_generator(seed)
    concept = rows[positive] - rows[positive].mean(axis=0)
    variance = np.linalg.svd(concept, compute_uv=False) ** 2
    components = int(np.searchsorted(np.cumsum(variance) / variance.sum(), 0.9 - 1e-12) + 1)
    counted = _counted(features[positive])
    live = features[:, (features > 0).any(axis=0)]
    best, labels = -np.inf, np.zeros(len(rows), dtype=np.int64)
    for k in range(2, min(most_clusters, len(np.unique(live, axis=0)) - 1) + 1):
        found = KMeans(k, n_init=3, random_state=int(generator.integers(2**31))).fit_predict(live)
        if len(np.unique(found)) > 1 and (value := float(silhouette(live, found))) > best:
            best, labels = value, found
    classes = np.where(positive, "positive", "negative")
    null = label_null(
        lambda shuffled: float(purity(labels, shuffled)),
        classes,
        groups=groups,
        n_permutations=n_permutations,
        seed=int(generator.integers(2**31)),
    )
    return ReferenceCounts(
        features=counted,
        features_negative=_counted(features[~positive]),
        features_untrained=None if untrained is None else _counted(untrained[positive]),
        components=components,
        within=abs(counted - components) <= WITHIN * max(counted, components),
        clusters=len(np.unique(labels)),
        silhouette=best,
        purity=purity(labels, classes, groups=groups),
        adjusted_rand=adjusted_rand(labels, classes, groups=groups),
        purity_null=null,
        seed=seed,
    )


def _counted(features: FloatArray) -> int:
    return int((features.mean(axis=0) > COUNTED_ABOVE).sum())
