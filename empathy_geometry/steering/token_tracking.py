"""Which columns of a forward pass are prompt and which were generated, with and without a KV cache."""

import torch
from torch import Tensor


class ColumnTracker:
    """Follows the forward passes of a `generate` call through the embedding hook.

    With a KV cache a generation shows one wide pass (the prompt) and then passes of one column; without, passes that
    grow by one column and begin with the same embeddings. Anything else is a new prompt.
    """

    def __init__(self) -> None:
        self._seen: Tensor | None = None  # embeddings of all columns so far, [batch, total, d_model]
        self._prompt = 0
        self._first = 0
        self._width = 0

    def observe(self, embeddings: Tensor, hook: object) -> None:
        """Embedding hook: note where the columns of this pass lie."""
        width = embeddings.shape[1]
        seen = self._seen
        if seen is not None and width == 1 and seen.shape[1] >= 1 and len(seen) == len(embeddings):
            self._first = seen.shape[1]
            self._seen = torch.cat([seen, embeddings], dim=1)
        elif (
            seen is not None
            and len(seen) == len(embeddings)
            and width == seen.shape[1] + 1
            and torch.equal(embeddings[:, :-1], seen)
        ):
            self._first = 0
            self._seen = embeddings
        else:
            self._first = 0
            self._prompt = width
            self._seen = embeddings
        self._width = width

    def select(self, positions: str | tuple[int, int]) -> Tensor:
        """Booleans [pos] over the columns of the current pass."""
        columns = torch.arange(self._first, self._first + self._width)
        if positions == "prompt":
            return columns < self._prompt
        if positions == "generated":
            return columns >= self._prompt
        if isinstance(positions, str):
            raise ValueError(f"positions must be 'prompt', 'generated' or (start, stop), got {positions!r}")
        return (columns >= positions[0]) & (columns < positions[1])
