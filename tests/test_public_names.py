"""The names that checks outside the project call are there, and __all__ says what there is."""

import importlib
import pkgutil
from types import ModuleType

import empathy_geometry as eg

FIXED = [
    "load_model",
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
    "sae_agreement",
    "pitfalls",
    "plots",
    "similarity",
    "dimensionality",
    "audit_texts",
]


def test_the_fixed_names_exist():
    assert [name for name in FIXED if not hasattr(eg, name)] == []


def test_all_lists_every_public_name_and_no_other():
    public = {
        name for name, value in vars(eg).items() if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    modules = {name for name in eg.__all__ if isinstance(getattr(eg, name), ModuleType)}
    assert set(eg.__all__) == public | modules


def test_every_module_says_what_it_is_for():
    for module in pkgutil.walk_packages(eg.__path__, "empathy_geometry."):
        assert importlib.import_module(module.name).__doc__, module.name


def test_the_version_is_the_citations():
    from pathlib import Path

    citation = Path(eg.__file__).parents[1] / "CITATION.cff"
    assert f"version: {eg.__version__}" in citation.read_text()
