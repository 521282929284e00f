"""What tells a model from any other, and in words what differs between two."""

import hashlib
import json
import math
import warnings
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.metadata import version
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
import torch
import xxhash
from torch import Tensor, nn

from empathy_geometry.foundation.differences import differences, flattened
from empathy_geometry.models.agreement import known_difference
from empathy_geometry.models.attached_hooks import attached_hooks
from empathy_geometry.models.embedded_model import GGUF_NAME, GGUF_SHA256
from empathy_geometry.models.fingerprint import tensor_fingerprint
from empathy_geometry.models.hooked_model import HookedModel, named_modules_once
from empathy_geometry.models.names import EMBEDDED_NAME

_BUILDERS = ("torch", "transformers", "transformer-lens")
# What of a configuration says how a model was made or is to be called, not what it computes.
# fmt: off
_IRRELEVANT = frozenset((
    "_name_or_path", "_attn_implementation", "_attn_implementation_internal", "_experts_implementation",
    "_experts_implementation_internal", "transformers_version", "architectures", "dtype", "torch_dtype", "id2label",
    "label2id", "problem_type", "output_attentions", "output_hidden_states", "return_dict", "use_cache",
    "initializer_range", "pad_token_id", "chunk_size_feed_forward", "attn_implementation", "device", "n_devices",
    "seed", "init_mode", "init_weights", "tokenizer_name", "model_name", "from_checkpoint", "checkpoint_index",
    "checkpoint_label_type", "checkpoint_value", "n_params", "use_attn_result", "use_split_qkv_input",
    "use_hook_mlp_in", "use_attn_in", "use_hook_tokens", "trust_remote_code", "default_prepend_bos",
    "tokenizer_prepends_bos", "tokenizer_appends_eos", "default_padding_side", "load_in_4bit", "load_in_8bit",
))
# fmt: on
# Attributes of modules that say what they are called or doing at the moment.
_RUNNING = frozenset(("training", "name", "context_level", "is_caching"))
_DYNAMIC_ROPE = ("dynamic", "longrope")
_SHOWN = 4


def model_identity(model: HookedModel, *, edits: bool = False) -> dict[str, Any]:
    """What tells this model from any other, as it is at this moment; ready for JSON.

    Everything is read anew with each call: a change in place, through a numpy view, in a buffer (where GPTQ and AWQ
    keep their weights), in the configuration, or by a hook is found whatever it leaves untouched. Reading costs about
    as much as writing one token does, which reads all weights too.

    Args:
        model: HookedTransformer or TransformerBridge.
        edits: Whether to list this library's own hooks too, as "edits": an attached `SteeringHook` changes what an
            extraction reads.

    Returns:
        "name", "class", "n_layers", "d_model", "normalization", "compatibility_mode", "dtype" and "device"; by part
        of the model, fingerprints of its "parameters", "buffers" (also those that are not saved) and "modules" (their
        types, and the numbers and functions they hold); "config", TransformerLens's and Hugging Face's; "hooks" of
        others; "differs_from_hugging_face", the relative error of its logits where it was found to exceed rounding;
        "built_by", the versions of the libraries whose modules these are; and "fingerprint", one over all but
        name, device and versions.

    Raises:
        ValueError: weights that are not in memory (offloaded to disk).
    """
    root: Any = model
    modules = list(named_modules_once(root))
    first = next(iter(root.parameters()))
    structure = {
        "class": type(model).__name__,
        "n_layers": int(model.cfg.n_layers),
        "d_model": int(model.cfg.d_model),
        # Says whether weights were folded into each other: LN or RMS as trained, LNPre or RMSPre after folding.
        "normalization": str(getattr(model.cfg, "normalization_type", None)),
        "compatibility_mode": bool(getattr(model, "compatibility_mode", False)),
        "dtype": str(first.dtype).removeprefix("torch."),
    }
    identity: dict[str, Any] = {"name": str(model.cfg.model_name)} | structure | {"device": str(first.device)}
    if identity["name"] == EMBEDDED_NAME:
        identity |= {"source_file": GGUF_NAME, "source_sha256": GGUF_SHA256}
    off = known_difference(model)
    if off is not None:
        identity["differs_from_hugging_face"] = off
    if getattr(model.cfg, "planted", False) is True:  # set by `planted_model`; see `provenance.kind_of`
        identity["planted"] = True
    content = {
        **_fingerprints(modules),
        "config": _configs(model),
        "hooks": attached_hooks(modules, whose="foreign"),
    }
    if edits:
        content["edits"] = attached_hooks(modules, whose="own")
    text = json.dumps(structure | content, sort_keys=True)
    return identity | {"fingerprint": xxhash.xxh3_128(text.encode()).hexdigest()} | content | {"built_by": _built_by()}


