"""A run that is killed at any moment and taken up again leaves the store of an undisturbed one."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import tiny_model

import empathy_geometry as eg
from empathy_geometry.activations.extractor import Extractor
from empathy_geometry.activations.hook_reader import HookReader
from empathy_geometry.foundation import artefact
from empathy_geometry.texts.labeled_texts import LabeledTexts

PROMPTS = ["I was there. ", "er abcabc, you. ", "No, never again. ", "And "]
TEXTS = LabeledTexts(
    [f"{p}{r}" for p in PROMPTS for r in ("one", "two er", "abc?", "x")],
    ["a", "b"] * 8,
    [g for g in "ghij" for _ in range(4)],
    prompts=[p for p in PROMPTS for _ in range(4)],
)
N_SHARDS = 4

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.usefixtures("one_thread"),  # the last bits of a matrix product depend on the number of threads
]


def _extract(folder: Path) -> Any:
    return eg.extract_activations(
        tiny_model("bridge_llama"),
        TEXTS,
        position="mean",
        store=eg.activations.StoreDesign(folder, shard_size=4),
        progress=False,
    )


def _content(folder: Path) -> dict[str, bytes]:
    """Every file but the manifest, which holds the time; hidden leftovers included."""
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.name != "manifest.json"}


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _dying(function: Callable[..., Any], at: int, *, after: bool = False) -> Callable[..., Any]:
    """`function`, but its call number `at` ends the process, before or after it has run."""
    calls = iter(range(1_000_000))

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        last = next(calls) == at
        if last and not after:
            _die()
        result = function(*args, **kwargs)
        if last:
            _die()
        return result

    return wrapped


def _half_written(tensors: Any, filename: Any, metadata: Any = None) -> None:
    Path(filename).write_bytes(b"half of a shard")
    _die()


def _run_and_die(folder: Path, prepare: Callable[[], None]) -> None:
    """Extract in a forked process that `prepare` makes die on the way."""
    child = os.fork()
    if child == 0:
        try:
            torch.set_num_threads(1)
            prepare()
            _extract(folder)
        finally:
            os._exit(1)  # not reached: the process is to be killed before
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), status
    assert os.WTERMSIG(status) == signal.SIGKILL


def _set(owner: Any, name: str, value: Any) -> Callable[[], None]:
    return lambda: setattr(owner, name, value)


KILL_POINTS: dict[str, Callable[[], Callable[[], None]]] = {
    "before the manifest": lambda: _set(os, "link", _dying(os.link, 0)),
    "after the manifest": lambda: _set(os, "link", _dying(os.link, 0, after=True)),
    "after the texts": lambda: _set(os, "link", _dying(os.link, 1, after=True)),
    "in the first pass": lambda: _set(HookReader, "read", _dying(HookReader.read, 3)),
    "in a later pass": lambda: _set(HookReader, "read", _dying(HookReader.read, 5)),
    "between shards": lambda: _set(Extractor, "run", _dying(Extractor.run, 2)),
    "with a shard computed": lambda: _set(Extractor, "run", _dying(Extractor.run, 1, after=True)),
    "with a shard half written": lambda: _set(artefact, "save_file", _half_written),
    "before a shard takes its name": lambda: _set(os, "replace", _dying(os.replace, 1)),
    "after a shard took its name": lambda: _set(os, "replace", _dying(os.replace, 2, after=True)),
    "after the last shard": lambda: _set(os, "replace", _dying(os.replace, N_SHARDS - 1, after=True)),
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "store"
    _extract(folder)
    assert len(list(folder.glob("shard-*"))) == N_SHARDS
    return folder


@pytest.mark.parametrize("point", KILL_POINTS)
def test_killed_and_taken_up_again(
    tmp_path: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    folder = tmp_path / "store"
    _run_and_die(folder, KILL_POINTS[point]())
    finished = {p.name for p in folder.glob("shard-*")}
    computed: list[int] = []
    run = Extractor.run
    monkeypatch.setattr(Extractor, "run", lambda self, shard: (computed.append(1), run(self, shard))[1])
    store = _extract(folder)
    assert store.complete
    assert len(computed) == N_SHARDS - len(finished)
    assert _content(folder) == _content(undisturbed)


def test_killed_from_outside_again_and_again(tmp_path: Path, undisturbed: Path) -> None:
    folder = tmp_path / "store"
    read = HookReader.read

    def slow(self: HookReader, *args: Any, **kwargs: Any) -> Any:
        time.sleep(0.03)
        return read(self, *args, **kwargs)

    for patience in (0.0, 0.05, 0.1, 0.15, 0.2):
        child = os.fork()
        if child == 0:
            try:
                torch.set_num_threads(1)
                HookReader.read = slow  # type: ignore[method-assign]
                _extract(folder)
            finally:
                os._exit(0)
        time.sleep(patience)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    _extract(folder)
    assert _content(folder) == _content(undisturbed)


def test_memory_holds_one_shard_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors of a shard are let go before the next is run, so that memory does not grow with their number."""
    import weakref

    run, earlier, alive = Extractor.run, [], []

    def watched(self: Extractor, shard: Any) -> Any:
        alive.append(sum(reference() is not None for reference in earlier))
        read = run(self, shard)
        earlier.append(weakref.ref(read.values))
        return read

    monkeypatch.setattr(Extractor, "run", watched)
    _extract(tmp_path / "store")
    assert len(alive) == N_SHARDS
    assert max(alive) == 0
