"""Ctrl-C never falls between attaching something to a user's model and taking it off again."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# What enters and leaves a `with` block; the generator behind one runs below these.
_WHOLE = frozenset(
    function.__code__
    for function in (
        contextlib._GeneratorContextManager.__enter__,
        contextlib._GeneratorContextManager.__exit__,
        contextlib.ExitStack.__exit__,
    )
)
_held = False  # only ever changed in the main thread


@contextmanager
def held_interrupts() -> Iterator[None]:
    """Within this block, Ctrl-C waits while a `with` block is being entered or left; elsewhere it comes at once.

    Python raises KeyboardInterrupt between any two instructions, inside a `finally` as well, and what was to be undone
    there stays. What waited comes at the end of the block. Interrupts only come in the main thread; in others, and
    where the program has no Python function for them, there is nothing to do.

    Example:
        >>> with held_interrupts():
        ...     pass
    """
    global _held
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or _held or not callable(before):
        yield
        return
    waiting: list[FrameType | None] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if _is_inside_whole(frame):
            waiting.append(frame)
        else:
            before(number, frame)

    try:
        _held = True
        signal.signal(signal.SIGINT, handle)
        yield
    finally:
        _held = False
        if signal.getsignal(signal.SIGINT) is handle:  # not where the block itself has set another one
            signal.signal(signal.SIGINT, before)
        if waiting:
            before(signal.SIGINT, waiting[0])


def _is_inside_whole(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code in _WHOLE:
            return True
        frame = frame.f_back
    return False
