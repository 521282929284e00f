"""Studies that are killed at random moments and started again end as if nothing had happened, and do nothing twice."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf_files import tiny_llama_hf
from test_command_line import write_pairs
from tiny_models import tiny_bridge, tiny_tokenizer

import empathy_geometry as eg
from empathy_geometry.command_line.main import main
from empathy_geometry.foundation.result_file import write_result
from empathy_geometry.studies.depth_profile import depth_profile
from empathy_geometry.studies.step_store import StepStore
from empathy_geometry.studies.tripartite.planted import planted_tripartite

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="kills copies of this process"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

_TIMES = ("created", "seconds", "sha256")


def first_scenarios(texts: eg.LabeledTexts, n: int) -> eg.LabeledTexts:
    return texts.where(group=list(dict.fromkeys(texts.groups.tolist()))[:n])


def bandwidth(folder: Path) -> Any:
    return eg.measure_bandwidth(
        tiny_bridge("llama", n_ctx=1024),
        first_scenarios(eg.datasets.humor_pairs(), 14),
        control=first_scenarios(eg.datasets.formality_pairs(), 12),
        design=eg.BandwidthDesign(
            layers=[0, 1],
            search=eg.SearchDesign(n_prompts=3, max_new_tokens=3, units="residual_norm"),
            n_permutations=9,
        ),
        folder=folder,
        progress=False,
    )


def tripartite(folder: Path) -> Any:
    return planted_tripartite(
        n_scenarios=14,
        n_layers=2,
        d_model=16,
        n_permutations=19,
        sections=["classification", "length", "emergence", "clusters", "cosines"],
        folder=folder,
        progress=False,
    )


def tiny_tripartite(folder: Path) -> Any:
    texts = first_scenarios(eg.datasets.empathy_triplets(), 14)
    return eg.tripartite(
        tiny_bridge("llama", n_ctx=1024),
        texts,
        design=eg.ConceptDesign(
            n_permutations=19, sections=["classification", "emotion", "quartiles", "emergence", "random_weights"]
        ),
        folder=folder,
        progress=False,
    )


def depth(folder: Path) -> Any:
    return depth_profile(
        tiny_bridge("llama", n_ctx=1024),
        first_scenarios(eg.datasets.humor_pairs(), 14),
        layers=[0, 1, 2],
        design=eg.ProfileDesign(search=eg.SearchDesign(n_prompts=3, max_new_tokens=3, units="residual_norm")),
        folder=folder,
        progress=False,
    )


def without_times(content: Any) -> Any:
    if isinstance(content, dict):
        return {k: without_times(v) for k, v in content.items() if k not in _TIMES}
    return [without_times(v) for v in content] if isinstance(content, list) else content


def run(study: Callable[[Path], Any], folder: Path) -> Any:
    """The study's JSON file, after a run that notes when each step begins and ends."""
    original = StepStore.keep

    def noted(store: StepStore, name: str, kind: Any, make: Callable[[], Any]) -> Any:
        def begin() -> Any:
            note(f"begin {name}")
            return make()

        value = original(store, name, kind, begin)
        note(f"end {name}")
        return value

    def note(line: str) -> None:
        with (folder / "log").open("a") as file:
            file.write(f"{line}\n")

    folder.mkdir(exist_ok=True)
    StepStore.keep = noted  # type: ignore[method-assign]
    try:
        path = write_result(folder / "result.json", study(folder / "kept"))
    finally:
        StepStore.keep = original  # type: ignore[method-assign]
    return without_times(json.loads(path.read_text()))


def killed_after(seconds: float, how: signal.Signals, study: Callable[[Path], Any], folder: Path) -> None:
    """Run the study in a copy of this process and stop that."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            run(study, folder)
        finally:
            os._exit(0)  # also after KeyboardInterrupt: pytest must not go on twice
    time.sleep(seconds)
    os.kill(child, how)
    os.waitpid(child, 0)


def check(study: Callable[[Path], Any], place: Path, n_kills: int, seed: int) -> int:
    """Kill, start again, ..., finish; returns how many kills came in the middle of the work."""
    began = time.perf_counter()
    undisturbed = run(study, place / "undisturbed")
    whole = time.perf_counter() - began
    rng, folder = np.random.default_rng(seed), place / "killed"
    for k in range(n_kills):
        how = signal.SIGKILL if k % 2 == 0 else signal.SIGINT
        # What is left to do gets shorter: kills that come later would find the study finished.
        killed_after(float(rng.uniform(0.02, 2 / (n_kills + 1))) * whole, how, study, folder)
    midway = not (folder / "result.json").exists()
    assert run(study, folder) == undisturbed
    assert not list(folder.rglob(".eg-*"))
    ended: set[str] = set()
    for line in (folder / "log").read_text().splitlines():
        what, _, name = line.partition(" ")
        if what == "end":
            ended.add(name)
        else:
            assert name not in ended, f"{name} was done again, after it had been kept"
    return midway


@pytest.mark.parametrize("study", [bandwidth, depth, tripartite], ids=["bandwidth", "depth", "tripartite"])
def test_killed_three_times_and_finished(study, tmp_path):
    check(study, tmp_path, 3, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("study", [bandwidth, depth, tiny_tripartite], ids=["bandwidth", "depth", "tripartite"])
@pytest.mark.parametrize("seed", range(1, 7))
def test_sixty_kills(study, tmp_path, seed):
    """Six runs of each study, five kills in each."""
    check(study, tmp_path, 5, seed)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", [1, 2])
def test_the_whole_command_killed_six_times(tmp_path, seed):
    """Also while it loads the model, and while it writes records, reports and figures."""
    tiny_llama_hf().save_pretrained(tmp_path / "unseen")
    tiny_tokenizer(chat=True).save_pretrained(tmp_path / "unseen")
    texts = write_pairs(tmp_path / "mine.jsonl")
    command = ["bandwidth", "--models", str(tmp_path / "unseen"), "--texts", str(texts), "--quick", "--quiet"]

    def bandwidth_command(folder: Path) -> Any:
        assert main([*command, "--layer", "1", "--position", "mean", "--output", str(folder)]) == 0
        (found,) = folder.rglob("bandwidth.json")
        assert (found.parent / "report.html").read_text().rstrip().endswith("</html>")
        return eg.load_result(found)

    check(bandwidth_command, tmp_path, 6, seed)
