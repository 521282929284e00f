"""Memory that does not suffice: batches are halved, and nothing else changes."""

from typing import Any

import pytest
import torch

import empathy_geometry as eg
from empathy_geometry.activations.hook_reader import HookReader
from empathy_geometry.texts.labeled_texts import LabeledTexts

pytestmark = pytest.mark.usefixtures("one_thread")

PROMPTS = ["I was there abc ", "you er abcabc and so on "]
TEXTS = LabeledTexts(
    [p + r for p in PROMPTS for r in ("one", "two more", "three abc", "four", "five er")],
    ["x", "y"] * 5,
    [str(i) for i in range(10)],
    prompts=[p for p in PROMPTS for _ in range(5)],
)


@pytest.mark.parametrize("share", [True, False])
def test_batches_are_halved_until_they_fit(tiny_llama: Any, monkeypatch: pytest.MonkeyPatch, share: bool) -> None:
    expected = eg.extract_activations(tiny_llama, TEXTS, share_prefixes=share, position="mean", progress=False)
    read, sizes = HookReader.read, []

    def small_memory(self: HookReader, ids: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        sizes.append(len(ids))
        if len(ids) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return read(self, ids, *args, **kwargs)

    monkeypatch.setattr(HookReader, "read", small_memory)
    found = eg.extract_activations(tiny_llama, TEXTS, share_prefixes=share, position="mean", progress=False)
    torch.testing.assert_close(found.values, expected.values, rtol=1e-4, atol=1e-4)
    assert max(sizes) > 1
    with pytest.raises(torch.OutOfMemoryError):  # a size that the user asked for is not changed silently
        eg.extract_activations(tiny_llama, TEXTS, share_prefixes=share, batch_size=4, progress=False)


def test_one_text_that_does_not_fit_is_an_error(tiny_llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(self: HookReader, *args: Any, **kwargs: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(HookReader, "read", no_memory)
    with pytest.raises(torch.OutOfMemoryError):
        eg.extract_activations(tiny_llama, TEXTS, share_prefixes=False, progress=False)
