"""Calls and imports of pages, examples, notebooks and benchmarks fit the library as it is; none of them is run."""

import ast
import inspect
import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "empathy_geometry"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SOURCES = [
    *PAGES,
    *sorted((ROOT / "notebooks").rglob("*.ipynb")),
    *(path for folder in ("benchmarks", "examples", "docs") for path in sorted((ROOT / folder).rglob("*.py"))),
]
FENCE = re.compile(r"^```(?:python|py|\{code-cell\}.*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def snippets(path: Path) -> Iterator[tuple[int, ast.Module]]:
    """Line before each piece of Python, and its tree, in the order in which a reader runs them."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        yield 0, ast.parse(text)
    elif path.suffix == ".ipynb":
        cells = ["".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
        yield 0, ast.parse("\n".join(line for cell in cells for line in cell.splitlines() if not line.startswith("%")))
    else:
        for found in FENCE.finditer(text):
            source = found[1]
            if ">>> " in source:
                lines = [x[4:] for x in source.splitlines() if x.startswith((">>> ", "... "))]
                source = "\n".join(lines)
            yield text[: found.start(1)].count("\n"), ast.parse(source)


def names(tree: ast.AST) -> dict[str, Any]:
    """What each imported name of the package is."""
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == PACKAGE:
                    whole = import_module(alias.name)
                    found[alias.asname or PACKAGE] = whole if alias.asname else import_module(PACKAGE)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            for alias in node.names:
                found[alias.asname or alias.name] = imported(str(node.module), alias.name)
    return found


def imported(module: str, name: str) -> Any:
    try:
        return getattr(import_module(module), name)
    except AttributeError:
        return import_module(f"{module}.{name}")


def resolved(node: ast.expr, known: dict[str, Any]) -> Any:
    """What a dotted name stands for, None where it does not begin with an imported name."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = resolved(node.value, known)
        return None if owner is None else getattr(owner, node.attr)
    return None


def misfit(call: ast.Call, function: Any) -> str | None:
    """Why the arguments do not go with the function; None where they do."""
    starred = any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords)
    signature = inspect.signature(function)
    positional = [None for a in call.args if not isinstance(a, ast.Starred)]
    keywords = {k.arg: None for k in call.keywords if k.arg is not None}
    try:
        (signature.bind_partial if starred else signature.bind)(*positional, **keywords)
    except TypeError as error:
        return str(error)
    return None


@cache
def calls(path: Path) -> tuple[tuple[int, str, Any, ast.Call], ...]:
    """Line, text, function and tree of every call of a public function of the package."""
    found = []
    known: dict[str, Any] = {}
    if path.suffix in (".md", ".ipynb"):
        known["eg"] = import_module(PACKAGE)
    for line, tree in snippets(path):
        known |= names(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                function = resolved(node.func, known)
                if inspect.isclass(function) or (inspect.isroutine(function) and not inspect.isbuiltin(function)):
                    found.append((line + node.lineno, ast.unparse(node.func), function, node))
    return tuple(found)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_import_is_there_and_every_call_fits_its_signature(path: Path):
    wrong = [f"{path.name}:{line}: {name}: {why}" for line, name, f, node in calls(path) if (why := misfit(node, f))]
    assert wrong == []


def test_many_calls_are_found_and_a_wrong_one_would_be():
    assert sum(len(calls(path)) for path in SOURCES) > 300
    function = import_module(PACKAGE).sae_agreement
    good, bad, starred = (
        ast.parse(text, mode="eval").body
        for text in ("f(sae, acts, seed=1)", "f(sae, acts, n_draws=9)", "f(sae, acts, n_draws=9, **more)")
    )
    assert misfit(good, function) is None
    assert "n_draws" in misfit(bad, function)
    assert "n_draws" in misfit(starred, function)
    with pytest.raises(ImportError):
        names(ast.parse("from empathy_geometry.models.loading import no_such_name"))
