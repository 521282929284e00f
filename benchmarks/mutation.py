"""Does the test suite notice when the code is wrong? Small faults put into it one by one, each judged by tests.

    python benchmarks/mutation.py --packages evaluation --sample 20 --seed 0

For every module of the packages a seeded sample of faults (see `mutants` for the kinds) is tried. A fault is killed if
a test fails, or if the tests take far more processor time than on the right code. One process imports the library and
collects the tests once and forks for each fault, so that a fault costs no more than the tests up to the failing one.

Only some tests judge a module: its doctests, the file of the same name, and the files that import it; where there are
none, those that import the modules that use it. Short files come first, up to `--budget` seconds of processor time.
Tests marked slow or integration are left out, so that the score is a lower bound for that of the whole suite.

Faults that change nothing that can be observed are listed with the reason in docs/mutation.md, and do not count.
"""

import argparse
import ast
import json
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "empathy_geometry"
TESTS = ROOT / "tests"
EQUIVALENT = ROOT / "docs" / "mutation.md"
DEFAULT = (
    "evaluation",
    "dimensionality",
    "similarity",
    "generation",
    "steering",
    "causal/verdicts",
    "studies/bandwidth_verdicts",
)

KILLED, SURVIVED, SLOW = "killed", "survived", "killed (time)"

SHOWN_ONLY = {"__repr__", "__str__", "_repr_html_"}
"""Functions whose faults would be seen at a glance."""

BINARY = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.Pow: "*",
    ast.FloorDiv: "*",
    ast.Mod: "*",
    ast.BitAnd: "|",
    ast.BitOr: "&",
}
COMPARED = {
    ast.Lt: ("<=", ">"),
    ast.LtE: ("<", ">="),
    ast.Gt: (">=", "<"),
    ast.GtE: (">", "<="),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
}
SWAPPED = {
    "min": "max",
    "max": "min",
    "minimum": "maximum",
    "maximum": "minimum",
    "argmin": "argmax",
    "argmax": "argmin",
    "any": "all",
    "all": "any",
    "floor": "ceil",
    "ceil": "floor",
    "zeros": "ones",
    "ones": "zeros",
    "mean": "sum",
    "sum": "mean",
    "low": "high",
    "high": "low",
    "train": "test",
    "test": "train",
    "positive": "negative",
    "negative": "positive",
}


@dataclass(frozen=True)
class Mutant:
    """One fault: bytes `start` to `end` of a module replaced by `text`."""

    path: Path
    function: str
    line: int
    start: int
    end: int
    was: str
    text: str
    within: str = ""
    count: int = 0

    @property
    def name(self) -> str:
        """Stays the same when lines move: module, function, what became what in which line, and which of equal ones."""
        where = self.path.relative_to(SOURCE).with_suffix("")
        number = f" #{self.count + 1}" if self.count else ""
        change = f"{_line(self.was)} -> {_line(self.text) or 'left out'}"
        return f"{where}:{self.function}: {change} in {self.within}{number}"

    def source(self) -> bytes:
        """The faulty module."""
        whole = self.path.read_bytes()
        before, after = whole[: self.start], whole[self.end :]
        if not self.text:  # an argument is left out with the comma that follows it
            after = re.sub(rb"^\s*,", b"", after)
        return before + self.text.encode() + after


def mutants(path: Path) -> list[Mutant]:
    """Every fault of a module: operators, comparisons, numbers, names of opposites, conditions, arguments left out."""
    whole = path.read_bytes()
    starts = [0]
    for line in whole.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found: list[Mutant] = []
    seen: dict[str, int] = {}

    def add(function: str, start: int, end: int, text: str, line: int) -> None:
        row = whole[starts[line - 1] : starts[line]].decode().strip()
        one = Mutant(path, function, line, start, end, whole[start:end].decode(), text, row)
        count = seen[one.name] = seen.get(one.name, -1) + 1
        found.append(replace(one, count=count))

    def offset(node: ast.AST, *, end: bool = False) -> int:
        row, column = (node.end_lineno, node.end_col_offset) if end else (node.lineno, node.col_offset)  # type: ignore[attr-defined]
        return starts[row - 1] + column

    def text_of(node: ast.AST) -> str:
        return whole[offset(node) : offset(node, end=True)].decode()

    def visit(node: ast.AST, function: str) -> None:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            if node.name in SHOWN_ONLY | {"to_frame"}:
                return
            function = node.name if function == "module" else f"{function}.{node.name}"
            parts = [*(node.args.defaults + node.args.kw_defaults if isinstance(node, ast.FunctionDef) else [])]
            for child in [*node.body, *(p for p in parts if p is not None)]:
                visit(child, function)
            return
        if isinstance(node, ast.Raise | ast.Import | ast.ImportFrom | ast.JoinedStr | ast.Assert):
            return
        if isinstance(node, ast.AnnAssign):
            if node.value is not None:
                visit(node.value, function)
            return
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("tqdm", "cast"):
            return
        for text, start, end in _faults(node, offset, text_of):
            add(function, start, end, text, node.lineno)  # type: ignore[attr-defined]
        for child in ast.iter_child_nodes(node):
            visit(child, function)

    visit(ast.parse(whole), "module")
    return found


