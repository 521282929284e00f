"""Planted sparse features: activations that are sparse sums of known directions, a few of which carry the concept."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.foundation._types import IntArray
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.geometry.subspaces import Subspace
from empathy_geometry.sae.autoencoder import SparseAutoencoder
from empathy_geometry.sae.token_activations import TokenActivations

_STREAM = 20_261


@dataclass(frozen=True, eq=False)
class PlantedDictionary:
    """Activations whose features are known.

    Attributes:
        activations: Two classes, "positive" and "negative", paired within scenarios; provenance "planted".
        sae: The true features as an SAE: columns as planted, an encoder that keeps the most aligned ones.
        subspace: The span of the concept's features, the truth that `sae_agreement` should find.
        concept_features: Which features carry the concept; with `inside=False`, which were replaced.
        codes: True feature activations, [n, d_sae].
        tokens: More rows of the same kind without the concept's labels, to train an SAE on.
    """

    activations: Activations
    sae: SparseAutoencoder
    subspace: Subspace
    concept_features: IntArray
    codes: Float[Tensor, "n d_sae"]
    tokens: TokenActivations


def planted_dictionary(
    *,
    n_groups: int = 60,
    d_model: int = 64,
    d_sae: int = 192,
    n_concept: int = 3,
    l0: int = 6,
    strength: float = 1.5,
    noise: float = 0.05,
    inside: bool = True,
    n_tokens: int = 0,
    seed: int = 0,
) -> PlantedDictionary:
    """Activations with a known dictionary and a concept made of a few of its features.

    x = mean + sum_j c_j f_j + noise. Each scenario has `l0` features shared by both of its rows (its topic); each row
    has as many of its own, weaker; a positive row has in addition each of the concept's features with a strength drawn
    anew. So the paired differences span the concept's features, and little else that repeats.

    Args:
        n_groups: Scenarios.
        d_model: Width.
        d_sae: Number of features; they are random directions.
        n_concept: How many of them carry the concept.
        l0: Features of a scenario's topic, and of each row.
        strength: Mean activation of the concept's features; 0 plants no concept.
        noise: Standard deviation of what no feature explains, in each dimension.
        inside: False plants the concept along random directions that are none of the features, so that no few features
            span it; `subspace` is then the span of those.
        n_tokens: Rows for training an SAE, each with about as many features as the others.
        seed: Of everything.

    Raises:
        ValueError: fewer features than the concept and a topic need.

    Example:
        >>> planted = planted_dictionary(n_groups=20)
        >>> planted.activations.labels[:2].tolist(), planted.subspace.rank
        (['positive', 'negative'], 3)
    """
    if n_concept < 1 or d_sae < n_concept + 2 * l0 or n_groups < 2:
        raise ValueError(
            f"d_sae={d_sae} must hold n_concept={n_concept} (at least 1) and twice l0={l0} other features, and "
            f"n_groups={n_groups} must be at least 2"
        )
    # A stream of its own, so that nothing else that starts from the same seed draws the same directions.
    rng = np.random.default_rng([seed, _STREAM])
    directions = rng.standard_normal((d_sae, d_model))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    concept = np.sort(rng.choice(d_sae, n_concept, replace=False))
    others = np.setdiff1d(np.arange(d_sae), concept)
    mean = rng.standard_normal(d_model) / np.sqrt(d_model)

    written = directions.copy()
    if not inside:
        written[concept] = rng.standard_normal((n_concept, d_model))
        written[concept] /= np.linalg.norm(written[concept], axis=1, keepdims=True)

    def rows(codes: np.ndarray) -> Tensor:
        values = mean + codes @ written + noise * rng.standard_normal((len(codes), d_model))
        return torch.as_tensor(values, dtype=torch.float32)

    codes = np.zeros((2 * n_groups, d_sae))
    for group in range(n_groups):
        codes[2 * group : 2 * group + 2, rng.choice(others, l0, replace=False)] = 1 + rng.random(l0)
        for row in (2 * group, 2 * group + 1):
            codes[row, rng.choice(others, l0, replace=False)] += 0.4 + 0.4 * rng.random(l0)
        codes[2 * group, concept] = strength * (0.5 + rng.random(n_concept))
    shown = np.zeros((n_tokens, d_sae))
    for row in range(n_tokens):
        chosen = rng.choice(d_sae, l0, replace=False)
        shown[row, chosen] = 1 + rng.random(l0)
    settings = {
        "n_groups": n_groups,
        "d_model": d_model,
        "d_sae": d_sae,
        "n_concept": n_concept,
        "l0": l0,
        "strength": strength,
        "noise": noise,
        "inside": inside,
    }
    decoder = torch.as_tensor(directions, dtype=torch.float32)
    return PlantedDictionary(
        activations=Activations(
            rows(codes)[:, None],
            (0,),
            np.tile(["positive", "negative"], n_groups),
            np.repeat([f"scenario {i}" for i in range(n_groups)], 2),
            position="given",
            provenance=Provenance("planted", seed=seed, settings=settings),
        ),
        sae=_true_sae(decoder, torch.as_tensor(mean, dtype=torch.float32), 2 * l0 + n_concept),
        subspace=Subspace.from_directions(torch.as_tensor(written[concept], dtype=torch.float32), layer=0),
        concept_features=concept,
        codes=torch.as_tensor(codes, dtype=torch.float32),
        tokens=TokenActivations(
            rows(shown), np.arange(n_tokens), np.array([f"token {i}" for i in range(n_tokens)], dtype=str), layer=0
        ),
    )


def _true_sae(decoder: Tensor, mean: Tensor, k: int) -> SparseAutoencoder:
    """The planted columns with an encoder that explains a row by orthogonal matching pursuit, k steps at most."""
    overlaps = decoder @ decoder.T

    def encode(x: Tensor) -> Tensor:
        target = (x - mean) @ decoder.T
        codes = torch.zeros_like(target)
        chosen = torch.zeros(len(x), 0, dtype=torch.long)
        strong = torch.zeros(len(x), 0, dtype=torch.bool)
        for _ in range(k):
            gap = (target - codes @ overlaps).scatter(1, chosen, -1.0)
            value, best = gap.max(dim=1, keepdim=True)
            chosen, strong = torch.cat([chosen, best], dim=1), torch.cat([strong, value > _LEAST], dim=1)
            solved = _least_squares(target.gather(1, chosen), overlaps[chosen[:, :, None], chosen[:, None]], strong)
            codes = torch.zeros_like(target).scatter(1, chosen, solved)
        return codes.clamp(min=0)

    return SparseAutoencoder(
        decoder, encode, lambda f: f @ decoder + mean, (0, "resid_post"), "planted", "planted dictionary", planted=True
    )


_LEAST = 0.2
"""Features weaker than this are not told from noise."""


def _least_squares(target: Tensor, overlaps: Tensor, strong: Tensor) -> Tensor:
    """Best activations of the chosen features of each row, 0 for those that are too weak."""
    mask = strong.to(target.dtype)
    system = overlaps * mask[:, :, None] * mask[:, None, :] + torch.diag_embed(1 - mask + 1e-6)
    solved: Tensor = torch.linalg.solve(system, (target * mask)[..., None])[..., 0]
    return solved * mask
