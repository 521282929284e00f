"""Results to standard output, progress to standard error."""

import sys
import time

from empathy_geometry.foundation.terminal import terminal_text


class Console:
    """Where a command writes.

    Args:
        quiet: Say nothing about progress; results and errors are still written.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._started = time.perf_counter()

    @property
    def progress(self) -> bool:
        """Whether studies may show bars (they do on a terminal only)."""
        return not self.quiet

    def result(self, text: str) -> None:
        """A table, or where files are: standard output."""
        sys.stdout.write(f"{terminal_text(text)}\n")
        sys.stdout.flush()

    def status(self, text: str) -> None:
        """What is being done, with the seconds since the start: standard error, unless quiet."""
        if not self.quiet:
            sys.stderr.write(f"[{time.perf_counter() - self._started:5.0f} s] {terminal_text(text)}\n")
            sys.stderr.flush()

    def error(self, text: str) -> None:
        """One line on standard error, whatever happens."""
        sys.stderr.write(f"empathy_geometry: {terminal_text(' '.join(text.split()))}\n")
        sys.stderr.flush()
