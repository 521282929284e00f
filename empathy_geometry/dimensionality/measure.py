"""The dimensionality of a concept: every estimator of it at once, with intervals, rarefaction and a null."""

from collections.abc import Sequence

import numpy as np

from empathy_geometry.activations.dominance import warn_of_dominance
from empathy_geometry.dimensionality.measurement import Measurement
from empathy_geometry.dimensionality.rarefaction import check_sizes
from empathy_geometry.dimensionality.result import Dimensionality
from empathy_geometry.dimensionality.spectrum import by_length, check_differences, gram, subset
from empathy_geometry.foundation._types import ArrayLike, LabelsLike
from empathy_geometry.foundation._validation import as_generator, as_names


def dimensionality(
    differences: ArrayLike,
    *,
    names: LabelsLike | None = None,
    null_differences: ArrayLike | None = None,
    center: bool = False,
    level: float = 0.95,
    n_resamples: int = 50,
    sizes: Sequence[int] | None = None,
    seed: int = 0,
) -> Dimensionality:
    """How many dimensions a concept takes up, from its paired differences.

    Uncentred (the default) the object is the second moment E[x x'] of the differences: a concept that always shifts
    the stream by one vector has one dimension, namely that vector. Centred it is their covariance: how differently the
    concept shows in different scenarios, the common shift left out; for that same concept it would count noise.

    Args:
        differences: One paired difference (concept minus neutral) for each scenario, [n, d_model]; see
            `pairing.paired_differences`. Raw activations would measure topic.
        names: Of the scenarios, for notes about single ones; None numbers the rows.
        null_differences: Differences without the concept (neutral minus neutral, or a control concept), [m, d_model].
            They become `.null`, cut to the same n, and the noise against which components are counted. Without them
            noise is taken to be alike in all directions, which that of activations is not: the three counts are then
            upper bounds.
        center: Subtract the mean difference.
        level: Coverage of the intervals.
        n_resamples: Blocks of scenarios that the jackknife leaves out in turn (single scenarios where n allows).
        sizes: Of the rarefaction; None takes about eight from 10 to n.
        seed: Seed.

    Warns:
        DominantScenarioWarning: a scenario carries more than a fifth of the second moment.

    Raises:
        ValueError: fewer than 12 differences, widths that differ, or rows that are not finite or all equal.

    Source: see each estimator.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> concept = rng.standard_normal((60, 3)) @ np.eye(3, 200) * 10
        >>> result = dimensionality(concept + rng.standard_normal((60, 200)), seed=0)
        >>> result.parallel_analysis.value, result.hard_threshold.value
        (3.0, 3.0)
    """
    return draw_dimensionality(
        differences,
        names=names,
        null_differences=null_differences,
        center=center,
        level=level,
        n_resamples=n_resamples,
        sizes=sizes,
        seed=seed,
        generator=as_generator(seed),
    )


def draw_dimensionality(
    differences: ArrayLike,
    *,
    names: LabelsLike | None,
    null_differences: ArrayLike | None,
    center: bool,
    level: float,
    n_resamples: int,
    sizes: Sequence[int] | None,
    seed: int,
    generator: np.random.Generator,
) -> Dimensionality:
    """`dimensionality` from a generator in use; `seed` is what the result records."""
    x = check_differences(differences, at_least=12)
    scenarios = np.arange(len(x)) if names is None else as_names(names, "names", len(x))
    # Blocks and folds are drawn over rows in an order of their own, so that the order they come in says nothing.
    order = by_length(x)
    x, scenarios = x[order], scenarios[order]
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
        numbers = by_length(reference)
        reference = reference[numbers]
        rows = np.vstack([x, reference])
    g = gram(rows)
    measure = Measurement(g, len(x), x.shape[1], center, level, n_resamples, generator)
    if null_differences is not None:
        m = min(len(x), len(g) - len(x))
        chosen = len(x) + np.sort(generator.permutation(len(g) - len(x))[:m])
        alone = Measurement(subset(g, chosen), m, x.shape[1], center, level, n_resamples, generator)
        null = alone.result(tuple(s for s in chosen_sizes if s <= m) or (m,), None, seed, numbers[chosen - len(x)])
    found = measure.result(chosen_sizes, null, seed, scenarios)
    warn_of_dominance(found.dominant, "the dimensionality", stacklevel=3)
    return found
