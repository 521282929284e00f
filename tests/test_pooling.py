"""Pooling: the weighted mean, taken exactly where one token is read."""

import torch

from empathy_geometry.activations.pooling import Pooling


def test_weighted_means_equal_einsum() -> None:
    weights = torch.rand(3, 2, 5)
    stream = torch.randn(3, 5, 4)
    torch.testing.assert_close(Pooling(weights)(stream).vectors, torch.einsum("bsp,bpd->bsd", weights, stream))


def test_a_single_token_is_taken_as_it_is() -> None:
    weights = torch.zeros(2, 1, 5)
    weights[0, 0, 3] = weights[1, 0, 0] = 1
    stream = torch.randn(2, 5, 4, dtype=torch.bfloat16)
    pooled = Pooling(weights)(stream).vectors
    assert pooled.dtype == torch.float32
    assert torch.equal(pooled[:, 0], stream[[0, 1], [3, 0]].float())


def test_an_overflow_at_a_token_that_is_not_read_stays_out() -> None:
    stream = torch.ones(1, 3, 2, dtype=torch.float16)
    stream[0, 0] = float("inf")
    assert Pooling(torch.tensor([[[0.0, 0.5, 0.5]]]))(stream).vectors.tolist() == [[[1.0, 1.0]]]
