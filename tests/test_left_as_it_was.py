"""Whatever interrupts our passes, the user's model is as it was: modules, hooks, flags, configuration.

The default run injects a few interrupts and exceptions into each kind of model; `-m slow` hundreds.
"""

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from tiny_models import D_MODEL, KINDS, N_LAYERS, tiny_bridge, tiny_hooked_transformer
from torch import nn

import empathy_geometry as eg
from empathy_geometry.models.shared_copy import reachable_modules

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = eg.LabeledTexts([f"text {i}" for i in range(4)], ["a", "b"] * 2, [f"g{i // 2}" for i in range(4)])
TABLES = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C as in a terminal: a program started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def fresh(kind: str) -> Any:
    return tiny_hooked_transformer() if kind == "hooked_transformer" else tiny_bridge(kind.removeprefix("bridge_"))  # type: ignore[arg-type]


def state_of(model: Any) -> list[Any]:
    """All that a user could find changed."""
    found: list[Any] = []
    for module in reachable_modules(model):
        hooks = [tuple(getattr(module, table)) for table in TABLES]
        held = [
            (name, id(value))
            for part in ("_modules", "_parameters", "_buffers")
            for name, value in getattr(module, part).items()
        ]
        found.append((id(module), module.training, hooks, held, len(getattr(module, "fwd_hooks", ()))))
    config = getattr(getattr(model, "original_model", None), "config", None)
    if config is not None:
        found.append((config._attn_implementation, {k: repr(v) for k, v in vars(config).items()}))
    return found


def extract(model: Any) -> torch.Tensor:
    return eg.extract_activations(model, TEXTS, position="mean", progress=False).values


def steer(model: Any) -> Any:
    with (
        eg.SteeringHook(torch.ones(D_MODEL), alpha=2.0, layers=[1], positions="prompt").attached(model),
        torch.no_grad(),
    ):
        return model(torch.arange(6)[None])


def write(model: Any) -> Any:
    hook = eg.SteeringHook(torch.ones(D_MODEL), alpha=2.0, layers=[1])
    return eg.generate(model, ["one", "two of"], max_new_tokens=3, edit=lambda rows: hook.attached(model)).new_ids


RUNS: dict[str, Callable[[Any], Any]] = {"extract": extract, "steer": steer, "write": write}


class StopError(Exception):
    pass


def prepared(kind: str, hooked: bool) -> Any:
    """A model in use, in training mode where that is harmless, with or without a hook of the user's."""
    model = fresh(kind)
    for run in RUNS.values():
        run(model)
    model.blocks[0].train()
    if hooked:
        model.add_hook(f"blocks.{N_LAYERS - 1}.hook_resid_post", lambda x, hook: None)
    return model


def lines_of(run: Callable[[], object]) -> int:
    """How many lines of Python a run executes."""
    count = 0

    def trace(frame: Any, event: str, arg: object) -> Any:
        nonlocal count
        count += 1
        return trace

    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(None)
    return count


