"""The store: equal to the run in memory, read layer by layer, refusing what is damaged or other."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import N_LAYERS, tiny_bridge, tiny_model

import empathy_geometry as eg
from empathy_geometry.activations.store import ActivationStore
from empathy_geometry.texts.labeled_texts import LabeledTexts

pytestmark = pytest.mark.usefixtures("one_thread")

PROMPTS = ["I was there.\n\nResponse: ", "er abcabc, you and so on.\n\nResponse: ", "No. "]
RESPONSES = ["one", "two more er", "Is that abc?", "x", "abcabc"]
TEXTS = LabeledTexts(
    [p + r for p in PROMPTS for r in RESPONSES],
    ["a", "b", "a", "a", "b"] * 3,
    [g for g in "ghi" for _ in RESPONSES],
    prompts=[p for p in PROMPTS for _ in RESPONSES],
    contexts=["home"] * 10 + ["work"] * 5,
    name="little",
)


def _into(folder: Path, model: Any, **options: Any) -> ActivationStore:
    store = eg.activations.StoreDesign(folder, options.pop("dtype", "float32"), options.pop("shard_size", 4))
    return eg.extract_activations(model, TEXTS, store=store, progress=False, **{"position": "mean", **options})


def _content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def _outcome(use: Callable[[], ActivationStore]) -> tuple[Any, ValueError | None]:
    try:
        return use().activations(), None
    except ValueError as error:
        return None, error


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished store, not to be changed."""
    folder = tmp_path_factory.mktemp("stored") / "store"
    _into(folder, tiny_model("bridge_llama"))
    return folder


@pytest.fixture
def store_folder(stored: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(stored, tmp_path / "store"))


@pytest.mark.parametrize("position", ["mean", "response_quartiles"])
def test_a_store_holds_what_memory_holds(tiny_model: Any, tmp_path: Path, position: str) -> None:
    store = _into(tmp_path / "s", tiny_model, position=position, layers=[2, "embed"])
    memory = eg.extract_activations(tiny_model, TEXTS, position=position, layers=[2, "embed"], progress=False)
    assert len(store) == len(TEXTS)
    assert store.complete
    assert len(list((tmp_path / "s").glob("shard-*"))) == 4
    read = ActivationStore.open(tmp_path / "s").activations()
    torch.testing.assert_close(read.values, memory.values, rtol=1e-5, atol=1e-5)
    assert read.token_embeddings is not None
    torch.testing.assert_close(read.token_embeddings, memory.token_embeddings)
    assert read.labels.tolist() == memory.labels.tolist()
    assert read.contexts is not None
    assert read.contexts.tolist() == ["home"] * 10 + ["work"] * 5
    assert (read.position, read.site, read.layers) == (memory.position, memory.site, memory.layers)
    pos = 3 if position == "response_quartiles" else None
    assert torch.equal(store.layer("embed", pos=pos), read.layer("embed", pos=pos))
    assert torch.equal(store.activations(2).values, read.values[..., :1, :])
    store.verify()


def test_origin(stored: Path) -> None:
    store = ActivationStore.open(stored)
    assert store.provenance.kind == "measured"
    assert store.provenance.texts == {"little": TEXTS.sha256}
    assert store.provenance.model["name"] == "tiny-llama"
    assert store.provenance.settings["position"] == "mean"
    assert {"torch", "transformers", "transformer-lens"} <= set(store.provenance.versions)
    assert "15 texts" in repr(store)
    assert "4 shards" in repr(store)


def test_the_same_call_again_computes_and_writes_nothing(
    store_folder: Path, tiny_llama: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in store_folder.iterdir()}
    monkeypatch.setattr("empathy_geometry.activations.extractor.Extractor.run", None)
    assert _into(store_folder, tiny_llama).complete
    assert {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in store_folder.iterdir()} == before


def test_a_lost_shard_alone_is_computed_again_and_is_the_same(
    store_folder: Path, stored: Path, tiny_llama: Any
) -> None:
    (store_folder / "shard-00001.safetensors").unlink()
    (store_folder / "texts.json").unlink()
    _into(store_folder, tiny_llama)
    assert _content(store_folder) == _content(stored)


def test_an_incomplete_store_gives_its_finished_part_if_asked(store_folder: Path, stored: Path) -> None:
    (store_folder / "shard-00000.safetensors").unlink()
    with pytest.raises(ValueError, match=r"not complete: 3 of 4 shards; run the same extraction again .*partial=True"):
        ActivationStore.open(store_folder)
    part, whole = ActivationStore.open(store_folder, partial=True), ActivationStore.open(stored)
    assert not part.complete
    assert torch.equal(part.layer(1), whole.layer(1)[part.rows])
    assert part.labels.tolist() == whole.labels[part.rows].tolist()
    assert part.texts.texts == whole.texts[part.rows].texts
    for path in store_folder.glob("shard-*"):
        path.unlink()
    with pytest.raises(ValueError, match="no finished shard yet"):
        ActivationStore.open(store_folder, partial=True)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"position": "last"}, "position: 'mean' there, 'last' now"),
        ({"layers": [0]}, r"layers: \[0, 1, 2\] there, \[0\] now"),
        ({"site": "mlp_out"}, "site: 'resid_post' there"),
        ({"reading": eg.ReadingDesign(chat_template=True)}, "chat_template: False there, True now"),
        ({"reading": eg.ReadingDesign(prepend_bos=False)}, "prepend_bos: None there"),
        ({"share_prefixes": False}, "share_prefixes: '3 prefixes shared by 15 texts' there, 'off' now"),
        ({"dtype": "bfloat16"}, "dtype: 'float32' there"),
        ({"shard_size": 5}, "shard_sizes"),
    ],
)
def test_other_runs_are_not_mixed_in(store_folder: Path, tiny_llama: Any, options: dict[str, Any], named: str) -> None:
    before = _content(store_folder)
    with pytest.raises(ValueError, match=named):
        _into(store_folder, tiny_llama, **options)
    assert _content(store_folder) == before


