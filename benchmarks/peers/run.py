"""Side by side with the peers: one command that runs everything and writes one table and one figure.

    python benchmarks/peers/environments.py      # once: an environment for each peer
    python benchmarks/peers/run.py               # everything, under 40 minutes on two cores
    python benchmarks/peers/run.py --quick --peers repeng steerkit --only a g

Each peer runs in a process of its own; ours in another. For each comparison both prepare the same work, warm up, and
then run alternately, in rotating order, `--repeats` times; a ratio is the median over repeats of paired ratios. What
counts is processor time (others may use the machine) on `--threads` threads, in float32. Memory is the highest resident
memory of the process while the warm-up ran. What both computed is compared. A peer that does not install or run is
reported with the last line of its error, and the rest goes on.
"""

import argparse
import datetime
import json
import os
import platform
import selectors
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from environments import FOLDER, PEERS, install, python_of
from inputs import write_inputs
from plan import FACTS, WORKERS, Comparison, Side, comparisons

HERE = Path(__file__).resolve().parent


class WorkerError(RuntimeError):
    """A worker could not do what was asked."""


class Worker:
    """A process in a peer's environment that answers requests.

    Args:
        name: Of the worker's file.
        python: Interpreter.
        folder: Shared inputs.
        threads: Of the numerical libraries.
        patience: Seconds after which a request is given up.
    """

    def __init__(self, name: str, python: Path, folder: Path, threads: int, patience: float) -> None:
        variables = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
        environment = {
            **os.environ,
            **dict.fromkeys(variables, str(threads)),
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "TQDM_DISABLE": "1",
        }
        self.patience = patience
        self.log = (folder / f"{name}.log").open("w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [str(python), str(HERE / "serving.py"), str(folder), str(HERE / "workers" / f"{name}.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=environment,
            text=True,
        )
        self.hello = self.ask("hello")

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Send a request, wait for the answer.

        Raises:
            WorkerError: the worker reports an error, ends, or takes longer than its patience.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(json.dumps({"do": do, **request}), file=self.process.stdin, flush=True)
            with selectors.DefaultSelector() as selector:
                selector.register(self.process.stdout, selectors.EVENT_READ)
                if not selector.select(self.patience):
                    self.process.kill()
                    raise WorkerError(f"no answer within {self.patience:.0f} s")
                line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(self.last_line())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def last_line(self) -> str:
        """The end of the worker's log."""
        self.log.flush()
        self.log.seek(0)
        lines = [line.strip() for line in self.log if line.strip()]
        return lines[-1] if lines else "the worker ended without a word"

    def close(self) -> None:
        """End the process."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            with suppress(BrokenPipeError):
                self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


@contextmanager
def closing(worker: Worker) -> Iterator[Worker]:
    """The worker, ended afterwards."""
    try:
        yield worker
    finally:
        worker.close()


def compare(comparison: Comparison, peer: Worker, ours: Worker, repeats: int, layer: int) -> dict[str, Any]:
    """Warm up all sides, then run them alternately; what each took and what each computed."""
    sides = [(peer, comparison.theirs), *((ours, side) for side in comparison.ours)]
    key = f"{comparison.task}-{comparison.peer}-{abs(hash((comparison.what, comparison.theirs.label))) % 10**6}"
    record: dict[str, Any] = {
        "task": comparison.task,
        "peer": comparison.peer,
        "what": comparison.what,
        "note": comparison.note,
        "sides": [],
    }
    for i, (worker, side) in enumerate(sides):
        ready = worker.ask("prepare", case=side.case, options=options_of(side, layer), key=f"{key}-{i}")
        record["sides"].append({"label": side.label, "more": side.more, "cpu_s": [], "wall_s": [], **ready})
    for repeat in range(repeats):
        order = list(range(len(sides)))
        for i in order[repeat % len(sides) :] + order[: repeat % len(sides)]:
            taken = sides[i][0].ask("time", key=f"{key}-{i}")
            for clock in ("cpu_s", "wall_s"):
                record["sides"][i][clock].append(taken[clock])
    theirs = record["sides"][0]
    reference = load(theirs.pop("file"))
    for side in record["sides"][1:]:
        ratios = [b / max(a, 1e-9) for a, b in zip(side["cpu_s"], theirs["cpu_s"], strict=True)]
        side["times_faster"] = {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}
        side["agreement"] = agreement(reference, load(side.pop("file")))
    for worker in (peer, ours):
        worker.ask("forget")
    return record


def options_of(side: Side, layer: int) -> dict[str, Any]:
    """Options with the steered layer put in."""
    return {name: layer if value == "LAYER" else value for name, value in side.options.items()}


def load(path: str) -> dict[str, np.ndarray]:
    """What a side computed."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def agreement(theirs: dict[str, np.ndarray], ours: dict[str, np.ndarray]) -> dict[str, float]:
    """How near the results of both sides are, by what they are."""
    found: dict[str, float] = {}
    for name, a in theirs.items():
        if name.startswith("activations") and "activations" in ours:
            b = ours["activations"]
            b = b[:, :-1] if name.endswith("but_last_layer") else b
            if a.shape == b.shape:
                found["largest difference / largest value"] = float(np.abs(a - b).max() / np.abs(b).max())
        elif name.startswith("direction") and "direction" in ours:
            b = ours["direction"][-len(a) :] if name.endswith("centred_pca") else ours["direction"]
            if name.endswith("centred_pca"):
                b = ours["direction"][1:]  # its default layers leave out the first
            cosines = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
            found["smallest cosine"] = float(cosines.min())
            if cosines.min() < 0.999:
                found["median cosine"] = float(np.median(cosines))
        elif name == "texts" and "texts" in ours and len(a) == len(ours["texts"]):
            found["texts equal"] = float(
                np.mean([x.strip() == y.strip() for x, y in zip(a, ours["texts"], strict=True)])
            )
        elif name == "scores" and "scores" in ours and a.shape == ours["scores"].shape:
            found["largest difference of AUROC"] = float(np.abs(a - ours["scores"]).max())
        elif name in ("p", "statistic") and name in ours:
            found[f"difference of {name}"] = float(ours[name] - a)
    return found


