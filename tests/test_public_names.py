"""The public names: those that checks outside the project call are there, dir() shows them and no others."""

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import empathy_geometry as eg
from empathy_geometry.foundation.old_names import OLD_NAMES

FIXED = [
    "load_model",
    "load_result",
    "LabeledTexts",
    "datasets",
    "extract_activations",
    "Activations",
    "ConceptDirection",
    "Subspace",
    "Probe",
    "auroc",
    "d_prime",
    "macro_auroc",
    "purity",
    "Estimate",
    "cross_validate",
    "Evaluation",
    "permutation_test",
    "SteeringHook",
    "steering_sweep",
    "coherence",
    "measure_bandwidth",
    "transfer_matrix",
    "causal_effects",
    "tripartite",
    "sae_agreement",
    "pitfalls",
    "plots",
    "similarity",
    "dimensionality",
    "audit_texts",
    "report",
]

MODULES = [name for name in eg.__all__ if isinstance(getattr(eg, name), ModuleType)]


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_the_fixed_names_exist():
    assert [name for name in FIXED if not hasattr(eg, name)] == []


@pytest.mark.parametrize("module", [eg, *(getattr(eg, name) for name in MODULES)], ids=lambda m: m.__name__)
def test_dir_shows_the_public_names_and_they_are_there(module: ModuleType):
    shown = [name for name in dir(module) if not re.fullmatch("__.*__", name)]
    assert shown == sorted(module.__all__)
    assert [name for name in shown if name.startswith("_")] == []
    for name in shown:
        value = getattr(module, name)
        assert isinstance(value, ModuleType) == (module is eg and name in MODULES), name


def test_datasets_lists_all_its_functions():
    functions = {
        name for name, value in vars(eg.datasets).items() if getattr(value, "__module__", "") == eg.datasets.__name__
    }
    assert {name for name in functions if not name.startswith("_")} == set(eg.datasets.__all__) - {"ALL", "LANGUAGES"}


def test_no_name_is_taken_by_a_module_of_that_name():
    """A module that is imported becomes an attribute of its package, which a lazy name of the same name is not."""
    hidden = python(
        "import importlib, pkgutil, types, empathy_geometry as eg\n"
        "for module in pkgutil.walk_packages(eg.__path__, 'empathy_geometry.'):\n"
        "    importlib.import_module(module.name)\n"
        f"packages = [getattr(eg, name) for name in {MODULES}]\n"
        "for package in [eg, *packages]:\n"
        "    for name in package.__all__:\n"
        "        value = getattr(package, name)\n"
        "        if isinstance(value, types.ModuleType) and value not in packages:\n"
        "            print(package.__name__, name)\n"
    )
    assert hidden == ""


@pytest.mark.parametrize("old", OLD_NAMES)
def test_an_old_name_says_where_it_is_now(old: str):
    *inside, name = old.split(".")
    module = getattr(eg, inside[0]) if inside else eg
    with pytest.raises(AttributeError, match=rf"\.{name} is empathy_geometry\.{re.escape(OLD_NAMES[old])} now"):
        getattr(module, name)
    value: object = eg
    for part in OLD_NAMES[old].split("."):
        value = getattr(value, part)


def test_a_name_that_never_was_is_an_ordinary_error():
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = eg.nonsense  # type: ignore[attr-defined]
    assert not hasattr(eg.steering, "nonsense")


def test_the_migration_page_has_the_same_table():
    page = (Path(__file__).parents[1] / "docs" / "migration.md").read_text()
    section = page.split("## Names that moved")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `eg\.(\S+)` \| `eg\.(\S+)` \|$", section, re.M))
    assert rows == OLD_NAMES
    assert section.count("\n| `") == len(rows)


def test_importing_the_package_imports_nothing_heavy():
    heavy = ["torch", "numpy", "scipy", "sklearn", "pandas", "matplotlib", "transformers", "transformer_lens"]
    loaded = f"print([name for name in {heavy} if name in sys.modules])"
    assert python(f"import sys, empathy_geometry as eg; dir(eg); eg.__version__; {loaded}") == "[]\n"


def test_what_needs_no_probe_and_no_model_loads_neither_scikit_learn_nor_transformers():
    heavy = ["sklearn", "pandas", "matplotlib", "transformers", "transformer_lens"]
    names = "eg.ConceptDirection, eg.Activations, eg.Subspace, eg.SteeringHook, eg.LabeledTexts, eg.datasets.ALL"
    loaded = f"print([name for name in {heavy} if name in sys.modules])"
    assert python(f"import sys, empathy_geometry as eg; {names}; {loaded}") == "[]\n"


def test_every_module_says_what_it_is_for():
    for module in pkgutil.walk_packages(eg.__path__, "empathy_geometry."):
        assert importlib.import_module(module.name).__doc__, module.name


def test_the_version_is_the_citations():
    citation = Path(eg.__file__).parents[1] / "CITATION.cff"
    assert f"version: {eg.__version__}" in citation.read_text()
