"""Steering: an edit of the residual stream while the model runs, undone when the `with` block ends."""

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NoReturn

import torch
from jaxtyping import Float
from torch import Tensor

from empathy_geometry.activations.reading import ReadingDesign
from empathy_geometry.foundation._types import Layer, Layers
from empathy_geometry.foundation._validation import as_layers, check_choice
from empathy_geometry.foundation.layers import depth
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.foundation.terminal import printable
from empathy_geometry.geometry.direction_units import Units, unit_scale, units_of
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.geometry.directions_by_layer import Directions
from empathy_geometry.geometry.subspaces import Subspace
from empathy_geometry.models.attachment import attached
from empathy_geometry.models.hooked_model import HookedModel, hook_names
from empathy_geometry.models.identity import identity_differences, model_identity
from empathy_geometry.models.loading import check_model
from empathy_geometry.models.model_view import is_view, prepare_view
from empathy_geometry.models.tokens import tokenize
from empathy_geometry.steering.stream_edit import StreamEdit
from empathy_geometry.steering.token_tracking import Positions, Span, TokenTracker, check_positions, check_spans
from empathy_geometry.texts.labeled_texts import LabeledTexts

Operation = Literal["add", "project_out", "clamp", "cap", "floor", "rotate"]

OPERATIONS: tuple[Operation, ...] = ("add", "project_out", "clamp", "cap", "floor", "rotate")
_WITH_TARGET = ("clamp", "cap", "floor")


