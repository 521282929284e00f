"""Sparse autoencoders: fetched, loaded or trained here, and whether their features agree with a concept's subspace."""
