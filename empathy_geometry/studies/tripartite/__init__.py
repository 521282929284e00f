"""Tripartite empathy: every test of the reference study, redone with baselines, nulls and intervals."""
