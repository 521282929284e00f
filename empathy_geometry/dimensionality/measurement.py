"""All estimators of dimensionality on one Gram matrix."""

from collections.abc import Callable

import numpy as np

from empathy_geometry.activations.dominance import dominant_scenarios
from empathy_geometry.dimensionality.hard_threshold import hard_threshold_rank
from empathy_geometry.dimensionality.parallel import isotropic_share, parallel_count, reference_share
from empathy_geometry.dimensionality.participation import corrected_participation, mean_share, naive_participation
from empathy_geometry.dimensionality.ranks import components_for, entropy_rank, fractional_components_for
from empathy_geometry.dimensionality.rarefaction import rarefy
from empathy_geometry.dimensionality.replicable import replicable_components
from empathy_geometry.dimensionality.result import Dimensionality
from empathy_geometry.dimensionality.spectrum import centred, second_moment_spectrum, subset
from empathy_geometry.foundation._types import FloatArray, IntArray
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.jackknife import Scale, blocks_of, jackknife_interval
from empathy_geometry.foundation.whitening import shrinkage_of, whitened

_NULL_DRAWS = 100
_SIGN_DRAWS = 999
_SUBSETS = 50
_FOLDS = 5
_COUNT_BLOCKS = 20
_QUANTILE = 0.95


class Measurement:
    """One set of differences (the first n rows of a Gram matrix) and the reference rows after them, if any."""

    def __init__(
        self,
        g: FloatArray,
        n: int,
        d_model: int,
        center: bool,
        level: float,
        n_resamples: int,
        generator: np.random.Generator,
    ) -> None:
        self.n, self.d_model, self.center, self.level, self.generator = n, d_model, center, level, generator
        self.raw = subset(g, np.arange(n))
        self.blocks = blocks_of(n, n_resamples, generator)
        # For the counts both sets are centred once: the folds of `replicable` see the mean of all, an error of order
        # 1/n towards fewer components.
        self.noise = _centred_apart(g, n) if center else g
        self.shrinkage = shrinkage_of(self.noise[n:, n:], d_model) if len(g) > n else None

    def result(
        self, sizes: tuple[int, ...], null: Dimensionality | None, seed: int, names: np.ndarray
    ) -> Dimensionality:
        """Every estimate with its interval."""
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
            rarefaction=rarefy(
                self.raw, sizes, center=self.center, n_draws=_SUBSETS, seed=seed, generator=self.generator
            ),
            null=null,
            n=self.n,
            d_model=self.d_model,
            center=self.center,
            seed=seed,
            dominant=dominant_scenarios(np.diag(centred(self.raw) if self.center else self.raw), names),
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
        left_out = [float(statistic(rows)) for rows in blocks_of(self.n, _COUNT_BLOCKS, self.generator)]
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
            share = isotropic_share(
                lengths, self.d_model, quantile=_QUANTILE, n_draws=_NULL_DRAWS, generator=self.generator
            )
            name = "parallel analysis against isotropic noise"
        else:
            share = reference_share(
                self.noise[self.n :, self.n :],
                self.n,
                self.shrinkage,
                self.d_model,
                quantile=_QUANTILE,
                n_draws=_NULL_DRAWS,
                generator=self.generator,
            )
            name = "parallel analysis against noise like the null differences"
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
        folds = np.concatenate([self.generator.permutation(k) % _FOLDS for k in (self.n, len(self.noise) - self.n)])

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
        signs = 2.0 * self.generator.integers(0, 2, (_SIGN_DRAWS, self.n)) - 1.0
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
