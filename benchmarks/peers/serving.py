"""The worker's side: one process in one peer's environment, which does what the driver asks and says what it took.

    python serving.py WORKFOLDER workers/<peer>.py     # started by run.py; requests on stdin, answers on stdout

A line in, a line out, both JSON. `prepare` builds a case and runs it once (the warm-up, whose result is written to an
npz file, so that the driver can compare what both sides computed); `time` runs it again; `fact` asks for a number or a
sentence that is looked at, not timed. Only numpy and torch are needed beside the peer itself.
"""

import gc
import importlib.metadata
import importlib.util
import io
import json
import os
import platform
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

Case = tuple[Callable[[], Any], Callable[[Any], Mapping[str, Any]]]


@dataclass(frozen=True)
class Inputs:
    """What every worker gets: the same texts, rows, direction and model folder.

    Attributes:
        folder: Written by `inputs.py`; workers leave their results in `folder/out`.
        name: Of this worker.
    """

    folder: Path
    name: str

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Texts, prompts and options as JSON wrote them."""
        found: dict[str, Any] = json.loads((self.folder / "inputs.json").read_text(encoding="utf-8"))
        return found

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """Planted rows, noise, and the steering vector."""
        with np.load(self.folder / "arrays.npz") as file:
            return {name: file[name] for name in file.files}

    @property
    def model_folder(self) -> str:
        """A local Hugging Face folder."""
        return str(self.settings["model_folder"])

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(positive, negative) texts, shortest first; each begins with the same first line."""
        return [(p, n) for p, n in self.settings["pairs"]]

    @property
    def texts(self) -> list[str]:
        """All texts, a pair's two after one another."""
        return [text for pair in self.pairs for text in pair]

    @cached_property
    def hugging_face(self) -> tuple[Any, Any]:
        """(model, tokenizer) of the folder in float32, loaded once."""
        return self.load_hugging_face()

    def load_hugging_face(self, attention: str | None = None) -> tuple[Any, Any]:
        """The same, a fresh copy, for peers that change the model in place; TransformerBridge wants "eager"."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(self.model_folder)
        model = AutoModelForCausalLM.from_pretrained(
            self.model_folder, dtype=torch.float32, attn_implementation=attention or self.settings["attention"]
        )
        return model.eval(), tokenizer

    def scratch(self) -> Path:
        """A folder of this worker's own."""
        path = self.folder / "out" / self.name
        path.mkdir(parents=True, exist_ok=True)
        return path


def load_worker(path: Path) -> ModuleType:
    """The worker's module under a name that cannot hide the peer's package."""
    spec = importlib.util.spec_from_file_location(f"worker_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cpu_seconds() -> float:
    """Processor time of this process and its children."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def reset_peak() -> None:
    """Make the kernel forget the highest memory so far (Linux; elsewhere the peak is that of the whole process)."""
    gc.collect()
    try:
        import ctypes

        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def peak_mib() -> float:
    """Highest resident memory since the last reset."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident_mib() -> float:
    """Resident memory now."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return float("nan")


class Server:
    """Keeps the prepared cases of one worker."""

    def __init__(self, module: ModuleType, inputs: Inputs) -> None:
        self.module, self.inputs = module, inputs
        self.prepared: dict[str, Callable[[], Any]] = {}

    def hello(self) -> dict[str, Any]:
        """Versions, and what this worker can do."""
        versions = {name: importlib.metadata.version(name) for name in self.module.PACKAGES}
        return {
            "versions": {"python": platform.python_version(), "numpy": np.__version__, **versions},
            "cases": sorted(self.module.CASES),
            "facts": sorted(self.module.FACTS),
        }

    def prepare(self, case: str, options: dict[str, Any], key: str) -> dict[str, Any]:
        """Build, warm up, and keep what was computed."""
        run, collect = self.module.CASES[case](self.inputs, **options)
        before = resident_mib()
        reset_peak()
        result = run()
        peak = peak_mib()
        file = self.inputs.scratch() / f"{key}.npz"
        np.savez(file, **{name: np.asarray(value) for name, value in collect(result).items()})
        self.prepared[key] = run
        return {"file": str(file), "peak_mib": peak, "extra_mib": peak - before}

    def time(self, key: str) -> dict[str, float]:
        """One run."""
        gc.collect()
        wall, cpu = time.perf_counter(), cpu_seconds()
        self.prepared[key]()
        return {"cpu_s": cpu_seconds() - cpu, "wall_s": time.perf_counter() - wall}

    def fact(self, fact: str) -> dict[str, Any]:
        """Something looked at once."""
        found: dict[str, Any] = self.module.FACTS[fact](self.inputs)
        return found

    def forget(self) -> dict[str, Any]:
        """Let go of prepared cases."""
        self.prepared.clear()
        gc.collect()
        return {}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a peer prints goes to the log, never between the answers
    sys.stdout = io.TextIOWrapper(os.fdopen(os.dup(2), "wb"), line_buffering=True)
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    torch.set_grad_enabled(False)
    folder, path = Path(sys.argv[1]), Path(sys.argv[2])
    server: Server | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if server is None:
                server = Server(load_worker(path), Inputs(folder, path.stem))
            answer = getattr(server, request.pop("do"))(**request)
        except Exception as error:  # a peer's failure is a result: it is reported, and the rest goes on
            traceback.print_exc()
            last = (str(error).strip().splitlines() or [""])[0]
            answer = {"error": f"{type(error).__name__}: {last}"[:300]}
        print(json.dumps(answer, default=float), file=answers, flush=True)


if __name__ == "__main__":
    main()
