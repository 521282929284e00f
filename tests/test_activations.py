"""Activations: selection, caches, files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import empathy_geometry as eg
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.models.tokens import pad, tokenize
from empathy_geometry.texts.labeled_texts import LabeledTexts

TEXTS = LabeledTexts(
    ["ab I am", "cd", "ef", "gh"],
    ["x", "y", "x", "y"],
    ["g", "g", "h", "h"],
    contexts=["c", "c", "d", "d"],
    name="four",
)


def _acts(**changes: Any) -> Activations:
    fields: dict[str, Any] = {
        "values": torch.arange(4 * 3 * 2.0).reshape(4, 3, 2),
        "layers": ("embed", 0, 5),
        "labels": TEXTS.labels,
        "groups": TEXTS.groups,
        "texts": TEXTS,
        "token_embeddings": torch.arange(8.0).reshape(4, 2),
        "provenance": Provenance("measured", model={"name": "m"}, seed=3),
    }
    return Activations(**fields | changes)


def test_layers_are_found_by_their_own_number() -> None:
    acts = _acts()
    assert torch.equal(acts.layer(5), acts.values[:, 2])
    assert torch.equal(acts.layer("embed"), acts.values[:, 0])
    assert acts.d_model == 2
    with pytest.raises(ValueError, match=r"layer 1 was not extracted; there are \['embed', 0, 5\]"):
        acts.layer(1)


def test_several_vectors_a_text_need_a_choice() -> None:
    acts = _acts(values=torch.randn(4, 2, 3, 2))
    assert torch.equal(acts.layer(0, pos=1), acts.values[:, 1, 1])
    with pytest.raises(ValueError, match=r"each text has 2 vectors \(last\); say pos=0..1"):
        acts.layer(0)


def test_selection_keeps_everything_in_step() -> None:
    part = _acts().where(label="y", context="d")
    assert len(part) == 1
    assert part.labels.tolist() == ["y"]
    assert part.texts is not None
    assert part.texts.texts == ("gh",)
    assert part.token_embeddings is not None
    assert part.token_embeddings.tolist() == [[6.0, 7.0]]
    assert torch.equal(_acts()[np.array([True, False, False, True])].values, _acts().values[[0, 3]])
    with pytest.raises(ValueError, match="the selection is empty"):
        _acts()[[]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": torch.zeros(4, 2)}, r"\[n, layer, d_model\]"),
        ({"values": np.zeros((4, 3, 2))}, "must be a tensor"),
        ({"values": torch.zeros(0, 3, 2)}, "no rows"),
        ({"layers": (0, 1)}, "name each of the 3 entries"),
        ({"layers": (0, 0, 1)}, "at least one layer, and each once"),
        ({"labels": ["x"]}, "labels must have one entry for each of 4 rows"),
        ({"groups": ["x", None, "y", "z"]}, "groups has a missing entry"),
        ({"texts": TEXTS[:2]}, "texts must have one text for each of 4 rows"),
        ({"token_embeddings": torch.zeros(3, 2)}, "token_embeddings must have 4 rows"),
        ({"values": torch.full((4, 3, 2), float("nan"))}, r"must be finite; 4 of 4 rows are not \(first: row 0\)"),
    ],
)
def test_bad_fields(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _acts(**changes)


@pytest.mark.parametrize("bare", [True, False])
def test_files_hold_everything(tmp_path: Path, bare: bool) -> None:
    acts = _acts(texts=None, token_embeddings=None, provenance=None) if bare else _acts()
    back = Activations.load(acts.save(tmp_path / "a.safetensors"))
    assert torch.equal(back.values, acts.values)
    assert back.layers == acts.layers
    assert back.labels.tolist() == acts.labels.tolist()
    assert back.groups.tolist() == acts.groups.tolist()
    assert (back.position, back.site, back.provenance) == (acts.position, acts.site, acts.provenance)
    assert (back.texts is None) == bare
    if not bare:
        assert back.texts is not None
        assert back.texts.sha256 == TEXTS.sha256
        assert back.contexts is not None
        assert back.contexts.tolist() == ["c", "c", "d", "d"]
        assert back.token_embeddings is not None
        assert torch.equal(back.token_embeddings, acts.token_embeddings)


def test_half_precision_survives_a_file(tmp_path: Path) -> None:
    acts = _acts(values=torch.randn(4, 3, 2).bfloat16())
    assert torch.equal(Activations.load(acts.save(tmp_path / "a")).values, acts.values)


def test_files_of_others(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"PK\x03\x04 not safetensors")
    with pytest.raises(ValueError, match="damaged or half-written"):
        Activations.load(path)
    with pytest.raises(FileNotFoundError, match="there is no activations file"):
        Activations.load(tmp_path / "none")
    direction = eg.ConceptDirection.from_mean_difference(torch.randn(4, 2), torch.randn(4, 2))
    with pytest.raises(ValueError, match="does not hold activations"):
        Activations.load(direction.save(tmp_path / "d.safetensors"))


def _cache(model: Any, side: str = "right") -> tuple[Any, torch.Tensor]:
    ids, mask = pad([t.ids for t in tokenize(model, TEXTS)], side=side)
    with torch.no_grad():
        _, cache = model.run_with_cache(ids, attention_mask=mask.long())
    return cache, mask


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("position", ["last", "mean", "response_quartiles", 1, -2])
def test_a_cache_gives_what_extraction_gives(tiny_model: Any, side: str, position: Any) -> None:
    cache, mask = _cache(tiny_model, side)
    found = Activations.from_cache(cache, TEXTS.labels, TEXTS.groups, attention_mask=mask, position=position)
    expected = eg.extract_activations(tiny_model, TEXTS, position=position, progress=False)
    assert found.layers == expected.layers
    torch.testing.assert_close(found.values, expected.values, rtol=1e-4, atol=1e-4)


def test_a_cache_may_be_a_dictionary_of_some_layers_and_another_site(tiny_llama: Any) -> None:
    cache, mask = _cache(tiny_llama)
    some = {k: cache[k] for k in ("blocks.2.hook_mlp_out", "blocks.0.hook_mlp_out", "blocks.0.hook_resid_pre")}
    acts = Activations.from_cache(some, TEXTS.labels, TEXTS.groups, attention_mask=mask, site="mlp_out")
    assert acts.layers == (0, 2)
    assert acts.site == "mlp_out"
    one = Activations.from_cache(some, TEXTS.labels, TEXTS.groups, attention_mask=mask, layers=["embed"])
    assert one.layers == ("embed",)


def test_bad_caches(tiny_llama: Any) -> None:
    cache, mask = _cache(tiny_llama)
    labels, groups = TEXTS.labels, TEXTS.groups
    with pytest.raises(ValueError, match=r"the cache has no blocks.7.hook_resid_post"):
        Activations.from_cache(cache, labels, groups, layers=[7])
    with pytest.raises(ValueError, match=r"the cache has no blocks.\*.hook_resid_post; it has \['x'\]"):
        Activations.from_cache({"x": torch.zeros(1)}, labels, groups)
    with pytest.raises(ValueError, match="keep the batch axis"):
        Activations.from_cache({"blocks.0.hook_resid_post": torch.zeros(3, 4)}, ["x"], ["g"])
    with pytest.raises(ValueError, match=r"attention_mask must be \(4, 6\), as the activations, got \(4, 5\)"):
        Activations.from_cache(cache, labels, groups, attention_mask=mask[:, 1:])
    hole = torch.ones_like(mask)
    hole[1, 1] = False
    with pytest.raises(ValueError, match=r"the real tokens of row 1 must be one run"):
        Activations.from_cache(cache, labels, groups, attention_mask=hole)
    with pytest.raises(ValueError, match="so that some are padding; pass attention_mask="):
        Activations.from_cache(cache, labels, groups, tokenized=tokenize(tiny_llama, TEXTS))
    with pytest.raises(ValueError, match="tokenized must have one text per row"):
        Activations.from_cache(cache, labels, groups, tokenized=tokenize(tiny_llama, TEXTS)[:3])
    with pytest.raises(ValueError, match="may be padded, and nothing says where"):
        Activations.from_cache(cache, labels, groups)
