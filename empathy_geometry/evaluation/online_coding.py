"""How many bits the labels cost to someone who has the activations: online description length of a probe."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from empathy_geometry.evaluation.classification import classification
from empathy_geometry.foundation._types import ArrayLike, FloatArray, IntArray, LabelsLike
from empathy_geometry.foundation._validation import as_generator
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table


@dataclass(frozen=True, eq=False)
class DescriptionLength(Result):
    """Result of `description_length`.

    Attributes:
        bits: Mean length over the orders of the scenarios.
        uniform_bits: n log2(K), the length without looking at the activations.
        compression: uniform_bits / bits; 1 or less for labels that the activations do not tell.
        bits_by_order: Length in each random order, [n_orders].
        bits_by_block: Mean bits per label in each block, in the order of transmission, [n_blocks].
        fractions: Share of the scenarios known before each block, [n_blocks].
        n: Number of rows.
        n_groups: Number of scenarios.
        seed: Of the orders.
    """

    bits: float
    uniform_bits: float
    compression: float
    bits_by_order: FloatArray
    bits_by_block: FloatArray
    fractions: tuple[float, ...]
    n: int
    n_groups: int
    seed: int | None = None

    def tables(self) -> tuple[Table, ...]:
        """Length and compression in one row, blocks in another table."""
        title = f"{self.bits:.1f} bits against {self.uniform_bits:.1f} uniform, compression {self.compression:.2f}"
        rows = [
            {"scenarios known": f"{share:.1%}", "bits per label": float(bits)}
            for share, bits in zip(self.fractions, self.bits_by_block, strict=True)
        ]
        spread = (
            f"sd over {len(self.bits_by_order)} orders {self.bits_by_order.std():.1f} bits; n = {self.n}, "
            f"{self.n_groups} groups"
        )
        return (Table.of(title, rows, notes=[spread]),)


def description_length(
    probe: Any,
    X: ArrayLike,
    y: LabelsLike,
    *,
    groups: LabelsLike | None,
    fractions: Sequence[float] = (0.1, 0.2, 0.4, 0.6, 0.8),
    n_orders: int = 5,
    seed: int = 0,
) -> DescriptionLength:
    """Online (prequential) code of the labels given the activations.

    Scenarios are sent in random order, in blocks. The labels of the first block cost log2(K) bits each; those of every
    later one cost -log2 p under the probe fitted to all blocks before. A probe that needs few examples compresses more
    than one that reaches the same accuracy late. Where the rows known so far lack a class, the next block is sent at
    log2(K) as well.

    Args:
        probe: A `Probe` with probabilities ("logistic" or "lda"), or any scikit-learn classifier that has them.
        X: Rows at one layer, [n, d_model].
        y: Class of each row.
        groups: Scenario of each row, never in two blocks; None, said by name, takes rows as independent.
        fractions: Share of the scenarios after which the probe is refitted, increasing.
        n_orders: Over how many random orders to average.
        seed: Seed of the orders.

    Raises:
        TypeError: the probe has no probabilities.
        ValueError: fractions are not increasing within (0, 1).

    Source: Voita & Titov (2020), EMNLP; prequential codes: Dawid (1984), JRSS A 147.

    Example:
        >>> from empathy_geometry.geometry.probes import Probe
        >>> rng = np.random.default_rng(0)
        >>> X, y, groups = rng.normal(size=(80, 4)), np.tile([0, 1], 40), np.repeat(np.arange(40), 2)
        >>> known = description_length(Probe("logistic"), X + 5 * y[:, None], y, groups=groups, seed=0)
        >>> noise = description_length(Probe("logistic"), X, y, groups=groups, seed=0)
        >>> known.compression > 3, noise.compression < 1.1
        (True, True)
    """
    data = classification(X, y, groups=groups)
    if len(data.layers) > 1 or data.n_positions > 1:
        raise ValueError(f"description_length takes one layer, X [n, d_model]; got {len(data.layers)} layers")
    if not hasattr(probe, "predict_proba"):
        raise TypeError("the probe has no probabilities to code with; try Probe('logistic') or Probe('lda')")
    cuts = np.asarray(fractions, dtype=np.float64)
    if cuts.ndim != 1 or not cuts.size or cuts[0] <= 0 or cuts[-1] >= 1 or (np.diff(cuts) <= 0).any():
        raise ValueError(f"fractions must increase within (0, 1), got {list(fractions)}; try (0.1, 0.2, 0.4, 0.8)")
    ends = np.unique(np.clip(np.round(cuts * data.n_groups).astype(int), 1, data.n_groups - 1))
    rows, generator = data.rows(0, 0), as_generator(seed)
    k = len(data.classes)
    costs, sizes = np.empty((n_orders, len(ends) + 1)), np.empty((n_orders, len(ends) + 1))
    for order in range(n_orders):
        position = generator.permutation(data.n_groups)[data.groups]
        block = np.searchsorted(ends, position, side="right")
        sizes[order] = np.bincount(block, minlength=len(ends) + 1)
        costs[order] = [_cost(probe, rows, data.codes, block, b, k) for b in range(len(ends) + 1)]
    uniform, by_order = data.n * float(np.log2(k)), costs.sum(axis=1)
    return DescriptionLength(
        bits=float(by_order.mean()),
        uniform_bits=uniform,
        compression=uniform / float(by_order.mean()),
        bits_by_order=by_order,
        bits_by_block=costs.sum(axis=0) / sizes.sum(axis=0),
        fractions=(0.0, *(float(end) / data.n_groups for end in ends)),
        n=data.n,
        n_groups=data.n_groups,
        seed=seed,
    )


def _cost(probe: Any, rows: FloatArray, codes: IntArray, block: IntArray, b: int, n_classes: int) -> float:
    """Bits for the labels of block b, all blocks before it being known."""
    known, sent = block < b, block == b
    if len(np.unique(codes[known])) < n_classes:
        return float(sent.sum() * np.log2(n_classes))
    probability = clone(probe).fit(rows[known], codes[known]).predict_proba(rows[sent])
    chosen = np.asarray(probability)[np.arange(int(sent.sum())), codes[sent]]
    # A class can be ruled out by rounding only; the floor bounds the price of one label at 100 bits.
    return float(-np.log2(np.maximum(chosen, 2.0**-100)).sum())
