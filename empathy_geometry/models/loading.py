"""Loading a hooked model, and what the library needs of one."""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation._validation import check_choice, whole_number
from empathy_geometry.models.embedded_model import EMBEDDED_NAME, load_embedded

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


def load_model(
    name: str | Path = EMBEDDED_NAME,
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    hooked_transformer: bool = False,
    device_map: str | dict[str, Any] | None = None,
) -> Any:
    """A TransformerLens model by name.

    Args:
        name: "smollm2-135m-instruct" is the embedded model (SmolLM2-135M-Instruct, Q4_1, de-quantised once into
            the user cache, never the hub's full-precision weights); anything else is a local folder in Hugging
            Face format or a hub name.
        device: "auto" takes CUDA where there is one, else the CPU.
        dtype: "auto" is float32 on the CPU and bfloat16 on CUDA; or "float32", "bfloat16", "float16", a torch dtype.
        hooked_transformer: True gives a HookedTransformer with unprocessed weights (TransformerLens 3 only),
            False a TransformerBridge.
        device_map: Spread a TransformerBridge that does not fit one device over several, as in transformers ("auto",
            "balanced", or modules by device); leave `device` alone then.

    Returns:
        The model in evaluation mode; parameters do not require gradients.

    Raises:
        FileNotFoundError: no such model here and none to be fetched; says what to install or set.
        ImportError: `hooked_transformer=True` on TransformerLens 4, which removed it.
        ValueError: unknown dtype or device, or a device map that does not go with the other arguments.

    Example:
        >>> import empathy_geometry as eg
        >>> model = eg.load_model()  # doctest: +SKIP
    """
    name = str(name)
    if device_map is not None and (device != "auto" or hooked_transformer):
        raise ValueError(
            "device_map spreads a TransformerBridge over devices: leave device='auto' and hooked_transformer=False"
        )
    target = _device(device)
    width = _dtype(dtype, target)
    if hooked_transformer:
        from empathy_geometry.models.hooked_transformer import load_hooked_transformer

        model = load_hooked_transformer(name, target, width)
    else:
        model = _load_bridge(name, target, width, device_map)
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model


def _load_bridge(name: str, device: torch.device, dtype: torch.dtype, device_map: str | dict[str, Any] | None) -> Any:
    from transformer_lens.model_bridge import TransformerBridge

    place: dict[str, Any] = {"device": device} if device_map is None else {}
    if name == EMBEDDED_NAME:
        hf_model, tokenizer = load_embedded(dtype, device_map)
        if device_map is None:
            hf_model = hf_model.to(device)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return TransformerBridge.boot_transformers(
                name, hf_model=hf_model, tokenizer=tokenizer, dtype=dtype, **place
            )
    if Path(name).is_dir() and not (Path(name) / "config.json").is_file():
        raise FileNotFoundError(f"{name} is a folder without config.json; a model's folder holds it beside the weights")
    if device_map is not None:
        place = {"device_map": device_map}
    try:
        return TransformerBridge.boot_transformers(name, dtype=dtype, **place)
    except (OSError, ConnectionError) as error:
        raise model_not_found(name, error) from error


def model_not_found(name: str, error: Exception) -> FileNotFoundError:
    """The error for a model that is neither embedded, nor a folder, nor to be fetched."""
    first_line = [line[:200] for line in str(error).strip().splitlines()[:1]]
    return FileNotFoundError(
        f"cannot load model {name!r}: it is not the embedded model ({EMBEDDED_NAME!r}), not a local folder with "
        f"config.json, weights and tokenizer, and the hub did not give it ({type(error).__name__}: "
        f"{first_line[0] if first_line else 'no reason given'}). Check the spelling; for a gated model set HF_TOKEN; "
        f"without a network pass the path of a downloaded folder."
    )


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


def check_model(model: object) -> None:
    """Raise TypeError, with what to do, unless `model` is a hooked model."""
    needed = ("cfg", "tokenizer", "hook_dict", "hooks", "to_tokens", "generate")
    # Asked of the class first: hook_dict is a property that TransformerBridge computes anew each time.
    missing = [name for name in needed if not (hasattr(type(model), name) or hasattr(model, name))]
    if missing:
        raise TypeError(
            f"model must be a TransformerLens model (HookedTransformer or TransformerBridge), got "
            f"{type(model).__name__} without {', '.join(missing)}; try eg.load_model(name), or "
            f"TransformerBridge.boot_transformers for a Hugging Face model"
        )


def is_bridge(model: HookedModel) -> bool:
    """Whether the model wraps a Hugging Face model (TransformerBridge) or is a HookedTransformer."""
    return hasattr(model, "original_model")


def model_device(model: HookedModel) -> torch.device:
    """Where the model takes its tokens."""
    return torch.device(model.cfg.device)


def context_length(model: HookedModel) -> int:
    """The longest sequence that the model was made for, in tokens."""
    return int(model.cfg.n_ctx)


def _device(device: str | torch.device) -> torch.device:
    if device == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        # Under torchrun or accelerate launch each process of a host takes a GPU of its own.
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"device must be 'auto' or a torch device such as 'cpu' or 'cuda:0', got {device!r}"
        ) from error
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {device!r} was asked for, but torch {torch.__version__} sees no CUDA; try 'auto'")
    return found


def _dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    named = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    check_choice(dtype, "dtype", ("auto", *named))
    return named[dtype]
