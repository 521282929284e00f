"""An engine takes half a minute to start, so each is shared by a file's tests."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import tiny_tokenizer

os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "0")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder is skipped where vLLM is missing, and spared a warning of vLLM's own."""
    for item in items:
        if Path(__file__).parent in Path(item.path).parents:
            # vLLM's client leaves its sockets to the garbage collector, which warns in whatever test comes next.
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))
    found = importlib.util.find_spec("vllm")
    if found is None or found.origin is None:  # this folder itself looks like a package without files
        for item in items:
            if Path(__file__).parent in Path(item.path).parents:
                item.add_marker(pytest.mark.skip(reason="needs vLLM (make test-vllm)"))


def write_qwen2(folder: Path, *, seed: int = 0) -> Path:
    """A random Qwen2 in Hugging Face format: four heads, two of keys and values, four layers."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = tiny_tokenizer(bos=None)
    tokenizer.init_kwargs.pop("add_bos_token", None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(
            Qwen2Config(
                vocab_size=-(-len(tokenizer) // 64) * 64,
                hidden_size=128,
                intermediate_size=256,
                num_hidden_layers=4,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=512,
                initializer_range=0.1,
                tie_word_embeddings=False,
                bos_token_id=None,
                eos_token_id=tokenizer.eos_token_id,
            )
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def qwen2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Qwen2."""
    return write_qwen2(tmp_path_factory.mktemp("qwen2"))


@pytest.fixture(scope="module")
def qwen2_engine(qwen2_folder: Path) -> Iterator[Any]:
    """The random Qwen2 in vLLM, one worker."""
    import empathy_geometry as eg

    with eg.load_engine("vllm", qwen2_folder, max_model_len=512) as engine:
        yield engine


@pytest.fixture(scope="module")
def qwen2_bridge(qwen2_folder: Path) -> Any:
    """The same as TransformerBridge."""
    import empathy_geometry as eg

    return eg.load_model(str(qwen2_folder))
