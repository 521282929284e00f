"""The dimensionality of a concept: every estimator of it at once, with intervals, rarefaction and a null."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from empathy_geometry._types import ArrayLike, FloatArray, IntArray, Layer, Seed
from empathy_geometry._validation import as_rng, check_choice
from empathy_geometry.activations import Activations
from empathy_geometry.dimensionality.hard_threshold import hard_threshold_rank
from empathy_geometry.dimensionality.parallel import exchange_share, isotropic_share, parallel_count
from empathy_geometry.dimensionality.participation import corrected_participation, mean_share, naive_participation
from empathy_geometry.dimensionality.ranks import components_for, entropy_rank, fractional_components_for
from empathy_geometry.dimensionality.rarefaction import check_sizes, rarefy
from empathy_geometry.dimensionality.reference import neutral_differences
from empathy_geometry.dimensionality.replicable import replicable_components
from empathy_geometry.dimensionality.result import Dimensionality
from empathy_geometry.dimensionality.spectrum import (
    centred,
    check_differences,
    gram,
    second_moment_spectrum,
    subset,
)
from empathy_geometry.estimate import Estimate
from empathy_geometry.jackknife import Scale, blocks_of, jackknife_interval
from empathy_geometry.pairing import paired_differences
from empathy_geometry.whitening import shrinkage_of, whitened

_NULL_DRAWS = 100
_SIGN_DRAWS = 999
_SUBSETS = 50
_FOLDS = 5
_COUNT_BLOCKS = 20
_QUANTILE = 0.95


def dimensionality(
    differences: ArrayLike,
    *,
    null_differences: ArrayLike | None = None,
    center: bool = False,
    level: float = 0.95,
    n_resamples: int = 50,
    sizes: Sequence[int] | None = None,
    rng: Seed = 0,
) -> Dimensionality:
    """How many dimensions a concept takes up, from its paired differences.

    Uncentred (the default) the object is the second moment E[x x'] of the differences: a concept that always shifts
    the stream by one vector has one dimension, namely that vector. Centred it is their covariance: how differently the
    concept shows in different scenarios, the common shift left out; for that same concept it would count noise.

    Args:
        differences: One paired difference (concept minus neutral) for each scenario, [n, d_model]; see
            `pairing.paired_differences`. Raw activations would measure topic.
        null_differences: Differences without the concept (neutral minus neutral, or a control concept), [m, d_model].
            They become `.null`, cut to the same n, and the noise against which components are counted. Without them
            noise is taken to be alike in all directions, which that of activations is not: the three counts are then
            upper bounds.
        center: Subtract the mean difference.
        level: Coverage of the intervals.
        n_resamples: Blocks of scenarios that the jackknife leaves out in turn (single scenarios where n allows).
        sizes: Of the rarefaction; None takes about eight from 10 to n.
        rng: Seed or generator.

    Raises:
        ValueError: fewer than 12 differences, widths that differ, or rows that are not finite or all equal.

    Source: see each estimator.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> concept = rng.standard_normal((60, 3)) @ np.eye(3, 200) * 10
        >>> result = dimensionality(concept + rng.standard_normal((60, 200)), rng=0)
        >>> result.parallel_analysis.value, result.hard_threshold.value
        (3.0, 3.0)
    """
    x = check_differences(differences, at_least=12)
    generator = as_rng(rng)
    if not 0 < level < 1:
        raise ValueError(f"level must lie strictly between 0 and 1, got {level}; try 0.95")
    if n_resamples < 10:
        raise ValueError(f"n_resamples must be at least 10 for an interval, got {n_resamples}; try 50")
    chosen_sizes = check_sizes(sizes, len(x))
    rows, null = x, None
    if null_differences is not None:
        reference = check_differences(null_differences, "null_differences", at_least=12)
        if reference.shape[1] != x.shape[1]:
            raise ValueError(
                f"null_differences must be [m, {x.shape[1]}] like differences, got {reference.shape}; "
                f"do both come from one model?"
            )
        rows = np.vstack([x, reference])
    g = gram(rows)
    seed = int(rng) if isinstance(rng, int | np.integer) else None
    measure = _Measurement(g, len(x), x.shape[1], center, level, n_resamples, generator)
    if null_differences is not None:
        m = min(len(x), len(g) - len(x))
        chosen = len(x) + np.sort(generator.permutation(len(g) - len(x))[:m])
        alone = _Measurement(subset(g, chosen), m, x.shape[1], center, level, n_resamples, generator)
        null = alone.result(tuple(s for s in chosen_sizes if s <= m) or (m,), None, seed)
    return measure.result(chosen_sizes, null, seed)


class _Measurement:
    """One set of differences (the first n rows of a Gram matrix) and the reference rows after them, if any."""

    def __init__(
        self,
        g: FloatArray,
        n: int,
        d_model: int,
        center: bool,
        level: float,
        n_resamples: int,
        rng: np.random.Generator,
    ) -> None:
        self.n, self.d_model, self.center, self.level, self.rng = n, d_model, center, level, rng
        self.raw = subset(g, np.arange(n))
        self.blocks = blocks_of(n, n_resamples, rng)
        # For the counts both sets are centred once: the folds of `replicable` see the mean of all, an error of order
        # 1/n towards fewer components.
        self.noise = _centred_apart(g, n) if center else g
        self.shrinkage = shrinkage_of(self.noise[n:, n:], d_model) if len(g) > n else None

    def result(self, sizes: tuple[int, ...], null: Dimensionality | None, seed: int | None) -> Dimensionality:
        spectrum = second_moment_spectrum(self.raw, center=self.center)
        parts = [subset(self.raw, rows) for rows in self.blocks]
        spectra = [second_moment_spectrum(part, center=self.center) for part in parts]

        def sample_bound(value: float, exact: float, statistic: Callable[[FloatArray], float], name: str) -> Estimate:
            left_out = [statistic(s) for s in spectra]
            return self._estimate(value, exact, left_out, name, "logit")

        naive = naive_participation(self.raw, center=self.center)
        corrected = corrected_participation(self.raw, center=self.center)
        share = mean_share(self.raw)
        return Dimensionality(
            participation_ratio=self._estimate(
                corrected,
                corrected,
                [corrected_participation(p, center=self.center) for p in parts],
                "corrected participation ratio",
                "log",
            ),
            participation_ratio_naive=self._estimate(
                naive,
                naive,
                [naive_participation(p, center=self.center) for p in parts],
                "naive participation ratio",
                "logit",
            ),
            k90=sample_bound(
                components_for(spectrum), fractional_components_for(spectrum), fractional_components_for, "k(90 %)"
            ),
            effective_rank=sample_bound(
                entropy_rank(spectrum), entropy_rank(spectrum), entropy_rank, "entropy of the singular values"
            ),
            parallel_analysis=self._parallel(),
            hard_threshold=self._hard_threshold(),
            replicable=self._replicable(),
            mean_share=self._estimate(share, share, [mean_share(p) for p in parts], "unbiased share", "raw"),
            mean_share_pvalue=self._swap_pvalue(share),
            rarefaction=rarefy(self.raw, sizes, center=self.center, n_draws=_SUBSETS, rng=self.rng),
            null=null,
            n=self.n,
            d_model=self.d_model,
            center=self.center,
            seed=seed,
        )

    def _estimate(self, value: float, exact: float, left_out: list[float], name: str, scale: Scale) -> Estimate:
        interval = jackknife_interval(exact, left_out, level=self.level, scale=scale, ceiling=float(self.n))
        if interval is None:
            return Estimate(
                float(value), None, None, self.level, self.n, self.n, f"{name}; no interval: a replicate is not finite"
            )
        low, high = interval
        return Estimate(
            float(value),
            min(low, value),
            max(high, value),
            self.level,
            self.n,
            self.n,
            f"{name}; jackknife over scenarios",
        )

    def _count(self, statistic: Callable[[IntArray], int], name: str) -> Estimate:
        """A count with its interval rounded outwards; too few blocks would be left for a finer one."""
        every = np.arange(self.n)
        value = statistic(every)
        left_out = [float(statistic(rows)) for rows in blocks_of(self.n, _COUNT_BLOCKS, self.rng)]
        interval = jackknife_interval(value, left_out, level=self.level)
        assert interval is not None  # counts are finite
        low, high = max(float(np.floor(interval[0])), 0.0), min(float(np.ceil(interval[1])), float(self.n))
        return Estimate(float(value), low, high, self.level, self.n, self.n, f"{name}; jackknife over scenarios")

    def _white(self, rows: IntArray) -> FloatArray:
        if self.shrinkage is None:
            return subset(self.noise, rows)
        reference = np.arange(self.n, len(self.noise))
        return whitened(self.noise, rows, rows, reference, self.shrinkage, self.d_model)

    def _parallel(self) -> Estimate:
        if self.shrinkage is None:
            lengths = np.sqrt(np.diag(self.noise))
            share = isotropic_share(lengths, self.d_model, quantile=_QUANTILE, n_draws=_NULL_DRAWS, rng=self.rng)
            name = "parallel analysis against isotropic noise"
        else:
            share = exchange_share(
                self.noise, self.n, self.shrinkage, self.d_model, quantile=_QUANTILE, n_draws=_NULL_DRAWS, rng=self.rng
            )
            name = "parallel analysis against exchanged null differences"
        return self._count(
            lambda rows: parallel_count(second_moment_spectrum(self._white(rows), center=False), share, self.d_model),
            name,
        )

    def _hard_threshold(self) -> Estimate:
        def count(rows: IntArray) -> int:
            singular = np.sqrt(second_moment_spectrum(self._white(rows), center=False) * len(rows))
            return hard_threshold_rank(singular, len(rows), self.d_model)

        how = "not whitened" if self.shrinkage is None else "whitened by null differences"
        return self._count(count, f"Gavish-Donoho threshold, {how}")

    def _replicable(self) -> Estimate:
        reference = np.arange(self.n, len(self.noise))
        # The same folds in every replicate, so that it differs by the left-out block only.
        folds = np.concatenate([self.rng.permutation(k) % _FOLDS for k in (self.n, len(self.noise) - self.n)])

        def count(rows: IntArray) -> int:
            return replicable_components(
                subset(self.noise, np.concatenate([rows, reference])),
                len(rows),
                self.d_model,
                shrinkage=self.shrinkage,
                level=_QUANTILE,
                folds=folds[np.concatenate([rows, reference])],
            )

        against = "the other directions" if self.shrinkage is None else "held-out null differences"
        return self._count(count, f"held-out variance above that of {against}, {_FOLDS} folds")

    def _swap_pvalue(self, share: float) -> float:
        signs = 2.0 * self.rng.integers(0, 2, (_SIGN_DRAWS, self.n)) - 1.0
        trace = float(np.trace(self.raw))
        shares = (((signs @ self.raw) * signs).sum(axis=1) - trace) / (self.n - 1) / trace
        return float((1 + (shares >= share - 1e-12).sum()) / (_SIGN_DRAWS + 1))


def _centred_apart(g: FloatArray, n: int) -> FloatArray:
    """Gram matrix of the first n rows minus their mean and of the others minus theirs."""
    if len(g) == n:
        return centred(g)
    averages = np.zeros((len(g), len(g)))
    averages[:n, :n], averages[n:, n:] = 1 / n, 1 / (len(g) - n)
    keep = np.eye(len(g)) - averages
    return np.asarray(keep @ g @ keep)


def dimensionality_of_activations(
    activations: Activations,
    *,
    positive: str,
    negative: str,
    layer: Layer,
    pos: int | None = None,
    null: Literal["neutral"] | None = "neutral",
    center: bool = False,
    level: float = 0.95,
    n_resamples: int = 50,
    sizes: Sequence[int] | None = None,
    rng: Seed = 0,
) -> Dimensionality:
    """`dimensionality` of the paired differences within scenarios at one layer.

    Args:
        activations: What `extract_activations` returned.
        positive: The concept's class.
        negative: The neutral class.
        layer: One of the extracted layers.
        pos: Which vector of each text, where there are several.
        null: "neutral" makes the null from differences of neutral rows, see `neutral_differences`; None goes without.
        center: Subtract the mean difference.
        level: Coverage of the intervals.
        n_resamples: Blocks of scenarios that the jackknife leaves out in turn.
        sizes: Of the rarefaction.
        rng: Seed or generator.

    Raises:
        ValueError: unknown layer or class, a scenario that lacks a class, or too few scenarios.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> import torch
        >>> values = torch.as_tensor(rng.standard_normal((80, 1, 50)), dtype=torch.float32)
        >>> values[::2, 0, 0] += 8
        >>> acts = Activations(values, (0,), np.array(["warm", "plain"] * 40), np.repeat(np.arange(40), 2))
        >>> found = dimensionality_of_activations(acts, positive="warm", negative="plain", layer=0)
        >>> round(float(found.mean_share), 1), found.parallel_analysis.value
        (0.4, 1.0)
    """
    check_choice(null, "null", ("neutral", None))
    x = activations.layer(layer, pos=pos)
    labels, groups = activations.labels, activations.groups
    differences, _ = paired_differences(x, labels, groups, positive=positive, negative=negative)
    generator = as_rng(rng)
    reference = None
    if null is not None:
        reference, _ = neutral_differences(x, labels, groups, negative=negative, rng=generator)
    found = dimensionality(
        differences,
        null_differences=reference,
        center=center,
        level=level,
        n_resamples=n_resamples,
        sizes=sizes,
        rng=generator,
    )
    return replace(found, seed=int(rng)) if isinstance(rng, int | np.integer) else found
