"""A subspace of the residual stream: several directions at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from scipy.linalg import subspace_angles
from torch import Tensor

from empathy_geometry.activations.dominance import dominant_scenarios, warn_of_dominance
from empathy_geometry.activations.pairing import paired_differences
from empathy_geometry.activations.pooled import Activations, check_activations
from empathy_geometry.foundation._types import FloatArray, Layer
from empathy_geometry.foundation._validation import as_layer, as_matrix, check_choice, rows_named, whole_number
from empathy_geometry.foundation.artefact import load_artefact, save_artefact
from empathy_geometry.foundation.terminal import printable
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.models.identity import identity_differences


@dataclass(frozen=True, eq=False)
class Subspace:
    """The span of a few directions.

    Attributes:
        basis: [rank, d_model], rows orthonormal, float32.
        explained: Share of the variance that each row carries, where it came from a decomposition; else empty.
        method: How it was estimated.
        layer: Where it lives, or None if unknown.
        site: Hook point of the block.
        model: Identity of the model, empty if unknown.

    Raises:
        ValueError: the rows are not orthonormal.

    Example:
        >>> s = Subspace.from_directions(torch.tensor([[2., 0., 0.], [0., 5., 0.]]))
        >>> s.rank, s.project(torch.tensor([1., 2., 3.])).tolist(), s.remove(torch.tensor([1., 2., 3.])).tolist()
        (2, [1.0, 2.0, 0.0], [0.0, 0.0, 3.0])
    """

    # Taken as numbers: a subspace is a finished estimate. Gradients flow through `project` and `remove` to their rows.
    basis: Float[Tensor, "rank d_model"]
    explained: tuple[float, ...] = ()
    method: str = "given"
    layer: Layer | None = None
    site: str = "resid_post"
    model: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        basis = torch.as_tensor(self.basis).detach().float().cpu()
        if basis.ndim != 2 or basis.numel() == 0:
            raise ValueError(f"basis must be [rank, d_model], got shape {tuple(basis.shape)}")
        error = float((basis @ basis.T - torch.eye(len(basis))).abs().max())
        if not error < 1e-3:
            raise ValueError(f"basis rows must be orthonormal (off by {error:.2g}); try Subspace.from_directions")
        object.__setattr__(self, "basis", basis)
        if self.layer is not None:
            object.__setattr__(self, "layer", as_layer(self.layer))

    @printable
    def __repr__(self) -> str:
        where = "" if self.layer is None else f", layer {self.layer}"
        return f"Subspace(rank {self.rank} of {self.d_model}, {self.method}{where})"

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return int(self.basis.shape[0])

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.basis.shape[1])

    @classmethod
    def from_pca(
        cls,
        x: Float[Tensor, "n d_model"],
        *,
        rank: int | None = None,
        variance: float = 0.9,
        center: bool = True,
        layer: Layer | None = None,
    ) -> "Subspace":
        """The leading principal components of rows.

        Args:
            x: Rows.
            rank: How many components; None takes as many as carry `variance`.
            variance: Share of the variance, in (0, 1], used where `rank` is None. The number so found follows n more
                than the truth: see `dimensionality`.
            center: Subtract the mean first.
            layer: Where the rows come from.

        Raises:
            ValueError: `rank` exceeds what the rows span, or they do not vary.
        """
        rows = as_matrix(x, "x")
        return _decompose(rows - rows.mean(axis=0) if center else rows, rank, variance, "pca", layer)

    @classmethod
    def from_pairs(
        cls,
        positive: Float[Tensor, "n d_model"],
        negative: Float[Tensor, "n d_model"],
        *,
        rank: int | None = None,
        variance: float = 0.9,
        center: bool = False,
        layer: Layer | None = None,
    ) -> "Subspace":
        """The leading components of the paired differences positive[i] - negative[i].

        Uncentred by default, so that the common difference itself lies in the subspace.
        """
        up = as_matrix(positive, "positive")
        down = as_matrix(negative, "negative", d_model=up.shape[1])
        if len(up) != len(down):
            raise ValueError(f"positive and negative must be paired row by row, got {len(up)} and {len(down)} rows")
        differences = up - down
        if center:
            differences = differences - differences.mean(axis=0)
        return _decompose(differences, rank, variance, "pairs", layer)

    @classmethod
    def from_directions(
        cls,
        directions: Float[Tensor, "k d_model"] | Sequence[ConceptDirection],
        *,
        layer: Layer | None = None,
    ) -> "Subspace":
        """The span of given directions; linearly dependent ones add nothing.

        Raises:
            ValueError: the directions belong to different layers or models.
        """
        model: Mapping[str, Any] = {}
        if not isinstance(directions, Tensor) and len(directions) and isinstance(directions[0], ConceptDirection):
            layers = {d.layer for d in directions}
            if len(layers) > 1:
                raise ValueError(f"the directions must share layer and model, got layers {sorted(map(str, layers))}")
            for other in directions[1:]:
                differing = identity_differences(directions[0].model, other.model)
                if differing:
                    raise ValueError(f"the directions must share layer and model ({'; '.join(differing)})")
            layer = directions[0].layer if layer is None else layer
            model = directions[0].model
            directions = torch.stack([d.vector for d in directions])
        rows = as_matrix(directions, "directions")  # type: ignore[arg-type]
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        if (lengths == 0).any():
            raise ValueError("a direction has length zero")
        singular, basis = np.linalg.svd(rows / lengths, full_matrices=False)[1:]
        kept = basis[singular > 1e-6 * singular[0]]
        return cls(torch.as_tensor(kept, dtype=torch.float32), (), "directions", layer, model=model)

    @classmethod
    def from_activations(
        cls,
        activations: Activations,
        *,
        layer: Layer,
        positive: str | None = None,
        negative: str | None = None,
        method: Literal["pairs", "pca"] = "pairs",
        rank: int | None = None,
        variance: float = 0.9,
    ) -> "Subspace":
        """A subspace from labeled activations: of the differences within scenarios ("pairs"), or of the rows ("pca").

        Raises:
            ValueError: unknown layer or class; for "pairs" both classes are needed in each scenario.
        """
        check_choice(method, "method", ("pairs", "pca"))
        check_activations(activations)
        x = activations.layer(layer)
        if method == "pca":
            if positive is not None:
                x = x[torch.as_tensor(rows_named(activations.labels, positive, "positive"))]
            rows = as_matrix(x, "x")
            found = _decompose(rows - rows.mean(axis=0), rank, variance, "pca", layer)
        else:
            if positive is None or negative is None:
                raise ValueError("method='pairs' needs positive=... and negative=...")
            rows, names = paired_differences(
                x, activations.labels, activations.groups, positive=positive, negative=negative
            )
            warn_of_dominance(dominant_scenarios((rows**2).sum(axis=1), names), "the subspace", stacklevel=2)
            found = _decompose(rows, rank, variance, "pairs", layer)
        identity = {} if activations.provenance is None else dict(activations.provenance.model)
        return cls(found.basis, found.explained, found.method, layer, activations.site, identity)

    def project(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """The part of each row that lies in the subspace."""
        basis = self._basis_like(x)
        return (x @ basis.T) @ basis

    def remove(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """The part of each row that is orthogonal to the subspace."""
        return x - self.project(x)

    def coordinates(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch rank"]:
        """Lengths of each row along the basis, in activation units."""
        return x @ self._basis_like(x).T

    def principal_angles(self, other: "Subspace") -> Float[Tensor, "k"]:
        """Angles between two subspaces in radians, ascending, as many as the smaller rank.

        Source: Knyazev & Argentati (2002), through `scipy.linalg.subspace_angles`.
        """
        self._check_width(other.d_model)
        a, b = self.basis.double().numpy().T, other.basis.double().numpy().T
        return torch.as_tensor(subspace_angles(a, b)[::-1].copy(), dtype=torch.float32)

    def overlap(self, other: "Subspace") -> float:
        """Mean squared cosine of the principal angles, in [0, 1]; two random subspaces give rank / d_model."""
        return float(torch.cos(self.principal_angles(other).double()).square().mean())

    def save(self, path: str | Path) -> Path:
        """Write one safetensors file, atomically."""
        described = {
            "explained": list(self.explained),
            "method": self.method,
            "layer": self.layer,
            "site": self.site,
            "model": dict(self.model),
        }
        return save_artefact(path, "subspace", {"basis": self.basis}, described)

    @classmethod
    def load(cls, path: str | Path) -> "Subspace":
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is damaged or of another kind.
        """
        tensors, described = load_artefact(path, "subspace")
        try:
            return cls(tensors["basis"], tuple(described.pop("explained")), **described)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is damaged ({type(error).__name__}: {error})") from error

    def _basis_like(self, x: Tensor) -> Tensor:
        if not isinstance(x, Tensor) or x.ndim == 0:
            raise TypeError(f"x must be a tensor [..., {self.d_model}], got {type(x).__name__}")
        self._check_width(x.shape[-1])
        return self.basis.to(x.device, x.dtype)

    def _check_width(self, width: int) -> None:
        if width != self.d_model:
            raise ValueError(f"expected width {self.d_model} (d_model), got {width}; do both come from one model?")


def _decompose(rows: FloatArray, rank: int | None, variance: float, method: str, layer: Layer | None) -> Subspace:
    if rank is None and not 0 < variance <= 1:
        raise ValueError(f"variance must lie in (0, 1], got {variance}")
    singular, basis = np.linalg.svd(rows, full_matrices=False)[1:]
    spanned = int((singular > 1e-7 * singular[0]).sum()) if singular[0] > 0 else 0
    if spanned == 0:
        raise ValueError("the rows do not vary, so they span no subspace")
    shares = singular**2 / (singular**2).sum()
    if rank is None:
        rank = min(spanned, int(np.searchsorted(np.cumsum(shares), variance - 1e-12) + 1))
    kept = whole_number(rank)
    if kept is None or not 1 <= kept <= spanned:
        raise ValueError(f"rank must be from 1 to {spanned} (what {len(rows)} rows span), got {rank!r}")
    return Subspace(torch.as_tensor(basis[:kept], dtype=torch.float32), tuple(shares[:kept].tolist()), method, layer)
