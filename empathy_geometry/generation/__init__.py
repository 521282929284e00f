"""The model writes and reads: rows with their keys and values kept, decoding, continuations and their likelihood."""
