"""Causal tests: directions edited inside the forward pass, read out elsewhere, against directions that mean nothing."""