def _faults(node: ast.AST, offset: object, text_of: object) -> Iterator[tuple[str, int, int]]:
    """Replacements of one node, as (text, start, end)."""
    at, written = offset, text_of
    span = lambda n: (at(n), at(n, end=True))  # type: ignore[operator]  # noqa: E731
    if isinstance(node, ast.BinOp) and type(node.op) in BINARY:
        if not any(isinstance(side, ast.Constant) and isinstance(side.value, str) for side in (node.left, node.right)):
            yield f"({written(node.left)}) {BINARY[type(node.op)]} ({written(node.right)})", *span(node)  # type: ignore[operator]
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARED:
        for sign in COMPARED[type(node.ops[0])]:
            yield f"({written(node.left)}) {sign} ({written(node.comparators[0])})", *span(node)  # type: ignore[operator]
    elif isinstance(node, ast.BoolOp):
        word = " or " if isinstance(node.op, ast.And) else " and "
        yield "(" + word.join(f"({written(v)})" for v in node.values) + ")", *span(node)  # type: ignore[operator]
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Invert | ast.Not):
        yield f"({written(node.operand)})", *span(node)  # type: ignore[operator]
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield str(not node.value), *span(node)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield repr(node.value + 1), *span(node)
        if node.value not in (0, 1):
            yield repr(node.value / 2 if isinstance(node.value, float) else node.value - 1), *span(node)
    elif isinstance(node, ast.If | ast.IfExp):
        yield f"(not ({written(node.test)}))", *span(node.test)  # type: ignore[operator]
    elif isinstance(node, ast.AugAssign):
        yield "pass", *span(node)
    elif isinstance(node, ast.Call):
        for keyword in node.keywords:
            if keyword.arg is not None:
                yield "", *span(keyword)
    elif isinstance(node, ast.Attribute) and node.attr in SWAPPED:
        end = at(node, end=True)  # type: ignore[operator]
        yield SWAPPED[node.attr], end - len(node.attr.encode()), end
    elif isinstance(node, ast.Name) and node.id in SWAPPED and isinstance(node.ctx, ast.Load):
        yield SWAPPED[node.id], *span(node)


def _line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def modules_of(package: str) -> list[Path]:
    """The files of a package, or one module written as package/module."""
    folder = SOURCE / package
    one = folder.with_suffix(".py")
    if not folder.is_dir() and not one.exists():
        raise SystemExit(f"there is no package {folder} and no module {one}")
    return [one] if one.exists() else sorted(p for p in folder.rglob("*.py") if p.name != "__init__.py")


