"""What a hooked model is to this library, and the names of its hook points."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation._validation import check_choice, whole_number

Site = Literal["resid_post", "resid_mid", "resid_pre", "attn_out", "mlp_out"]
SITES: tuple[Site, ...] = ("resid_post", "resid_mid", "resid_pre", "attn_out", "mlp_out")

VIEW_POINTS = "_empathy_geometry_points"
"""Attribute of our own views (`own_view`): their hook points by name."""


@runtime_checkable
class HookedModel(Protocol):
    """What HookedTransformer and TransformerBridge have in common, as far as this library uses it."""

    cfg: Any
    tokenizer: Any

    @property
    def hook_dict(self) -> dict[str, Any]:
        """Hook points by name."""

    def hooks(
        self, fwd_hooks: Sequence[tuple[str | Callable[[str], bool], Callable[..., Tensor | None]]] = ...
    ) -> AbstractContextManager[Any]:
        """Attach hooks for the time of a `with` block."""

    def to_tokens(self, input: Any) -> Tensor:
        """Token ids of a text."""

    def generate(self, input: Any) -> Any:
        """Continue a text."""

    def __call__(self, input: Any) -> Any:
        """Forward pass."""


def hook_name(model: HookedModel, layer: Layer, site: Site = "resid_post") -> str:
    """The TransformerLens name of a hook point, checked against the model.

    TransformerBridge of TransformerLens 3 ignores unknown names silently, so every name goes through here.

    Raises:
        ValueError: no such layer or site in this model.
    """
    return hook_names(model, [layer], site)[0]


def hook_names(model: HookedModel, layers: Sequence[Layer], site: Site = "resid_post") -> list[str]:
    """The names of one hook point per layer; "embed" is the residual stream before the first block, at every site.

    Raises:
        ValueError: no such layer or site in this model.
    """
    check_choice(site, "site", SITES)
    n_layers = int(model.cfg.n_layers)
    points = hook_points(model)
    names = []
    for layer in layers:
        if layer == "embed":
            name = "blocks.0.hook_resid_pre"
        else:
            number = whole_number(layer)
            if number is None or not 0 <= number < n_layers:
                raise ValueError(
                    f"layer must be 'embed' or an index from 0 to {n_layers - 1} in this model, got {layer!r}"
                )
            name = f"blocks.{number}.hook_{site}"
        if name not in points:
            raise ValueError(f"this model has no hook point {name!r} (site {site!r}); try site='resid_post'")
        names.append(name)
    return names


def hook_points(model: HookedModel) -> Mapping[str, Any]:
    """Hook points by name; of our own views those that are called (TransformerBridge makes its table at each look)."""
    own: Mapping[str, Any] | None = getattr(model, "__dict__", {}).get(VIEW_POINTS)
    return model.hook_dict if own is None else own


def is_bridge(model: HookedModel) -> bool:
    """Whether the model wraps a Hugging Face model (TransformerBridge) or is a HookedTransformer."""
    return hasattr(model, "original_model")


def model_device(model: HookedModel) -> torch.device:
    """Where the model takes its tokens."""
    return torch.device(model.cfg.device)


def context_length(model: HookedModel) -> int:
    """The longest sequence that the model was made for, in tokens."""
    return int(model.cfg.n_ctx)


def named_modules_once(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module of a model once, by the name that Hugging Face gives it where it has one.

    TransformerBridge reaches a module by several names and puts wrappers between; the wrappers are given too, under
    the name of what they wrap.
    """
    seen: set[int] = set()
    inner = vars(model).get("original_model")
    if isinstance(inner, nn.Module):
        yield from _walk(inner, "", seen)
    yield from _walk(model, "", seen)


def _walk(module: nn.Module, name: str, seen: set[int]) -> Iterator[tuple[str, nn.Module]]:
    if id(module) in seen:
        return
    seen.add(id(module))
    yield name, module
    for child_name, child in module._modules.items():
        if child is not None:
            wrapped = child_name in ("_original_component", "original_component")
            inner = name if wrapped else f"{name}.{child_name}" if name else child_name
            yield from _walk(child, inner, seen)
