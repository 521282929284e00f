"""Continuing from a cache equals one plain pass, and a model that cannot do it is found out."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from tiny_models import tiny_bridge

import empathy_geometry as eg
from empathy_geometry.activations.hook_reader import HookReader
from empathy_geometry.activations.prefix_cache import PrefixCache, sharing_obstacle
from empathy_geometry.models.tokens import pad
from empathy_geometry.texts.labeled_texts import LabeledTexts

pytestmark = pytest.mark.usefixtures("one_thread")

IDS = torch.tensor([261, 5, 9, 33, 100, 7, 8, 12, 90, 41])
DEEPEST = "blocks.2.hook_resid_post"


@contextmanager
def _cache_ignored(model: Any) -> Iterator[None]:
    """The fault of TransformerBridge on transformers 5.24: keys and values are not kept."""
    components = [model.blocks[i].attn for i in range(3)]
    for component in components:
        component._update_kv_cache = lambda k, v, **kwargs: (k, v)
    try:
        yield
    finally:
        for component in components:
            del component.__dict__["_update_kv_cache"]


def test_all_supported_types_can_share(tiny_model: Any) -> None:
    assert sharing_obstacle(tiny_model, [(IDS, 5)], DEEPEST) is None


def test_a_cache_serves_several_batches_and_stays_as_it_is(tiny_model: Any) -> None:
    prefixes, mask = pad([IDS[:6].tolist(), IDS[:3].tolist()], side="left")
    rest = IDS[6:].tolist()
    everything: list[torch.Tensor] = []

    def keep(stream: torch.Tensor) -> torch.Tensor:
        return stream.clone()

    reader = HookReader(tiny_model, [DEEPEST])
    with torch.no_grad():
        cache = PrefixCache(tiny_model, mask)
        reader.read(prefixes, mask, [None], past=cache.cache)
        for _ in range(2):
            for which, rows in (([0, 0, 1], [rest, rest[:2], rest]), ([1], [rest])):
                chosen = torch.tensor(which)
                ids, own = pad(rows)
                read = reader.read(ids, cache.mask_with(chosen, own), [keep], past=cache.of(chosen))
                everything.append(read[0])
        expected = [
            reader.read(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.bool), [keep])[0][0]
            for ids in ([*IDS[:6].tolist(), *rest], [*IDS[:3].tolist(), *rest])
        ]
    torch.testing.assert_close(everything[0], everything[2])
    torch.testing.assert_close(everything[0][0], expected[0][6:], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(everything[0][2], expected[1][3:], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(everything[1][0], expected[1][3:], rtol=1e-4, atol=1e-4)


def test_a_model_that_loses_its_cache_is_found_out_and_run_plainly() -> None:
    prompt = "I was there abc "
    texts = LabeledTexts([prompt + r for r in ("one", "two", "three")], list("xyx"), list("ggh"), prompts=[prompt] * 3)
    broken = tiny_bridge("llama")
    expected = eg.extract_activations(broken, texts, share_prefixes=False, progress=False)
    with _cache_ignored(broken):
        reason = sharing_obstacle(broken, [(IDS, 5)], DEEPEST)
        assert reason is not None
        assert "from a cache" in reason
        found = eg.extract_activations(broken, texts, progress=False)
        with pytest.raises(ValueError, match="prefixes cannot be shared: TransformerBridge"):
            eg.extract_activations(broken, texts, share_prefixes=True, progress=False)
    torch.testing.assert_close(found.values, expected.values)
    assert found.provenance is not None
    assert str(found.provenance.settings["share_prefixes"]).startswith("off: TransformerBridge")


def test_the_verdict_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_bridge("gpt2")
    assert sharing_obstacle(model, [(IDS, 5)], DEEPEST) is None
    monkeypatch.setattr(HookReader, "read", None)
    assert sharing_obstacle(model, [(IDS, 5)], DEEPEST) is None
    with pytest.raises(TypeError):  # at another depth it is tried anew
        sharing_obstacle(model, [(IDS, 5)], "blocks.1.hook_resid_post")
