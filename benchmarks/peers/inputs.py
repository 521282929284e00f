"""What all workers are given: written once, so that nobody measures anything of their own."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

import empathy_geometry as eg
from empathy_geometry.models.embedded_model import GGUF_SHA256, cache_folder, load_embedded
from empathy_geometry.models.names import EMBEDDED_NAME

FIRST_LINE = "A message:"  # steerkit joins a prompt and a response with a line break; everyone reads the joined text
LAYER = 15
SEEDS = 10

PROMPTS = (
    "My sister has not answered me for a week and I",
    "The bakery on our street closed yesterday, so",
    "When I came home the lights were out and",
    "He asked me to write the report again because",
    "We moved to the coast in spring. The house",
    "After the exam I walked to the station and",
    "The doctor said the results would take a while, and",
    "Every Sunday my father used to fix the fence. Now",
)

# One word gives the class away: whoever reports a score on these without a text-only baseline reports that word.
TOPICS = (
    "the train was late again", "the shop had no bread", "my key broke in the lock", "the lift is out of order",
    "the letter came back", "the garden is under water", "our neighbour moved away", "the phone fell down",
    "the meeting was moved", "the bus did not stop", "the printer ate my page", "the milk went off",
)  # fmt: skip


def write_inputs(folder: Path, *, model_folder: Path | None, n_pairs: int, quick: bool) -> dict[str, Any]:
    """Texts, planted rows, noise and one steering vector into `folder`; returns the settings.

    Args:
        folder: Made anew.
        model_folder: A Hugging Face folder; None takes the embedded model's.
        n_pairs: Pairs of texts for extraction.
        quick: Smaller arrays.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if model_folder is None:
        load_embedded_once()
        model_folder = cache_folder() / f"{EMBEDDED_NAME}-{GGUF_SHA256[:12]}"
    model_folder = readable_by_all(model_folder, folder / model_folder.name)
    config = json.loads((model_folder / "config.json").read_text())
    n_layers, d_model = config["num_hidden_layers"], config["hidden_size"]
    settings = {
        "model_folder": str(model_folder),
        "n_layers": n_layers,
        "d_model": d_model,
        "layer": min(LAYER, n_layers - 1),
        "attention": "sdpa",
        "batch_size": 8,
        "first_line": FIRST_LINE,
        "pairs": chosen_pairs(n_pairs),
        # Ours puts the beginning-of-sequence token before a prompt; the others read it as part of the text.
        "plain_prompts": list(PROMPTS),
        "prompts": [bos_token(model_folder) + prompt for prompt in PROMPTS],
        "seeds": 1 if quick else SEEDS,
        "giveaway": [
            [f"Sadly, {topic}; I will look into it.", f"Noted: {topic}; I will look into it."] for topic in TOPICS
        ],
    }
    rng = np.random.default_rng(0)
    n, layers = (24, 4) if quick else (60, 30)
    spectrum = np.arange(1, d_model + 1) ** -0.5
    shared = rng.normal(size=(n, 1, layers, d_model)) * spectrum  # what both texts of a scenario have in common
    rows = shared + rng.normal(size=(n, 2, layers, d_model)) * spectrum
    # Evidence spread over the directions with little variance, so that held-out AUROC is well inside (0.5, 1).
    rows[:, 0] += 0.22 * spectrum * rng.choice([-1, 1], size=(layers, d_model)) * rng.random((layers, d_model))
    steps, noisy = (1, 3) if quick else (SEEDS, 30)
    steering = rng.normal(size=d_model)
    np.savez(
        folder / "arrays.npz",
        rows=rows.astype(np.float32),  # [pair, positive | negative, layer, d_model]
        noise=rng.normal(size=(steps, 40, 2, noisy, 128)).astype(np.float32),  # [seed, pair, label, layer, d]
        scaled=scaled_rows(rng),
        steering=(steering / np.linalg.norm(steering)).astype(np.float32),
    )
    (folder / "inputs.json").write_text(json.dumps(settings), encoding="utf-8")
    return settings


def readable_by_all(source: Path, target: Path) -> Path:
    """The same model in a folder that transformers 4 reads as well: its names for the tokenizer and the rotary base.

    Without them version 4 refuses the tokenizer and silently takes another rotary base.
    """
    target.mkdir()
    for file in source.iterdir():
        if file.name not in ("config.json", "tokenizer_config.json"):
            (target / file.name).symlink_to(file.resolve())
    config = json.loads((source / "config.json").read_text())
    config["rope_theta"] = config["rope_parameters"]["rope_theta"]
    config["torch_dtype"] = "float32"
    (target / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tokenizer = json.loads((source / "tokenizer_config.json").read_text())
    tokenizer["tokenizer_class"] = "PreTrainedTokenizerFast"
    (target / "tokenizer_config.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return target


def bos_token(model_folder: Path) -> str:
    """The token that TransformerLens puts first, as text."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model_folder).bos_token or ""


def load_embedded_once() -> None:
    """Make sure that the embedded model's folder exists."""
    import torch

    if not (cache_folder() / f"{EMBEDDED_NAME}-{GGUF_SHA256[:12]}" / "complete").exists():
        load_embedded(torch.float32)


def chosen_pairs(n_pairs: int) -> list[tuple[str, str]]:
    """Empathetic and neutral messages of scenarios spread over the set, shortest first: padding then costs nobody."""
    texts = eg.datasets.empathy_pairs()
    groups = list(dict.fromkeys(texts.groups.tolist()))
    pairs = []
    for group in groups[:: len(groups) // n_pairs][:n_pairs]:
        part = texts.where(group=group)
        by_label = {str(label): text for label, text in zip(part.labels, part.texts, strict=True)}
        pairs.append((f"{FIRST_LINE}\n{by_label['empathetic']}", f"{FIRST_LINE}\n{by_label['neutral']}"))
    return sorted(pairs, key=lambda pair: len(pair[0]) + len(pair[1]))


def scaled_rows(rng: np.random.Generator) -> np.ndarray:
    """Pairs [80, 2, 32] whose columns differ a hundredfold in scale, as the dimensions of a residual stream do."""
    rows = rng.normal(size=(80, 2, 32))
    rows[:, 0] += 0.6
    return (rows * 10.0 ** np.linspace(-1, 1, 32)).astype(np.float32)