def facts_of(worker: Worker, peer: str, tasks: list[str]) -> list[dict[str, Any]]:
    """Everything of tasks g to k that this worker can say."""
    found = []
    for task, (fact, _) in FACTS.items():
        if task in tasks and fact in worker.hello["facts"]:
            try:
                found.append({"task": task, "peer": peer, **worker.ask("fact", fact=fact)})
            except WorkerError as error:
                found.append({"task": task, "peer": peer, "error": str(error)})
            print(f"  {task} {peer}: {found[-1]}"[:220], flush=True)
    return found


def machine() -> dict[str, Any]:
    """Where this ran."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {"processor": model, "cores": os.cpu_count(), "system": platform.platform(), "load": os.getloadavg()[0]}


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list("abcdefghijk"), default=list("abcdefghijk"), metavar="TASK")
    parser.add_argument("--peers", nargs="+", choices=list(WORKERS), default=list(WORKERS), metavar="PEER")
    parser.add_argument("--quick", action="store_true", help="small arrays, few texts, two repeats: does it run?")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=4, help="pairs of texts for extraction")
    parser.add_argument("--model", type=Path, help="a Hugging Face folder of a Llama; default: the embedded model")
    parser.add_argument("--keep", action="store_true", help="keep what the output file says of other peers and tasks")
    parser.add_argument("--install", action="store_true", help="make missing environments first")
    parser.add_argument("--minutes", type=float, default=38, help="after which nothing new is started")
    parser.add_argument("--patience", type=float, default=400, help="seconds that one request may take")
    parser.add_argument("--work", type=Path, default=FOLDER / "work", help="shared inputs, logs")
    parser.add_argument("--output", type=Path, default=HERE / "results.json")
    return parser.parse_args()


def main() -> None:
    given = parse()
    repeats = 2 if given.quick else given.repeats
    start = time.monotonic()
    settings = write_inputs(given.work, model_folder=given.model, n_pairs=given.pairs, quick=given.quick)
    results: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "command": "python benchmarks/peers/" + " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "machine": machine(),
        "options": {"repeats": repeats, "threads": given.threads, "dtype": "float32", "quick": given.quick},
        "inputs": {
            "model": Path(settings["model_folder"]).name,
            "texts": 2 * len(settings["pairs"]),
            "characters": sum(len(t) for pair in settings["pairs"] for t in pair),
            "attention": settings["attention"],
        },
        "versions": {},
        "comparisons": [],
        "facts": [],
        "failed": [],
    }
    if given.keep and given.output.exists():
        keep_others(results, json.loads(given.output.read_text(encoding="utf-8")), given.peers, given.only)
    with closing(Worker("ours", Path(sys.executable), given.work, given.threads, given.patience)) as ours:
        results["versions"]["empathy_geometry"] = ours.hello["versions"]
        results["facts"] += facts_of(ours, "empathy_geometry", given.only)
        for name in given.peers:
            late = (time.monotonic() - start) / 60 > given.minutes
            problem = "not started: out of time" if late else environment_problem(name, given.install)
            if problem:
                results["failed"].append({"peer": name, "error": problem})
                print(f"{name}: {problem}", flush=True)
                continue
            python = Path(sys.executable) if name == "hugging-face" else python_of(name)
            try:
                with closing(Worker(WORKERS[name], python, given.work, given.threads, given.patience)) as peer:
                    results["versions"][name] = peer.hello["versions"]
                    run_peer(name, peer, ours, given, repeats, settings["layer"], results, start)
            except WorkerError as error:
                results["failed"].append({"peer": name, "error": str(error)})
                print(f"{name}: {error}", flush=True)
            save(results, given.output, start)
    save(results, given.output, start)
    print(f"{results['minutes']:.1f} minutes; wrote {given.output}; now: python benchmarks/peers/render.py")


def keep_others(results: dict[str, Any], earlier: dict[str, Any], again: list[str], tasks: list[str]) -> None:
    """Put in what an earlier run found about peers and tasks that do not run again."""
    for kind in ("comparisons", "facts", "failed"):
        results[kind] += [
            r
            for r in earlier[kind]
            if r["peer"] not in (*again, "empathy_geometry") or r.get("task", tasks[0]) not in tasks
        ]
    results["versions"].update({k: v for k, v in earlier["versions"].items() if k not in again})
    results["earlier"] = [*earlier.get("earlier", []), {k: earlier[k] for k in ("date", "command", "minutes")}]


def environment_problem(name: str, make: bool) -> str | None:
    """Why a peer cannot be started; None if it can."""
    if name == "hugging-face":
        return None
    if make:
        return install(name)
    if not (python_of(name).parents[1] / "ready").exists():
        return f"not installed; try python benchmarks/peers/environments.py {name} ({PEERS[name].requirements[0]})"
    return None


def run_peer(
    name: str,
    peer: Worker,
    ours: Worker,
    given: argparse.Namespace,
    repeats: int,
    layer: int,
    results: dict[str, Any],
    start: float,
) -> None:
    """All comparisons and facts of one peer, into `results`."""
    results["facts"] += facts_of(peer, name, given.only)
    for comparison in comparisons():
        if comparison.peer != name or comparison.task not in given.only:
            continue
        if (time.monotonic() - start) / 60 > given.minutes:
            results["failed"].append(
                {"peer": name, "task": comparison.task, "what": comparison.what, "error": "not started: out of time"}
            )
            continue
        label = f"  {comparison.task} {comparison.theirs.label}: {comparison.what}"
        try:
            record = compare(comparison, peer, ours, repeats, layer)
        except WorkerError as error:
            results["failed"].append(
                {
                    "peer": name,
                    "task": comparison.task,
                    "what": f"{comparison.theirs.label}: {comparison.what}",
                    "error": str(error),
                }
            )
            print(f"{label}: {error}", flush=True)
            if peer.process.poll() is not None or ours.process.poll() is not None:
                raise
            continue
        results["comparisons"].append(record)
        seconds = [f"{statistics.median(side['cpu_s']):.3f}" for side in record["sides"]]
        print(f"{label}: {' / '.join(seconds)} s, {[s['agreement'] for s in record['sides'][1:]]}", flush=True)


def save(results: dict[str, Any], path: Path, start: float) -> None:
    """Write what there is so far."""
    results["minutes"] = (time.monotonic() - start) / 60
    path.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
