"""One direction for a concept, with what is needed to judge and to use it."""

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from empathy_geometry.activations.dominance import warn_of_dominance
from empathy_geometry.activations.pairing import paired_differences, paired_means, rows_of_classes
from empathy_geometry.activations.pooled import Activations, check_activations
from empathy_geometry.foundation._types import ArrayLike, LabelsLike, Layer
from empathy_geometry.foundation._validation import (
    as_generator,
    as_layer,
    as_matrix,
    check_choice,
    rows_named,
    shared_names,
)
from empathy_geometry.foundation.artefact import load_artefact, save_artefact
from empathy_geometry.foundation.settings import check_count
from empathy_geometry.foundation.terminal import printable
from empathy_geometry.geometry.direction_methods import METHODS, PAIRED_METHODS, Method, fit_vector
from empathy_geometry.geometry.direction_quality import DirectionQuality, measure_quality, measure_scales
from empathy_geometry.geometry.direction_units import unit_scale, units_of
from empathy_geometry.geometry.random_vectors import class_swapped, draw_directions
from empathy_geometry.models.identity import identity_differences

if TYPE_CHECKING:
    from empathy_geometry.geometry.probes import Probe  # brings scikit-learn


RandomKind = Literal["isotropic", "orthogonal", "covariance", "shuffled"]

RANDOM_KINDS: tuple[RandomKind, ...] = ("isotropic", "orthogonal", "covariance", "shuffled")


class CosineWarning(UserWarning):
    """A cosine whose value under "no relation" is not zero."""


