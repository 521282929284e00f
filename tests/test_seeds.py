"""One word for randomness: `seed`, a whole number, recorded in what comes of it."""

import importlib
import inspect
import pkgutil

import pytest

import empathy_geometry
from empathy_geometry.foundation.estimate import Estimate


def public_callables():
    """Every function and class of the package whose name has no underscore, with the methods of the classes."""
    for info in pkgutil.walk_packages(empathy_geometry.__path__, "empathy_geometry."):
        if info.name.endswith("__main__"):
            continue
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            if name.startswith("_") or getattr(value, "__module__", "") != info.name:
                continue
            if inspect.isfunction(value):
                yield f"{info.name}.{name}", value
            elif inspect.isclass(value):
                for method, function in vars(value).items():
                    function = getattr(function, "__func__", function)
                    if inspect.isfunction(function) and (method == "__init__" or not method.startswith("_")):
                        yield f"{info.name}.{name}.{method}", function


FOUND = dict(public_callables())


def test_randomness_has_one_name():
    others = {"rng", "random_state", "fold_seed"}
    found = {name: others & set(inspect.signature(f).parameters) for name, f in FOUND.items()}
    assert len(FOUND) > 500
    assert {name: given for name, given in found.items() if given} == {}


SECRET = "empathy_geometry.ratings.sheet.export_rating_sheet"
"""Its seed gives away the order that raters must not know, so that nobody should take a default."""


def test_a_seed_that_need_not_be_given_is_zero():
    defaults = {
        name: parameter.default
        for name, function in FOUND.items()
        if (parameter := inspect.signature(function).parameters.get("seed")) is not None
        and parameter.default is not inspect.Parameter.empty
    }
    defaults = {name: default for name, default in defaults.items() if default is not None}
    assert set(defaults.values()) == {0}
    assert len(defaults) > 40
    assert SECRET not in defaults


def test_what_the_top_level_offers_needs_no_seed():
    for name in empathy_geometry.__all__:
        value = getattr(empathy_geometry, name)
        if not callable(value) or inspect.isclass(value) or name == "export_rating_sheet":
            continue
        parameter = inspect.signature(value).parameters.get("seed")
        assert parameter is None or parameter.default == 0, name


def test_an_estimate_says_its_seed_where_something_was_drawn():
    assert "seed" not in Estimate(0.5).to_dict()
    drawn = Estimate(0.5, seed=3)
    assert drawn.to_dict()["seed"] == 3
    assert Estimate.from_dict(drawn.to_dict()) == drawn


@pytest.mark.parametrize("name", [n for n in FOUND if "seed" in inspect.signature(FOUND[n]).parameters])
def test_seeds_are_documented_whole_numbers(name):
    annotation = inspect.signature(FOUND[name]).parameters["seed"].annotation
    assert annotation in (int, "int", "int | None", int | None), annotation
