"""Steering: an edit of the residual stream while the model runs, undone when the `with` block ends."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation._validation import check_choice
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.geometry.subspaces import Subspace
from empathy_geometry.models.loading import HookedModel, check_model, hook_name, model_identity
from empathy_geometry.steering.token_tracking import ColumnTracker

Operation = Literal["add", "project_out", "clamp"]
Units = Literal["raw", "residual_norm", "class_gap", "sd"]
Positions: TypeAlias = Literal["all", "prompt", "generated"] | tuple[int, int]

OPERATIONS: tuple[Operation, ...] = ("add", "project_out", "clamp")
UNITS: tuple[Units, ...] = ("raw", "residual_norm", "class_gap", "sd")


class SteeringHook:
    """Adds a direction to the residual stream, or takes it out, at chosen layers and positions.

    Operations, with v the unit direction and alpha counted in `units`:
        "add": h + alpha * v.
        "project_out": h - alpha * v v'h; alpha = 1 removes the direction (or subspace) entirely.
        "clamp": h + alpha * (target - v'h) v; alpha = 1 sets the projection to `target`.

    alpha = 0 leaves every bit as it was. Hooks compose: nested blocks apply in the order in which they were entered.

    Args:
        direction: A `ConceptDirection`, a `Subspace` (not for "add"), or a tensor [d_model], which is used as it is
            (not normalised) and needs `layers`.
        alpha: Strength; a number, or one per row of the batch, [batch].
        operation: See above.
        layers: Where; None takes the direction's own layer. The stream after that block is edited.
        positions: "all"; "prompt" or "generated" (told apart while the model generates, with and without a KV cache);
            or a span (start, stop) of token columns.
        units: What one unit of alpha is for "add": "raw" activation units (alpha * v), or a multiple of one of the
            direction's scales: "residual_norm", "class_gap", "sd".
        target: For "clamp": a projection in activation units, or the class "positive" or "negative", whose mean
            projection is taken from the direction.

    Raises:
        TypeError: the direction is of another kind.
        ValueError: an unknown option, no layer, a scale that the direction does not have, or alpha not finite.

    Source: Turner et al. (2023), ActAdd; Rimsky et al. (2024), CAA; Arditi et al. (2024) for projecting out.

    Example:
        >>> hook = SteeringHook(torch.tensor([0.0, 2.0]), alpha=3.0, layers=[0])
        >>> hook.edit(torch.ones(1, 1, 2)).tolist()
        [[[1.0, 7.0]]]
    """

    def __init__(
        self,
        direction: ConceptDirection | Subspace | Float[Tensor, "d_model"],
        *,
        alpha: float | Sequence[float] | Float[Tensor, "batch"] = 1.0,
        operation: Operation = "add",
        layers: Layer | Sequence[Layer] | None = None,
        positions: Positions = "all",
        units: Units = "raw",
        target: float | Literal["positive", "negative"] | None = None,
    ) -> None:
        check_choice(operation, "operation", OPERATIONS)
        check_choice(units, "units", UNITS)
        self.direction = direction
        self.operation = operation
        self.units = units
        self.positions = _check_positions(positions)
        self.layers = _resolve_layers(direction, layers)
        self.alpha = _check_alpha(alpha)
        self._basis = _basis(direction, operation)
        self._scale = _scale(direction, units, operation)
        self._target = _target(direction, operation, target)

    def __repr__(self) -> str:
        shown = f"{float(self.alpha):g}" if self.alpha.ndim == 0 else f"{len(self.alpha)} values"
        return (
            f"SteeringHook({self.operation} {self.direction!r}, alpha {shown} {self.units}, layers {self.layers}, "
            f"positions {self.positions})"
        )

    @property
    def unit_length(self) -> float:
        """Activation units that alpha = 1 adds in "add"; 1 for the other operations."""
        if self.operation != "add":
            return 1.0
        return self._scale * float(torch.linalg.vector_norm(self._basis[0]))

    def with_alpha(self, alpha: float | Sequence[float] | Float[Tensor, "batch"]) -> "SteeringHook":
        """The same hook with another strength."""
        other = object.__new__(SteeringHook)
        other.__dict__.update(self.__dict__)
        other.alpha = _check_alpha(alpha)
        return other

    def edit(
        self, stream: Float[Tensor, "batch pos d_model"], *, columns: Tensor | None = None
    ) -> Float[Tensor, "batch pos d_model"]:
        """The edited stream, as a new tensor.

        Args:
            stream: Residual stream of a batch.
            columns: [pos] booleans, which columns to edit; None edits all.

        Raises:
            ValueError: the width differs, or alpha has another number of entries than the batch.
        """
        width = self._basis.shape[-1]
        if stream.ndim != 3 or stream.shape[-1] != width:
            raise ValueError(f"the stream must be [batch, pos, {width}], got {tuple(stream.shape)}")
        if self.alpha.ndim == 1 and len(self.alpha) != len(stream):
            raise ValueError(
                f"alpha has {len(self.alpha)} entries, the batch {len(stream)} rows; give one number, or one per row"
            )
        if not self.alpha.any() or (columns is not None and not columns.any()):
            return stream
        # Computed in float32 at least, so that half-precision models are edited by what was asked for.
        compute = torch.promote_types(stream.dtype, torch.float32)
        basis = self._basis.to(stream.device, compute)
        alpha = self.alpha.to(stream.device, compute).reshape(-1, 1, 1)
        if self.operation == "add":
            change = alpha * self._scale * basis[0]
        else:
            coordinates = stream.to(compute) @ basis.T
            wanted = 0.0 if self._target is None else self._target.to(stream.device, compute)
            change = alpha * ((wanted - coordinates) @ basis)
        edited = (stream.to(compute) + change).to(stream.dtype)
        keep = alpha == 0
        if columns is not None:
            keep = keep | ~columns.to(stream.device).reshape(1, -1, 1)
        return torch.where(keep, stream, edited) if bool(keep.any()) else edited

    @contextmanager
    def attached(self, model: HookedModel) -> Iterator[HookedModel]:
        """Attach to a model for the time of a `with` block; undone also after an exception.

        Args:
            model: HookedTransformer or TransformerBridge.

        Yields:
            The model.

        Raises:
            ValueError: the layer does not exist, or the direction belongs to another model or width.

        Example:
            >>> with hook.attached(model):  # doctest: +SKIP
            ...     model.generate("I lost my job today.", max_new_tokens=40)
        """
        check_model(model)
        self.check_fits(model)
        names = [hook_name(model, layer, _site(self.direction)) for layer in self.layers]
        tracker = None if self.positions == "all" else ColumnTracker()

        def edit(stream: Tensor, hook: object) -> Tensor | None:
            columns = None if tracker is None else tracker.select(self.positions)
            edited = self.edit(stream, columns=columns)
            return None if edited is stream else edited

        hooks: list[tuple[str, Callable[..., Tensor | None]]] = [(name, edit) for name in names]
        if tracker is not None:
            hooks.insert(0, (hook_name(model, "embed"), tracker.observe))
        with model.hooks(fwd_hooks=hooks):
            yield model

    def check_fits(self, model: HookedModel) -> None:
        """Raise ValueError if the direction belongs to another model, other weights or another width."""
        d_model, width = int(model.cfg.d_model), int(self._basis.shape[-1])
        if width != d_model:
            raise ValueError(f"the direction has width {width}, the model d_model {d_model}; it is of another model")
        known = getattr(self.direction, "model", None)
        if not known:
            return
        identity = model_identity(model)
        for key in ("name", "normalization"):
            if key in known and key in identity and known[key] != identity[key]:
                raise ValueError(
                    f"the direction was made on a model with {key} {known[key]!r}, this one has {identity[key]!r}; "
                    f"extract it again here, or pass direction.vector if you mean it"
                )
        # Hashes can only be compared where names and widths of the parameters are the same.
        alike = all(known.get(key) == identity[key] for key in ("class", "dtype"))
        if alike and known.get("weights_sha256") != identity["weights_sha256"]:
            raise ValueError(
                f"the direction was made on other weights of {identity['name']!r} (SHA-256 differs); extract it "
                f"again here, or pass direction.vector if you mean it"
            )


def _site(direction: object) -> Any:
    return getattr(direction, "site", "resid_post")


def _check_positions(positions: Positions) -> Positions:
    if isinstance(positions, tuple):
        if (
            len(positions) != 2
            or not all(isinstance(p, int) for p in positions)
            or not 0 <= positions[0] < positions[1]
        ):
            raise ValueError(f"a span must be (start, stop) with 0 <= start < stop, got {positions!r}")
        return positions
    check_choice(positions, "positions", ("all", "prompt", "generated"))
    return positions


def _check_alpha(alpha: float | Sequence[float] | Tensor) -> Tensor:
    values = torch.as_tensor(alpha, dtype=torch.float32)
    if values.ndim > 1 or values.numel() == 0:
        raise ValueError(f"alpha must be a number or [batch], got shape {tuple(values.shape)}")
    if not torch.isfinite(values).all():
        raise ValueError("alpha must be finite")
    return values


def _resolve_layers(direction: object, layers: Layer | Sequence[Layer] | None) -> tuple[Layer, ...]:
    if layers is None:
        own = getattr(direction, "layer", None)
        if own is None:
            raise ValueError("the direction does not say at which layer it lives; pass layers=[...]")
        return (own,)
    if isinstance(layers, int) or layers == "embed":
        return (layers,)
    chosen = tuple(layers)
    if not chosen or len(set(chosen)) != len(chosen):
        raise ValueError(f"layers must name each layer once, got {list(chosen)}")
    return chosen


def _basis(direction: object, operation: Operation) -> Float[Tensor, "rank d_model"]:
    """Rows to edit along: unit for library directions, as given for a tensor in "add", unit otherwise."""
    if isinstance(direction, ConceptDirection):
        return direction.vector[None]
    if isinstance(direction, Subspace):
        if operation == "add":
            raise ValueError("operation='add' needs one direction, got a Subspace; try 'project_out' or 'clamp'")
        return direction.basis
    if not isinstance(direction, Tensor):
        raise TypeError(
            f"direction must be a ConceptDirection, a Subspace or a tensor [d_model], got {type(direction).__name__}"
        )
    if direction.ndim != 1 or not torch.isfinite(direction).all() or not direction.any():
        raise ValueError(
            f"a direction tensor must be [d_model], finite and not zero, got shape {tuple(direction.shape)}"
        )
    vector = direction.detach().float().cpu()
    return vector[None] if operation == "add" else vector[None] / torch.linalg.vector_norm(vector)


def _scale(direction: object, units: Units, operation: Operation) -> float:
    if units == "raw":
        return 1.0
    if operation != "add":
        raise ValueError(f"units={units!r} only applies to operation='add'; {operation!r} takes a fraction as alpha")
    scales = getattr(direction, "scales", {})
    if units not in scales:
        raise ValueError(
            f"units={units!r} needs a direction that knows its {units}; this one has {sorted(scales)}. "
            f"Try ConceptDirection.from_activations, or units='raw'"
        )
    return float(scales[units])


def _target(direction: object, operation: Operation, target: float | str | None) -> Tensor | None:
    if operation != "clamp":
        if target is not None:
            raise ValueError(f"target only applies to operation='clamp', not to {operation!r}")
        return None
    if target is None:
        raise ValueError("operation='clamp' needs a target: a projection, or 'positive' or 'negative'")
    if isinstance(target, str):
        means = getattr(direction, "class_means", {})
        if target not in means:
            raise ValueError(
                f"target {target!r} is not among the direction's class means {sorted(means)}; give a number"
            )
        target = means[target]
    return torch.as_tensor(float(target))