def interrupt_at(line: int, run: Callable[[], object]) -> bool:
    """Run, with Ctrl-C at the given event; whether it came through."""
    count = 0

    def trace(frame: Any, event: str, arg: object) -> Any:
        nonlocal count
        count += 1
        if count == line:
            signal.raise_signal(signal.SIGINT)
        return trace

    try:
        sys.settrace(trace)
        run()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("n", [2, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.parametrize("hooked", [False, True], ids=["plain", "with a hook of the user's"])
@pytest.mark.parametrize("kind", KINDS)
def test_interrupts_leave_nothing(kind, hooked, n):
    model, rng = prepared(kind, hooked), random.Random(0)
    before, expected = state_of(model), extract(model)
    came = 0
    for name, run in RUNS.items():
        lines = lines_of(lambda run=run: run(model))
        assert state_of(model) == before
        for _ in range(n):
            # The end is where things are put back.
            at = rng.randrange(lines) if rng.random() < 0.5 else lines - rng.randrange(min(lines, 400))
            came += interrupt_at(at, lambda run=run: run(model))
            assert state_of(model) == before, (name, at)
    assert came >= n  # they were no blanks
    torch.testing.assert_close(extract(model), expected)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_interrupts_from_outside_leave_nothing(kind):
    """As a user's Ctrl-C, at any moment of wall time."""
    for hooked in (False, True):
        model, rng = prepared(kind, hooked), random.Random(1)
        before = state_of(model)
        start = time.perf_counter()
        extract(model), steer(model)
        took = time.perf_counter() - start
        came = 0
        for _ in range(100):
            try:
                wait = rng.random() * took
                timer = threading.Timer(wait, os.kill, (os.getpid(), signal.SIGINT))
                timer.start()
                try:
                    extract(model), steer(model)
                    timer.join()
                    time.sleep(0.01)
                except KeyboardInterrupt:
                    came += 1
            except KeyboardInterrupt:  # between the two lines above
                pass
            assert state_of(model) == before
        assert came > 25


@pytest.mark.parametrize("n", [3, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.parametrize("hooked", [False, True], ids=["plain", "with a hook of the user's"])
@pytest.mark.parametrize("kind", KINDS)
def test_exceptions_leave_nothing(kind, hooked, monkeypatch, n):
    """An exception out of a random module call."""
    model, rng = prepared(kind, hooked), random.Random(0)
    before, expected = state_of(model), extract(model)
    call = nn.Module.__call__
    left = -1

    def fail(self: nn.Module, *arguments: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            raise StopError
        return call(self, *arguments, **options)

    monkeypatch.setattr(nn.Module, "__call__", fail)
    for run in RUNS.values():
        left = 10**9
        run(model)  # what is found out once is no call of the runs to come
        left = 10**9
        run(model)
        calls = 10**9 - left
        for _ in range(n):
            left = rng.randrange(1, calls + 1)
            with pytest.raises(StopError):
                run(model)
            assert state_of(model) == before
    left = -1
    torch.testing.assert_close(extract(model), expected)


def run_together(*runs: Callable[[], Any]) -> list[Any]:
    """Results of functions that run in threads of their own, exceptions as results."""
    found: list[Any] = [None] * len(runs)
    ready = threading.Barrier(len(runs))

    def one(i: int) -> None:
        ready.wait()
        try:
            found[i] = runs[i]()
        except Exception as error:
            found[i] = error

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(runs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize("n", [2, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.parametrize("hooked", [False, True], ids=["plain", "with a hook of the user's"])
@pytest.mark.parametrize("kind", KINDS)
def test_two_threads_on_one_model_are_both_right(kind, hooked, n):
    texts = eg.LabeledTexts([f"another {i}" for i in range(5)], list("ababa"), list("ggghh"))
    for first_use in (False, True):
        model = fresh(kind) if first_use else prepared(kind, hooked)
        if hooked and first_use:
            model.add_hook("blocks.0.hook_resid_post", lambda x, hook: 1.5 * x)
        other = lambda model=model: eg.extract_activations(model, texts, layers=[1], progress=False).values  # noqa: E731
        expected = None if first_use else (extract(model), other())
        before = state_of(model)
        for _ in range(n):
            found = run_together(lambda model=model: extract(model), other)
            expected = (extract(model), other()) if expected is None else expected
            for got, want in zip(found, expected, strict=True):
                torch.testing.assert_close(got, want)
        if not first_use:  # TransformerBridge attaches hooks to its blocks at its first pass
            assert state_of(model) == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_sweep_beside_an_extraction(kind):
    """A sweep steers its own view: the other thread's numbers are unsteered, and both are what they are alone."""
    model = fresh(kind)
    plain = extract(model)
    direction = eg.ConceptDirection.from_mean_difference(plain[0::2, 1] + 1, plain[1::2, 1], layer=1)

    def sweep() -> Any:
        return eg.steering_sweep(
            model, direction, ["one", "two"], [-90.0, 90.0], units="raw", max_new_tokens=4, progress=False
        ).texts

    alone = sweep()
    assert len(set(alone)) > 1
    for _ in range(2):
        swept, read = run_together(sweep, lambda: extract(model))
        assert swept == alone
        torch.testing.assert_close(read, plain)


def test_steering_attached_in_another_thread_is_a_named_error():
    model = fresh("bridge_llama")
    with eg.SteeringHook(torch.ones(D_MODEL), layers=[0]).attached(model):
        (found,) = run_together(lambda: extract(model))
    assert isinstance(found, RuntimeError)
    assert "another thread" in str(found)