def identity_differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In words, each way in which a recorded model differs from another one; none if they are one model.

    A model in another class (HookedTransformer, TransformerBridge) or dtype may be the same model: of those only
    name, shape and hooks are compared, for their weights have other names or other bytes. Buffers and the types of
    modules are compared only between like versions of the libraries that build them. Fields that only one side has
    are not compared, so that a partial description matches what it describes; nor are names where fingerprints are.

    Warns if only one side holds fingerprints (the other comes from an earlier version, with a hash that cannot be
    compared): then only name and shape are compared.

    Args:
        then: `model_identity` of the time of recording.
        now: The other.

    Example:
        >>> identity_differences({"n_layers": 2}, {"n_layers": 3})
        ['n_layers: 2 then, 3 now']
    """
    alike = all(then.get(key) == now.get(key) for key in ("class", "dtype"))
    recorded = ["fingerprint" in side for side in (then, now)]
    fields = ["n_layers", "d_model", "normalization", "compatibility_mode"]
    if not (all(recorded) and alike):
        fields.insert(0, "name")
    if not any(recorded) and alike:
        fields.append("weights_sha256")
    if recorded[0] != recorded[1] and "weights_sha256" in {*then, *now}:
        warnings.warn(
            "this was recorded by an earlier version, whose hash of the weights cannot be compared with today's "
            "fingerprints: only the model's name and shape were compared. Extract again to have all of it checked",
            UserWarning,
            stacklevel=3,
        )
    found = [f"{k}: {then[k]!r} then, {now[k]!r} now" for k in fields if k in then and k in now and then[k] != now[k]]
    if all(recorded) and alike:
        found += _differing_parts("parameters", then, now)
        if then.get("built_by") == now.get("built_by"):
            found += _differing_parts("buffers", then, now) + _differing_parts("modules", then, now)
        found += _differing_config(then.get("config", {}), now.get("config", {}))
    for key, noun in (("hooks", "a hook"), ("edits", "an edit of this library")):
        if key in then and key in now:
            found += [f"{noun} stands now {line}" for line in now[key] if line not in then[key]]
            found += [f"{noun} stood then {line}" for line in then[key] if line not in now[key]]
            if sorted(then[key]) == sorted(now[key]) and then[key] != now[key]:
                found.append(f"the hooks are in another order: {', '.join(now[key])}")
            elif len(then[key]) != len(now[key]) and set(then[key]) == set(now[key]):
                found.append(f"hooks: {len(then[key])} then, {len(now[key])} now")
    return found


def run_differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In words, each way in which a run differs from the one that a folder was begun by.

    Args:
        then: What the earlier run was, with its model's identity under "model".
        now: The same of this one.
    """
    before, after = dict(then), dict(now)
    models = [dict(side.pop("model", None) or {}) for side in (before, after)]
    strict = [{k: model.get(k) for k in ("name", "class", "dtype")} for model in models]
    found = differences({**before, "model": strict[0]}, {**after, "model": strict[1]})
    if "fingerprint" in models[1] and "fingerprint" not in models[0]:
        return [*found, "its model was recorded by an earlier version, in a form that cannot be compared"]
    return found + [f"model: {words}" for words in identity_differences(*models) if not words.startswith("name:")]


def tokenizer_sha256(model: HookedModel) -> str:
    """SHA-256 over what decides the token ids of a text: vocabulary, merges, special tokens, chat template."""
    tokenizer = model.tokenizer
    if getattr(tokenizer, "is_fast", False):
        core = _core_sha256(tokenizer.backend_tokenizer.to_str())
    else:
        core = hashlib.sha256(json.dumps(sorted(tokenizer.get_vocab().items())).encode()).hexdigest()
    described = [core, sorted(map(str, tokenizer.all_special_tokens)), tokenizer.bos_token_id]
    described.append(getattr(tokenizer, "chat_template", None))
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()


@lru_cache(maxsize=4)
def _core_sha256(serialised: str) -> str:
    """SHA-256 of a fast tokenizer as it writes itself, in megabytes of JSON."""
    core = json.loads(serialised)
    # Calls leave their padding and truncation behind in the tokenizer; neither is used here.
    core = {key: value for key, value in core.items() if key not in ("padding", "truncation")}
    return hashlib.sha256(json.dumps(core, sort_keys=True).encode()).hexdigest()


@cache
def _built_by() -> dict[str, str]:
    return {package: version(package) for package in _BUILDERS}


