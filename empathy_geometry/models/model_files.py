"""Hugging Face models from where users have them: a folder, a hub name, a GGUF file."""

import difflib
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from empathy_geometry.models.names import EMBEDDED_NAME, MODELS_FOLDER

WHOLE = "are its files whole, and is its architecture one that transformers and TransformerLens know?"
"""What to look at when a model's files were found and could not be read."""


@contextmanager
def naming_files(name: str, advice: str) -> Iterator[None]:
    """Whatever a reader says of a model's files names them.

    Readers of other packages raise all kinds of errors at files that are damaged, half-downloaded or of an unknown
    architecture, bare `Exception` among them.

    Args:
        name: Path or hub name of the model.
        advice: What to try.

    Raises:
        FileNotFoundError: files are missing, or the hub did not give them.
        ValueError: the block raised any other error, but for want of a package or of memory.
    """
    try:
        yield
    except (ImportError, MemoryError, torch.OutOfMemoryError):
        raise
    except BaseException as error:
        # What panics inside tokenizers or safetensors is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        if isinstance(error, OSError | ConnectionError) and not Path(name).is_file():
            raise model_not_found(name, error) from error
        reason = (str(error).strip().splitlines() or ["no reason given"])[0][:300]
        raise ValueError(f"cannot load {name} ({type(error).__name__}: {reason}); {advice}") from error


def is_gguf(name: str) -> bool:
    """Whether a name means a GGUF file.

    Example:
        >>> is_gguf("models/tiny.Q4_1.GGUF"), is_gguf("org/model-gguf")
        (True, False)
    """
    return name.lower().endswith(".gguf")


def load_gguf(path: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """Model and tokenizer of a GGUF file, de-quantised, on the CPU.

    Raises:
        FileNotFoundError: no such file.
        ImportError: the package `gguf` is missing.
        ValueError: no GGUF file, or one of an architecture or with a tokenizer that transformers does not read.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no GGUF file {path}{_suggestion(str(path))}")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ValueError(f"{path} is no GGUF file (it does not begin with 'GGUF'); was it downloaded whole?")
    if importlib.util.find_spec("gguf") is None:
        raise ImportError("GGUF files need the package gguf; try: pip install gguf")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    with naming_files(
        str(path), "transformers reads not every GGUF file: try the model's folder in Hugging Face format"
    ):
        tokenizer = AutoTokenizer.from_pretrained(**place)
        model = AutoModelForCausalLM.from_pretrained(**place, dtype=dtype, attn_implementation="eager")
    model.config.architectures = [type(model).__name__]
    return model.eval(), tokenizer


def load_folder(name: str, dtype: torch.dtype) -> tuple[Any, Any]:
    """Model and tokenizer of a folder in Hugging Face format, or of a hub name, on the CPU.

    Raises:
        FileNotFoundError: not here and not to be fetched.
        ValueError: its files are damaged, or of an architecture that transformers does not read.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    check_folder(name)
    with naming_files(name, WHOLE):
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, attn_implementation="eager")
    return model.eval(), tokenizer


def check_folder(name: str) -> None:
    """Raise FileNotFoundError for a folder without a model, and for a path to nothing."""
    path = Path(name)
    if path.is_dir() and not (path / "config.json").is_file():
        raise FileNotFoundError(f"{name} is a folder without config.json; a model's folder holds it beside the weights")
    if path.is_file():
        raise FileNotFoundError(f"{name} is a file; models are folders in Hugging Face format or GGUF files (.gguf)")
    if not path.exists() and (path.is_absolute() or name.startswith((".", "~"))):
        raise FileNotFoundError(f"there is no folder {name}{_suggestion(name)}")


def model_not_found(name: str, error: Exception) -> FileNotFoundError:
    """The error for a model that is neither embedded, nor a folder, nor to be fetched."""
    first_line = [line[:200] for line in str(error).strip().splitlines()[:1]]
    return FileNotFoundError(
        f"cannot load model {name!r}: it is not the embedded model ({EMBEDDED_NAME!r}), not a local folder with "
        f"config.json, weights and tokenizer, and the hub did not give it ({type(error).__name__}: "
        f"{first_line[0] if first_line else 'no reason given'}). Check the spelling{_suggestion(name)}; for a gated "
        f"model set HF_TOKEN; without a network pass the path of a downloaded folder."
    )


def _suggestion(name: str) -> str:
    """Names alike among the embedded model, the folder of models and what lies beside the path; "" if none."""
    path = Path(name).expanduser()
    there = [EMBEDDED_NAME]
    for folder in (path.parent, Path(os.environ.get(MODELS_FOLDER) or os.devnull)):
        if folder.is_dir():
            there += [str(p) for p in folder.iterdir() if (p / "config.json").is_file() or is_gguf(p.name)]
    # Names of the hub only after what is here: the first of the two lists that has one like it.
    for names in (there, _known_on_the_hub()):
        by_name = {Path(t).name.lower(): t for t in names}
        alike = difflib.get_close_matches(path.name.lower(), by_name, n=1, cutoff=0.7)
        if alike:
            return f" (did you mean {by_name[alike[0]]!r}?)"
    return ""


def _known_on_the_hub() -> list[str]:
    from transformer_lens.supported_models import OFFICIAL_MODEL_NAMES

    return list(OFFICIAL_MODEL_NAMES)
