"""Any other content is another fingerprint; how a tensor lies in memory is not content."""

import numpy as np
import pytest
import torch
import xxhash

from empathy_geometry.models import fingerprint
from empathy_geometry.models.fingerprint import tensor_fingerprint

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int8, torch.int64, torch.complex64)


def _ordinary() -> torch.Tensor:
    return torch.randn(37, 19, generator=torch.Generator().manual_seed(0))


def test_it_is_xxh3_over_dtype_shape_and_bytes() -> None:
    x = _ordinary()
    expected = xxhash.xxh3_128(b"torch.float32:(37, 19):" + x.numpy().tobytes()).hexdigest()
    assert tensor_fingerprint(x) == expected


def test_every_single_bit_counts() -> None:
    x = torch.tensor([1.5, -2.0, 0.0])
    seen = {tensor_fingerprint(x)}
    for bit in range(8 * 12):
        flipped = np.frombuffer(x.numpy().tobytes(), dtype=np.uint8).copy()
        flipped[bit // 8] ^= 1 << (bit % 8)
        seen.add(tensor_fingerprint(torch.from_numpy(flipped.view(np.float32))))
    assert len(seen) == 8 * 12 + 1


def _swapped_rows(x: torch.Tensor) -> torch.Tensor:
    return x[[1, 0, *range(2, len(x))]]


def _two_signs(x: torch.Tensor) -> torch.Tensor:
    y = x.clone()
    y[0, 0] *= -1
    y[5, 3] *= -1
    return y


CHANGES = {
    "rows swapped": _swapped_rows,
    "all signs": torch.neg,
    "two signs": _two_signs,
    "reversed": lambda x: x.flip(0),
    "another shape": lambda x: x.reshape(19, 37),
    "transposed": lambda x: x.T,
    "another dtype, same bytes": lambda x: x.view(torch.int32),
    "one longer": lambda x: torch.cat([x, torch.zeros(1, 19)]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_changes_that_sums_and_sets_do_not_see(change) -> None:
    x = _ordinary()
    assert tensor_fingerprint(change(x)) != tensor_fingerprint(x)
    # Not by shape alone: all zeros would hide it from every function of the values.
    assert tensor_fingerprint(x.clone()) == tensor_fingerprint(x)


def test_nan_payloads_and_signed_zeros_are_content() -> None:
    bits = [0x7FC00000, 0x7FC00001, 0xFFC00000, 0x00000000, 0x80000000]
    prints = {tensor_fingerprint(torch.tensor(np.array([b], dtype=np.uint32).view(np.float32))) for b in bits}
    assert len(prints) == len(bits)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_layout_is_not_content(dtype: torch.dtype, monkeypatch) -> None:
    x = (10 * torch.randn(12, 7, 5, dtype=torch.float64)).to(dtype)
    expected = tensor_fingerprint(x)
    assert tensor_fingerprint(x.permute(2, 0, 1).contiguous().permute(1, 2, 0)) == expected
    wide = torch.zeros(12, 7, 10, dtype=dtype)
    wide[..., ::2] = x
    assert tensor_fingerprint(wide[..., ::2]) == expected
    monkeypatch.setattr(fingerprint, "_CHUNK_BYTES", 100)  # many pieces, of whole rows and of flat runs
    assert tensor_fingerprint(x) == expected
    assert tensor_fingerprint(wide[..., ::2]) == expected


def test_scalars_empty_tensors_and_parameters() -> None:
    prints = {tensor_fingerprint(torch.zeros(shape)) for shape in ((), (0,), (0, 3), (3, 0), (1,))}
    assert len(prints) == 5
    assert tensor_fingerprint(torch.nn.Parameter(torch.ones(2))) == tensor_fingerprint(torch.ones(2))
    assert tensor_fingerprint(torch.tensor([True, False])) != tensor_fingerprint(torch.tensor([False, True]))
    z = torch.tensor([1 + 2j])
    assert tensor_fingerprint(z.conj()) == tensor_fingerprint(torch.tensor([1 - 2j]))


def test_tensors_without_data_are_refused() -> None:
    with pytest.raises(ValueError, match="offloaded"):
        tensor_fingerprint(torch.empty(2, device="meta"))
    with pytest.raises(ValueError, match="to_dense"):
        tensor_fingerprint(torch.eye(2).to_sparse())
