"""Every file that this library writes, damaged: it is refused by name, or it says what it said before."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mutants import mutant
from tiny_models import D_MODEL, tiny_bridge

import empathy_geometry as eg
from empathy_geometry.activations.extractor import ShardVectors
from empathy_geometry.activations.store_manifest import Manifest
from empathy_geometry.activations.store_writer import StoreWriter
from empathy_geometry.command_line.run_record import RunRecord
from empathy_geometry.foundation.artefact import load_artefact, save_artefact
from empathy_geometry.foundation.checked_json import dump_checked
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.json_codec import pack
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.foundation.result_file import find_results, read_folder, write_result
from empathy_geometry.geometry.directions_by_layer import Directions
from empathy_geometry.ratings.items import Item, Key, Source
from empathy_geometry.sae.autoencoder import REPORT_FILE, REPORT_FORMAT, file_sha256
from empathy_geometry.sae.loading import _report
from empathy_geometry.steering.card import SteeringCard, _vectors_beside, steering_card
from empathy_geometry.studies.finding import Finding
from empathy_geometry.studies.step_store import StepStore
from empathy_geometry.studies.tripartite.result import Tripartite
from empathy_geometry.studies.tripartite.section import Section

FEW = 45


@dataclass(frozen=True)
class Written:
    """Some files, and everything that reads them.

    Attributes:
        files: What is damaged.
        read: Gives what the files say, in any form that can be compared.
    """

    files: tuple[Path, ...]
    read: Callable[[], Any]


def _result() -> Tripartite:
    rows = tuple(
        Finding(f"key {i}", "claim", "0.9", "AUROC", Estimate(0.5 + i / 16, 0.25, 0.75), "", "", "supported", "rule")
        for i in range(3)
    )
    numbers = {"layer": 3, "auroc": {"value": 0.8125, "low": 0.75, "high": 0.875, "level": 0.95}, "name": "ä"}
    provenance = Provenance("measured", model={"name": "m"}, texts={"t": "0" * 64}, seed=1, versions={}, created="then")
    return Tripartite((Section("length", "title", rows, numbers, 1.5),), 3, "given", provenance, ("warm", "plain"))


def result(folder: Path) -> Written:
    path = write_result(folder / "concept_study.json", _result())
    return Written((path,), lambda: eg.load_result(path).to_dict())


def report(folder: Path) -> Written:
    path = write_result(folder / "concept_study.json", _result())

    def read() -> Any:
        found = read_folder(folder).values()
        return [{k: v for k, v in content.items() if k not in ("version", "tables")} for content in found]

    return Written((path,), read)


def comparison(folder: Path) -> Written:
    path = write_result(folder / "concept_study.json", _result())
    return Written((path,), lambda: find_results([folder], "concept_study")[str(path)])


def steps(folder: Path) -> Written:
    def section() -> Section:
        return _result().sections[0]

    def read() -> Any:
        return StepStore(folder, {"seed": 1, "model": {"name": "m"}}).keep("length", Section, section)

    assert read().seconds == 1.5
    return Written((folder / "run.json", folder / "steps" / "length.json"), lambda: pack(read()))


def run(folder: Path) -> Written:
    record = RunRecord(folder, {"seed": 1})
    with record.keeping_count():
        path = write_result(folder / "concept_study.json", _result())
    record.finish("the table 0.125")
    return Written((folder / "run.json", path), lambda: RunRecord(folder, {"seed": 1}).table)


def store(folder: Path) -> Written:
    texts = eg.LabeledTexts(["a", "b", "c"], ["x", "y", "x"], ["g", "g", "h"], name="t")
    identity = {
        "layers": [0, 1],
        "position": "mean",
        "site": "resid_post",
        "dtype": "float32",
        "model": {"name": "m"},
        "versions": {},
        "texts": {"n": 3, "sha256": texts.sha256},
    }
    manifest = Manifest(identity, {"threads": 1}, (2, 1))
    writer = StoreWriter(folder, manifest, texts)
    for number, rows in enumerate(([0, 2], [1])):
        draw = torch.Generator().manual_seed(number)
        values = torch.randn(len(rows), 1, 2, 8, generator=draw)
        left_out = torch.zeros(len(rows), 2, dtype=torch.int32)
        read = ShardVectors(np.array(rows), values, values[:, 0, 0].clone(), left_out)
        writer.write(number, [0, 1], read, "float32")

    def read() -> Any:
        acts = eg.activations.ActivationStore.open(folder).activations()
        return (
            acts.values,
            acts.token_embeddings,
            acts.labels,
            acts.groups,
            acts.texts.sha256,
            acts.provenance.to_dict(),
        )

    return Written(tuple(sorted(p for p in folder.iterdir())), read)


def activations(folder: Path) -> Written:
    texts = eg.LabeledTexts(["a", "b"], ["x", "y"], ["g", "g"], name="t")
    values = torch.randn(2, 1, 8, generator=torch.Generator().manual_seed(0))
    provenance = Provenance("measured", versions={}, created="then")
    made = eg.Activations(values, (3,), texts.labels, texts.groups, texts=texts, provenance=provenance)
    path = made.save(folder / "acts.safetensors")
    return Written((path,), lambda: _plain(eg.Activations.load(path)))


def direction(folder: Path) -> Written:
    draw = torch.Generator().manual_seed(0)
    made = eg.ConceptDirection.from_mean_difference(
        torch.randn(8, 16, generator=draw) + 1, torch.randn(8, 16, generator=draw), layer=3
    )
    path = made.save(folder / "d.safetensors")
    return Written((path,), lambda: _plain(eg.ConceptDirection.load(path)))


def _directions() -> Directions:
    draw = torch.Generator().manual_seed(0)
    return Directions(
        eg.ConceptDirection.from_mean_difference(
            torch.randn(8, 16, generator=draw) + 1, torch.randn(8, 16, generator=draw), layer=layer
        )
        for layer in (1, 3)
    )


def directions(folder: Path) -> Written:
    path = _directions().save(folder / "several.safetensors")
    return Written((path,), lambda: [_plain(d) for d in Directions.load(path).values()])


def control_vector_gguf(folder: Path) -> Written:
    pytest.importorskip("gguf")
    path = _directions().to_gguf(folder / "several.gguf")
    return Written((path,), lambda: [(d.layer, d.vector, d.norm) for d in Directions.from_gguf(path).values()])


def control_vector_plain(folder: Path) -> Written:
    path = _directions().to_safetensors(folder / "plain.safetensors")
    return Written((path,), lambda: [(d.layer, d.vector, d.norm) for d in Directions.from_safetensors(path).values()])


def card(folder: Path) -> Written:
    made = eg.ConceptDirection(torch.arange(1.0, D_MODEL + 1), layer=1, scales={"class_gap": 2.0})
    path = folder / "card.json"
    steering_card(path, tiny_bridge("llama"), eg.SteeringHook(made, alpha=2.0), ["abc", "I"], max_new_tokens=3)

    def read() -> Any:
        found = SteeringCard.load(path)
        return found.to_dict(), _plain(_vectors_beside(path, found))

    return Written((path, folder / SteeringCard.load(path).vectors_file), read)


def subspace(folder: Path) -> Written:
    made = eg.Subspace.from_pca(torch.randn(20, 12, generator=torch.Generator().manual_seed(0)), rank=3)
    path = made.save(folder / "s.safetensors")
    return Written((path,), lambda: _plain(eg.Subspace.load(path)))


def checkpoint(folder: Path) -> Written:
    path = save_artefact(folder / "c.safetensors", "sae_checkpoint", {"w": torch.arange(40.0)}, {"run": "0", "n": 1.5})
    return Written((path,), lambda: load_artefact(path, "sae_checkpoint"))


def key(folder: Path) -> Written:
    items = tuple(Item(f"i{i}", "text", "prompt", "g", (Source("x", {"alpha": 0.5 * i}),)) for i in range(3))
    path = Key("sheet", "How warm?", (1, 7), items).save(folder / "key.json")
    return Written((path,), lambda: Key.load(path))


def sae(folder: Path) -> Written:
    weights, config = folder / "sae_weights.safetensors", folder / "cfg.json"
    weights.write_bytes(np.arange(64.0).tobytes())
    config.write_text(json.dumps({"d_in": 4, "d_sae": 16}))
    files = {p.name: file_sha256(p) for p in (weights, config)}
    (folder / REPORT_FILE).write_text(
        dump_checked({"format": REPORT_FORMAT, "files": files, "report": {"explained": 0.5}})
    )
    return Written((weights, config, folder / REPORT_FILE), lambda: _report(folder))


def _plain(made: Any) -> dict[str, Any]:
    return {f.name: getattr(made, f.name) for f in fields(made)}


def digest(value: Any) -> str:
    """Everything in a value, to the last bit."""
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        return hashlib.sha256(f"{value.dtype}{value.shape}{value.tolist()!r}".encode()).hexdigest()
    if isinstance(value, eg.LabeledTexts):
        return value.sha256
    if is_dataclass(value):
        return digest(_plain(value))
    if isinstance(value, dict):
        return digest([[k, digest(v)] for k, v in sorted(value.items())])
    if isinstance(value, list | tuple):
        return "[" + ",".join(digest(v) for v in value) + "]"
    return repr(value)


FILES = (
    result,
    report,
    comparison,
    steps,
    run,
    store,
    activations,
    direction,
    directions,
    control_vector_gguf,
    control_vector_plain,
    card,
    subspace,
    checkpoint,
    key,
    sae,
)


def check(make: Callable[[Path], Written], folder: Path, n: int, first: int = 0) -> int:
    """Damage every file n times; returns how many were refused."""
    folder.mkdir(exist_ok=True)
    written = make(folder)
    before, refused = digest(written.read()), 0
    for i in range(n):
        path = written.files[i % len(written.files)]
        sound = path.read_bytes()
        how, damaged = mutant(sound, first + i)
        path.write_bytes(damaged)
        try:
            after = digest(written.read())
        except (ValueError, OSError) as error:
            after, said = before, str(error)
            refused += 1
        except Exception as error:
            raise AssertionError(f"{how} of {path.name} (seed {first + i}): {type(error).__name__}: {error}") from error
        else:
            said = path.name
        finally:
            path.write_bytes(sound)
        assert path.name in said, f"{how} (seed {first + i}): the error does not name {path.name}: {said}"
        assert after == before, f"{how} of {path.name} (seed {first + i}) went unnoticed"
    assert digest(written.read()) == before
    return refused


@pytest.mark.parametrize("make", FILES, ids=lambda f: f.__name__)
def test_damage_is_refused_by_name_or_changes_nothing(make, tmp_path):
    assert check(make, tmp_path / "f", FEW) > FEW // 2


@pytest.mark.slow
@pytest.mark.parametrize("make", FILES, ids=lambda f: f.__name__)
def test_ten_thousand_mutants(make, tmp_path):
    """16 kinds of files, 850 mutants each."""
    assert check(make, tmp_path / "f", 850, first=1_000_000) > 400


def test_the_check_itself_can_fail(tmp_path):
    def unchecked(folder: Path) -> Written:
        path = folder / "plain.json"
        path.write_text(json.dumps({"number": 0.123456789, "more": list(range(50))}))
        return Written((path,), lambda: json.loads(path.read_text()))

    with pytest.raises(AssertionError, match=r"went unnoticed|does not name|Error"):
        check(unchecked, tmp_path / "f", FEW)
