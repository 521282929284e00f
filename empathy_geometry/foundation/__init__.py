"""What every layer stands on: checks, estimates with intervals, provenance, files."""
