"""From texts to pooled activations: positions, extraction, the store on disk."""
