"""The one edit of a residual stream, whoever asks for it: each row of a batch is moved along its own directions."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from empathy_geometry.foundation._types import Layer
from empathy_geometry.models.attachment import attached
from empathy_geometry.models.hooked_model import HookedModel, hook_name
from empathy_geometry.models.model_view import prepare_view
from empathy_geometry.steering.token_tracking import TokenTracker


@dataclass(frozen=True, eq=False)
class StreamEdit:
    """What happens to the stream h of each row: h + sum over the rank of (add + pull * (target - read'h)) * write.

    Adding a vector, directional ablation and clamping are this with `read` equal to `write`. Where they differ, the
    edit is a placebo: at every token as large as the ablation of `read`, along a direction that has nothing to do with
    it. Capping pulls only projections that lie beyond the target. Then h is turned, in the plane that it spans with
    the first of `write`, towards that, which leaves its norm as it is. Every field holds one entry for all rows of a
    batch (rows = 1), or one for each.

    A stream of one row becomes a row for each edit. That is why blocks before the edited one need to run only once for
    a text, however many edits it is read under: attach the edit, and give the model the text as one row.

    Attributes:
        write: Directions that the stream moves along, [rows, rank, d_model].
        read: Directions whose projections are moved; unit vectors, [rows, rank, d_model].
        add: Activation units along `write`, [rows, rank].
        pull: 1 moves a projection all the way to its target, 0 leaves it, [rows, rank].
        target: Activation units, [rows, rank].
        beyond: Which projections are pulled, [rows, rank]: 0 all, 1 those above the target, -1 those below.
        turn: Radians, [rows].

    Example:
        >>> e = torch.tensor([1.0, 0.0])
        >>> edit = StreamEdit.together([StreamEdit.adding(e, 2.0), StreamEdit.clamping(e, 5.0)])
        >>> edit(torch.ones(1, 2, 2), columns=torch.tensor([False, True])).tolist()
        [[[1.0, 1.0], [3.0, 1.0]], [[1.0, 1.0], [5.0, 1.0]]]
    """

    write: Float[Tensor, "write_rows rank d_model"]
    read: Float[Tensor, "read_rows rank d_model"]
    add: Float[Tensor, "add_rows rank"]
    pull: Float[Tensor, "pull_rows rank"]
    target: Float[Tensor, "target_rows rank"]
    beyond: Float[Tensor, "beyond_rows rank"]
    turn: Float[Tensor, "turn_rows"]

    @classmethod
    def nothing(cls, d_model: int) -> "StreamEdit":
        """One row that is left as it is."""
        return cls.adding(torch.zeros(d_model), 0.0)

    @classmethod
    def adding(cls, vector: Float[Tensor, "d_model"], length: float) -> "StreamEdit":
        """One row to which `length` times a vector is added."""
        none = torch.zeros(1, 1)
        return cls(
            vector[None, None], vector[None, None], torch.tensor([[float(length)]]), none, none, none, torch.zeros(1)
        )

    @classmethod
    def clamping(
        cls, vector: Float[Tensor, "d_model"], target: float, *, write: Float[Tensor, "d_model"] | None = None
    ) -> "StreamEdit":
        """One row whose projection on a unit vector is set to `target`; with `write`, the placebo of that."""
        moved = vector if write is None else write
        return cls(
            moved[None, None],
            vector[None, None],
            torch.zeros(1, 1),
            torch.ones(1, 1),
            torch.tensor([[float(target)]]),
            torch.zeros(1, 1),
            torch.zeros(1),
        )

    @classmethod
    def together(cls, edits: Sequence["StreamEdit"]) -> "StreamEdit":
        """Edits of one row each as the rows of one.

        Raises:
            ValueError: there are none.
        """
        if not len(edits):
            raise ValueError("edits is empty; give one per row")
        return cls(
            torch.cat([e.write for e in edits]),
            torch.cat([e.read for e in edits]),
            torch.cat([e.add for e in edits]),
            torch.cat([e.pull for e in edits]),
            torch.cat([e.target for e in edits]),
            torch.cat([e.beyond for e in edits]),
            torch.cat([e.turn for e in edits]),
        )

    @property
    def rows(self) -> int:
        """How many rows the edit tells apart; 1 where it is the same for all."""
        parts = (self.write, self.read, self.add, self.pull, self.target, self.beyond, self.turn)
        return max(map(len, parts))

    def __call__(
        self,
        stream: Float[Tensor, "batch pos d_model"],
        *,
        columns: Bool[Tensor, "pos"] | Bool[Tensor, "column_rows pos"] | None = None,
    ) -> Float[Tensor, "rows pos d_model"]:
        """The edited stream, as a new tensor (the very same one where nothing is to be edited).

        Computed in float32 at least, so that half-precision models are edited by what was asked for. A row that adds
        and pulls nothing keeps every bit.

        Args:
            stream: One row, or as many as there are edits, or any number under an edit that is the same for all.
            columns: Which columns to edit; None edits all.

        Raises:
            ValueError: another number of rows.
        """
        rows = self.rows
        if rows > 1 and len(stream) not in (1, rows):
            raise ValueError(f"there are {rows} edits for a batch of {len(stream)} rows; give one per row")
        if len(stream) < rows:
            stream = stream.expand(rows, -1, -1)
        # A strength of nought changes nothing, and still has a gradient.
        strengths = (self.add, self.pull, self.turn)
        learned = torch.is_grad_enabled() and any(s.requires_grad for s in strengths)
        idle = ((self.add == 0) & (self.pull == 0)).all(dim=1) & (self.turn == 0)
        if (bool(idle.all()) and not learned) or (columns is not None and not columns.any()):
            return stream
        compute = torch.promote_types(stream.dtype, torch.float32)
        write, read, add, pull, target, beyond, turn = (
            t.to(stream.device, compute)
            for t in (self.write, self.read, self.add, self.pull, self.target, self.beyond, self.turn)
        )
        with torch.autocast(stream.device.type, enabled=False):
            amounts = add[:, None]
            if bool(pull.any()) or self.pull.requires_grad:
                projected = stream.to(compute) @ (read[0].T if len(read) == 1 else read.mT)
                gap = target[:, None] - projected
                if bool(beyond.any()):
                    gap = torch.where(beyond[:, None] * gap > 0, torch.zeros_like(gap), gap)
                amounts = amounts + pull[:, None] * gap
            # One direction is a product of numbers and a vector; several are summed.
            change = amounts * write if write.shape[1] == 1 else amounts @ write
            moved = stream.to(compute) + change
            if bool(turn.any()) or self.turn.requires_grad:
                moved = _turned(moved, write[:, 0], turn)
        edited = moved.to(stream.dtype)
        keep = torch.zeros_like(idle) if learned else idle
        keep = keep.to(stream.device)[:, None, None]
        if columns is not None:
            keep = keep | ~columns.to(stream.device).reshape(-1, columns.shape[-1], 1)
        return torch.where(keep, stream, edited) if bool(keep.any()) else edited


def _turned(
    h: Float[Tensor, "rows pos d_model"],
    towards: Float[Tensor, "write_rows d_model"],
    angle: Float[Tensor, "turn_rows"],
) -> Float[Tensor, "rows pos d_model"]:
    """Rows turned towards a unit vector, at most until they lie along it (or, turned away, along its opposite)."""
    v = towards[:, None]
    along = (h * v).sum(-1, keepdim=True)
    across = h - along * v
    left = torch.linalg.vector_norm(across, dim=-1, keepdim=True)
    now = torch.atan2(left, along)
    then = (now - angle[:, None, None]).clamp(0, torch.pi)
    length = torch.hypot(along, left)
    turned = length * (then.cos() * v + then.sin() * across / left.clamp_min(torch.finfo(h.dtype).tiny))
    # What lies along the direction spans no plane with it.
    return torch.where(left > torch.finfo(h.dtype).eps * length, turned, h)


@contextmanager
def attached_but_outliers(
    model: HookedModel, layer: Layer, edit: Callable[..., Float[Tensor, "rows pos d_model"]]
) -> Iterator[HookedModel]:
    """Edit the stream after a block at every token but outlier tokens, for the time of a `with` block.

    An outlier token (`activations.outlier_tokens`: the first of a text, and others of a massive norm) carries an
    activation a hundred times larger than any other; an edit of it would act on every text alike. It works in plain
    passes and while the model generates, with and without a KV cache, wherever padding is.

    Args:
        model: HookedTransformer or TransformerBridge, or a view of one.
        layer: The block.
        edit: From a stream and `columns=`, those to edit, to the edited stream; such as a `StreamEdit`.
    """
    tracker = TokenTracker()

    def change(stream: Tensor, hook: object) -> Tensor:
        return edit(stream, columns=tracker.ordinary(stream))

    prepare_view(model)
    with attached(model, [(hook_name(model, layer), change)], before=tracker.before(model)):
        yield model
