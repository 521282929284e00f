"""Can a few features read the concept as well as the whole stream? k-sparse probes beside the dense one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import Tensor

from empathy_geometry.activations.pairing import rows_of_classes
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.cross_validation import Evaluation, cross_validate
from empathy_geometry.evaluation.metrics import auroc_excess
from empathy_geometry.foundation._types import BoolArray, FloatArray, IntArray, Layer
from empathy_geometry.foundation._validation import as_names, to_numpy
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.texts.splits import Fold


def class_gaps(features: FloatArray, positive: BoolArray) -> FloatArray:
    """Standardised class difference of each feature, |mean_1 - mean_0| / sqrt((var_1 + var_0) / 2).

    0 for a feature that does not vary within either class (one that never fires, say). The difference is standardised
    because decoders are scaled as they like: a feature of twice the activation is no better.

    Args:
        features: [n, d_sae].
        positive: [n], or [m, n] for m label vectors at once.

    Returns:
        [d_sae], or [m, d_sae].

    Example:
        >>> class_gaps(np.array([[0.0, 0], [2, 0], [4, 0], [6, 0]]), np.array([False, False, True, True])).round(2)
        array([2.83, 0.  ])
    """
    one = np.atleast_2d(positive).astype(np.float64)
    squares = features**2
    means, variances = [], []
    for weight in (one, 1 - one):
        count = weight.sum(axis=1, keepdims=True)
        mean = weight @ features / count
        means.append(mean)
        variances.append(np.maximum(weight @ squares / count - mean**2, 0) * count / np.maximum(count - 1, 1))
    spread = np.sqrt((variances[0] + variances[1]) / 2)
    gap = np.abs(means[0] - means[1])
    floor = 1e-6 * (np.sqrt(squares.mean(axis=0)) + 1e-30)
    result: FloatArray = np.where(spread > floor, gap / np.where(spread > floor, spread, 1.0), 0.0)
    return result if np.ndim(positive) == 2 else result[0]


def strongest(gaps: FloatArray, k: int) -> IntArray:
    """Indices of the k largest of [d_sae] or [m, d_sae], largest first; ties by index.

    Example:
        >>> strongest(np.array([0.1, 3.0, 2.0]), 2).tolist()
        [1, 2]
    """
    order: IntArray = np.argsort(-gaps, axis=-1, kind="stable")[..., :k]
    return order


SPARSITIES = (1, 4, 16, 64)


class SparseProbe(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A logistic probe on the k features with the largest standardised class difference in its training rows.

    The features are chosen in `fit`, so that cross-validation chooses them inside each training fold.

    Args:
        k: Number of features.
        C: Inverse strength of the L2 penalty, as in scikit-learn.

    Attributes:
        classes_: The two classes, sorted.
        features_: Which features were chosen.

    Source: k-sparse probing, Gurnee et al. (2023), TMLR; on SAE features, Kantamneni et al. (2025).

    Example:
        >>> X = np.random.default_rng(0).random((40, 9))
        >>> y = X[:, 5] > 0.5
        >>> SparseProbe(k=1).fit(X, y).features_.tolist()
        [5]
    """

    def __init__(self, k: int = 16, *, C: float = 1.0) -> None:
        self.k = k
        self.C = C

    def fit(self, X: Any, y: Any) -> "SparseProbe":
        """Choose features and fit to rows X [n, d_sae] with classes y [n].

        Raises:
            ValueError: not two classes, or k is not positive.
        """
        rows, labels = np.asarray(to_numpy(X), dtype=np.float64), as_names(y, "y")
        self.classes_ = np.unique(labels)
        if len(self.classes_) != 2 or self.k < 1:
            raise ValueError(f"a sparse probe needs two classes and k >= 1, got {len(self.classes_)} and k={self.k}")
        self.features_ = strongest(class_gaps(rows, labels == self.classes_[1]), self.k)
        self.probe_ = Probe("logistic", C=self.C).fit(rows[:, self.features_], labels)
        return self

    def decision_function(self, X: Any) -> FloatArray:
        """Scores [n]; higher means `classes_[1]`."""
        return self.probe_.decision_function(np.asarray(to_numpy(X), dtype=np.float64)[:, self.features_])

    def predict(self, X: Any) -> np.ndarray:
        """The more likely class of each row."""
        return self.probe_.predict(np.asarray(to_numpy(X), dtype=np.float64)[:, self.features_])


