"""Loading a hooked model, and what the library needs of one."""

import copy
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from empathy_geometry.foundation._validation import check_choice
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.models.agreement import (
    bridge_agreement,
    check_agreement,
    compare_logits,
    warn_of_difference,
)
from empathy_geometry.models.embedded_model import load_embedded
from empathy_geometry.models.hooked_transformer import check_hooked_transformer, to_hooked_transformer
from empathy_geometry.models.model_files import (
    WHOLE,
    check_folder,
    is_gguf,
    load_folder,
    load_gguf,
    model_not_found,
    naming_files,
)
from empathy_geometry.models.names import EMBEDDED_NAME
from empathy_geometry.models.unwrapped import detached_copy


@takes_settings()
def load_model(
    name: str | Path | nn.Module = EMBEDDED_NAME,
    *,
    tokenizer: Any = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    hooked_transformer: bool = False,
    device_map: str | dict[str, Any] | None = None,
    allow_difference: bool = False,
) -> Any:
    """A TransformerLens model by name, from a file or folder, or of a Hugging Face model in memory.

    Once loaded, it is run on a few token sequences beside the Hugging Face model (some longer than a sliding window,
    where that takes seconds): TransformerLens wraps or converts some architectures wrongly.

    Args:
        name: "smollm2-135m-instruct" is the embedded model (SmolLM2-135M-Instruct, Q4_1, de-quantised once into
            the user cache, never the hub's full-precision weights); a path that ends in .gguf is a GGUF file, which is
            de-quantised; any other string is a local folder in Hugging Face format or a hub name. A causal language
            model of transformers is wrapped as it is: it keeps its modules and hooks, and shares its weights with the
            model that is returned (unless device or dtype differ), which has neither its hooks nor its gradients.
        tokenizer: Of a model in memory; None elsewhere takes the model's own.
        device: "auto" takes CUDA where there is one, else the CPU; for a model in memory, where it is.
        dtype: "auto" is float32 on the CPU and bfloat16 on CUDA, and what a model in memory has; or "float32",
            "bfloat16", "float16", a torch dtype.
        hooked_transformer: True gives a HookedTransformer with unprocessed weights (TransformerLens 3 only, for the
            architectures that it converts), False a TransformerBridge.
        device_map: Spread a TransformerBridge that does not fit one device over several, as in transformers ("auto",
            "balanced", or modules by device); leave `device` alone then.
        allow_difference: Take the model also if its logits differ from Hugging Face's by more than rounding; results
            then record by how much.

    Returns:
        The model in evaluation mode; parameters do not require gradients.

    Raises:
        FileNotFoundError: no such model here and none to be fetched; says what to install or set.
        ImportError: `hooked_transformer=True` on TransformerLens 4, which removed it; a GGUF file without `gguf`.
        TypeError: an object that is no Hugging Face model, or one without its tokenizer.
        ValueError: damaged files, unknown dtype or device, a device map that does not go with the other arguments, an
            architecture that HookedTransformer does not know, or logits that differ from Hugging Face's.

    Example:
        >>> import empathy_geometry as eg
        >>> model = eg.load_model()  # doctest: +SKIP
        >>> model = eg.load_model("models/tiny.Q4_1.gguf")  # doctest: +SKIP
        >>> model = eg.load_model(hf_model, tokenizer=tokenizer)  # doctest: +SKIP
    """
    if device_map is not None and (device != "auto" or hooked_transformer or isinstance(name, nn.Module)):
        raise ValueError(
            "device_map spreads a TransformerBridge over devices as it is loaded by name: leave device='auto' and "
            "hooked_transformer=False"
        )
    if hooked_transformer:
        check_hooked_transformer()
    if not isinstance(name, str | Path | nn.Module):
        raise TypeError(
            f"name must be a hub name, a folder, a GGUF file or a Hugging Face model, got {type(name).__name__} "
            f"{name!r}; try load_model() for the embedded model"
        )
    if isinstance(name, nn.Module):
        called, hf_model, tokenizer, target, width = _in_memory(name, tokenizer, device, dtype)
    else:
        called, target = _path(str(name)), _device(device)
        width = _dtype(dtype, target)
        hf_model, tokenizer = _hugging_face(called, tokenizer, width, device_map, always=hooked_transformer)
    if hooked_transformer:
        model = to_hooked_transformer(hf_model, _ready(tokenizer), name=called, device=target, dtype=width)
        check_agreement(model, called, compare_logits(model, hf_model), allow_difference=allow_difference)
    else:
        model = _bridge(called, hf_model, tokenizer, target, width, device_map)
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    found = bridge_agreement(model)
    if found is not None:
        check_agreement(model, called, found, allow_difference=allow_difference)
    return model


