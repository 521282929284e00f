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
