"""Somebody else's code sees our types: py.typed is in the wheel, and both mypy and pyright read lazy names from it."""

import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

CONSUMER = """
from typing_extensions import assert_type

import torch

import empathy_geometry as eg
from empathy_geometry import ConceptDirection, plots
from empathy_geometry.results import SteeringSweep

rows = torch.zeros(4, 8)
assert_type(eg.auroc([0.1, 0.9], [0, 1]), eg.Estimate)
assert_type(eg.metrics.accuracy(["a"], ["a"]), eg.Estimate)
assert_type(eg.datasets.empathy_pairs(), eg.LabeledTexts)
assert_type(eg.ConceptDirection.from_mean_difference(rows, rows), ConceptDirection)
assert_type(eg.cross_validate(eg.Probe("ridge"), rows, [0, 1, 0, 1], groups=None), eg.Evaluation)
assert_type(eg.__version__, str)
plots.roc_curve


def best(sweep: SteeringSweep) -> float:
    return float(sweep.coherence.max())


eg.nonsense  # wrong
eg.metrics.nonsense  # wrong
eg.plots.nonsense  # wrong
eg.accuracy  # wrong
eg.public_names  # wrong
eg.load_result(3)  # wrong
eg.Probe("no such kind")  # wrong
"""
# What a shell names is searched, too, and has a py.typed of its own.
SHELL = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
WRONG = {number for number, line in enumerate(CONSUMER.splitlines(), start=1) if line.endswith("# wrong")}


@pytest.fixture(scope="module")
def consumer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file beside an environment that has our wheel installed, and below it the packages of this one."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("needs hatchling, to build the wheel")
    folder = tmp_path_factory.mktemp("consumer")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    site = folder / "venv" / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    zipfile.ZipFile(next(folder.glob("*.whl"))).extractall(site)
    (site / "below.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (folder / "theirs.py").write_text(CONSUMER)
    return folder / "theirs.py"


def test_mypy_sees_the_types_and_what_is_wrong(consumer: Path):
    pytest.importorskip("mypy")
    settings = consumer.with_name("mypy.ini")
    # Packages that take minutes to read and say nothing about ours.
    settings.write_text("[mypy]\n[mypy-torch.*,sklearn.*,pandas.*,matplotlib.*,scipy.*]\nfollow_imports = skip\n")
    python = consumer.with_name("venv") / "bin" / "python"
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(settings), "--python-executable"]
    command += [str(python), str(consumer)]
    ran = subprocess.run(command, cwd=consumer.parent, env=SHELL, capture_output=True, text=True)
    assert {int(n) for n in re.findall(r"theirs\.py:(\d+): error", ran.stdout)} == WRONG, ran.stdout + ran.stderr


def test_pyright_sees_the_types_and_what_is_wrong(consumer: Path):
    pytest.importorskip("pyright")
    python = consumer.with_name("venv") / "bin" / "python"
    command = [sys.executable, "-m", "pyright", "--pythonpath", str(python), str(consumer)]
    ran = subprocess.run(command, cwd=consumer.parent, env=SHELL, capture_output=True, text=True)
    found = {int(n) for n in re.findall(r"theirs\.py:(\d+):\d+ - error", ran.stdout)}
    assert found == WRONG, ran.stdout + ran.stderr