def lens_description(folder: str, dtype: torch.dtype) -> tuple[Any, Any, Any]:
    """What TransformerLens says of a model without its weights, which an engine holds.

    Args:
        folder: Hugging Face format.
        dtype: Of the model.

    Returns:
        TransformerLens's configuration, the tokenizer as `load_model` prepares it, and Hugging Face's configuration.

    Raises:
        FileNotFoundError: it is no model's folder.
        ValueError: TransformerLens does not know the architecture, so that nothing could be compared with it.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    try:
        config = AutoConfig.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise model_not_found(folder, error) from error
    try:
        with torch.device("meta"):
            shell = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=dtype)
        bridge = _bridge(folder, shell, tokenizer, torch.device("meta"), dtype, None)
    except (ValueError, KeyError, NotImplementedError) as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[0][:200]
        raise ValueError(f"TransformerLens does not know the model in {folder} ({reason})") from error
    return bridge.cfg, bridge.tokenizer, config


def _in_memory(
    given: nn.Module, tokenizer: Any, device: str | torch.device, dtype: str | torch.dtype
) -> tuple[str, Any, Any, torch.device, torch.dtype]:
    """Name, copy over shared tensors, tokenizer, device and dtype of a Hugging Face model."""
    if hasattr(given, "hook_dict") or not hasattr(given, "config") or not callable(getattr(given, "generate", None)):
        what = "is hooked already: use it as it is" if hasattr(given, "hook_dict") else "is no causal language model"
        raise TypeError(f"load_model takes a name, a path or a Hugging Face model; {type(given).__name__} {what}")
    if tokenizer is None:
        raise TypeError(
            "a model in memory needs its tokenizer: load_model(model, tokenizer=AutoTokenizer.from_pretrained(...))"
        )
    parameter = next(given.parameters())
    target = parameter.device if device == "auto" else _device(device)
    width = parameter.dtype if dtype == "auto" else _dtype(dtype, target)
    copied = detached_copy(given).to(target)
    if width != parameter.dtype:
        copied = copied.to(width)
    copied.config.architectures = [type(given).__name__]
    copied.config._attn_implementation = "eager"  # what TransformerBridge hooks into
    called = str(getattr(given.config, "_name_or_path", "") or type(given).__name__)
    return called, copied, tokenizer, target, width


def _hugging_face(
    name: str, tokenizer: Any, dtype: torch.dtype, device_map: str | dict[str, Any] | None, *, always: bool
) -> tuple[Any, Any]:
    """Model and tokenizer by name; None for a model that TransformerBridge is to load itself."""
    own: Any
    if name == EMBEDDED_NAME:
        hf_model, own = load_embedded(dtype, device_map)
    elif is_gguf(name):
        if device_map is not None:
            raise ValueError("device_map spreads models in Hugging Face format; leave it out for a GGUF file")
        hf_model, own = load_gguf(Path(name), dtype)
    elif always:
        hf_model, own = load_folder(name, dtype)
    else:
        check_folder(name)
        hf_model, own = None, None
    return hf_model, own if tokenizer is None else tokenizer


def _bridge(
    name: str,
    hf_model: Any,
    tokenizer: Any,
    device: torch.device,
    dtype: torch.dtype,
    device_map: str | dict[str, Any] | None,
) -> Any:
    from transformer_lens.model_bridge import TransformerBridge

    place: dict[str, Any] = {"device": device} if device_map is None else {}
    if hf_model is None:
        if device_map is not None:
            place = {"device_map": device_map}
        with naming_files(name, WHOLE):
            return TransformerBridge.boot_transformers(name, tokenizer=tokenizer, dtype=dtype, **place)
    if device_map is None:
        hf_model = hf_model.to(device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TransformerBridge.boot_transformers(
            name, hf_model=hf_model, tokenizer=_ready(tokenizer), dtype=dtype, **place
        )


def _ready(tokenizer: Any) -> Any:
    """A copy of a tokenizer that TransformerLens takes as it is.

    It reloads one by name to switch BOS on, which fails without files or network, unless told that BOS is on.
    """
    ready = copy.deepcopy(tokenizer)
    ready.init_kwargs = {"name_or_path": "", **ready.init_kwargs, "add_bos_token": True}
    return ready


def _path(name: str) -> str:
    """A name with "~" written out, if that is there."""
    path = Path(name).expanduser()
    return str(path) if path.exists() or is_gguf(name) else name


def check_model(model: object) -> None:
    """Raise TypeError, with what to do, unless `model` is a hooked model; warn if its bridge computes other logits.

    A TransformerBridge is compared once with the Hugging Face model inside it (`models.agreement`).
    """
    needed = ("cfg", "tokenizer", "hook_dict", "hooks", "to_tokens", "generate")
    # Asked of the class first: hook_dict is a property that TransformerBridge computes anew each time.
    missing = [name for name in needed if not (hasattr(type(model), name) or hasattr(model, name))]
    if missing:
        raise TypeError(
            f"model must be a TransformerLens model (HookedTransformer or TransformerBridge), got "
            f"{type(model).__name__} without {', '.join(missing)}; try eg.load_model(name), or "
            f"TransformerBridge.boot_transformers for a Hugging Face model"
        )
    warn_of_difference(model)  # type: ignore[arg-type]


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
