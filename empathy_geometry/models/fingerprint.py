"""A short fingerprint of a tensor's bytes, at the speed at which memory is read."""

from collections.abc import Iterator

import torch
import xxhash
from torch import Tensor

_CHUNK_BYTES = 64 * 2**20


def tensor_fingerprint(tensor: Tensor) -> str:
    """XXH3-128 over dtype, shape and bytes of a tensor, 32 hexadecimal digits.

    Any other bit, sign, order of rows, shape or NaN payload gives another fingerprint; how the tensor lies in memory,
    and on which device, does not. It guards against mistakes, not against forgery: XXH3 is no cryptographic hash, but
    many times as fast as SHA-256. A contiguous tensor on the CPU is read in place; one on an accelerator, or one that
    is not contiguous, passes through at most 64 MiB of host memory at a time (or one row, where a row is longer).

    Args:
        tensor: Any dtype and shape, also empty.

    Raises:
        ValueError: a tensor without data (on the "meta" device, as offloaded weights are), or a sparse one.

    Source: Collet, xxHash (XXH3), https://xxhash.com.

    Example:
        >>> tensor_fingerprint(torch.tensor([0.0, 1.0])) == tensor_fingerprint(torch.tensor([-0.0, 1.0]))
        False
    """
    digest = xxhash.xxh3_128(f"{tensor.dtype}:{tuple(tensor.shape)}:".encode())
    with torch.no_grad():
        for part in _plain_parts(tensor):
            for chunk in _chunks(part):
                digest.update(chunk.contiguous().view(torch.uint8).cpu().numpy().data)
    return digest.hexdigest()


def _plain_parts(tensor: Tensor) -> list[Tensor]:
    """The tensors that hold the data: the tensor itself, or what a quantised one is made of."""
    tensor = tensor.detach()
    if tensor.device.type == "meta":
        raise ValueError(
            "the tensor holds no data (device 'meta'), as with weights that are offloaded to disk or not loaded yet"
        )
    if tensor.layout != torch.strided:
        raise ValueError(f"only dense tensors have a fingerprint, got layout {tensor.layout}; try tensor.to_dense()")
    if tensor.is_quantized:
        return [tensor.int_repr(), torch.dequantize(tensor)]
    if hasattr(tensor, "__tensor_flatten__"):  # wrapper subclasses, as torchao's
        names, _ = tensor.__tensor_flatten__()
        return [part for name in names for part in _plain_parts(getattr(tensor, name))]
    return [tensor.resolve_conj().resolve_neg()]


def _chunks(tensor: Tensor) -> Iterator[Tensor]:
    """Pieces of a tensor, flat, in the order of its elements."""
    if tensor.numel() == 0:
        return
    if tensor.is_contiguous():
        flat = tensor.view(-1)
        if flat.device.type == "cpu":
            yield flat
        else:
            size = max(1, _CHUNK_BYTES // flat.element_size())
            yield from (flat[i : i + size] for i in range(0, len(flat), size))
        return
    row_bytes = tensor[0].numel() * tensor.element_size()
    size = max(1, _CHUNK_BYTES // row_bytes)
    yield from (tensor[i : i + size].reshape(-1) for i in range(0, len(tensor), size))
