"""What a run ends with, for scripts that call it."""

DONE = 0
"""Everything that was asked for is there."""
BAD_INPUT = 2
"""Arguments, texts, a model or results that cannot be used; one line says what to change."""
MISSING_PACKAGE = 3
"""An optional package is not installed; the line names the extra. Numbers that were measured are kept."""
PARTLY = 4
"""Some models were measured, others could not be; the lines say why."""
INTERRUPTED = 130
"""Ctrl-C: what was finished is kept, and the same command goes on from there."""

EXPLAINED = f"""\
exit codes: {DONE} done; {BAD_INPUT} bad input (one line says what to change); {MISSING_PACKAGE} an optional package is
missing (numbers are kept); {PARTLY} some of several models failed; {INTERRUPTED} interrupted (the same command goes on
from what was finished); 1 anything else, with a traceback that is worth reporting.
"""
