"""Data with a known truth, to see whether the analysis finds it."""