@cache
def _imports(path: Path) -> frozenset[str]:
    """Modules of ours that a file imports, dotted; names of a package that passes them on stand for their module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("empathy_geometry"):
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
            inside = ROOT / node.module.replace(".", "/") / "__init__.py"
            if inside.exists() and inside != path:
                found |= {_passed_on(inside).get(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "eg":
            found.add(_passed_on(SOURCE / "__init__.py").get(node.attr, ""))
    return frozenset(found)


@cache
def _passed_on(init: Path) -> dict[str, str]:
    nodes = [n for n in ast.parse(init.read_text()).body if isinstance(n, ast.ImportFrom) and n.module]
    return {alias.name: node.module or "" for node in nodes for alias in node.names}


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def tests_of(path: Path) -> list[Path]:
    """Test files that judge a module: of the same name, or that import it; else those of the modules that use it."""
    files = sorted(TESTS.rglob("test_*.py"))
    ours = sorted(p for p in SOURCE.rglob("*.py") if p.name != "__init__.py")
    wanted, tried = {path}, set()
    while wanted:
        dotted = {_dotted(p) for p in wanted}
        names = {f"test_{p.stem}" for p in wanted}
        found = [f for f in files if f.stem in names or _imports(f) & dotted]
        tried |= wanted
        if found:
            return sorted(found, key=lambda f: (f.stem != f"test_{path.stem}", f.stat().st_size))
        wanted = {p for p in ours if p not in tried and _imports(p) & dotted}
    return []


@dataclass(frozen=True)
class Timed:
    """A collected test, with its processor time on the right code."""

    item: pytest.Item
    seconds: float


class Judge:
    """Holds collected tests, and forks to run them on code with a fault."""

    def __init__(self, session: pytest.Session, budget: float) -> None:
        self.session, self.budget = session, budget
        self._of_file: dict[Path, list[pytest.Item]] = {}
        for item in session.items:
            self._of_file.setdefault(item.path, []).append(item)
        self._known: dict[Path, list[Timed]] = {}

    def tests(self, path: Path) -> list[Timed]:
        """What judges a module, within the budget.

        Raises:
            RuntimeError: there is nothing.
        """
        chosen, left = [], self.budget
        for file in [path, *tests_of(path)]:
            for test in self._passing(file):
                if test.seconds <= left:
                    chosen.append(test)
                    left -= test.seconds
            if left < 0.1 * self.budget:
                break
        if not chosen:
            raise RuntimeError(f"no test that passes on the right code judges {path}; try a larger --budget")
        return chosen

    def judge(self, mutant: Mutant) -> str:
        """Whether the tests notice a fault."""
        tests = self.tests(mutant.path)

        def work(write: Callable[[object], None]) -> None:
            try:
                put_in(mutant.path, mutant.source())
            except Exception:  # what cannot be imported is noticed
                write(KILLED)
                return
            write(next((KILLED for test in tests if not self._passes(test.item)), SURVIVED))

        # A fault that makes the code wait for ever or compute without end is noticed too.
        answers = in_fork(work, limit=5 + 5 * sum(test.seconds for test in tests))
        return str(answers[0]) if answers else SLOW

    def _passing(self, file: Path) -> list[Timed]:
        """Tests of a file that pass on the right code, quickest first, as far as the budget goes."""
        if file not in self._known:
            # Those that need the fewest fixtures first, which are what takes time.
            items = sorted(self._of_file.get(file, []), key=lambda item: len(getattr(item, "fixturenames", ())))

            def work(write: Callable[[object], None]) -> None:
                for k, item in enumerate(items):
                    start = time.process_time()
                    if self._passes(item):
                        write((k, time.process_time() - start))

            measured = in_fork(work, limit=self.budget) if items else []
            timed = [Timed(items[k], seconds) for k, seconds in measured]  # type: ignore[misc]
            self._known[file] = sorted(timed, key=lambda test: test.seconds)
        return self._known[file]

    def _passes(self, item: pytest.Item) -> bool:
        failed = self.session.testsfailed
        # Every test by itself: shared fixtures are made anew, and nothing depends on the order.
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        return self.session.testsfailed == failed


def in_fork(work: Callable[[Callable[[object], None]], None], *, limit: float) -> list[object]:
    """What a function wrote in a fork of this process, until it ended or had used `limit` seconds of processor time."""
    sys.stdout.flush()
    with tempfile.TemporaryFile("w+") as answers:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python 3.12 warns of threads, whoever started them
            child = os.fork()
        if child == 0:
            used = int(time.process_time() + limit) + 1
            resource.setrlimit(resource.RLIMIT_CPU, (used, used + 1))
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)

            def write(answer: object) -> None:
                answers.write(json.dumps(answer) + "\n")
                answers.flush()

            try:
                work(write)
            finally:
                os._exit(0)
        stop = time.monotonic() + 60 + 20 * limit  # for a fault that waits without computing; others use this machine
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > stop:
                os.kill(child, signal.SIGKILL)
            time.sleep(0.01)
        answers.seek(0)
        return [json.loads(line) for line in answers]


def put_in(path: Path, source: bytes) -> None:
    """Give the functions of an imported module the code that they have in other source, and its constants their values.

    The functions stay the same objects, so that whoever imported them runs the other code.
    """
    name = _dotted(path)
    module, other = sys.modules[name], ModuleType(name)
    other.__dict__["__file__"] = str(path)
    exec(compile(source, str(path), "exec"), other.__dict__)
    _copy(vars(module), vars(other), name)
    for key, value in vars(other).items():
        if isinstance(value, int | float | tuple) and key in vars(module) and repr(vars(module)[key]) != repr(value):
            old = vars(module)[key]
            for ours in [m for n, m in list(sys.modules.items()) if n.startswith("empathy_geometry")]:
                if vars(ours).get(key) is old or ours is module:
                    setattr(ours, key, value)


def _copy(ours: Mapping[str, object], others: Mapping[str, object], module: str) -> None:
    for name, thing in list(ours.items()):
        if name not in others:
            continue
        if isinstance(thing, type) and thing.__module__ == module:
            _copy(vars(thing), vars(others[name]), module)  # type: ignore[arg-type]
            continue
        function, other = _function(thing), _function(others[name])
        if function is not None and other is not None and function.__module__ == module:
            function.__code__ = other.__code__
            function.__defaults__, function.__kwdefaults__ = other.__defaults__, other.__kwdefaults__


def _function(thing: object) -> FunctionType | None:
    """The function inside a method, property or decorator."""
    for attribute in ("fget", "func", "__func__", "__wrapped__"):
        thing = getattr(thing, attribute, None) or thing
    return thing if isinstance(thing, FunctionType) else None


def equivalent() -> frozenset[str]:
    """Names of the faults that docs/mutation.md lists as making no difference."""
    if not EQUIVALENT.exists():
        return frozenset()
    rows = re.findall(r"^\| `(.+?)` \|", EQUIVALENT.read_text(), flags=re.MULTILINE)
    return frozenset(row.replace("\\|", "|") for row in rows)


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", nargs="+", default=DEFAULT, help="packages, or modules as package/module")
    parser.add_argument("--sample", type=int, default=20, help="faults per module; 0 for all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", type=float, default=10.0, help="seconds of tests per fault")
    parser.add_argument("--only", default="", help="faults whose name contains this")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "mutation.json")
    arguments = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # threads do not survive a fork
    os.chdir(ROOT)
    modules = [path for package in arguments.packages for path in modules_of(package)]
    files = sorted({file for path in modules for file in [path, *tests_of(path)]})
    options = ["-q", "-p", "no:cacheprovider", "-m", "not slow and not integration", f"--rootdir={ROOT}"]
    sys.exit(pytest.main([*options, *map(str, files)], plugins=[_Plugin(arguments)]))


class _Plugin:
    """Tries faults where pytest would run the tests that it has collected."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Pytest's hook, before tests are read."""
        from hypothesis import Phase, settings

        # Whether an example fails is all that is asked: not which is the smallest, and not of earlier runs.
        settings.register_profile("mutation", database=None, derandomize=True, phases=(Phase.explicit, Phase.generate))
        settings.load_profile("mutation")

    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Pytest's hook, when tests are there."""
        import torch

        torch.set_num_threads(1)
        plugins = session.config.pluginmanager
        plugins.unregister(name="terminalreporter")  # which prints a dot for every test
        print(f"{len(session.items)} tests read", flush=True)
        with plugins.getplugin("capturemanager").global_and_fixture_disabled():
            _try(Judge(session, self.arguments.budget), self.arguments)
        sys.stdout.flush()
        os._exit(0)


