"""Pairs of texts that are nearly the same: exact Jaccard similarity of n-grams, without comparing all pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from empathy_geometry.foundation._types import IntArray, LabelsLike
from empathy_geometry.foundation._validation import as_groups
from empathy_geometry.foundation.names import as_texts

_ROWS_PER_BLOCK = 256
_PAIRS_PER_BLOCK = 20_000
_SHARED = 12
"""How many rare n-grams two texts must share to be compared; more costs time in finding, and saves it in comparing."""


@dataclass(frozen=True)
class NearDuplicate:
    """Two rows whose texts are nearly the same.

    Attributes:
        first: Row of the one.
        second: Row of the other, larger than `first`.
        similarity: Jaccard similarity of their sets of character n-grams, 1 for the same text.
    """

    first: int
    second: int
    similarity: float


def near_duplicates(
    texts: Sequence[str],
    *,
    groups: LabelsLike | None = None,
    threshold: float = 0.8,
    n: int = 5,
    max_pairs: int = 1000,
) -> tuple[NearDuplicate, ...]:
    """Every pair of texts of different groups whose similarity exceeds the threshold, most similar first.

    Similarity is |A & B| / |A | B| of the sets of character n-grams, case and width of spaces apart. Exact: two sets
    with J > t share at least k of the |A| - ceil(t |A|) + k rarest members of each, so only texts that share some rare
    n-grams are compared (prefix filter). Time grows with such pairs, not with the square of the number of texts.

    Args:
        texts: The texts.
        groups: Pairs within a group do not count (paired wordings of one scenario are meant to be alike); None
            compares all.
        threshold: In (0, 1).
        n: Length of the n-grams.
        max_pairs: The search stops when it has found as many.

    Raises:
        ValueError: a parameter is out of range, or groups do not fit.

    Source: Bayardo, Ma & Srikant (2007), WWW '07, for the prefix filter; Wang, Li & Feng (2012), SIGMOD '12, for k > 1.

    Example:
        >>> near_duplicates(["I lost my job today.", "I lost my job today!", "The tide is late."], threshold=0.8)
        (NearDuplicate(first=0, second=1, similarity=0.88...),)
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must lie strictly between 0 and 1, got {threshold}; try 0.8")
    if n < 1 or max_pairs < 1:
        raise ValueError(f"n and max_pairs must be at least 1, got {n} and {max_pairs}")
    texts = as_texts(texts)
    if not texts:
        return ()
    group = as_groups(groups, len(texts))
    grams = _gram_matrix(texts, n)
    sizes = np.diff(grams.indptr)
    required = np.minimum(_SHARED, np.ceil(threshold * sizes).astype(np.int64))
    rare = _prefixes(grams, sizes, threshold, required)
    found: list[NearDuplicate] = []
    for start in range(0, len(texts), _ROWS_PER_BLOCK):
        # Only later rows, so that each pair comes once.
        shared = (rare[start : start + _ROWS_PER_BLOCK] @ rare[start:].T).tocoo()
        first, second = shared.row.astype(np.int64) + start, shared.col.astype(np.int64) + start
        alike = np.minimum(sizes[first], sizes[second]) > threshold * np.maximum(sizes[first], sizes[second])
        enough = shared.data >= np.minimum(required[first], required[second])
        keep = (first < second) & (group[first] != group[second]) & alike & enough
        first, second = first[keep], second[keep]
        for at in range(0, len(first), _PAIRS_PER_BLOCK):
            found += _verified(
                grams, sizes, first[at : at + _PAIRS_PER_BLOCK], second[at : at + _PAIRS_PER_BLOCK], threshold
            )
            if len(found) >= max_pairs:
                return _most_similar_first(found)[:max_pairs]
    return _most_similar_first(found)


def _gram_matrix(texts: Sequence[str], n: int) -> csr_matrix:
    """Binary [n_texts, n_grams], columns ordered from the rarest n-gram to the most frequent."""
    index: dict[str, int] = {}
    columns: list[IntArray] = []
    for text in texts:
        text = " ".join(text.casefold().split())
        grams = {text[i : i + n] for i in range(max(1, len(text) - n + 1))}
        columns.append(np.fromiter((index.setdefault(g, len(index)) for g in grams), dtype=np.int64, count=len(grams)))
    flat = np.concatenate(columns)
    rank = np.empty(len(index), dtype=np.int64)
    rank[np.argsort(np.bincount(flat, minlength=len(index)), kind="stable")] = np.arange(len(index))
    pointers = np.concatenate([[0], np.cumsum([len(c) for c in columns])])
    matrix = csr_matrix((np.ones(len(flat), dtype=np.int32), rank[flat], pointers), shape=(len(texts), len(index)))
    matrix.sort_indices()
    return matrix


def _prefixes(grams: csr_matrix, sizes: IntArray, threshold: float, required: IntArray) -> csr_matrix:
    """Of each row, the rarest members, as many as make two similar rows share the required number of them."""
    lengths = sizes - np.ceil(threshold * sizes).astype(np.int64) + required
    position = np.arange(len(grams.indices)) - np.repeat(grams.indptr[:-1], sizes)
    keep = position < np.repeat(lengths, sizes)
    pointers = np.concatenate([[0], np.cumsum(lengths)])
    return csr_matrix((np.ones(int(keep.sum()), dtype=np.int32), grams.indices[keep], pointers), shape=grams.shape)


def _verified(
    grams: csr_matrix, sizes: IntArray, first: IntArray, second: IntArray, threshold: float
) -> list[NearDuplicate]:
    common = np.asarray(grams[first].multiply(grams[second]).sum(axis=1)).ravel()
    similarity = common / (sizes[first] + sizes[second] - common)
    return [
        NearDuplicate(int(i), int(j), float(s))
        for i, j, s in zip(first, second, similarity, strict=True)
        if s > threshold
    ]


def _most_similar_first(found: list[NearDuplicate]) -> tuple[NearDuplicate, ...]:
    return tuple(sorted(found, key=lambda pair: (-pair.similarity, pair.first, pair.second)))
