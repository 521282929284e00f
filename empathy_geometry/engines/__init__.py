"""Engines that run models too large for TransformerLens: vLLM."""