class SteeringHook:
    """Adds a direction to the residual stream, or takes it out, at chosen layers and positions.

    Operations, with v the unit direction and alpha counted in `units`:
        "add": h + alpha * v.
        "project_out": h - alpha * v v'h, directional ablation; alpha = 1 removes the direction (or subspace) entirely.
        "clamp": h + alpha * (target - v'h) v; alpha = 1 sets the projection to `target` (mean ablation, where that is a
            class mean).
        "cap": as "clamp", but only where v'h lies above `target`; the rest is left as it is.
        "floor": as "clamp", but only where v'h lies below `target`.
        "rotate": h is turned by alpha degrees towards v (away from it where alpha is negative), in the plane of both
            and no further than to v itself; its norm stays.

    alpha = 0 leaves every bit as it was. Hooks compose: nested blocks apply in the order in which they were entered.

    Args:
        direction: A `ConceptDirection`; `Directions`, which edit each of their layers along its own; a `Subspace` (not
            for "add" and "rotate"); or a tensor [d_model], which is used as it is (not normalised) and needs `layers`.
        alpha: Strength; a number, or one per row of the batch, [batch].
        operation: See above.
        layers: Where; None takes the direction's own layer, or all of several directions. The stream after that block
            is edited.
        positions: Which tokens. "all", the first token of a text and other outlier tokens among them;
            "prompt" or "generated", told apart while the model generates, with and without
            a KV cache (a plain forward pass is all prompt); "last_prompt", the prompt's last token; "response": what
            the model writes, and in plain forward passes the spans given to `attached(model, responses=...)`; or a span
            (start, stop), one for all rows or one per row, in tokens of the text or prompt. Tokens are counted without
            padding, whichever side it is on, as the attention mask says.
        units: What one unit of alpha is for "add": "raw" activation units (alpha * v), or a multiple of one of the
            direction's scales: "residual_norm", "class_gap", "sd". None is the direction's own class gap where it has
            one, else "raw"; the same wherever alpha is counted.
        target: For "clamp", "cap" and "floor": a projection in activation units (for a subspace also one per basis
            row), or the class "positive" or "negative", whose mean projection is taken from the direction.

    Raises:
        TypeError: the direction is of another kind.
        ValueError: an unknown option, no layer, a scale that the direction does not have, or alpha not finite.

    Source: Turner et al. (2023), ActAdd; Rimsky et al. (2024), CAA; Arditi et al. (2024) for directional ablation; Lu
        et al. (2026) for capping; Vu & Nguyen (2025) for turning by an angle.

    Example:
        >>> hook = SteeringHook(torch.tensor([0.0, 2.0]), alpha=3.0, layers=[0])
        >>> hook.edit(torch.ones(1, 1, 2)).tolist()
        [[[1.0, 7.0]]]
    """

    def __init__(
        self,
        direction: ConceptDirection | Directions | Subspace | Float[Tensor, "d_model"],
        *,
        alpha: float | Sequence[float] | Float[Tensor, "batch"] = 1.0,
        operation: Operation = "add",
        layers: Layers | None = None,
        positions: Positions = "all",
        units: Units | None = None,
        target: float | Sequence[float] | Float[Tensor, "rank"] | Literal["positive", "negative"] | None = None,
    ) -> None:
        check_choice(operation, "operation", OPERATIONS)
        self.direction = direction
        self.operation = operation
        # The other operations take a fraction, which has no unit.
        each = tuple(direction.values()) if isinstance(direction, Directions) else (direction,)
        wanted = {units_of(d, units) if operation == "add" or units is not None else "raw" for d in each}
        self.units: Units = wanted.pop() if len(wanted) == 1 else "raw"
        self.positions = check_positions(positions)
        self.layers = _resolve_layers(direction, layers)
        self.alpha = _check_alpha(alpha)
        self.target = target.tolist() if isinstance(target, Tensor) else target
        self._along: dict[Layer, _Along] = {}
        if isinstance(direction, Directions):
            self._along = {layer: _Along.of(direction[layer], self.units, operation, target) for layer in self.layers}
        else:
            self._along = dict.fromkeys(self.layers, _Along.of(direction, self.units, operation, target))

    @printable
    def __repr__(self) -> str:
        shown = f"{float(self.alpha.detach()):g}" if self.alpha.ndim == 0 else f"{len(self.alpha)} values"
        return (
            f"SteeringHook({self.operation} {self.direction!r}, alpha {shown} {self.units}, layers {self.layers}, "
            f"positions {self.positions})"
        )

    def __enter__(self) -> NoReturn:
        raise TypeError("a hook needs a model to steer: write `with hook.attached(model):`")

    def __exit__(self, *error: object) -> None:
        """Never reached; a `with` statement asks for it before it enters."""

    @property
    def unit_length(self) -> float:
        """Activation units that alpha = 1 adds in "add"; 1 for the other operations.

        Raises:
            ValueError: the hook edits layers along directions of their own.
        """
        return self.unit_length_at(None)

    def unit_length_at(self, layer: Layer | None) -> float:
        """`unit_length` at one layer, where each is edited along a direction of its own."""
        if self.operation != "add":
            return 1.0
        along = self._at(layer)
        return along.scale * float(torch.linalg.vector_norm(along.basis[0].detach()))

    @property
    def edits_alike(self) -> bool:
        """Whether all layers are edited along one direction."""
        return len({id(along) for along in self._along.values()}) == 1

    def with_alpha(self, alpha: float | Sequence[float] | Float[Tensor, "batch"]) -> "SteeringHook":
        """The same hook with another strength."""
        other = copy.copy(self)
        other.alpha = _check_alpha(alpha)
        return other

    def with_positions(self, positions: Positions) -> "SteeringHook":
        """The same hook at other tokens."""
        other = copy.copy(self)
        other.positions = check_positions(positions)
        return other

    def edit(
        self, stream: Float[Tensor, "batch pos d_model"], *, columns: Tensor | None = None, layer: Layer | None = None
    ) -> Float[Tensor, "batch pos d_model"]:
        """The edited stream, as a new tensor (the very same one where nothing is to be edited).

        Args:
            stream: Residual stream of a batch.
            columns: [pos] or [batch, pos] booleans, which columns to edit; None edits all.
            layer: Where the stream is, for `Directions`.

        Raises:
            ValueError: the width differs, or alpha has another number of entries than the batch.
        """
        width = self._width
        if stream.ndim != 3 or stream.shape[-1] != width:
            raise ValueError(f"the stream must be [batch, pos, {width}], got {tuple(stream.shape)}")
        self._check_batch(len(stream))
        return self.stream_edit(layer)(stream, columns=columns)

    def stream_edit(self, layer: Layer | None = None) -> StreamEdit:
        """The edit itself: one for all rows, or one for each entry of alpha.

        Raises:
            ValueError: the hook edits layers along directions of their own, and `layer` does not say which.
        """
        along = self._at(layer)
        basis = along.basis[None]
        alpha = self.alpha.reshape(-1, 1).expand(-1, len(along.basis))
        none = torch.zeros_like(alpha[:1].detach())
        still = torch.zeros(1)
        if self.operation == "add":
            return StreamEdit(basis, basis, alpha * along.scale, none, none, none, still)
        if self.operation == "rotate":
            return StreamEdit(basis, basis, none, none, none, none, torch.deg2rad(self.alpha.reshape(-1)))
        target = none if along.target is None else along.target.to(none).expand(len(along.basis))[None]
        beyond = none + {"cap": 1.0, "floor": -1.0}.get(self.operation, 0.0)
        return StreamEdit(basis, basis, none, alpha, target, beyond, still)

    @property
    def _width(self) -> int:
        return int(next(iter(self._along.values())).basis.shape[-1])

    def _at(self, layer: Layer | None) -> "_Along":
        if layer is None and not self.edits_alike:
            raise ValueError(
                f"this hook edits layers {list(self.layers)} each along its own direction; say which layer"
            )
        return self._along[self.layers[0] if layer is None else layer]

    @contextmanager
    def attached(self, model: HookedModel, *, responses: Sequence[Span] | None = None) -> Iterator[HookedModel]:
        """Attach to a model for the time of a `with` block; undone also after an exception.

        Passes are checked before any layer runs: alpha and spans against the rows, spans against the tokens.

        Args:
            model: HookedTransformer or TransformerBridge.
            responses: With positions="response", where the response of each row lies in plain forward passes, as
                `response_spans` gives it.

        Yields:
            The model.

        Raises:
            ValueError: the layer does not exist, or the direction belongs to another model or width.

        Example:
            >>> with hook.attached(model):  # doctest: +SKIP
            ...     model.generate("I lost my job today.", max_new_tokens=40)
        """
        check_model(model)
        names = self.names(model) if is_view(model) else self.check_fits(model)
        if responses is not None and self.positions != "response":
            raise ValueError(f"responses only apply to positions='response', not to {self.positions!r}")
        spans = self.positions if responses is None else check_positions(responses)
        prepare_view(model)
        tracker = None
        if self.positions != "all" or self.alpha.ndim == 1:
            tracker = TokenTracker(lambda rows, lengths: self._check_pass(spans, rows, lengths))
        edited_any = False

        def edit(stream: Tensor, hook: object, *, layer: Layer) -> Tensor | None:
            nonlocal edited_any
            columns = None
            if tracker is not None and self.positions != "all":
                columns = tracker.select(spans)
                if responses is not None:
                    columns = columns | tracker.generated()
                edited_any = edited_any or bool(columns.any())
            edited = self.edit(stream, columns=columns, layer=layer)
            return None if edited is stream else edited

        before = None if tracker is None else tracker.before(model)
        edits = [(name, partial(edit, layer=layer)) for name, layer in zip(names, self._by_depth, strict=True)]
        with attached(model, edits, before=before):
            yield model
            if self.positions == "response" and responses is None and tracker is not None and not edited_any:
                warnings.warn(
                    "positions='response' edited nothing, since the model wrote nothing here; for plain forward passes "
                    "give attached(model, responses=response_spans(model, texts))",
                    stacklevel=3,
                )

    def names(self, model: HookedModel) -> list[str]:
        """The hook points that are edited, the first in the model first.

        Raises:
            ValueError: no such layer in this model.
        """
        return hook_names(model, self._by_depth, _site(self.direction))

    @property
    def _by_depth(self) -> list[Layer]:
        return sorted(self.layers, key=depth)

    def check_fits(self, model: HookedModel) -> list[str]:
        """The hook points that are edited; ValueError if the direction is of another model.

        That is: another width, no such layer, or anything that `models.identity` finds different, as other weights,
        buffers, configuration or hooks of others.
        """
        d_model, width = int(model.cfg.d_model), self._width
        if width != d_model:
            raise ValueError(f"the direction has width {width}, the model d_model {d_model}; it is of another model")
        names = self.names(model)
        known = getattr(self.direction, "model", None)
        if not known:
            return names
        differing = identity_differences(known, model_identity(model))
        if differing:
            raise ValueError(
                f"the direction was made on another model, or this one was changed since ({'; '.join(differing)}); "
                f"extract it again here, or pass direction.vector if you mean it"
            )
        return names

    def _check_batch(self, rows: int) -> None:
        if self.alpha.ndim == 1 and len(self.alpha) != rows:
            raise ValueError(
                f"alpha has {len(self.alpha)} entries, the batch {rows} rows; give one number, or one per row"
            )

    def _check_pass(self, spans: Positions, rows: int, lengths: Tensor) -> None:
        self._check_batch(rows)
        if lengths.numel():
            check_spans(spans, lengths.tolist())


