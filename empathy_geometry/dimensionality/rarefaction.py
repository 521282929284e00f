"""Rarefaction: what a dimensionality estimate would have been with fewer scenarios."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from empathy_geometry.dimensionality.participation import corrected_participation, naive_participation
from empathy_geometry.dimensionality.ranks import components_for, entropy_rank
from empathy_geometry.dimensionality.spectrum import check_differences, gram, second_moment_spectrum, subset
from empathy_geometry.foundation._types import ArrayLike, FloatArray
from empathy_geometry.foundation._validation import as_generator
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Rarefaction(Result):
    """Estimates at several numbers of scenarios, each averaged over random subsets drawn without replacement.

    A quantity that is still rising at the right end measures the sample, not the concept. Compare models or concepts
    only at one size.

    Attributes:
        sizes: Numbers of scenarios, ascending; the last is usually all of them.
        participation_ratio: Corrected, at each size.
        participation_ratio_naive: Not corrected.
        k90: Components for 90 % of variance.
        effective_rank: Entropy effective rank.
        n_draws: Subsets averaged at each size.
        center: Whether the mean difference was subtracted.
        seed: Of the draws.
    """

    sizes: tuple[int, ...]
    participation_ratio: tuple[float, ...]
    participation_ratio_naive: tuple[float, ...]
    k90: tuple[float, ...]
    effective_rank: tuple[float, ...]
    n_draws: int
    center: bool
    seed: int | None = None

    def at(self, size: int) -> dict[str, float]:
        """The four estimates at one size.

        Raises:
            ValueError: the size was not measured.
        """
        if size not in self.sizes:
            raise ValueError(f"size must be one of {list(self.sizes)}, got {size}")
        i = self.sizes.index(size)
        names = ("participation_ratio", "participation_ratio_naive", "k90", "effective_rank")
        return {name: getattr(self, name)[i] for name in names}

    def tables(self) -> tuple[Table, ...]:
        """One row for each size."""
        rows = [{"n": n, **self.at(n)} for n in self.sizes]
        return (Table.of(f"Rarefaction, {self.n_draws} draws at each n", rows),)

    def to_frame(self) -> "pd.DataFrame":
        """One row for each size."""
        import pandas as pd

        return pd.DataFrame([{"n": n, **self.at(n)} for n in self.sizes])


def rarefaction(
    differences: ArrayLike,
    sizes: Sequence[int] | None = None,
    *,
    center: bool = False,
    n_draws: int = 50,
    seed: int = 0,
) -> Rarefaction:
    """Participation ratio, k(90 %) and effective rank of random subsets of the scenarios.

    Args:
        differences: One paired difference for each scenario, [n, d_model].
        sizes: Numbers of scenarios to look at, each from 6 to n; None takes about eight, geometrically spaced.
        center: Subtract the mean difference of each subset first; see `dimensionality`.
        n_draws: Subsets averaged at each size (one where the subset is everything).
        seed: Seed.

    Raises:
        ValueError: a size is out of range, or the differences are not usable.

    Example:
        >>> x = np.random.default_rng(0).standard_normal((60, 200))
        >>> r = rarefaction(x, [10, 30, 60], n_draws=5)
        >>> r.k90[0] < r.k90[1] < r.k90[2]
        True
    """
    x = check_differences(differences)
    return rarefy(gram(x), check_sizes(sizes, len(x)), center=center, n_draws=n_draws, seed=seed)


def check_sizes(sizes: Sequence[int] | None, n: int) -> tuple[int, ...]:
    """Ascending sizes within [6, n]; about eight of them by default.

    Example:
        >>> check_sizes(None, 100)
        (10, 14, 19, 27, 37, 52, 72, 100)
    """
    if sizes is None:
        low = min(10, n)
        return tuple(sorted({round(v) for v in np.geomspace(low, n, 8)}))
    chosen = tuple(sorted({int(s) for s in sizes}))
    if not chosen or chosen[0] < 6 or chosen[-1] > n:
        raise ValueError(f"sizes must lie from 6 to {n} (the number of differences), got {list(sizes)}")
    return chosen


def rarefy(
    g: FloatArray,
    sizes: tuple[int, ...],
    *,
    center: bool,
    n_draws: int,
    seed: int,
    generator: np.random.Generator | None = None,
) -> Rarefaction:
    """`rarefaction` on a Gram matrix; `generator`, one in use, draws where it is given."""
    generator = as_generator(seed) if generator is None else generator
    if n_draws < 1:
        raise ValueError(f"n_draws must be at least 1, got {n_draws}")
    columns = []
    for size in sizes:
        draws = []
        for _ in range(n_draws if size < len(g) else 1):
            part = subset(g, np.sort(generator.permutation(len(g))[:size]))
            spectrum = second_moment_spectrum(part, center=center)
            draws.append(
                (
                    corrected_participation(part, center=center),
                    naive_participation(part, center=center),
                    components_for(spectrum),
                    entropy_rank(spectrum),
                )
            )
        values = np.array(draws)
        # A ratio estimate can be infinite in a small subset; its median is what a reader can use.
        columns.append([float(np.median(values[:, 0])), *values[:, 1:].mean(axis=0).tolist()])
    pr, naive, k90, rank = (tuple(column) for column in zip(*columns, strict=True))
    return Rarefaction(sizes, pr, naive, k90, rank, n_draws, center, seed)
