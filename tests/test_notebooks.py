"""The notebooks run from top to bottom, and what is committed in them is what they printed."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="notebooks need nbclient and ipykernel")

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def cells(path: Path) -> list[Any]:
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def executed(path: Path) -> Any:
    pytest.importorskip("nbclient", reason="notebooks need nbclient and ipykernel")
    pytest.importorskip("ipykernel", reason="notebooks need nbclient and ipykernel")
    spec = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.executed(path)


def outputs(code: list[Any]) -> str:
    return "".join(str(o.get("data", o.get("text", ""))) for cell in code for o in cell.outputs)


def test_there_are_two():
    assert [p.stem for p in NOTEBOOKS] == ["pitfalls", "quickstart"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_outputs_are_committed_in_order_and_small(path: Path):
    code = cells(path)
    assert [c.execution_count for c in code] == list(range(1, len(code) + 1))
    assert not any(o.output_type == "error" for c in code for o in c.outputs)
    assert "text/html" in outputs(code)
    assert path.stem != "pitfalls" or "image/png" in outputs(code)
    assert path.stat().st_size < 400_000


@pytest.mark.filterwarnings("default")  # a kernel's sockets and loops are not ours
@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=pytest.mark.integration if p.stem == "quickstart" else ()) for p in NOTEBOOKS],
    ids=lambda p: p.stem,
)
def test_runs_from_top_to_bottom(path: Path):
    fresh = [c for c in executed(path).cells if c.cell_type == "code"]
    assert len(outputs(fresh)) > 0.5 * len(outputs(cells(path)))
    kinds = [[o.output_type for o in c.outputs] for c in cells(path)]
    assert [[o.output_type for o in c.outputs if o.get("name") != "stderr"] for c in fresh] == kinds