@dataclass(frozen=True, eq=False)
class ConceptDirection:
    """A unit vector in the residual stream that points from one class to another.

    Attributes:
        vector: Unit length, [d_model], float32; higher projections mean more of the positive class. A direction is a
            finished estimate: a tensor that requires a gradient is taken as numbers, and to train a vector it is given
            to `SteeringHook` itself. Gradients with respect to what is projected do flow (`project`).
        norm: Length before normalisation, in activation units (for "mean_difference" the distance of the means).
        method: How it was estimated.
        layer: Where it lives, or None if unknown.
        site: Hook point of the block.
        positive, negative: Names of the classes, in that order.
        scales: Lengths in activation units by which alpha can be counted: "residual_norm" (mean norm of the rows),
            "class_gap" (distance of the class means along the vector, on held-out scenarios) and "sd" (pooled
            standard deviation within classes along the vector).
        class_means: Mean projection of each class, "positive" and "negative".
        quality: Reliability and agreement over scenarios; None if they cannot be estimated.
        model: Identity of the model (see `models.model_identity`), empty if unknown.
        baseline: Hash of the negative rows, so that a cosine between differences from one baseline can warn; or "".
        zero_sum_family: Hash of the set of one-against-rest probes that this is one of, for the same reason; or "".

    Example:
        >>> positive, negative = torch.tensor([[3., 0.], [5., 0.]]), torch.tensor([[0., 0.], [0., 0.]])
        >>> d = ConceptDirection.from_mean_difference(positive, negative, layer=3)
        >>> d.vector.tolist(), d.norm, d.layer
        ([1.0, 0.0], 4.0, 3)
    """

    vector: Float[Tensor, "d_model"]
    norm: float = 1.0
    method: str = "given"
    layer: Layer | None = None
    site: str = "resid_post"
    positive: str = "positive"
    negative: str = "negative"
    scales: Mapping[str, float] = field(default_factory=dict)
    class_means: Mapping[str, float] = field(default_factory=dict)
    quality: DirectionQuality | None = None
    model: Mapping[str, Any] = field(default_factory=dict)
    baseline: str = ""
    zero_sum_family: str = ""

    def __post_init__(self) -> None:
        vector = torch.as_tensor(self.vector).detach().float().cpu()
        if vector.ndim != 1 or vector.numel() == 0:
            raise ValueError(f"vector must be [d_model], got shape {tuple(vector.shape)}")
        length = float(torch.linalg.vector_norm(vector.double()))
        if not np.isfinite(length) or length == 0:
            raise ValueError(f"vector must be finite and not zero, got length {length}; are the classes the same?")
        object.__setattr__(self, "vector", (vector.double() / length).float())
        if self.layer is not None:
            object.__setattr__(self, "layer", as_layer(self.layer))

    @printable
    def __repr__(self) -> str:
        where = "" if self.layer is None else f", layer {self.layer}"
        reliability = "" if self.reliability is None else f", reliability {self.reliability:.3f}"
        return (
            f"ConceptDirection({self.positive} - {self.negative}, {self.method}{where}, d_model {self.d_model}, "
            f"norm {self.norm:.3g}{reliability})"
        )

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.vector.numel())

    @property
    def reliability(self) -> float | None:
        """Mean cosine of the directions of two random halves of the scenarios; None if not estimated."""
        return None if self.quality is None else self.quality.reliability

    @classmethod
    def from_mean_difference(
        cls,
        positive: Float[Tensor, "n_pos d_model"],
        negative: Float[Tensor, "n_neg d_model"],
        *,
        layer: Layer | None = None,
        groups: tuple[LabelsLike, LabelsLike] | None = None,
    ) -> "ConceptDirection":
        """Mean of the positive rows minus mean of the negative rows: the direction to write (steer) with.

        Args:
            positive: Rows of the concept's class.
            negative: Rows of the neutral class.
            layer: Where the rows come from.
            groups: Scenarios of the positive and of the negative rows, for the reliability; None treats rows as
                independent.

        Raises:
            ValueError: rows are not finite, widths differ, or the means coincide.

        Source: Marks & Tegmark (2023); Rimsky et al. (2024); Im & Li (2025).
        """
        return _from_classes(cls, "mean_difference", positive, negative, layer, groups)

    @classmethod
    def from_pairs(
        cls,
        positive: Float[Tensor, "n d_model"],
        negative: Float[Tensor, "n d_model"],
        *,
        layer: Layer | None = None,
    ) -> "ConceptDirection":
        """Mean of the paired differences positive[i] - negative[i]; row i of both is one scenario.

        Raises:
            ValueError: the two do not have the same number of rows.
        """
        _check_paired(positive, negative)
        n = np.arange(len(positive))
        return _from_classes(cls, "pairs", positive, negative, layer, (n, n))

    @classmethod
    def from_pca(
        cls,
        positive: Float[Tensor, "n d_model"],
        negative: Float[Tensor, "n d_model"],
        *,
        layer: Layer | None = None,
    ) -> "ConceptDirection":
        """First principal component of the paired differences taken in both orders, signed towards the positive class.

        Source: RepE, Zou et al. (2023).
        """
        _check_paired(positive, negative)
        n = np.arange(len(positive))
        return _from_classes(cls, "pca", positive, negative, layer, (n, n))

    @classmethod
    def from_lda(
        cls,
        positive: Float[Tensor, "n_pos d_model"],
        negative: Float[Tensor, "n_neg d_model"],
        *,
        layer: Layer | None = None,
        groups: tuple[LabelsLike, LabelsLike] | None = None,
    ) -> "ConceptDirection":
        """Shrinkage discriminant Sigma^-1 (mu_1 - mu_0): a direction to read (detect) with; see `Probe`."""
        return _from_classes(cls, "lda", positive, negative, layer, groups)

    @classmethod
    def from_probe(
        cls, probe: "Probe", *, layer: Layer | None = None, positive: object | None = None
    ) -> "ConceptDirection":
        """The gradient of a fitted probe's decision function, in raw activation space.

        Args:
            probe: A fitted `Probe`.
            layer: Where its rows came from.
            positive: Which class the direction points to; needed for more than two classes.

        Raises:
            ValueError: the class is unknown, or needed and not given.
        """
        rows = probe.directions()
        classes = list(probe.classes_)
        if positive is None:
            if len(classes) > 2:
                raise ValueError(
                    f"the probe has classes {classes}; say which one the direction points to (positive=...)"
                )
            positive = classes[1]
        k = int(np.argmax(rows_named(np.asarray(probe.classes_), positive, "positive", "the probe's classes")))
        vector = rows[k] if len(classes) > 2 else (rows[0] if k == 1 else -rows[0])
        rest = "rest" if len(classes) > 2 else str(classes[1 - k])
        norm = float(torch.linalg.vector_norm(vector))
        return cls(
            vector,
            norm,
            f"probe:{probe.kind}",
            layer,
            positive=str(classes[k]),
            negative=rest,
            zero_sum_family=_hash(rows.numpy()) if len(classes) > 2 else "",
        )

    @classmethod
    def from_activations(
        cls,
        activations: Activations,
        *,
        positive: str,
        negative: str,
        layer: Layer,
        method: Method = "mean_difference",
        pos: int | None = None,
    ) -> "ConceptDirection":
        """A direction from labeled activations, with reliability and scales estimated over scenarios.

        Args:
            activations: What `extract_activations` returned.
            positive: The concept's class.
            negative: The neutral class.
            layer: One of the extracted layers.
            method: "mean_difference", "pairs" (mean of differences within scenarios), "pca", "lda", or a probe kind
                "logistic" or "ridge".
            pos: Which vector of each text, where there are several.

        Raises:
            ValueError: unknown layer, class or method; with "pairs" and "pca", a scenario that lacks a class.
        """
        check_choice(method, "method", METHODS)
        check_activations(activations)
        x = activations.layer(layer, pos=pos)
        is_positive, is_negative = rows_of_classes(activations.labels, positive, negative)
        identity = {} if activations.provenance is None else dict(activations.provenance.model)
        direction = _from_classes(
            cls,
            method,
            x[torch.as_tensor(is_positive)],
            x[torch.as_tensor(is_negative)],
            layer,
            (activations.groups[is_positive], activations.groups[is_negative]),
        )
        up, down = str(activations.labels[is_positive][0]), str(activations.labels[is_negative][0])
        return replace(direction, positive=up, negative=down, site=activations.site, model=identity)

    def project(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch"]:
        """Length of each row along the direction, in activation units.

        Raises:
            ValueError: another width.
        """
        rows = torch.as_tensor(x)
        if rows.ndim == 0 or rows.shape[-1] != self.d_model:
            raise ValueError(f"x must end in an axis of {self.d_model} (d_model), got shape {tuple(rows.shape)}")
        return rows @ self.vector.to(rows.device, rows.dtype if rows.is_floating_point() else torch.float32)

    def score(
        self, x: Float[Tensor, "*batch d_model"], *, units: Literal["raw", "class_gap"] | None = None
    ) -> Float[Tensor, "*batch"]:
        """How much of the concept each row shows, as `token_scores` counts it.

        Args:
            x: Rows.
            units: "class_gap": one class gap is 1, and 0 lies midway between the class means (where those are unknown,
                where the projection is 0). "raw": `project`. None is "class_gap" where the direction has one.

        Raises:
            ValueError: another width, or no class gap where one is asked for.

        Example:
            >>> known = {"scales": {"class_gap": 2.0}, "class_means": {"positive": 5.0, "negative": 3.0}}
            >>> direction = ConceptDirection(torch.tensor([1.0, 0.0]), **known)
            >>> direction.score(torch.tensor([[5.0, 1.0], [3.0, 0.0]])).tolist()
            [0.5, -0.5]
        """
        chosen = units_of(self, units)
        projected = self.project(x)
        if chosen != "class_gap":
            check_choice(chosen, "units", ("raw", "class_gap"))
            return projected
        middle = sum(self.class_means.values()) / 2 if self.class_means else 0.0
        return (projected - middle) / unit_scale(self, chosen)

    def __neg__(self) -> "ConceptDirection":
        """The same direction from the negative to the positive class: what was negative is positive."""
        swapped = {"positive": "negative", "negative": "positive"}
        return replace(
            self,
            vector=-self.vector,
            positive=self.negative,
            negative=self.positive,
            class_means={swapped[name]: -mean for name, mean in self.class_means.items()},
            baseline="",  # the other class's rows, whose hash is not kept
        )

    def with_vector(self, vector: Float[Tensor, "d_model"], method: str) -> "ConceptDirection":
        """A direction along another vector with the scales of this one, so that one alpha is one length for both.

        Args:
            vector: Any length but 0.
            method: What it is.
        """
        return replace(self, vector=vector, method=method, quality=None, class_means={}, baseline="", norm=1.0)

    def random_like(
        self,
        n: int,
        *,
        kind: RandomKind = "isotropic",
        activations: Activations | None = None,
        seed: int = 0,
    ) -> list["ConceptDirection"]:
        """Directions that mean nothing, with the scales of this one: what any effect of it is to be held against.

        One draw is one draw: compare with many (n of 20 and more), and give their spread.

        Args:
            n: How many.
            kind: Which null. "isotropic" is uniform on the sphere, "orthogonal" is that at right angles to this
                direction. "covariance" combines the activations about their mean at random, and so lies where they
                vary: the harder control. "shuffled" is the mean paired difference after the classes were swapped in a
                random half of the scenarios; it has the covariance of real differences but no concept.
            activations: What the direction was estimated from, for "covariance" and "shuffled".
            seed: Of the draws.

        Raises:
            ValueError: an unknown kind, n below 1, activations missing or of another width or model, or without this
                direction's layer or classes.

        Example:
            >>> direction = ConceptDirection(torch.tensor([0.0, 1.0, 0.0]), layer=2, scales={"class_gap": 4.0})
            >>> first = direction.random_like(3, kind="orthogonal")[0]
            >>> abs(first.cosine(direction)) < 1e-6, first.layer, first.scales
            (True, 2, {'class_gap': 4.0})
        """
        check_choice(kind, "kind", RANDOM_KINDS)
        generator = as_generator(seed)
        if kind in ("isotropic", "orthogonal"):
            drawn = draw_directions(n, d_model=self.d_model, generator=generator)
            if kind == "orthogonal":
                drawn = drawn.double() - (drawn.double() @ self.vector.double())[:, None] * self.vector.double()
            return [self.with_vector(vector, kind) for vector in drawn]
        rows, labels, groups = self._rows_at_home(activations, kind)
        if kind == "covariance":
            drawn = draw_directions(n, like=rows, kind="covariance", generator=generator)
            return [self.with_vector(vector, "covariance-matched") for vector in drawn]
        check_count(n, "n", 1)
        differences, _ = paired_differences(rows, labels, groups, positive=self.positive, negative=self.negative)
        swapped = [class_swapped(differences, generator) for _ in range(n)]
        return [self.with_vector(torch.as_tensor(vector), "shuffled labels") for vector in swapped]

    def _rows_at_home(
        self, activations: Activations | None, kind: str
    ) -> tuple[Float[Tensor, "n d_model"], np.ndarray, np.ndarray]:
        """Rows, labels and groups at the direction's own layer."""
        if activations is None:
            raise ValueError(f"kind={kind!r} needs activations=, those that the direction was estimated from")
        if self.layer is None:
            raise ValueError(f"kind={kind!r} needs a direction that says at which layer it lives")
        if activations.d_model != self.d_model:
            raise ValueError(f"the direction has width {self.d_model}, the activations {activations.d_model}")
        own = {} if activations.provenance is None else activations.provenance.model
        differing = identity_differences(self.model, own)
        if differing:
            raise ValueError(f"the activations come from another model ({'; '.join(differing)})")
        return activations.layer(self.layer), activations.labels, activations.groups

    def __mul__(self, other: object) -> NoReturn:
        raise TypeError(
            f"a direction has unit length and keeps it; give the strength where it is used, as SteeringHook(direction, "
            f"alpha={other!r}), or multiply the tensor: {other!r} * direction.vector. The opposite one is -direction"
        )

    __rmul__ = __mul__

    def __add__(self, other: object) -> NoReturn:
        raise TypeError(
            "directions do not add: they have unit length, and scales of their own. Add the vectors and make one of "
            "the sum, ConceptDirection(a.vector + b.vector, layer=a.layer), or span a Subspace.from_directions([a, b])"
        )

    __radd__ = __sub__ = __rsub__ = __add__
    __array_ufunc__ = None  # so that numpy's numbers ask this class, too

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.vector.numpy(), dtype=dtype)

    def to(self, *args: Any, **kwargs: Any) -> "ConceptDirection":
        """The direction itself, whatever `torch.Tensor.to` would be asked for.

        Its vector stays in float32 on the CPU, where files and comparisons need it; hooks and projections take it to
        the device and precision of the stream they meet. For a tensor of one's own: `direction.vector.to(...)`.

        Raises:
            RuntimeError, TypeError: torch knows no such device or type.
        """
        torch.empty(0).to(*args, **kwargs)
        return self

    def cosine(self, other: "ConceptDirection") -> float:
        """Cosine with another direction; warns where it is known to mislead, see `cosine`."""
        return cosine(self, other)

    def describe(self) -> dict[str, Any]:
        """Every field but the vector, ready for JSON."""
        return {
            "norm": self.norm,
            "method": self.method,
            "layer": self.layer,
            "site": self.site,
            "positive": self.positive,
            "negative": self.negative,
            "scales": dict(self.scales),
            "class_means": dict(self.class_means),
            "quality": None if self.quality is None else self.quality.to_dict(),
            "model": dict(self.model),
            "baseline": self.baseline,
            "zero_sum_family": self.zero_sum_family,
        }

    @classmethod
    def from_description(cls, vector: Float[Tensor, "d_model"], described: Mapping[str, Any]) -> "ConceptDirection":
        """What `describe` was made of.

        Raises:
            KeyError, TypeError: fields are missing, or there are others.
        """
        fields = dict(described)
        quality = fields.pop("quality")
        return cls(vector, quality=None if quality is None else DirectionQuality(**quality), **fields)

    def save(self, path: str | Path) -> Path:
        """Write one safetensors file, atomically."""
        return save_artefact(path, "direction", {"vector": self.vector}, self.describe())

    @classmethod
    def load(cls, path: str | Path) -> "ConceptDirection":
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is damaged or of another kind.
        """
        tensors, described = load_artefact(path, "direction")
        try:
            return cls.from_description(tensors["vector"], described)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is damaged ({type(error).__name__}: {error})") from error


def cosine(a: ConceptDirection, b: ConceptDirection) -> float:
    """Cosine of two directions of one model and layer, in [-1, 1].

    Warns where the null is not zero: directions of one set of one-against-rest probes have weights that sum to about
    zero (with K balanced classes the mean cosine is near -1/(K-1) whatever the concepts are), and differences from one
    shared baseline have a null of +1/2. `similarity` has the quantities to report instead.

    Raises:
        ValueError: the directions differ in width, layer or model.

    Example:
        >>> round(cosine(ConceptDirection(torch.tensor([1.0, 0.0])), ConceptDirection(torch.tensor([1.0, 1.0]))), 4)
        0.7071
    """
    for other in (a, b):
        if not isinstance(other, ConceptDirection):
            raise TypeError(
                f"a cosine is of two ConceptDirections, got {type(other).__name__}; a tensor becomes one by "
                f"ConceptDirection(tensor, layer=...)"
            )
    _check_comparable(a, b)
    if a is not b:
        if a.zero_sum_family and a.zero_sum_family == b.zero_sum_family:
            warnings.warn(
                "these directions come from one set of one-against-rest probes, whose weights sum to about zero: their "
                "cosine sits near -1/(K-1) whatever the concepts are. Report held-out AUROC, similarity."
                "mahalanobis_cosine or similarity.disattenuated_cosine instead (see pitfalls.simplex_floor)",
                CosineWarning,
                stacklevel=3,
            )
        if a.baseline and a.baseline == b.baseline:
            warnings.warn(
                "these directions are differences from the same baseline rows, so unrelated concepts have a cosine "
                "near +1/2. Use disjoint halves of the baseline (similarity.disattenuated_cosine; see "
                "pitfalls.shared_baseline)",
                CosineWarning,
                stacklevel=3,
            )
    return float((a.vector.double() @ b.vector.double()).clamp(-1, 1))


def _check_comparable(a: ConceptDirection, b: ConceptDirection) -> None:
    """Raise ValueError unless both directions live in one space."""
    if a.d_model != b.d_model:
        raise ValueError(f"the directions have widths {a.d_model} and {b.d_model}; they must come from one model")
    if a.layer is not None and b.layer is not None and a.layer != b.layer:
        raise ValueError(f"the directions live at layers {a.layer} and {b.layer}; extract both at one layer")
    differing = identity_differences(a.model, b.model)
    if differing:
        raise ValueError(
            f"the directions come from different models, so their coordinates do not correspond "
            f"({'; '.join(differing)})"
        )


def _from_classes(
    cls: type[ConceptDirection],
    method: Method,
    positive: ArrayLike,
    negative: ArrayLike,
    layer: Layer | None,
    groups: tuple[LabelsLike, LabelsLike] | None,
) -> ConceptDirection:
    up = as_matrix(positive, "positive")
    down = as_matrix(negative, "negative", d_model=up.shape[1])
    if groups is None:
        up_groups, down_groups = np.arange(len(up)), np.arange(len(down)) + len(up)
    else:
        up_groups, down_groups = shared_names(
            {"groups of the positive rows": groups[0], "groups of the negative rows": groups[1]}, (len(up), len(down))
        )
    if method in PAIRED_METHODS:
        labels = np.repeat(["positive", "negative"], [len(up), len(down)])
        up, down, up_groups = paired_means(
            np.concatenate([up, down]),
            labels,
            np.concatenate([up_groups, down_groups]),
            positive="positive",
            negative="negative",
        )
        down_groups = up_groups
    vector = fit_vector(method, up, down)
    norm = float(np.linalg.norm(vector))
    if norm <= 1e-12 * float(np.abs(up).mean() + np.abs(down).mean()):
        raise ValueError(
            "the classes have the same mean, so there is no direction; are positive and negative the same rows?"
        )
    unit = vector / norm
    quality = measure_quality(method, up, down, up_groups, down_groups)
    warn_of_dominance(quality.dominant, "the direction", stacklevel=3)
    return cls(
        torch.as_tensor(unit, dtype=torch.float32),
        norm,
        method,
        layer,
        scales=measure_scales(method, up, down, up_groups, down_groups, unit),
        class_means={"positive": float((up @ unit).mean()), "negative": float((down @ unit).mean())},
        quality=quality,
        baseline=_hash(down),
    )


def _hash(rows: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(rows).tobytes()).hexdigest()[:16]


def _check_paired(positive: ArrayLike, negative: ArrayLike) -> None:
    if len(positive) != len(negative):
        raise ValueError(
            f"positive and negative must be paired row by row, got {len(positive)} and {len(negative)} rows; "
            f"try from_mean_difference"
        )
