"""Is steered text still text? Parts in [0, 1], reported separately; the headline is the smallest."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from empathy_geometry.foundation._types import FloatArray
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.generation.continuations import Continuations
from empathy_geometry.generation.likelihood import Reading, read_continuations
from empathy_geometry.models.hooked_model import HookedModel

CoherencePart = Callable[[Sequence[str], Sequence[str]], Sequence[float]]
"""A user's own part: (steered texts, unsteered texts) to one number in [0, 1] a row."""


@dataclass(frozen=True, eq=False)
class Coherence:
    """Coherence of steered continuations, row by row.

    Attributes:
        parts: Each part by name, [n], in [0, 1]; 1 means as coherent as the unsteered text.
    """

    parts: Mapping[str, FloatArray]

    @property
    def headline(self) -> FloatArray:
        """The smallest part of each row, [n]."""
        smallest: FloatArray = np.min(np.stack(list(self.parts.values())), axis=0)
        return smallest


@takes_settings()
def coherence(
    model: HookedModel,
    steered: Continuations,
    unsteered: Continuations,
    *,
    parts: Mapping[str, CoherencePart] = MappingProxyType({}),
    n: int = 2,
) -> Coherence:
    """Coherence of steered continuations against unsteered ones of the same prompts, decoded the same way.

    "perplexity": exp(-max(0, NLL - NLL_0)), nats per token by the unsteered model. "repetition":
    min(1, distinct-n / distinct-n_0): loops lower the perplexity, so the first part alone would reward them. What
    value counts as broken differs between models and lengths: see `calibrate_threshold`.

    Args:
        model: The unsteered scorer.
        steered: What was written under steering.
        unsteered: What was written without, row by row.
        parts: Further parts of the user's own (an embedding model, a judge), by name.
        n: Length of the n-grams whose distinct share is compared.

    Raises:
        ValueError: numbers of rows differ, or a user's part leaves [0, 1].

    Source: methods of this library (docs/methods.md); distinct-n: Li et al. (2016).
    """
    if len(steered) != len(unsteered):
        raise ValueError(f"steered and unsteered must be paired, got {len(steered)} and {len(unsteered)} rows")
    return coherence_of(
        steered, unsteered, read_continuations(model, steered), read_continuations(model, unsteered), parts=parts, n=n
    )


def coherence_of(
    steered: Continuations,
    unsteered: Continuations,
    reading: Reading,
    reading_unsteered: Reading,
    *,
    parts: Mapping[str, CoherencePart] = MappingProxyType({}),
    n: int = 2,
) -> Coherence:
    """`coherence` for continuations that were read already."""
    found = {
        "perplexity": perplexity_part(reading.mean_nll, reading_unsteered.mean_nll),
        "repetition": repetition_part(steered.new_ids, unsteered.new_ids, n=n),
    }
    for name, part in parts.items():
        values = np.asarray(part(steered.texts, unsteered.texts), dtype=float)
        if values.shape != (len(steered),) or not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
            raise ValueError(f"coherence part {name!r} must give {len(steered)} numbers in [0, 1], got {values}")
        found[name] = values
    return Coherence(found)


def perplexity_part(nll: FloatArray, nll_unsteered: FloatArray) -> FloatArray:
    """exp(-max(0, NLL - NLL_0)): the ratio of perplexities, 1 where the steered text is no less likely.

    Example:
        >>> perplexity_part(np.array([1.0, 2.0]), np.array([1.5, 1.0])).round(3).tolist()
        [1.0, 0.368]
    """
    return np.exp(-np.maximum(0.0, nll - nll_unsteered))


def repetition_part(ids: Sequence[Sequence[int]], unsteered: Sequence[Sequence[int]], *, n: int = 2) -> FloatArray:
    """min(1, distinct-n / distinct-n_0).

    Example:
        >>> repetition_part([[1, 2, 1, 2, 1, 2]], [[1, 2, 3, 4, 5, 6]]).tolist()
        [0.4]
    """
    return np.array([min(1.0, distinct_n(a, n) / distinct_n(b, n)) for a, b in zip(ids, unsteered, strict=True)])


def distinct_n(ids: Sequence[int], n: int = 2) -> float:
    """Share of distinct n-grams among all n-grams of a sequence; 1 where it is too short to have two.

    Example:
        >>> distinct_n([1, 2, 1, 2, 1])
        0.5
    """
    grams = [tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 1.0


def divergence_part(
    logits: Float[Tensor, "batch pos vocab"], unsteered: Float[Tensor, "batch pos vocab"], mask: Tensor
) -> FloatArray:
    """1 - JSD(p_0, p_alpha) / ln 2 of the next-token distributions on fixed text, mean over real tokens, [batch].

    Source: Lin (1991) for the Jensen-Shannon divergence.
    """
    p, q = logits.float().log_softmax(-1), unsteered.float().log_softmax(-1)
    middle = torch.logaddexp(p, q) - np.log(2.0)
    divergence = 0.5 * ((p.exp() * (p - middle)).sum(-1) + (q.exp() * (q - middle)).sum(-1))
    weights = mask.to(divergence)
    mean = (divergence * weights).sum(-1) / weights.sum(-1)
    similarity: FloatArray = (1 - mean / np.log(2.0)).clamp(0, 1).cpu().double().numpy()
    return similarity
