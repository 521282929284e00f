"""Sparse autoencoders that learned nothing, to be sent through the same pipeline."""

import torch
from jaxtyping import Float
from torch import Tensor

from empathy_geometry.foundation._validation import as_generator
from empathy_geometry.sae.autoencoder import SparseAutoencoder
from empathy_geometry.sae.row_normalisation import RowStatistics, statistics_of, with_statistics


def random_decoder(sae: SparseAutoencoder, *, seed: int = 0) -> SparseAutoencoder:
    """The SAE with every decoder column pointing anywhere, at its length; what fires when stays as it is.

    Example:
        >>> toy = SparseAutoencoder(3 * torch.eye(4), lambda x: x.relu(), lambda f: f @ torch.eye(4) * 3)
        >>> random_decoder(toy).decoder.norm(dim=1).round(decimals=3).tolist()
        [3.0, 3.0, 3.0, 3.0]
    """
    decoder = _random_like(sae.decoder, seed)
    mean = _decoded_zero(sae)

    def decode(features: Tensor) -> Tensor:
        rows, statistics = features.cpu() @ decoder + mean, statistics_of(features)
        return rows if statistics is None else statistics.undo(rows)

    return SparseAutoencoder(
        decoder,
        sae.encode_rows,
        decode,
        sae.place,
        sae.architecture,
        f"{sae.name}, random decoder",
        sae.model_name,
        planted=sae.is_planted,
        normalisation=sae.normalisation,
    )


def untrained(
    sae: SparseAutoencoder, *, l0: float, center: Float[Tensor, " d_model"], seed: int = 0
) -> SparseAutoencoder:
    """A random dictionary of the same size that fires as often as the SAE does.

    Decoder columns point anywhere, at the lengths of the SAE's; the encoder is their transpose, as at the start of
    training, on centred rows, and the features that agree most with a token fire: as many as the SAE's L0.

    Args:
        sae: Whose sizes to take.
        l0: Features that fire on a token.
        center: What is subtracted from rows, such as their mean.
        seed: Seed.

    Example:
        >>> toy = SparseAutoencoder(torch.eye(4), lambda x: x.relu(), lambda f: f)
        >>> int((untrained(toy, l0=2, center=torch.zeros(4)).encode(torch.ones(1, 4)) > 0).sum()) <= 2
        True
    """
    decoder = _random_like(sae.decoder, seed)
    unit = decoder / decoder.norm(dim=1, keepdim=True).clamp(min=1e-12)
    k = min(sae.d_sae, max(1, round(l0)))
    middle = center.detach().float().cpu()

    def encode(x: Tensor) -> Tensor:
        agreement = (x.cpu() - middle) @ unit.T
        values, index = agreement.topk(k, dim=-1)
        return torch.zeros_like(agreement).scatter_(-1, index, values.relu())

    return SparseAutoencoder(
        decoder,
        encode,
        lambda f: f.cpu() @ unit + middle,
        sae.place,
        f"top-{k}",
        f"{sae.name}, untrained",
        sae.model_name,
        planted=sae.is_planted,
    )


def _random_like(decoder: Tensor, seed: int) -> Tensor:
    # A stream of its own: planted data of the same seed may have drawn its directions alike.
    (own,) = as_generator(seed).spawn(1)
    drawn = torch.as_tensor(own.standard_normal(tuple(decoder.shape)), dtype=torch.float32)
    scaled: Tensor = drawn / drawn.norm(dim=1, keepdim=True) * decoder.norm(dim=1, keepdim=True)
    return scaled


def _decoded_zero(sae: SparseAutoencoder) -> Tensor:
    """What the SAE gives where nothing fires: its bias, before run-time normalisation is undone."""
    nothing = torch.zeros(1, sae.d_sae)
    return sae.decode(with_statistics(nothing, RowStatistics.nothing(1)))[0]