def _try(judge: Judge, arguments: argparse.Namespace) -> None:
    known, results = equivalent(), []
    for package in arguments.packages:
        for path in modules_of(package):
            every = [m for m in mutants(path) if arguments.only in m.name]
            size = len(every) if arguments.sample == 0 else min(arguments.sample, len(every))
            # The sample depends on the module alone, not on which others are asked for.
            drawn = random.Random(f"{arguments.seed} {_dotted(path)}").sample(every, size)
            module = str(path.relative_to(SOURCE))
            nothing = Mutant(path, "module", 1, 0, 1, text := path.read_text()[0], text)
            if drawn and judge.judge(nothing) != SURVIVED:
                raise RuntimeError(f"the tests of {module} fail without any fault, so they would tell nothing")
            for mutant in drawn:
                verdict = "equivalent" if mutant.name in known else judge.judge(mutant)
                row = {"package": package, "module": module, "line": mutant.line, "name": mutant.name}
                results.append({**row, "verdict": verdict, "of": len(every)})
                if verdict == SURVIVED:
                    print(f"survived  {path.relative_to(ROOT)}:{mutant.line}  {mutant.name}", flush=True)
            print(_summary(module, [r for r in results if r["module"] == module]), flush=True)
            _save(arguments.out, results, arguments)
    print(f"\n{_HEAD}")
    for package in arguments.packages:
        print(_summary(package, [r for r in results if r["package"] == package]))
    print(_summary("all", results))


_HEAD = f"{'':<40}{'tried':>7}{'killed':>8}{'by time':>8}{'survived':>9}{'equal':>7}{'score':>8}"


def _summary(name: str, rows: Sequence[dict[str, object]]) -> str:
    counts = {v: sum(r["verdict"] == v for r in rows) for v in (KILLED, SLOW, SURVIVED, "equivalent")}
    killed, judged = counts[KILLED] + counts[SLOW], counts[KILLED] + counts[SLOW] + counts[SURVIVED]
    score = f"{killed / judged:.0%}" if judged else "-"
    tried = judged + counts["equivalent"]
    numbers = (tried, counts[KILLED], counts[SLOW], counts[SURVIVED], counts["equivalent"])
    widths = (7, 8, 8, 9, 7)
    return f"{name:<40}" + "".join(f"{n:>{w}}" for n, w in zip(numbers, widths, strict=True)) + f"{score:>8}"


def _save(path: Path, results: list[dict[str, object]], arguments: argparse.Namespace) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = {"sample": arguments.sample, "seed": arguments.seed, "budget": arguments.budget}
    path.write_text(json.dumps({"settings": settings, "faults": results}, indent=1))


if __name__ == "__main__":
    main()
