"""Labeled texts, how they are read from files, and folds that keep scenarios together."""