def test_other_models_and_texts_are_not_mixed_in(store_folder: Path, tiny_llama: Any, tiny_gpt2: Any) -> None:
    before = _content(store_folder)
    with pytest.raises(ValueError, match=r"model.name: 'tiny-llama' there, 'tiny-gpt2' now"):
        _into(store_folder, tiny_gpt2)
    with pytest.raises(ValueError, match=r"model: parameters of .* changed"):
        _into(store_folder, tiny_bridge("llama", seed=1))
    with pytest.raises(ValueError, match=r"texts.n: 15 there, 14 now; texts.sha256"):
        eg.extract_activations(
            tiny_llama, TEXTS[:14], position="mean", store=eg.activations.StoreDesign(store_folder, shard_size=4)
        )
    relabelled = LabeledTexts(TEXTS.texts, ["q"] * 15, TEXTS.groups, prompts=TEXTS.prompts)
    with pytest.raises(ValueError, match=r"begun by a run that differs from this one \(texts.sha256"):
        eg.extract_activations(
            tiny_llama, relabelled, position="mean", store=eg.activations.StoreDesign(store_folder, shard_size=4)
        )
    assert _content(store_folder) == before


def test_a_callable_position_is_told_by_what_it_reads(tmp_path: Path, tiny_llama: Any) -> None:
    _into(tmp_path / "s", tiny_llama, position=lambda text: 1)
    with pytest.raises(ValueError, match=r"differs from this one \(tokens_sha256"):
        _into(tmp_path / "s", tiny_llama, position=lambda text: 2)


def test_reading_errors(stored: Path) -> None:
    store = ActivationStore.open(stored)
    with pytest.raises(ValueError, match=rf"layer 7 was not extracted; there are \[0, 1, {N_LAYERS - 1}\]"):
        store.layer(7)
    with pytest.raises(ValueError, match=r"layers \['embed'\] were not extracted"):
        store.activations([1, "embed"])
    with pytest.raises(FileNotFoundError, match="no activation store"):
        ActivationStore.open(stored / "nowhere")


def test_texts_that_are_not_those_of_the_run(store_folder: Path, tmp_path: Path, tiny_llama: Any) -> None:
    other = tmp_path / "other"
    eg.extract_activations(
        tiny_llama, TEXTS[::-1], position="mean", store=eg.activations.StoreDesign(other, shard_size=4), progress=False
    )
    shutil.copy(other / "texts.json", store_folder / "texts.json")
    with pytest.raises(ValueError, match="holds other texts than the store was made of; delete it"):
        ActivationStore.open(store_folder)


def test_a_shard_of_another_store_is_refused(store_folder: Path, tmp_path: Path, tiny_llama: Any) -> None:
    _into(tmp_path / "other", tiny_llama, position="last")
    shutil.copy(tmp_path / "other" / "shard-00002.safetensors", store_folder)
    with pytest.raises(ValueError, match=r"shard-00002.safetensors belongs to another store"):
        ActivationStore.open(store_folder)


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_damage_is_an_error_or_changes_nothing(
    stored: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any file cut, flipped, emptied or swapped: a ValueError that names it, or the very same numbers."""
    folder = tmp_path_factory.mktemp("damage") / "store"
    shutil.copytree(stored, folder)
    names = sorted(os.listdir(folder))
    path = folder / data.draw(st.sampled_from(names))
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    kind = data.draw(st.sampled_from(["cut", "flip", "zero", "swap"]))
    if kind == "cut":
        del content[at:]
    elif kind == "flip":
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "zero":
        content[at : at + 32] = bytes(min(32, len(content) - at))
    else:
        content = bytearray((folder / data.draw(st.sampled_from(names))).read_bytes())
    path.write_bytes(content)
    whole = ActivationStore.open(stored).activations()
    before = _content(folder)
    for use in (lambda: ActivationStore.open(folder), lambda: _into(folder, tiny_model("bridge_llama"))):
        found, error = _outcome(use)
        if error is not None:
            assert str(folder) in str(error)
        else:
            assert torch.equal(found.values, whole.values)
            assert found.texts.sha256 == TEXTS.sha256
    assert _content(folder) == before


def test_a_folder_that_cannot_be_written(tiny_llama: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="file"):
        _into(tmp_path / "file" / "store", tiny_llama)
