"""The cosine between two directions, with a warning where it is known to mislead."""

import warnings
from typing import TYPE_CHECKING

from empathy_geometry.models.identity import identity_differences

if TYPE_CHECKING:
    from empathy_geometry.geometry.directions import ConceptDirection


class CosineWarning(UserWarning):
    """A cosine whose value under "no relation" is not zero."""


def cosine(a: "ConceptDirection", b: "ConceptDirection") -> float:
    """Cosine of two directions of one model and layer, in [-1, 1].

    Warns where the null is not zero: directions of one set of one-against-rest probes have weights that sum to about
    zero (with K balanced classes the mean cosine is near -1/(K-1) whatever the concepts are), and differences from one
    shared baseline have a null of +1/2. `similarity` has the quantities to report instead.

    Raises:
        ValueError: the directions differ in width, layer or model.

    Example:
        >>> from empathy_geometry import ConceptDirection
        >>> import torch
        >>> round(cosine(ConceptDirection(torch.tensor([1.0, 0.0])), ConceptDirection(torch.tensor([1.0, 1.0]))), 4)
        0.7071
    """
    check_comparable(a, b)
    if a is not b:
        if a.zero_sum_family and a.zero_sum_family == b.zero_sum_family:
            warnings.warn(
                "these directions come from one set of one-against-rest probes, whose weights sum to about zero: their "
                "cosine sits near -1/(K-1) whatever the concepts are. Report held-out AUROC, similarity."
                "mahalanobis_cosine or similarity.disattenuated_cosine instead (see pitfalls.simplex_floor)",
                CosineWarning,
                stacklevel=3,
            )
        if a.baseline and a.baseline == b.baseline:
            warnings.warn(
                "these directions are differences from the same baseline rows, so unrelated concepts have a cosine "
                "near +1/2. Use disjoint halves of the baseline (similarity.disattenuated_cosine; see "
                "pitfalls.shared_baseline)",
                CosineWarning,
                stacklevel=3,
            )
    return float((a.vector.double() @ b.vector.double()).clamp(-1, 1))


def check_comparable(a: "ConceptDirection", b: "ConceptDirection") -> None:
    """Raise ValueError unless both directions live in one space."""
    if a.d_model != b.d_model:
        raise ValueError(f"the directions have widths {a.d_model} and {b.d_model}; they must come from one model")
    if a.layer is not None and b.layer is not None and a.layer != b.layer:
        raise ValueError(f"the directions live at layers {a.layer} and {b.layer}; extract both at one layer")
    differing = identity_differences(a.model, b.model)
    if differing:
        raise ValueError(
            f"the directions come from different models, so their coordinates do not correspond "
            f"({'; '.join(differing)})"
        )
