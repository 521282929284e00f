"""The random directions that stand beside a concept's in a study."""

import numpy as np
import torch

from empathy_geometry.activations.pairing import paired_differences
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.foundation._types import Layer
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.geometry.random_vectors import class_swapped, draw_directions


def random_controls(
    direction: ConceptDirection,
    activations: Activations,
    *,
    positive: str,
    negative: str,
    layer: Layer,
    n_each: int = 2,
    seed: int = 0,
) -> dict[str, ConceptDirection]:
    """Random directions with the scales of `direction`, so that one alpha is one length for all.

    "isotropic" ones are uniform on the sphere. "covariance-matched" ones are random combinations of the activations
    about their mean, so that they lie where activations vary. "shuffled labels" ones are
    `class_swapped`: they have the covariance of real differences but no concept.

    Args:
        direction: The concept's direction.
        activations: What it was estimated from.
        positive: The concept's class.
        negative: The neutral class.
        layer: Where.
        n_each: How many of each kind.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    differences, _ = paired_differences(
        activations.layer(layer), activations.labels, activations.groups, positive=positive, negative=negative
    )
    found = {}
    for i in range(n_each):
        vector = draw_directions(1, d_model=direction.d_model, generator=rng)[0]
        found[f"isotropic {i + 1}"] = direction.with_vector(vector, "isotropic")
    drawn = draw_directions(n_each, like=activations.layer(layer), kind="covariance", generator=rng) if n_each else ()
    for i, vector in enumerate(drawn):
        found[f"covariance-matched {i + 1}"] = direction.with_vector(vector, "covariance-matched")
    for i in range(n_each):
        found[f"shuffled labels {i + 1}"] = direction.with_vector(
            torch.as_tensor(class_swapped(differences, rng)), "shuffled labels"
        )
    return found
