"""What the peers' workers share: arithmetic on plain arrays, no model."""

from collections.abc import Callable
from typing import Any

import numpy as np


def flat(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs [n, 2, layer, d] as rows [2 n, layer, d], positives first; and labels."""
    return np.concatenate([rows[:, 0], rows[:, 1]]), np.repeat([1, 0], len(rows))


def split(n: int, fraction: float = 0.2, seed: int = 42) -> tuple[np.ndarray, np.ndarray]:
    """Pairs for training and for testing."""
    order = np.random.default_rng(seed).permutation(n)
    held = max(1, round(n * fraction))
    return order[held:], order[:held]


def numeric_gradient(score: Callable[[np.ndarray], Any], X: np.ndarray) -> np.ndarray:
    """Gradient of an affine function of the raw rows: exact from d + 1 evaluations."""
    base = X.mean(axis=0, keepdims=True)
    steps = X.std(axis=0)
    shifted = (base + np.diag(steps)).astype(np.float32)
    values = np.asarray(score(np.concatenate([base.astype(np.float32), shifted])), dtype=float).reshape(-1)
    return (values[1:] - values[0]) / steps


def cosine(a: Any, b: Any) -> float:
    """Cosine of two vectors."""
    a, b = np.asarray(a, dtype=float).reshape(-1), np.asarray(b, dtype=float).reshape(-1)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def scaled(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose columns differ in scale, and labels."""
    rows = arrays["scaled"]
    return np.concatenate([rows[:, 0], rows[:, 1]]), np.repeat([1, 0], len(rows))


def relative_difference(a: Any, b: Any) -> float:
    """Largest difference over largest value."""
    a, b = np.asarray(a), np.asarray(b)
    return float(np.abs(a - b).max() / np.abs(a).max())


def new_texts(tokenizer: Any, output: Any, prompt_length: int) -> list[str]:
    """What was written after left-padded prompts."""
    return [tokenizer.decode(row[prompt_length:], skip_special_tokens=True) for row in output]
