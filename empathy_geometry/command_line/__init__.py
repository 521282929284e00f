"""`python -m empathy_geometry`: the studies from a terminal."""

from empathy_geometry.command_line.main import main

__all__ = ["main"]