@dataclass(frozen=True, eq=False)
class SparseProbing(Result):
    """Held-out AUROC by number of features, all on the same folds.

    Attributes:
        sparse: Evaluation by k.
        dense: Evaluation of the dense probe on the activations themselves, with its text-only baselines.
        shortfall: AUROC of the dense probe minus that of the k-sparse one, paired, by k.
        seed: Of the folds.
    """

    sparse: Mapping[int, Evaluation]
    dense: Evaluation
    shortfall: Mapping[int, Estimate]
    seed: int | None = None

    def json_content(self) -> dict[str, Any]:
        """The estimates, and the evaluations that they are from."""
        return {
            "sparse": {str(k): e.auroc for k, e in self.sparse.items()},
            "dense": self.dense.auroc,
            "shortfall": self.shortfall,
            "seed": self.seed,
            "best_baseline": self.dense.best_baseline,
            "baselines": self.dense.baselines,
            "evaluations": {"dense": self.dense, "sparse": self.sparse},
        }

    @staticmethod
    def json_fields(content: Mapping[str, Any]) -> dict[str, Any]:
        """The fields from what `to_dict` gave."""
        return {**content, **content.get("evaluations", {})}

    def tables(self) -> tuple[Table, ...]:
        """AUROC by number of features, and what is missing to the dense probe."""
        rows = [
            {"features": str(k), "AUROC, held out": e.auroc, "dense minus this": self.shortfall[k]}
            for k, e in self.sparse.items()
        ]
        return (Table.of(f"k-sparse probes; dense probe {self.dense.auroc}", rows),)


def sparse_probing(
    features: Float[Tensor, "n d_sae"],
    activations: Activations,
    *,
    layer: Layer,
    positive: str,
    negative: str,
    ks: Sequence[int] = SPARSITIES,
    dense: Evaluation | None = None,
    n_splits: int = 5,
    seed: int = 0,
) -> SparseProbing:
    """Probe on k features, chosen in each training fold, against the dense probe on the same folds.

    Args:
        features: Feature activations of the texts.
        activations: The same texts' activations.
        layer: Which of their layers the dense probe reads.
        positive: The concept's class.
        negative: The class to compare with.
        ks: Numbers of features; more than fire at all count as all of them.
        dense: An evaluation of the dense probe with the same folds, to compute it once only.
        n_splits: Folds.
        seed: Of the folds.

    Raises:
        ValueError: as in `cross_validate`.
    """
    if dense is None:
        dense = cross_validate(
            Probe("logistic"),
            activations,
            layers=[layer],
            positive=positive,
            negative=negative,
            n_splits=n_splits,
            seed=seed,
        )
    chosen = np.flatnonzero(np.logical_or(*rows_of_classes(activations.labels, positive, negative)))
    folds = [Fold(chosen[fold.train], chosen[fold.test]) for fold in dense.folds]
    live = max(1, int((features > 0).any(dim=0).sum()))
    sparse, shortfall = {}, {}
    for k in sorted({min(k, live) for k in ks}):
        sparse[k] = cross_validate(
            SparseProbe(k),
            features,
            activations.labels,
            groups=activations.groups,
            positive=positive,
            negative=negative,
            folds=folds,
            seed=seed,
        )
        shortfall[k] = auroc_excess(
            dense.scores,
            {f"the {k}-sparse probe": sparse[k].scores},
            dense.labels == positive,
            groups=dense.groups,
            inflation=dense.variance_inflation,
            baseline_inflation={f"the {k}-sparse probe": sparse[k].variance_inflation},
        )[f"the {k}-sparse probe"]
    return SparseProbing(sparse, dense, shortfall, seed)
