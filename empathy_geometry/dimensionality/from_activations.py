"""Dimensionality of a concept straight from activations."""

from collections.abc import Sequence
from typing import Literal

from empathy_geometry.activations.pairing import paired_differences
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.dimensionality.measure import draw_dimensionality
from empathy_geometry.dimensionality.reference import draw_neutral_differences
from empathy_geometry.dimensionality.result import Dimensionality
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation._validation import as_generator, check_choice


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
    seed: int = 0,
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
        seed: Seed.

    Raises:
        ValueError: unknown layer or class, a scenario that lacks a class, or too few scenarios.

    Example:
        >>> import numpy as np, torch
        >>> rng = np.random.default_rng(0)
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
    differences, names = paired_differences(x, labels, groups, positive=positive, negative=negative)
    generator = as_generator(seed)
    reference = None
    if null is not None:
        reference, _ = draw_neutral_differences(x, labels, groups, negative=negative, generator=generator)
    return draw_dimensionality(
        differences,
        names=names,
        null_differences=reference,
        center=center,
        level=level,
        n_resamples=n_resamples,
        sizes=sizes,
        seed=seed,
        generator=generator,
    )
