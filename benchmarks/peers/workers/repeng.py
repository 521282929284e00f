"""repeng."""

from typing import Any

import numpy as np
from common import new_texts, relative_difference
from repeng import ControlModel, ControlVector, DatasetEntry
from repeng.extract import batched_get_hiddens, read_representations
from serving import Case, Inputs

PACKAGES = ("repeng", "torch", "transformers")


def extraction(inputs: Inputs, *, batch_size: int = 8) -> Case:
    """Last token at the layers that it is asked for; `hidden_states`, so the last one is after the final norm."""
    model, tokenizer = inputs.hugging_face
    tokenizer.padding_side = "right"
    layers = list(range(inputs.settings["n_layers"]))

    def run() -> Any:
        return batched_get_hiddens(model, tokenizer, inputs.texts, layers, batch_size)

    return run, lambda found: {"activations_but_last_layer": np.stack([found[k] for k in layers[:-1]], axis=1)}


def direction_from_texts(inputs: Inputs, *, batch_size: int = 8) -> Case:
    """Its first centred principal component of the pair differences, at its default layers (all but the first)."""
    model, tokenizer = inputs.hugging_face
    tokenizer.padding_side = "right"
    dataset = [DatasetEntry(p, n) for p, n in inputs.pairs]

    def run() -> Any:
        return read_representations(model, tokenizer, dataset, batch_size=batch_size)

    return run, lambda found: {"direction_centred_pca": np.stack([found[k] for k in sorted(found)])}


def sweep_of(inputs: Inputs, alphas: list[float], n_prompts: int, new_tokens: int) -> Any:
    raw, tokenizer = inputs.load_hugging_face()
    layer = inputs.settings["layer"]
    model = ControlModel(raw, [layer])
    vector = ControlVector(raw.config.model_type, {layer: inputs.arrays["steering"]})

    def run() -> list[str]:
        tokenizer.padding_side = "left"
        batch = tokenizer(
            inputs.settings["prompts"][:n_prompts], padding=True, return_tensors="pt", return_token_type_ids=False
        )
        texts = []
        for alpha in alphas:
            model.set_control(vector, alpha)
            output = model.generate(**batch, max_new_tokens=new_tokens, do_sample=False)
            texts += new_texts(tokenizer, output, batch["input_ids"].shape[1])
        model.reset()
        return texts

    return run


def steering(inputs: Inputs, *, n_prompts: int = 8, new_tokens: int = 32, alpha: float = 30.0) -> Case:
    return sweep_of(inputs, [alpha], n_prompts, new_tokens), lambda found: {"texts": np.array(found)}


def steering_sweep(inputs: Inputs, *, alphas: list[float], n_prompts: int = 8, new_tokens: int = 16) -> Case:
    """A loop: the library has no sweep."""
    return sweep_of(inputs, alphas, n_prompts, new_tokens), lambda found: {"texts": np.array(found)}


def direction_files(inputs: Inputs) -> Case:
    """All layers in one GGUF file."""
    vectors = inputs.arrays["rows"][0, 0]
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    made = ControlVector("llama", dict(enumerate(vectors)))
    path = inputs.scratch() / "vectors.gguf"

    def run() -> Any:
        made.export_gguf(path)
        return ControlVector.import_gguf(path)

    return run, lambda found: {"direction": np.stack([found.directions[k] for k in range(len(vectors))])}


def parity(inputs: Inputs) -> dict[str, Any]:
    rows = []
    for size in (1, 8):
        run, collect = extraction(inputs, batch_size=size)
        rows.append(collect(run())["activations_but_last_layer"])
    _, tokenizer = inputs.hugging_face
    run, collect = extraction(inputs, batch_size=8)
    tokenizer.padding_side = "left"
    left = collect(run())["activations_but_last_layer"]
    tokenizer.padding_side = "left"
    found = {
        "called": "batched_get_hiddens(batch_size=...), ControlModel.generate",
        "activations, batch 8 against 1": relative_difference(rows[0], rows[1]),
        "activations, left-padding tokenizer": relative_difference(rows[0], left),
    }
    raw, tokenizer = inputs.load_hugging_face()
    tokenizer.padding_side = "left"
    layer = inputs.settings["layer"]
    model = ControlModel(raw, [layer])
    model.set_control(ControlVector("llama", {layer: inputs.arrays["steering"]}), 30.0)
    prompts = inputs.settings["prompts"]
    batch = tokenizer(prompts, padding=True, return_tensors="pt", return_token_type_ids=False)
    together = new_texts(
        tokenizer, model.generate(**batch, max_new_tokens=12, do_sample=False), batch["input_ids"].shape[1]
    )
    alone = []
    for prompt in prompts:
        single = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
        output = model.generate(**single, max_new_tokens=12, do_sample=False)
        alone += new_texts(tokenizer, output, single["input_ids"].shape[1])
    found["texts, batch of 8 equal to one by one"] = float(
        np.mean([a == b for a, b in zip(together, alone, strict=True)])
    )
    return found


CASES = {
    "extraction": extraction,
    "direction_from_texts": direction_from_texts,
    "steering": steering,
    "steering_sweep": steering_sweep,
    "direction_files": direction_files,
}
FACTS = {"parity": parity}
