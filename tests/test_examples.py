"""Every example runs on a small model, prints a result and writes a figure; one also as newcomers run it."""

import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import tiny_models
import torch
from transformers import LlamaConfig, LlamaForCausalLM

EXAMPLES = Path(__file__).parents[1] / "examples"

WITHOUT_MODEL = {"audit_your_texts", "cosine_misleads"}

# What makes an example quick on a random model; nothing in it is about the result.
QUICK = {
    "is_it_more_than_words": ["--scenarios", "20"],
    "which_layer": ["--scenarios", "16", "--permutations", "20"],
    "how_many_dimensions": ["--scenarios", "30"],
    "steer_and_read": ["--scenarios", "16", "--alphas", "-0.2", "0.2"],
    "is_it_causal": ["--scenarios", "24", "--tested", "4"],
    "watch_tokens": ["--scenarios", "16"],
    "from_your_cache": ["--scenarios", "12"],
    "transfer_between_contexts": ["--scenarios", "8"],
    "human_truth": ["--scenarios", "10"],
}

# Studies of minutes have tests of their own (tests/test_bandwidth.py, tests/test_tripartite.py).
STUDIES = {"measure_bandwidth", "tripartite"}

NAMES = sorted(p.stem for p in EXAMPLES.glob("*.py") if p.stem not in STUDIES)


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random model as a local folder, wide enough for the packaged texts in bytes."""
    folder = tmp_path_factory.mktemp("tiny-model")
    tokenizer = tiny_models.tiny_tokenizer()
    tokenizer.model_max_length = 2048
    # Words that no packaged text has, for what looks for marker words.
    tokenizer.add_tokens([f" {a}{b}ix" for a in "bdfgklmnprst" for b in ("ola", "umo", "eri", "ani")])
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=2048,
            initializer_range=0.3,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=257,
            architectures=["LlamaForCausalLM"],
        )
        LlamaForCausalLM(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_runs_on_a_small_model(
    name: str,
    tmp_path: Path,
    tiny_folder: Path,
    one_thread: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "made" / "here"
    model = [] if name in WITHOUT_MODEL else ["--model", str(tiny_folder)]
    script = str(EXAMPLES / f"{name}.py")
    monkeypatch.setattr(sys, "argv", [script, "--output", str(output), *model, *QUICK.get(name, [])])
    # In this process: a dozen interpreters that import torch would take longer than the examples.
    runpy.run_path(script, run_name="__main__")
    plt.close("all")
    printed = capsys.readouterr().out
    assert f"figure: {output / name}.png" in printed
    assert len(printed.splitlines()) > 3
    assert "nan" not in printed.lower().split()
    figure = (output / f"{name}.png").read_bytes()
    assert figure.startswith(b"\x89PNG")
    assert len(figure) > 10_000  # empty axes are smaller


@pytest.mark.parametrize("name", [p.stem for p in EXAMPLES.glob("*.py")])
def test_is_short_and_says_how_to_run_it(name: str) -> None:
    source = (EXAMPLES / f"{name}.py").read_text()
    assert len(source.splitlines()) < 60
    assert source.startswith('"""')
    assert "?" in source.split('"""')[1].splitlines()[0]  # one question
    assert f"python examples/{name}.py" in source
    assert "--output" in source


def as_a_script(name: str, output: Path, *options: str) -> str:
    """The standard output of a new interpreter."""
    command = [sys.executable, EXAMPLES / f"{name}.py", "--output", output, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    return done.stdout


def test_runs_as_a_script(tmp_path: Path) -> None:
    printed = as_a_script("cosine_misleads", tmp_path)
    assert "CosineWarning" in printed


@pytest.mark.integration
@pytest.mark.slow
def test_the_words_example_on_the_embedded_model(tmp_path: Path) -> None:
    printed = as_a_script("is_it_more_than_words", tmp_path, "--scenarios", "50")
    first, second = printed.split("matched_pairs")
    auroc = {part: float(text.split("AUROC")[1].split()[0]) for part, text in (("free", first), ("same", second))}
    # The concept is read where words differ, and hardly where they are the same (docs/datasets.md).
    assert auroc["free"] > 0.75 > 0.7 > auroc["same"]
