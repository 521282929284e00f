"""The comparison with the peers is data: complete, dated, explained, and the page is what the data say. No network."""

import importlib.util
import json
import re
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "benchmarks" / "peers"
FEATURES = json.loads((FOLDER / "features.json").read_text(encoding="utf-8"))
RESULTS = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))
CELLS = [(peer, key) for peer in FEATURES["peers"] for key in FEATURES["features"]]
OURS = "empathy_geometry"


@pytest.fixture(scope="module")
def benchmark() -> Iterator[dict[str, ModuleType]]:
    """The benchmark's modules that need nothing installed, out of the way of everyone else's imports."""
    modules = {}
    for name in ("environments", "plan", "render"):
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        assert name not in sys.modules
        sys.modules[name] = modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(modules[name])
    yield modules
    for name in modules:
        del sys.modules[name]


def test_every_peer_has_every_cell_and_no_other() -> None:
    for name, peer in FEATURES["peers"].items():
        assert set(peer["cells"]) == set(FEATURES["features"]), name
        assert re.fullmatch(r"\d+(\.\d+)+", peer["version"]), name
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", FEATURES["checked"])


@pytest.mark.parametrize(("peer", "key"), CELLS)
def test_a_cell_says_what_and_where_it_was_checked(peer: str, key: str) -> None:
    cell = FEATURES["peers"][peer]["cells"][key]
    assert cell["has"] in ("yes", "no", "partly")
    assert cell["source"]
    if cell["has"] == "partly":
        assert cell["note"] or peer == "scikit-learn", "partly needs a word"


def test_our_own_cells_name_files_that_exist() -> None:
    for key, cell in FEATURES["peers"][OURS]["cells"].items():
        assert (ROOT / OURS / cell["source"]).exists(), key


def test_we_do_not_claim_everything_and_every_peer_has_something() -> None:
    held = {name: [c["has"] for c in peer["cells"].values()] for name, peer in FEATURES["peers"].items()}
    assert "no" in held[OURS]
    assert all("yes" in cells for cells in held.values())
    # The table would be worth little if it had rows only where we say yes.
    others = [key for key in FEATURES["features"] if FEATURES["peers"][OURS]["cells"][key]["has"] != "yes"]
    assert len(others) >= 4


def test_versions_are_those_that_are_pinned(benchmark: dict[str, ModuleType]) -> None:
    environments = benchmark["environments"]
    pins = dict(
        pin.split("==")
        for peer in environments.PEERS.values()
        for pin in (*peer.requirements, *peer.without_dependencies)
        if "==" in pin
    )
    for name, peer in FEATURES["peers"].items():
        if name in pins:
            assert peer["version"] == pins[name], name
    for name, peer in environments.PEERS.items():
        assert name in FEATURES["peers"], name
        unpinned = [r for r in peer.requirements if "==" not in r]
        assert not set(unpinned) & set(environments.PEERS), name


def test_every_worker_of_the_plan_exists(benchmark: dict[str, ModuleType]) -> None:
    plan = benchmark["plan"]
    assert {c.peer for c in plan.comparisons()} <= set(plan.WORKERS)
    assert set(benchmark["environments"].PEERS) == set(plan.WORKERS) - {"hugging-face"}
    for worker in (*plan.WORKERS.values(), "ours"):
        text = (FOLDER / "workers" / f"{worker}.py").read_text(encoding="utf-8")
        assert "CASES" in text
        assert "FACTS" in text
    for comparison in plan.comparisons():
        text = (FOLDER / "workers" / f"{plan.WORKERS[comparison.peer]}.py").read_text(encoding="utf-8")
        assert f'"{comparison.theirs.case}":' in text, comparison
        ours = (FOLDER / "workers" / "ours.py").read_text(encoding="utf-8")
        assert all(f'"{side.case}":' in ours for side in comparison.ours), comparison


def records() -> list[Any]:
    return [pytest.param(r, id=f"{r['task']}-{r['peer']}-{i}") for i, r in enumerate(RESULTS["comparisons"])]


@pytest.mark.parametrize("record", records())
def test_ratios_are_medians_of_five_paired_runs(record: dict[str, Any]) -> None:
    theirs, *ours = record["sides"]
    assert len(theirs["cpu_s"]) >= 5
    for side in ours:
        ratios = [a / max(b, 1e-9) for a, b in zip(theirs["cpu_s"], side["cpu_s"], strict=True)]
        assert side["times_faster"]["median"] == pytest.approx(statistics.median(ratios))
        assert side["times_faster"]["low"] == pytest.approx(min(ratios))
        assert side["times_faster"]["high"] == pytest.approx(max(ratios))


def test_the_same_model_and_options_for_all() -> None:
    assert RESULTS["options"]["dtype"] == "float32"
    assert not RESULTS["options"]["quick"]
    assert all(versions["torch"].split("+")[0] == "2.13.0" for versions in RESULTS["versions"].values())


def test_the_page_is_what_the_data_say(benchmark: dict[str, ModuleType]) -> None:
    page = (ROOT / "docs" / "peers.md").read_text(encoding="utf-8")
    notes = json.loads((FOLDER / "notes.json").read_text(encoding="utf-8"))
    render = benchmark["render"]
    for part in (
        render.where(RESULTS),
        render.summary(RESULTS),
        render.timings(RESULTS, notes),
        render.losses(RESULTS, notes),
        render.honesty(RESULTS, notes),
        render.failures(RESULTS),
        render.feature_table(FEATURES),
    ):
        assert part.rstrip() in page, part[:80]


def test_every_loss_is_explained_and_has_a_next_step() -> None:
    page = (ROOT / "docs" / "peers.md").read_text(encoding="utf-8")
    assert "not explained yet" not in page
    for note in json.loads((FOLDER / "notes.json").read_text(encoding="utf-8"))["losses"]:
        assert note["why"]
        assert note["next"]


def test_numbers_that_nobody_measured_would_be_noticed(benchmark: dict[str, ModuleType]) -> None:
    """The renderer shows what it is given: a changed result changes the page."""
    render = benchmark["render"]
    changed = json.loads(json.dumps(RESULTS))
    changed["comparisons"][0]["sides"][1]["times_faster"]["median"] = 123.0
    assert render.timings(changed, {}) != render.timings(RESULTS, {})
    slower = json.loads(json.dumps(RESULTS))
    slower["comparisons"][0]["sides"][1]["times_faster"]["median"] = 0.25
    assert "4 times slower" in render.losses(slower, {"losses": []})
