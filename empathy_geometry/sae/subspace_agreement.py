"""Do an SAE's features span the concept's subspace? Features and subspace from different scenarios, beside nulls."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.linalg import subspace_angles

from empathy_geometry.evaluation.label_permutations import label_permutations
from empathy_geometry.evaluation.nulls import empirical_pvalue
from empathy_geometry.foundation._types import FloatArray, IntArray
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.jackknife import blocks_of, jackknife_interval
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table, cell
from empathy_geometry.sae.concept_halves import (
    AgreementData,
    Half,
    between_halves,
    captured,
    halves,
    mean_difference_basis,
    noise_captured,
    noise_corrected,
    pairs_basis,
    without,
)
from empathy_geometry.sae.sparse_probing import class_gaps, strongest

NullName = Literal["isotropic", "covariance", "frequency", "shuffled labels"]
NULLS: tuple[NullName, ...] = ("isotropic", "covariance", "frequency", "shuffled labels")
_BLOCKS = 20
_NEIGHBOURS = 20
_DRAWS_AT_ONCE = 50


@dataclass(frozen=True, eq=False)
class SubspaceAgreement(Result):
    """Agreement between the span of selected decoder columns and a concept's subspace.

    Attributes:
        concept: "mean difference" (rank 1) or "pairs" (leading components of the paired differences).
        value: Mean squared cosine of the principal angles, averaged over splits, with a jackknife interval over
            scenarios.
        ceiling: The same between the subspaces of the two halves: what the noise of the subspace allows.
        corrected: `value` without that noise, for "mean difference"; None for "pairs", or where the ceiling is below
            0.1. See `noise_corrected`.
        curve: Value by number of selected features.
        isotropic: By number of features, what random directions give on average, max(k, rank) / d_model.
        angles: Principal angles of the first split in degrees, ascending.
        nulls: Null distributions of `value` by name; see `agreement_with_concept`.
        pvalues: (b + 1) / (m + 1) against each.
        n_features: Number k of selected features behind `value`.
        rank: Rank of the subspace.
        d_model: Width.
        selected: Features by how often they were selected, most often first: (index, share of splits).
    """

    concept: str
    value: Estimate
    ceiling: float
    corrected: Estimate | None
    curve: Mapping[int, float]
    isotropic: Mapping[int, float]
    angles: tuple[float, ...]
    nulls: Mapping[str, FloatArray]
    pvalues: Mapping[str, float]
    n_features: int
    rank: int
    d_model: int
    selected: tuple[tuple[int, float], ...]
    seed: int | None = None

    @property
    def pvalue(self) -> float:
        """The largest p: small only where every null is beaten."""
        return max(self.pvalues.values())

    def json_content(self) -> dict[str, Any]:
        """Every field and the largest p."""
        return super().json_content() | {"pvalue": self.pvalue}

    def tables(self) -> tuple[Table, ...]:
        """The agreement beside its nulls."""
        rows = [
            {"null": name, "mean cos^2": float(null.mean()), "p": self.pvalues[name]}
            for name, null in self.nulls.items()
        ]
        title = f"{self.concept} (rank {self.rank}): mean cos^2 with {self.n_features} features {self.value}"
        note = f"ceiling {self.ceiling:.3f}, corrected for noise {cell(self.corrected)}"
        return (Table.of(title, rows, notes=[note]),)


def agreement_with_concept(
    data: AgreementData,
    *,
    concept: Literal["mean difference", "pairs"] = "mean difference",
    rank: int = 4,
    n_features: int = 16,
    curve: tuple[int, ...] = (1, 4, 16, 64),
    n_splits: int = 5,
    n_draws: int = 199,
    seed: int = 0,
    level: float = 0.95,
) -> SubspaceAgreement:
    """Agreement of the features that tell the classes apart in one half of the scenarios with the other half's concept.

    In each half the features with the largest standardised class difference are selected, and the span of their decoder
    columns is held against the concept's subspace in the other half; both ways round, over random splits.

    Nulls, each through all splits and averaged like the value:
    - "isotropic": every decoder column replaced by a random direction (an SAE with random decoder);
    - "covariance": by a direction drawn from the covariance of the rows, which any dictionary of them resembles;
    - "frequency": by the column of another feature that fires about as often;
    - "shuffled labels": features selected after shuffling labels within scenarios: what selection alone finds.

    Args:
        data: See `AgreementData`.
        concept: Which subspace; "pairs" needs both classes in each scenario.
        rank: Of "pairs".
        n_features: Number of features for the value and its nulls; at most a quarter of d_model, since as many
            directions as dimensions span everything.
        curve: Numbers of features for the curve.
        n_splits: Random splits of the scenarios.
        n_draws: Of each null.
        seed: Of splits and nulls.
        level: Coverage of the interval.

    Raises:
        ValueError: fewer than eight scenarios, or nothing fires.

    Source: Knyazev & Argentati (2002) for principal angles; docs/sae.md for the nulls.
    """
    n_groups = int(data.groups.max()) + 1
    if n_groups < 8:
        raise ValueError(f"agreement needs at least 8 scenarios (halves of 4), got {n_groups}")
    live = int((data.features > 0).any(axis=0).sum())
    if live == 0:
        raise ValueError("no feature fires on these texts; is this an SAE of another layer or another model?")
    (rng,) = np.random.default_rng(seed).spawn(1)
    parts = halves(data.positive, data.groups, n_splits=n_splits, generator=rng)
    k = min(n_features, live, max(1, data.decoder.shape[1] // 4))

    def bases_of(of: list[Half]) -> list[FloatArray]:
        if concept == "mean difference":
            return [mean_difference_basis(data.rows[h.judge], data.positive[h.judge]) for h in of]
        return [pairs_basis(data.rows[h.judge], data.positive[h.judge], data.groups[h.judge], rank) for h in of]

    def picked(of: list[Half], most: int) -> IntArray:
        return np.array([strongest(class_gaps(data.features[h.select], data.positive[h.select]), most) for h in of])

    bases = bases_of(parts)
    sizes = tuple(sorted({min(size, live) for size in curve} | {k}))
    chosen = picked(parts, max(sizes))
    value = _mean_captured(data.decoder, chosen[:, :k], bases)
    ceiling = between_halves(bases)
    noise = noise_captured(data, parts, chosen[:, :k], seed=seed)
    replicates, corrections = [], []
    for kept in blocks_of(n_groups, _BLOCKS, rng):
        fewer = without(parts, data.groups, kept)
        one, again = picked(fewer, k), bases_of(fewer)
        replicates.append(_mean_captured(data.decoder, one, again))
        corrections.append(noise_corrected(replicates[-1], between_halves(again), noise))
    # A value of exactly 0 or 1 has no logit; its interval is then on the raw scale, cut to what is possible.
    inside = 0 < value < 1 - 1e-9 and min(replicates) > 0
    ends = jackknife_interval(
        value, replicates, level=level, scale="logit" if inside else "raw", ceiling=1.0 if inside else np.inf
    )
    low, high = (None, None) if ends is None else (max(0.0, ends[0]), min(1.0, ends[1]))
    nulls = _nulls(data, parts, chosen[:, :k], bases, n_draws, rng)
    true_rank = max(len(b) for b in bases)
    d_model = data.decoder.shape[1]
    counts = np.bincount(chosen[:, :k].ravel(), minlength=len(data.decoder)) / len(parts)
    return SubspaceAgreement(
        concept=concept,
        value=Estimate(
            value,
            low,
            high,
            level,
            len(data.rows),
            n_groups,
            f"mean over {len(parts)} halves; jackknife over scenarios",
        ),
        ceiling=ceiling,
        corrected=_corrected(noise_corrected(value, ceiling, noise), corrections, level, len(data.rows), n_groups)
        if concept == "mean difference"
        else None,
        curve={size: _mean_captured(data.decoder, chosen[:, :size], bases) for size in sizes},
        isotropic={size: min(1.0, max(size, true_rank) / d_model) for size in sizes},
        angles=_angles(data.decoder[chosen[0, :k]], bases[0]),
        nulls=nulls,
        pvalues={name: empirical_pvalue(value, null) for name, null in nulls.items()},
        n_features=k,
        rank=true_rank,
        d_model=d_model,
        selected=tuple((int(i), float(counts[i])) for i in np.argsort(-counts, kind="stable")[:k]),
        seed=seed,
    )


def _corrected(
    value: float | None, replicates: list[float | None], level: float, n: int, n_groups: int
) -> Estimate | None:
    if value is None:
        return None
    known = [r for r in replicates if r is not None]
    ends = jackknife_interval(value, known, level=level) if len(known) == len(replicates) else None
    low, high = (None, None) if ends is None else (max(0.0, ends[0]), min(1.0, ends[1]))
    return Estimate(min(1.0, value), low, high, level, n, n_groups, "noise of the mean difference taken out; jackknife")


def _mean_captured(decoder: FloatArray, chosen: IntArray, bases: list[FloatArray]) -> float:
    if len({len(basis) for basis in bases}) == 1:
        return float(captured(decoder[chosen], np.stack(bases)).mean())
    return float(np.mean([captured(decoder[rows], basis) for rows, basis in zip(chosen, bases, strict=True)]))


def _nulls(
    data: AgreementData,
    parts: list[Half],
    chosen: IntArray,
    bases: list[FloatArray],
    n_draws: int,
    generator: np.random.Generator,
) -> dict[str, FloatArray]:
    """Every null replaces the decoder columns by others, the same in all splits, as the selected ones mostly are."""
    used, where = np.unique(chosen, return_inverse=True)
    where = where.reshape(chosen.shape)
    d_model, centred = data.decoder.shape[1], data.rows - data.rows.mean(axis=0)
    twins = _frequency_twins(data.frequency, used)

    def isotropic() -> FloatArray:
        return generator.standard_normal((len(used), d_model))

    def covariance() -> FloatArray:
        drawn: FloatArray = generator.standard_normal((len(used), len(centred))) @ centred
        return drawn

    def frequency() -> FloatArray:
        found: FloatArray = data.decoder[_distinct(twins, generator)]
        return found

    replacements: dict[str, Callable[[], FloatArray]] = {
        "isotropic": isotropic,
        "covariance": covariance,
        "frequency": frequency,
    }
    nulls = {
        name: np.array([_mean_captured(draw(), where, bases) for _ in range(n_draws)])
        for name, draw in replacements.items()
    }
    labels = label_permutations(data.positive.astype(int), groups=data.groups).draw(n_draws, generator=generator) == 1
    k = chosen.shape[1]
    shuffled = np.zeros(n_draws)
    for half, basis in zip(parts, bases, strict=True):
        selected = strongest(class_gaps(data.features[half.select], labels[:, half.select]), k)
        for start in range(0, n_draws, _DRAWS_AT_ONCE):
            part = slice(start, start + _DRAWS_AT_ONCE)
            shuffled[part] += captured(data.decoder[selected[part]], basis)
    return nulls | {"shuffled labels": shuffled / len(parts)}


def _frequency_twins(frequency: FloatArray, used: IntArray) -> list[IntArray]:
    """For each used feature, the features that fire most nearly as often, itself left out."""
    scale = np.log(frequency + 1e-6)
    found = []
    for index in used:
        order = np.argsort(np.abs(scale - scale[index]), kind="stable")
        found.append(order[order != index][:_NEIGHBOURS])
    return found


def _distinct(candidates: list[IntArray], generator: np.random.Generator) -> IntArray:
    """One candidate for each, different ones as far as there are enough."""
    taken: set[int] = set()
    result = []
    for options in candidates:
        free = [i for i in options.tolist() if i not in taken] or options.tolist()
        result.append(int(free[int(generator.integers(len(free)))]))
        taken.add(result[-1])
    return np.array(result)


def _angles(directions: FloatArray, basis: FloatArray) -> tuple[float, ...]:
    return tuple(float(a) for a in np.degrees(subspace_angles(directions.T, basis.T))[::-1])
