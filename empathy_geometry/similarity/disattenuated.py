"""The cosine that two directions would have without noise, from disjoint scenarios and disjoint baselines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from empathy_geometry.activations.pairing import rows_of_classes
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.foundation._types import ArrayLike, FloatArray, IntArray, LabelsLike, Layer
from empathy_geometry.foundation._validation import as_generator, as_matrix, shared_names
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.jackknife import blocks_of, jackknife_interval
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table

if TYPE_CHECKING:
    import pandas as pd

_BLOCKS = 50


@dataclass(frozen=True)
class DisattenuatedCosine(Result):
    """Cosine of two concepts' mean differences, corrected for noise.

    Attributes:
        value: c / sqrt(reliability_a * reliability_b); None if a reliability is not positive, when no number is
            better than none. It is not cut at 1: an estimate above 1 (`exceeds_one`) says that noise or a shared
            confound explains the agreement as well as identity does.
        cosine: Of the two noisy mean differences as anyone would compute it, shared baseline and all.
        disjoint: The same numerator without products of one scenario with itself, still attenuated by noise.
        reliability_a: Share of the squared length of direction a that is not noise; at or below 0 there is no
            direction to compare.
        reliability_b: The same for b.
        notes: What a reader must know about this estimate.
        seed: Of the jackknife's blocks.
    """

    value: Estimate | None
    cosine: float
    disjoint: Estimate
    reliability_a: Estimate
    reliability_b: Estimate
    notes: tuple[str, ...]
    seed: int | None = None

    @property
    def exceeds_one(self) -> bool:
        """Whether the estimate lies outside [-1, 1]."""
        return self.value is not None and abs(self.value.value) > 1

    def tables(self) -> tuple[Table, ...]:
        """The corrected cosine and what it is made of."""
        rows: list[dict[str, object]] = [
            {"quantity": "disattenuated cosine", "estimate": self.value or "not defined"},
            {"quantity": "disjoint scenarios", "estimate": self.disjoint},
            {"quantity": "as usually computed", "estimate": self.cosine},
            {"quantity": "reliability of a", "estimate": self.reliability_a},
            {"quantity": "reliability of b", "estimate": self.reliability_b},
        ]
        title = f"disattenuated cosine {self.value or 'not defined'}"
        return (Table.of(title, rows, notes=[f"note: {note}" for note in self.notes]),)

    def to_frame(self) -> "pd.DataFrame":
        """One row for each estimate."""
        import pandas as pd

        named = {
            "disattenuated": self.value,
            "disjoint": self.disjoint,
            "reliability_a": self.reliability_a,
            "reliability_b": self.reliability_b,
        }
        return pd.DataFrame([{"quantity": k, **v.to_dict()} for k, v in named.items() if v is not None])


def disattenuated_cosine(
    a: ArrayLike,
    b: ArrayLike,
    *,
    groups_a: LabelsLike,
    groups_b: LabelsLike,
    baseline: ArrayLike | None = None,
    groups_baseline: LabelsLike | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> DisattenuatedCosine:
    """Cosine between the mean differences of two concepts, with the noise of the means taken out.

    Numerator and squared lengths are means over pairs of rows of different scenarios (see `distinct_products`), so
    neither the noise of a scenario nor a shared baseline enters both factors. Two unrelated concepts have a null of 0,
    where the plain cosine of differences from one baseline has +1/2.

    Args:
        a: Rows of concept a: paired differences, or class rows if `baseline` is given, [n_a, d_model].
        b: The same for concept b, [n_b, d_model].
        groups_a: Scenario of each row of a; a scenario has the same name in a, b and the baseline.
        groups_b: Scenario of each row of b.
        baseline: Rows that both concepts are compared with, [m, d_model].
        groups_baseline: Scenario of each baseline row.
        level: Coverage of the intervals (a jackknife over scenarios).
        seed: Seed, for the jackknife's blocks where there are more than 50 scenarios.

    Raises:
        ValueError: widths differ, a set has fewer than two scenarios, or there are fewer than six scenarios in all.

    Source: Spearman (1904) for the attenuation; disjoint halves as in Nili et al. (2014) for distances.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> noise, shift = rng.standard_normal((3, 100, 60)), np.eye(2, 60)
        >>> a, b, neutral = noise[0] + shift[0], noise[1] + shift[1], noise[2]
        >>> names = np.arange(100)
        >>> c = disattenuated_cosine(a, b, groups_a=names, groups_b=names, baseline=neutral, groups_baseline=names)
        >>> bool(c.value.low < 0 < c.value.high), c.cosine > 0.15
        (True, True)
    """
    sets = [as_matrix(a, "a")]
    sets.append(as_matrix(b, "b", d_model=sets[0].shape[1]))
    given = {"groups_a": groups_a, "groups_b": groups_b}
    if baseline is not None:
        sets.append(as_matrix(baseline, "baseline", d_model=sets[0].shape[1]))
        if groups_baseline is None:
            raise ValueError("baseline needs groups_baseline, the scenario of each of its rows")
        given["groups_baseline"] = groups_baseline
    names = shared_names(given, [len(rows) for rows in sets])
    for name, group in zip("ab", names, strict=False):
        if len(np.unique(group)) < 2:
            raise ValueError(f"concept {name} needs rows of at least two scenarios, got {len(np.unique(group))}")
    rows = np.vstack(sets)
    classes = np.repeat(np.arange(len(sets)), [len(s) for s in sets])
    groups = np.unique(np.concatenate([n.astype(str) for n in names]), return_inverse=True)[1].reshape(-1)
    n_groups = int(groups.max()) + 1
    if n_groups < 6:
        raise ValueError(f"an interval needs at least 6 scenarios, got {n_groups}")
    return _measure(rows @ rows.T, classes, groups, level, seed)


def disattenuated_cosine_of(
    activations: Activations,
    *,
    positive_a: str,
    positive_b: str,
    negative: str,
    layer: Layer,
    pos: int | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> DisattenuatedCosine:
    """`disattenuated_cosine` of two classes against a shared neutral class at one layer.

    Args:
        activations: What `extract_activations` returned.
        positive_a: Class of concept a.
        positive_b: Class of concept b.
        negative: The class that both are compared with.
        layer: One of the extracted layers.
        pos: Which vector of each text, where there are several.
        level: Coverage of the intervals.
        seed: Seed.

    Raises:
        ValueError: unknown layer or class.
    """
    x = as_matrix(activations.layer(layer, pos=pos), "values")
    a, n = rows_of_classes(activations.labels, positive_a, negative)
    b, _ = rows_of_classes(activations.labels, positive_b, positive_a)
    groups = activations.groups
    return disattenuated_cosine(
        x[a],
        x[b],
        groups_a=groups[a],
        groups_b=groups[b],
        baseline=x[n],
        groups_baseline=groups[n],
        level=level,
        seed=seed,
    )


def _measure(g: FloatArray, classes: IntArray, groups: IntArray, level: float, seed: int) -> DisattenuatedCosine:
    n_classes, n_groups = int(classes.max()) + 1, int(groups.max()) + 1

    def statistics(kept: np.ndarray) -> dict[str, float]:
        part, of, scenario = g[np.ix_(kept, kept)], classes[kept], groups[kept]
        clean = _differences(distinct_products(part, of, scenario, n_classes))
        member = (of[:, None] == np.arange(n_classes)) / np.maximum(np.bincount(of, minlength=n_classes), 1)
        noisy = _differences(member.T @ part @ member)
        lengths = np.sqrt(noisy[0, 0] * noisy[1, 1])
        return {
            "value": float(clean[0, 1] / np.sqrt(clean[0, 0] * clean[1, 1]))
            if min(clean[0, 0], clean[1, 1]) > 0
            else float("nan"),
            "cosine": float(noisy[0, 1] / lengths),
            "disjoint": float(clean[0, 1] / lengths),
            "reliability_a": float(clean[0, 0] / noisy[0, 0]),
            "reliability_b": float(clean[1, 1] / noisy[1, 1]),
        }

    found = statistics(np.ones(len(classes), dtype=bool))
    left_out = [statistics(kept) for kept in without_blocks(groups, blocks_of(n_groups, _BLOCKS, as_generator(seed)))]

    def estimate(name: str) -> Estimate:
        interval = jackknife_interval(found[name], [s[name] for s in left_out], level=level)
        low, high = (None, None) if interval is None else interval
        method = "jackknife over scenarios" if interval else "no interval: without some scenarios it is not defined"
        return Estimate(found[name], low, high, level, len(classes), n_groups, method)

    a, b = estimate("reliability_a"), estimate("reliability_b")
    value = estimate("value") if np.isfinite(found["value"]) else None
    return DisattenuatedCosine(value, found["cosine"], estimate("disjoint"), a, b, _notes(value, a, b), seed)


def _differences(products: FloatArray) -> FloatArray:
    """Inner products of the two concepts' differences from the baseline (class 2), if there is one."""
    if len(products) == 2:
        return products
    contrast = np.array([[1.0, 0.0, -1.0], [0.0, 1.0, -1.0]])
    return np.asarray(contrast @ products @ contrast.T)


