"""Layers in the order in which a text passes them."""

from collections.abc import Sequence

from empathy_geometry.foundation._types import Layer


def depth(layer: Layer) -> int:
    """Place of a layer: the embedding, before block 0, is -1.

    Example:
        >>> depth("embed"), depth(3)
        (-1, 3)
    """
    return -1 if layer == "embed" else int(layer)


def most_chosen(layers: Sequence[Layer]) -> Layer:
    """The layer that most folds chose; among equals the middle one in depth.

    Example:
        >>> most_chosen([4, 5, 5, 9])
        5
    """
    counts = {layer: list(layers).count(layer) for layer in layers}
    best = [layer for layer, count in counts.items() if count == max(counts.values())]
    return sorted(best, key=depth)[len(best) // 2]
