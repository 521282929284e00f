"""Vectors drawn at random, against which those of concepts are held: every control vector is drawn here."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from empathy_geometry.foundation._types import ArrayLike, FloatArray
from empathy_geometry.foundation._validation import as_generator, as_matrix, check_choice


def random_directions(
    n: int,
    *,
    d_model: int | None = None,
    like: ArrayLike | None = None,
    kind: Literal["isotropic", "covariance"] = "isotropic",
    norm: float | None = 1.0,
    seed: int = 0,
) -> Float[Tensor, "n d_model"]:
    """Directions that know nothing of the concept.

    "isotropic": every direction of d_model dimensions is as likely. "covariance": a random combination of the rows of
    `like` about their mean, so that it has their covariance and lies where activations vary; the harder null, because
    activations live in far fewer directions than d_model.

    Args:
        n: How many.
        d_model: Width; needed without `like`.
        like: Activations [rows, d_model], needed for "covariance".
        kind: Which null.
        norm: Length of every direction, such as that of the direction it is compared with; None leaves the lengths
            as drawn: sqrt(d_model) on average for "isotropic", the standard deviation of the rows for "covariance".
        seed: Seed.

    Raises:
        ValueError: neither or the wrong one of `d_model` and `like` is given, or `like` does not vary.

    Example:
        >>> random_directions(2, d_model=8, norm=3.0, seed=0).norm(dim=1).tolist()
        [3.0, 3.0]
    """
    return draw_directions(n, d_model=d_model, like=like, kind=kind, norm=norm, generator=as_generator(seed))


def draw_directions(
    n: int,
    *,
    generator: np.random.Generator,
    d_model: int | None = None,
    like: ArrayLike | None = None,
    kind: Literal["isotropic", "covariance"] = "isotropic",
    norm: float | None = 1.0,
) -> Float[Tensor, "n d_model"]:
    """`random_directions` from a generator in use."""
    check_choice(kind, "kind", ("isotropic", "covariance"))
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if norm is not None and not norm > 0:
        raise ValueError(f"norm must be positive or None, got {norm!r}")
    if kind == "isotropic":
        if d_model is None:
            if like is None:
                raise ValueError("d_model is missing: give d_model, or like= to take its width")
            d_model = as_matrix(like, "like").shape[1]
        drawn = generator.normal(size=(n, d_model))
    else:
        if like is None:
            raise ValueError("kind='covariance' needs like=, the activations whose covariance it matches")
        rows = as_matrix(like, "like", d_model=d_model)
        centred = rows - rows.mean(axis=0)
        if len(rows) < 2 or not centred.any():
            raise ValueError("like does not vary, so that there is no covariance to match; give more rows")
        drawn = generator.normal(size=(n, len(rows))) @ centred / np.sqrt(len(rows) - 1)
    if norm is not None:
        drawn *= norm / np.linalg.norm(drawn, axis=1, keepdims=True)
    return torch.as_tensor(drawn, dtype=torch.float32)


def class_swapped(differences: FloatArray, generator: np.random.Generator) -> FloatArray:
    """Mean of paired differences after swapping the classes in a random half of the scenarios, [d_model].

    It has the covariance of real differences. A concept that all scenarios show alike cancels; where they show it with
    unequal strength some of it is left, in either sense.

    Args:
        differences: Positive minus negative of each scenario, [n_groups, d_model].
        generator: Draws the half.

    Example:
        >>> abs(float(class_swapped(np.array([[1.0], [3.0]]), np.random.default_rng(0))[0]))
        1.0
    """
    signs = generator.permutation(np.where(np.arange(len(differences)) % 2, 1.0, -1.0))
    return np.asarray(signs @ differences / len(differences))