def _notes(value: Estimate | None, a: Estimate, b: Estimate) -> tuple[str, ...]:
    notes = []
    for name, reliability in (("a", a), ("b", b)):
        if reliability.value <= 0:
            notes.append(f"direction {name} is not distinguishable from noise (reliability {reliability.value:.3f})")
        elif reliability.low is None or reliability.low <= 0:
            notes.append(f"the reliability of {name} may be zero; the correction divides by it and is unstable")
    if value is not None and abs(value.value) > 1:
        notes.append("the estimate lies outside [-1, 1]: compatible with identity, and with a shared confound")
    return tuple(notes)


def distinct_products(g: FloatArray, classes: IntArray, groups: IntArray, n_classes: int) -> FloatArray:
    """Unbiased inner products of class means, [n_classes, n_classes].

    The product of two sample means is biased by every row, and by every scenario, that enters both. Splitting the
    scenarios into disjoint halves removes that; the mean over all pairs of rows from different scenarios is the average
    of all such splits, and uses every row.

    Args:
        g: Inner products of the rows, [n, n], raw or whitened.
        classes: Class of each row, 0..n_classes-1; -1 leaves a row out.
        groups: Scenario index of each row.
        n_classes: Number of classes.

    Returns:
        Entry [a, b] is the mean of g[i, j] over i in a, j in b with different scenarios; NaN where there is no such
        pair.

    Example:
        >>> rows = np.array([[3.0], [5.0], [2.0]])
        >>> distinct_products(rows @ rows.T, np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
        [[15.0, 6.0], [6.0, nan]]
    """
    different = groups[:, None] != groups[None, :]
    member = (classes[:, None] == np.arange(n_classes)).astype(float)
    sums, counts = member.T @ np.where(different, g, 0.0) @ member, member.T @ different.astype(float) @ member
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(counts > 0, sums / np.maximum(counts, 1), np.nan))


def without_blocks(groups: IntArray, blocks: Sequence[IntArray]) -> list[np.ndarray]:
    """For each set of scenarios that stays, which rows stay."""
    return [np.isin(groups, kept) for kept in blocks]
