"""Data flows one way: a package imports only from itself or from those below it, also inside functions."""

import ast
from pathlib import Path

import pytest

import empathy_geometry

ROOT = Path(empathy_geometry.__file__).parent

# From the ground up. A study's `save` draws figures and writes a report, so both lie below studies.
LAYERS = (
    "foundation",
    "texts",
    "datasets",
    "models",
    "engines",
    "activations",
    "geometry",
    "evaluation",
    "audit",
    "dimensionality",
    "similarity",
    "generation",
    "steering",
    "causal",
    "sae",
    "planted",
    "plots",
    "reports",
    "pitfalls",
    "studies",
    "ratings",
    "metrics",
    "results",
    "__init__",
    "command_line",
    "__main__",
)


def layer_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_layers(path: Path) -> set[str]:
    """First name below the package in every import statement of a file, type-checking blocks left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = (
                [node.module]
                if node.module != "empathy_geometry"
                else [f"empathy_geometry.{a.name}" for a in node.names]
            )
        found |= {n.split(".")[1] for n in names if n.startswith("empathy_geometry.")}
    return found


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_downward_only(path):
    own = layer_of(path)
    assert own in LAYERS, f"{own} has no place among the layers; give it one in this test"
    above = {name for name in imported_layers(path) if name in LAYERS and LAYERS.index(name) > LAYERS.index(own)}
    assert not above, f"{path.name} ({own}) imports from above: {sorted(above)}"


def module_of(path: Path) -> str:
    return ".".join(("empathy_geometry", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


def imported_modules(path: Path, modules: set[str]) -> set[str]:
    """Modules of the package that a file imports anywhere, inside functions and for type checkers too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= named & modules or {node.module}
    return (found & modules) - {module_of(path)}


def circles(imports: dict[str, set[str]]) -> list[str]:
    """Modules that lie on a circle or between two: all others import nothing of the rest, or are not imported by it."""
    left = dict(imports)
    while True:
        needed = set().union(*left.values())
        free = {name for name in left if name not in needed or not left[name]}
        if not free:
            return sorted(left)
        left = {name: others - free for name, others in left.items() if name not in free}


def test_no_module_imports_itself_by_way_of_others():
    paths = {module_of(path): path for path in ROOT.rglob("*.py")}
    imports = {name: imported_modules(path, set(paths)) for name, path in paths.items()}
    assert circles(imports) == []


@pytest.mark.parametrize(
    ("imports", "found"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"a"}, "c": set()}, ["a", "b"]),
        ({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}, ["b", "c"]),
    ],
)
def test_circles_are_found(imports, found):
    assert circles(imports) == found