def _fingerprints(modules: list[tuple[str, nn.Module]]) -> dict[str, dict[str, str]]:
    """Fingerprints of parameters, buffers and modules, each by part of the model."""
    parts: dict[str, dict[str, list[str]]] = {"parameters": {}, "buffers": {}, "modules": {}}
    # A tensor that stands in several places (tied weights, wrappers) is read once.
    known: dict[int, str] = {}
    for name, module in modules:
        if type(module).__name__ == "HookPoint":  # holds nothing but hooks
            continue
        passing = _written_by_passes(module)
        held = {k: v for k, v in vars(module).items() if k[0] != "_" and k not in _RUNNING}
        plain = {k: v for k, v in held.items() if isinstance(v, Tensor)}
        for kind, tensors in (("parameters", module._parameters), ("buffers", {**module._buffers, **plain})):
            for own, tensor in tensors.items():
                if tensor is None or own in passing:
                    continue
                whole = f"{name}.{own}" if name else own
                if id(tensor) not in known:
                    try:
                        known[id(tensor)] = tensor_fingerprint(tensor)
                    except ValueError as error:
                        raise ValueError(f"{kind.removesuffix('s')} {whole}: {error}") from error
                parts[kind].setdefault(_part(whole.rpartition(".")[0] or whole), []).append(
                    f"{whole} {known[id(tensor)]}"
                )
        state = _state({k: v for k, v in held.items() if k not in passing})
        kind = f"{type(module).__module__}.{type(module).__qualname__}"
        parts["modules"].setdefault(_block(name), []).append(f"{name} {kind} {state}")
    return {
        kind: {part: xxhash.xxh3_64("\n".join(lines).encode()).hexdigest() for part, lines in groups.items()}
        for kind, groups in parts.items()
    }


def _written_by_passes(module: nn.Module) -> frozenset[str]:
    """Names of what a forward pass itself writes into a module: it follows the last text's length."""
    rope = vars(module).get("rope_type")  # a missing attribute is slow to ask for: TransformerBridge searches its parts
    if rope is None:
        return frozenset(("alibi",))
    types = rope if isinstance(rope, Mapping) else {"": rope}
    written = {"max_seq_len_cached"}
    for layer_type, kind in types.items():
        prefix = f"{layer_type}_" if layer_type else ""
        written |= {f"{prefix}long_inv_freq", f"{prefix}max_seq_len_cached"}
        if any(word in str(kind) for word in _DYNAMIC_ROPE):
            written |= {f"{prefix}inv_freq", f"{prefix}attention_scaling"}
    return frozenset(written)


def _state(held: Mapping[str, Any]) -> dict[str, str]:
    """The plain numbers and functions among a module's attributes."""
    state = {}
    for key, value in sorted(held.items()):
        if isinstance(value, bool | int | float | str):
            state[key] = repr(value)
        elif isinstance(value, FunctionType | BuiltinFunctionType):
            state[key] = f"{value.__module__}.{value.__qualname__}"
    return state


def _part(name: str) -> str:
    """The part of the model that a name belongs to: a block's attention, MLP or norm, or what stands beside blocks.

    `model.layers.3.mlp.down_proj` is of `model.layers.3.mlp`.
    """
    pieces = name.split(".")
    number = next((i for i, piece in enumerate(pieces) if piece.isdigit()), None)
    return name if number is None else ".".join(pieces[: number + 2])


def _block(name: str) -> str:
    pieces = name.split(".")
    number = next((i for i, piece in enumerate(pieces) if piece.isdigit()), None)
    return name or "the model" if number is None else ".".join(pieces[: number + 1])


def _configs(model: HookedModel) -> dict[str, Any]:
    """TransformerLens's configuration, and Hugging Face's where there is one."""
    found = {"transformer_lens": _relevant(model.cfg.to_dict() if hasattr(model.cfg, "to_dict") else vars(model.cfg))}
    config = getattr(getattr(model, "original_model", None), "config", None)
    if config is not None:
        found["hugging_face"] = _relevant(config.to_dict())
    return found


def _relevant(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        str(k): _relevant(v) if isinstance(v, Mapping) else _plain(v)
        for k, v in config.items()
        if str(k) not in _IRRELEVANT
    }


def _plain(value: Any) -> Any:
    """A value as JSON has it; an object becomes the name of its type, never its address."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, torch.dtype | torch.device):
        return str(value)
    return str(getattr(value, "__qualname__", type(value).__qualname__))


def _differing_parts(kind: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    before, after = then.get(kind, {}), now.get(kind, {})
    differing = [part for part in {**before, **after} if before.get(part) != after.get(part)]
    words = [
        f"{kind} of {part} " + ("are new" if part not in before else "are gone" if part not in after else "changed")
        for part in differing[:_SHOWN]
    ]
    if len(differing) > _SHOWN:
        words.append(f"{kind} of {len(differing) - _SHOWN} further parts differ")
    return words


def _differing_config(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    before, after = flattened(then), flattened(now)
    return [
        f"config {key}: {before[key]!r} then, {after[key]!r} now"
        for key in before
        if key in after and before[key] != after[key]
    ]
