"""Edits of the residual stream while the model runs, and what becomes of the text."""
