"""Small planted data sets for the statistics tests."""

import numpy as np


def pairs(
    n_groups: int = 20, d: int = 12, *, strength: float = 0.0, layers: int = 0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, labels and groups of pairs within scenarios; the last layer carries the signal."""
    rng = np.random.default_rng(seed)
    y, groups = np.tile([0, 1], n_groups), np.repeat(np.arange(n_groups), 2)
    shape = (2 * n_groups, max(layers, 1), d)
    X = rng.normal(size=shape) + 0.7 * rng.normal(size=(n_groups, *shape[1:]))[groups]
    X[y == 1, -1, 0] += strength
    return (X if layers else X[:, 0]), y, groups


def constant_groups(
    n_groups: int = 20, size: int = 2, d: int = 12, *, strength: float = 0.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, labels and groups where each scenario has one label."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), size)
    y = groups % 2
    X = rng.normal(size=(len(y), d)) + 0.7 * rng.normal(size=(n_groups, d))[groups]
    X[y == 1, 0] += strength
    return X, y, groups


def triplets(
    n_groups: int = 15, d: int = 12, *, strength: float = 0.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, labels and groups of three classes within scenarios."""
    rng = np.random.default_rng(seed)
    y, groups = np.tile([0, 1, 2], n_groups), np.repeat(np.arange(n_groups), 3)
    X = rng.normal(size=(len(y), d))
    for k in range(3):
        X[y == k, k] += strength
    return X, y, groups
