"""A given subspace against the features that lie closest to it: the best that a dictionary can do."""

import numpy as np

from empathy_geometry.evaluation.nulls import empirical_pvalue
from empathy_geometry.foundation._types import FloatArray
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.geometry.subspaces import Subspace
from empathy_geometry.sae.autoencoder import SparseAutoencoder
from empathy_geometry.sae.concept_halves import captured
from empathy_geometry.sae.sparse_probing import strongest
from empathy_geometry.sae.subspace_agreement import SubspaceAgreement

_COSINES_AT_ONCE = 2**24


def aligned_agreement(
    sae: SparseAutoencoder,
    subspace: Subspace,
    *,
    n_features: int = 16,
    curve: tuple[int, ...] = (1, 4, 16, 64),
    n_draws: int = 199,
    seed: int = 0,
) -> SubspaceAgreement:
    """Agreement of a subspace with the decoder columns that lie closest to it.

    Choosing columns by their alignment finds some in any dictionary, so the null chooses likewise among as many random
    directions. Without activations there are no other nulls.

    Args:
        sae: Whose decoder.
        subspace: From other data than the SAE was chosen on.
        n_features: How many columns.
        curve: Numbers of columns for the curve.
        n_draws: Random dictionaries.
        seed: Of the null.

    Raises:
        ValueError: widths differ.

    Example:
        >>> import torch
        >>> toy = SparseAutoencoder(torch.eye(8), lambda x: x, lambda f: f)
        >>> found = aligned_agreement(toy, Subspace.from_directions(torch.eye(8)[:2]), n_features=2, n_draws=99)
        >>> round(found.value.value, 6), found.pvalue
        (1.0, 0.01)
    """
    sae.check_fits(subspace.d_model, None if subspace.layer is None else (subspace.layer, subspace.site))
    basis = subspace.basis.double().numpy()
    decoder = sae.decoder.double().numpy()
    k = min(n_features, sae.d_sae)
    sizes = tuple(sorted({min(size, sae.d_sae) for size in curve} | {k}))
    order = _closest(decoder, basis, max(sizes))
    value = float(captured(decoder[order[:k]], basis))
    # A stream of its own: a planted dictionary of the same seed may have drawn its directions alike.
    (rng,) = np.random.default_rng(seed).spawn(1)
    null = np.array([_random(basis, sae.d_sae, k, rng) for _ in range(n_draws)])
    angles = subspace.principal_angles(Subspace.from_directions(sae.decoder[order[:k].copy()]))
    return SubspaceAgreement(
        concept="given subspace, closest features",
        value=Estimate(value, n=sae.d_sae, method="closest features, no interval"),
        ceiling=1.0,
        corrected=None,
        curve={size: float(captured(decoder[order[:size]], basis)) for size in sizes},
        isotropic={size: min(1.0, max(size, subspace.rank) / sae.d_model) for size in sizes},
        angles=tuple(np.degrees(angles.numpy()).tolist()),
        nulls={"isotropic": null},
        pvalues={"isotropic": empirical_pvalue(value, null)},
        n_features=k,
        rank=subspace.rank,
        d_model=sae.d_model,
        selected=tuple((int(i), 1.0) for i in order[:k]),
        seed=seed,
    )


def _closest(decoder: FloatArray, basis: FloatArray, k: int) -> np.ndarray:
    lengths = np.maximum(np.linalg.norm(decoder, axis=1), 1e-300)
    return strongest(((decoder @ basis.T) ** 2).sum(axis=1) / lengths**2, k)


def _random(basis: FloatArray, d_sae: int, k: int, generator: np.random.Generator) -> float:
    """The k closest of d_sae isotropic directions; drawn in parts, only the closest of each part are kept."""
    d_model = basis.shape[1]
    kept = np.empty((0, d_model))
    at_once = max(k, _COSINES_AT_ONCE // d_model)
    for start in range(0, d_sae, at_once):
        drawn = np.concatenate([kept, generator.standard_normal((min(at_once, d_sae - start), d_model))])
        kept = drawn[_closest(drawn, basis, k)]
    return float(captured(kept, basis))
