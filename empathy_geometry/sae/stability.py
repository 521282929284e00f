"""Are an SAE's features its own, or the data's? Two SAEs of different seeds, matched feature by feature."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from empathy_geometry.foundation._types import ArrayLike, BoolArray, FloatArray, IntArray
from empathy_geometry.foundation._validation import as_generator, as_matrix
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table
from empathy_geometry.sae.autoencoder import SparseAutoencoder

_MOST = 8192


@dataclass(frozen=True, eq=False)
class FeatureStability(Result):
    """One-to-one matching of two SAEs' features by the cosine of their decoder columns.

    Attributes:
        cosines: Cosine of each matched pair, falling.
        pairs: The pairs, (index in the first, index in the second), in the same order.
        mean: Mean cosine.
        share: Share of pairs at or above `threshold`.
        threshold: What counts as the same feature.
        nulls: Mean cosine and share where the second decoder is random, by null: "isotropic", or "covariance".
        selected: Cosine of each feature asked about with its match; 0 where it has none.
        n: Features matched on each side.
        seed: Of the random decoders.
    """

    cosines: FloatArray
    pairs: IntArray
    mean: float
    share: float
    threshold: float
    nulls: Mapping[str, tuple[float, float]]
    selected: Mapping[int, float]
    n: tuple[int, int]
    seed: int | None = None

    @property
    def selected_share(self) -> float | None:
        """Share of the features asked about whose match reaches the threshold."""
        return float(np.mean([c >= self.threshold for c in self.selected.values()])) if self.selected else None

    def json_content(self) -> dict[str, Any]:
        """The summary: without the cosine of each pair."""
        fields = {k: v for k, v in super().json_content().items() if k not in ("cosines", "pairs")}
        return fields | {"selected_share": self.selected_share}

    @staticmethod
    def json_fields(content: Mapping[str, Any]) -> dict[str, Any]:
        """The fields from what `to_dict` gave, with no pairs."""
        return {"cosines": [], "pairs": [], **content}

    def tables(self) -> tuple[Table, ...]:
        """The two seeds beside random decoders."""
        rows = [
            {"decoders": "two seeds", "mean cosine": self.mean, f"share >= {self.threshold:g}": f"{self.share:.0%}"}
        ]
        rows += [
            {"decoders": f"random, {name}", "mean cosine": mean, f"share >= {self.threshold:g}": f"{share:.0%}"}
            for name, (mean, share) in self.nulls.items()
        ]
        asked = [] if self.selected_share is None else [f"of the concept's features {self.selected_share:.0%}"]
        return (Table.of("Matched features of two seeds", rows, notes=asked),)


def feature_stability(
    first: SparseAutoencoder,
    second: SparseAutoencoder,
    *,
    live: tuple[BoolArray, BoolArray] | None = None,
    rows: ArrayLike | None = None,
    selected: Sequence[int] = (),
    threshold: float = 0.7,
    seed: int = 0,
) -> FeatureStability:
    """Match the features of two SAEs so that the sum of the cosines of their decoder columns is largest.

    Args:
        first: An SAE.
        second: One of another seed, with the same width.
        live: Which features of each to match, such as those that fire; None takes all.
        rows: Activations, [n, d_model], for the null "covariance": directions that activations vary along.
        selected: Features of the first to report one by one.
        threshold: Cosine from which a pair counts as the same feature.
        seed: Of the random decoders.

    Raises:
        ValueError: widths differ, a side has no features, or more than 8,192 to match (the time grows with the cube).

    Source: Kuhn (1955) through `scipy.optimize.linear_sum_assignment`; for SAEs across seeds, Paulo & Belrose (2025).

    Example:
        >>> import torch
        >>> a, b = (SparseAutoencoder(m, lambda x: x, lambda f: f) for m in (torch.eye(3), torch.eye(3).flip(0)))
        >>> found = feature_stability(a, b)
        >>> found.mean, found.pairs.tolist()
        (1.0, [[0, 2], [1, 1], [2, 0]])
    """
    if first.d_model != second.d_model:
        raise ValueError(f"both SAEs must have one width, got {first.d_model} and {second.d_model}")
    masks = live or (np.ones(first.d_sae, dtype=bool), np.ones(second.d_sae, dtype=bool))
    indices = [np.flatnonzero(mask) for mask in masks]
    if min(map(len, indices)) == 0 or max(map(len, indices)) > _MOST:
        raise ValueError(
            f"1 to {_MOST} features can be matched on each side, got {len(indices[0])} and {len(indices[1])}; pass "
            f"live= with those that fire"
        )
    a, b = (_unit(s.decoder.double().numpy()[i]) for s, i in zip((first, second), indices, strict=True))
    own, cosines = _match(a, b)
    # A stream of its own: data of the same seed may have drawn its directions alike.
    (generator,) = as_generator(seed).spawn(1)
    drawn = {"isotropic": generator.standard_normal(b.shape)}
    if rows is not None:
        sample = as_matrix(rows, "rows", d_model=first.d_model)
        drawn["covariance"] = generator.standard_normal((len(b), len(sample))) @ (sample - sample.mean(axis=0))
    nulls = {}
    for name, random in drawn.items():
        values = _match(a, _unit(random))[1]
        nulls[name] = (float(values.mean()), float((values >= threshold).mean()))
    order = np.argsort(-cosines, kind="stable")
    pairs = np.stack([indices[0][own[0]], indices[1][own[1]]], axis=1)[order]
    of = dict(zip(pairs[:, 0].tolist(), cosines[order].tolist(), strict=True))
    return FeatureStability(
        cosines=cosines[order],
        pairs=pairs,
        mean=float(cosines.mean()),
        share=float((cosines >= threshold).mean()),
        threshold=threshold,
        nulls=nulls,
        selected={int(i): float(of.get(int(i), 0.0)) for i in selected},
        n=(len(a), len(b)),
        seed=seed,
    )


def _unit(rows: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    result: FloatArray = rows / np.where(lengths > 0, lengths, 1.0)
    return result


def _match(a: FloatArray, b: FloatArray) -> tuple[tuple[IntArray, IntArray], FloatArray]:
    cosines = a @ b.T
    own = linear_sum_assignment(cosines, maximize=True)
    return own, cosines[own]
