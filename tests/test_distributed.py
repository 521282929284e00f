"""Several processes, one store: the same bytes as one process writes."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import tiny_model

import empathy_geometry as eg
from empathy_geometry.activations import store_writer
from empathy_geometry.activations.extraction_run import Processes
from empathy_geometry.texts.labeled_texts import LabeledTexts

PROMPTS = ["I was there. ", "er abcabc, you. ", "No, never again. "]
TEXTS = LabeledTexts(
    [f"{p}{r}" for p in PROMPTS for r in ("one", "two er", "abc?", "x")],
    ["a", "b"] * 6,
    [g for g in "ghi" for _ in range(4)],
    prompts=[p for p in PROMPTS for _ in range(4)],
)


# The last bits of a matrix product depend on the number of threads.
pytestmark = pytest.mark.usefixtures("one_thread")


def _extract(folder: Path, kind: Any = "bridge_llama") -> Any:
    return eg.extract_activations(
        tiny_model(kind), TEXTS, position="mean", store=eg.activations.StoreDesign(folder, shard_size=3), progress=False
    )


def _content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.name != "manifest.json"}


def _one_of_two(rank: int, meeting: Path, folder: Path, kind: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    written = []
    save = store_writer.save_artefact
    store_writer.save_artefact = lambda path, *rest: (written.append(path), save(path, *rest))
    store = _extract(folder, kind)
    assert store.complete
    assert len(store.layer(1)) == len(TEXTS)
    assert 0 < len(written) < 4, written
    torch.distributed.destroy_process_group()


def test_alone_outside_a_job() -> None:
    processes = Processes.current(torch.device("cpu"))
    assert (processes.rank, processes.n) == (0, 1)
    assert processes.mine(5)
    processes.wait()


def test_pieces_are_dealt_out_once() -> None:
    assert [[p.mine(i) for p in (Processes(0, 2), Processes(1, 2))] for i in range(3)] == [
        [True, False],
        [False, True],
        [True, False],
    ]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("kind", ["bridge_llama", "bridge_gpt2"])
def test_two_gloo_processes_write_the_store_of_one(tmp_path: Path, kind: str) -> None:
    _extract(tmp_path / "one", kind)
    torch.multiprocessing.start_processes(
        _one_of_two, args=(tmp_path / "meeting", tmp_path / "two", kind), nprocs=2, start_method="fork"
    )
    assert _content(tmp_path / "two") == _content(tmp_path / "one")
    assert len(_content(tmp_path / "two")) == 5


SCRIPT = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import torch
torch.set_num_threads(1)
from test_distributed import _extract
from pathlib import Path
store = _extract(Path(sys.argv[1]))
assert store.complete
torch.distributed.destroy_process_group()
"""


def _as_launched(rank: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    launched = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
        **{name: str(value) for name, value in launched.items()},
    }
    assert _extract(folder).complete
    assert torch.distributed.get_backend() == "gloo"
    assert torch.distributed.get_world_size() == 2
    torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_processes_of_a_launcher_are_joined(tmp_path: Path) -> None:
    """With what `torchrun` and `accelerate launch` put into the environment, and nobody has joined them yet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.start_processes(_as_launched, args=(port, tmp_path / "two"), nprocs=2, start_method="fork")
    _extract(tmp_path / "one")
    assert _content(tmp_path / "two") == _content(tmp_path / "one")


@pytest.mark.slow
def test_torchrun(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, str(tmp_path / "script.py"), str(tmp_path / "two")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent.parent)},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    _extract(tmp_path / "one")
    assert _content(tmp_path / "two") == _content(tmp_path / "one")
