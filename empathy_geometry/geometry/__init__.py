"""Directions, subspaces and probes."""