@takes_settings(reading=ReadingDesign)
def response_spans(
    model: HookedModel,
    texts: LabeledTexts,
    *,
    reading: ReadingDesign = ReadingDesign(),  # noqa: B008 - immutable
) -> list[Span]:
    """Where the response of each text lies, in tokens, for `SteeringHook(..., positions="response")`.

    Args:
        model: Whose tokenizer and conventions to use.
        texts: Texts with prompts; without prompts the whole text (BOS left out) is the response.
        reading: As in `extract_activations`.

    Example:
        >>> with hook.attached(model, responses=response_spans(model, texts)):  # doctest: +SKIP
        ...     model(ids, attention_mask=mask)
    """
    return [(t.start, t.stop) for t in tokenize(model, texts, **reading.tokenization)]


def _site(direction: object) -> Any:
    return getattr(direction, "site", "resid_post")


def _check_alpha(alpha: float | Sequence[float] | Tensor) -> Tensor:
    try:
        values = torch.as_tensor(alpha, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"alpha must be a number, or one for each row, got {type(alpha).__name__} {alpha!r}") from error
    if values.ndim > 1 or values.numel() == 0:
        raise ValueError(f"alpha must be a number or [batch], got shape {tuple(values.shape)}")
    if not torch.isfinite(values).all():
        raise ValueError("alpha must be finite")
    return values


