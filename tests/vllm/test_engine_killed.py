"""A store that an engine writes is taken up again after kill -9, of the engine's process or of everything."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from engine_cases import assert_same, ragged

import empathy_geometry as eg
from empathy_geometry.activations import StoreDesign

OPTIONS = {"position": "response_mean", "progress": False}

SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import empathy_geometry as eg
from empathy_geometry.activations import StoreDesign
from engine_cases import ragged

if __name__ == "__main__":
    with eg.load_engine("vllm", {model!r}, max_model_len=512) as engine:
        from empathy_geometry.activations import engine_run
        run = engine_run.EngineExtractor.run
        def slow(self, shard):
            import time
            time.sleep(1)  # so that there is a middle to be killed in
            return run(self, shard)
        engine_run.EngineExtractor.run = slow
        place = StoreDesign({store!r}, shard_size=2)
        eg.extract_activations(engine, ragged(), store=place, position="response_mean", progress=False)
"""


def shards(store: Path) -> list[Path]:
    return sorted(store.glob("shard-*.safetensors"))


def test_killed_in_the_middle_and_taken_up_again(qwen2_folder, qwen2_bridge, tmp_path):
    store = tmp_path / "store"
    script = tmp_path / "run.py"
    tests = str(Path(__file__).parents[1])
    script.write_text(SCRIPT.format(tests=tests, model=str(qwen2_folder), store=str(store)))
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while len(shards(store)) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.send_signal(signal.SIGKILL)
    process.wait()
    for child in children:  # the engine's own end when their parent is gone; this test does not wait for that
        if child.is_running():
            child.kill()
    before = {path: path.stat().st_mtime_ns for path in shards(store)}
    assert 2 <= len(before) < 6, "it was not killed in the middle"

    with eg.load_engine("vllm", qwen2_folder, max_model_len=512) as engine:
        # The engine dies under our hands, too: said in a sentence.
        for child in psutil.Process(os.getpid()).children(recursive=True):
            if "EngineCore" in " ".join(child.cmdline()) or "EngineCore" in child.name():
                child.kill()
        with pytest.raises(RuntimeError, match="engine died"):
            eg.extract_activations(engine, ragged(), store=StoreDesign(store, shard_size=2), **OPTIONS)
    with eg.load_engine("vllm", qwen2_folder, max_model_len=512) as engine:
        found = eg.extract_activations(engine, ragged(), store=StoreDesign(store, shard_size=2), **OPTIONS)
    assert {path: path.stat().st_mtime_ns for path in before} == before, "finished shards were written anew"
    assert len(shards(store)) == 6
    expected = eg.extract_activations(qwen2_bridge, ragged(), position="response_mean", progress=False)
    assert_same(found.activations(), expected)
