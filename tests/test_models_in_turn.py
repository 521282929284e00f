"""Several models, one after the other: what breaks one does not end the run of the others."""

from pathlib import Path

import pytest
import torch

from empathy_geometry.command_line.console import Console
from empathy_geometry.command_line.exit_codes import BAD_INPUT, DONE, PARTLY
from empathy_geometry.command_line.models_in_turn import ModelPlan, in_turn

CONSOLE = Console(quiet=True)


def plans(*names):
    return [ModelPlan(name, name, Path(name), None, "cpu", "auto") for name in names]


def breaks(errors, measured):
    def measure(plan, load):
        if plan.name in errors:
            raise errors[plan.name]
        measured.append(plan.name)

    return measure


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no such layer"),
        OSError("no such file"),
        MemoryError(),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        torch.OutOfMemoryError("out of memory"),
        KeyError("model.layers.0"),
        AttributeError("no attribute 'blocks'"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_whatever_breaks_one_model_the_others_are_measured(error, capsys):
    measured = []
    assert in_turn(plans("a", "b", "c"), breaks({"b": error}, measured), CONSOLE) == PARTLY
    assert measured == ["a", "c"]
    told = capsys.readouterr().err
    assert "b: " in told
    assert str(error) in told
    if not isinstance(error, ValueError | OSError):
        assert type(error).__name__ in told


def test_the_exit_code_says_how_many(capsys):
    assert in_turn(plans("a", "b"), breaks({}, []), CONSOLE) == DONE
    failing = {"a": RuntimeError("1"), "b": RuntimeError("2")}
    assert in_turn(plans("a", "b"), breaks(failing, []), CONSOLE) == BAD_INPUT


def test_a_single_model_and_an_interrupt_end_it():
    with pytest.raises(RuntimeError):
        in_turn(plans("a"), breaks({"a": RuntimeError("1")}, []), CONSOLE)
    measured = []
    with pytest.raises(KeyboardInterrupt):
        in_turn(plans("a", "b"), breaks({"a": KeyboardInterrupt()}, measured), CONSOLE)
    assert measured == []


def test_a_model_is_loaded_when_it_is_asked_for_and_once(monkeypatch):
    loaded = []
    monkeypatch.setattr(
        "empathy_geometry.command_line.models_in_turn.load_model", lambda source, **_: loaded.append(source) or source
    )

    def measure(plan, load):
        assert loaded == ([] if plan.name == "a" else ["a"])
        assert load() == load() == plan.source

    assert in_turn(plans("a", "b"), measure, CONSOLE) == DONE
    assert loaded == ["a", "b"]
