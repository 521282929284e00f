"""Held-out scores, intervals, baselines, nulls, transfer."""
