"""Hooked models: loading, names of hooks, tokens."""