@dataclass(frozen=True, eq=False)
class _Along:
    """What is edited at a layer: along which rows, how long one unit of alpha is, and to where."""

    basis: Float[Tensor, "rank d_model"]
    scale: float
    target: Tensor | None

    @classmethod
    def of(cls, direction: object, units: Units, operation: Operation, target: Any) -> "_Along":
        basis = _basis(direction, operation)
        return cls(basis, _scale(direction, units, operation), _target(direction, operation, target, len(basis)))


def _resolve_layers(direction: object, layers: Layers | None) -> tuple[Layer, ...]:
    if isinstance(direction, Directions):
        chosen = direction.layers if layers is None else as_layers(layers)
        unknown = [layer for layer in chosen if layer not in direction]
        if unknown:
            raise ValueError(f"there is no direction at layers {unknown}; there are {list(direction)}")
        return chosen
    if layers is None:
        own = getattr(direction, "layer", None)
        if own is None:
            raise ValueError("the direction does not say at which layer it lives; pass layers=[...]")
        return (own,)
    return as_layers(layers)


def _basis(direction: object, operation: Operation) -> Float[Tensor, "rank d_model"]:
    """Rows to edit along: unit for library directions, as given for a tensor in "add", unit otherwise."""
    if isinstance(direction, ConceptDirection):
        return direction.vector[None]
    if isinstance(direction, Subspace):
        if operation in ("add", "rotate"):
            raise ValueError(
                f"operation={operation!r} needs one direction, got a Subspace; try 'project_out' or 'clamp'"
            )
        return direction.basis
    if not isinstance(direction, Tensor):
        raise TypeError(
            f"direction must be a ConceptDirection, Directions, a Subspace or a tensor [d_model], got "
            f"{type(direction).__name__}"
        )
    if direction.ndim != 1 or not torch.isfinite(direction).all() or not direction.any():
        raise ValueError(
            f"a direction tensor must be [d_model], finite and not zero, got shape {tuple(direction.shape)}"
        )
    vector = direction.float().cpu()  # not detached: a steering vector can be learned through the hook
    return vector[None] if operation == "add" else vector[None] / torch.linalg.vector_norm(vector)


def _scale(direction: object, units: Units, operation: Operation) -> float:
    if units != "raw" and operation != "add":
        counted = "degrees" if operation == "rotate" else "a fraction"
        raise ValueError(f"units={units!r} only applies to operation='add'; {operation!r} takes {counted} as alpha")
    return unit_scale(direction, units)


def _target(
    direction: object, operation: Operation, target: float | Sequence[float] | Tensor | str | None, rank: int
) -> Tensor | None:
    if operation not in _WITH_TARGET:
        if target is not None:
            raise ValueError(f"target only applies to operation='clamp', 'cap' and 'floor', not to {operation!r}")
        return None
    if target is None:
        raise ValueError(f"operation={operation!r} needs a target: a projection, or 'positive' or 'negative'")
    if isinstance(target, str):
        means = getattr(direction, "class_means", {})
        if target not in means:
            raise ValueError(
                f"target {target!r} is not among the direction's class means {sorted(means)}; give a number"
            )
        target = float(means[target])
    values = torch.as_tensor(target, dtype=torch.float32)
    if values.ndim > 1 or values.numel() not in (1, rank) or not torch.isfinite(values).all():
        raise ValueError(
            f"target must be one finite projection, or one for each of the {rank} basis rows, got {target!r}"
        )
    return values
