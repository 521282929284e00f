"""One edit per row of a batch: many directions and operations in one forward pass."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from empathy_geometry.foundation._types import Layer
from empathy_geometry.models.attachment import attached
from empathy_geometry.models.loading import HookedModel, hook_name
from empathy_geometry.models.model_view import prepare_view


@dataclass(frozen=True)
class Edit:
    """What happens to the stream h of one row: h + (add + pull * (target - read'h)) * write.

    `read` and `write` are the same direction for adding, projecting out and clamping. Where they differ, the edit is a
    placebo: at every token as large as the ablation of `read`, but along a direction that has nothing to do with it.

    Attributes:
        write: Unit vector, [d_model].
        read: Unit vector, [d_model].
        add: Activation units.
        pull: 1 to set the projection to `target`, 0 to leave it.
        target: Activation units.
    """

    write: Float[Tensor, "d_model"]
    read: Float[Tensor, "d_model"]
    add: float = 0.0
    pull: float = 0.0
    target: float = 0.0

    @classmethod
    def nothing(cls, d_model: int) -> "Edit":
        """Leaves the stream as it is."""
        return cls(torch.zeros(d_model), torch.zeros(d_model))

    @classmethod
    def adding(cls, vector: Float[Tensor, "d_model"], length: float) -> "Edit":
        """Adds `length` activation units along a unit vector."""
        return cls(vector, vector, add=length)

    @classmethod
    def clamping(
        cls, vector: Float[Tensor, "d_model"], target: float, *, write: Float[Tensor, "d_model"] | None = None
    ) -> "Edit":
        """Sets the projection to `target`; with `write`, the placebo of that (see the class)."""
        return cls(vector if write is None else write, vector, pull=1.0, target=target)


class RowEdits:
    """Edits of a batch, one per row.

    The first token of a text is left as it is: it carries an activation a hundred times larger than any other (an
    attention sink), and an edit of it would act on every text alike.

    Args:
        edits: One per row.

    Example:
        >>> e = torch.tensor([1.0, 0.0])
        >>> RowEdits([Edit.adding(e, 2.0), Edit.clamping(e, 5.0)])(torch.ones(1, 2, 2)).tolist()
        [[[1.0, 1.0], [3.0, 1.0]], [[1.0, 1.0], [5.0, 1.0]]]
    """

    def __init__(self, edits: Sequence[Edit]) -> None:
        if not len(edits):
            raise ValueError("edits is empty; give one per row")
        self._write = torch.stack([e.write for e in edits])
        self._read = torch.stack([e.read for e in edits])
        self._add = torch.tensor([e.add for e in edits])
        self._pull = torch.tensor([e.pull for e in edits])
        self._target = torch.tensor([e.target for e in edits])

    def __len__(self) -> int:
        return len(self._add)

    def amounts(self, stream: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "rows pos"]:
        """How many activation units are added along each row's `write`, before the first token is spared."""
        add, pull, target = (t.to(stream.device)[:, None] for t in (self._add, self._pull, self._target))
        projected = torch.einsum("bpd,rd->brp", stream.float(), self._read.to(stream.device))
        own = projected[0] if len(stream) == 1 else projected.diagonal(dim1=0, dim2=1).T
        return add + pull * (target - own)

    def directions(self) -> Float[Tensor, "rows d_model"]:
        """What is written in each row."""
        return self._write

    def __call__(
        self, stream: Float[Tensor, "batch pos d_model"], *, first: Int[Tensor, "rows"] | int | None = 0
    ) -> Float[Tensor, "rows pos d_model"]:
        """The edited stream; a stream of one row is copied for every edit.

        Args:
            stream: One row, or as many as there are edits.
            first: Column of the first token of each row; None where this pass does not hold it (a later step of a
                generation).

        Raises:
            ValueError: another number of rows.
        """
        if len(stream) not in (1, len(self)):
            raise ValueError(f"there are {len(self)} edits for a batch of {len(stream)} rows")
        amounts = self.amounts(stream)
        if first is not None:
            columns = torch.arange(stream.shape[1], device=stream.device)
            starts = torch.as_tensor(first, device=stream.device).reshape(-1, 1)
            amounts = torch.where(columns > starts, amounts, 0.0)
        change = amounts[..., None] * self._write.to(stream.device)[:, None]
        return (stream.float() + change).to(stream.dtype)

    @contextmanager
    def attached(
        self, model: HookedModel, layer: Layer, *, first: Int[Tensor, "rows"] | int = 0
    ) -> Iterator[HookedModel]:
        """Edit the stream after block `layer` for the time of a `with` block, also while the model generates."""

        def edit(stream: Tensor, hook: object) -> Tensor:
            # With a KV cache, a pass of one column is a step after the prompt.
            return self(stream, first=first if stream.shape[1] > 1 else None)

        prepare_view(model)
        with attached(model, [(hook_name(model, layer), edit)]):
            yield model
