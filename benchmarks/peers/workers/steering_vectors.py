"""steering-vectors."""

from typing import Any

import numpy as np
import torch
from common import cosine, new_texts, numeric_gradient, relative_difference, scaled
from serving import Case, Inputs
from steering_vectors import (
    SteeringVector,
    aggregate_activations,
    extract_activations,
    logistic_aggregator,
    mean_aggregator,
    pca_aggregator,
    train_steering_vector,
)

PACKAGES = ("steering-vectors", "torch", "transformers")


def extraction(inputs: Inputs, *, batch_size: int = 8) -> Case:
    """It reads pairs: `batch_size` pairs are two batches of as many texts."""
    model, tokenizer = inputs.hugging_face
    tokenizer.padding_side = "right"

    def run() -> Any:
        return extract_activations(model, tokenizer, inputs.pairs, batch_size=batch_size)

    def collect(found: Any) -> dict[str, Any]:
        sides = [torch.stack([torch.cat(side[k]) for k in sorted(side)], dim=1) for side in found]
        return {"activations": torch.stack(sides, dim=1).flatten(0, 1)}

    return run, collect


def direction_from_texts(inputs: Inputs, *, batch_size: int = 8) -> Case:
    model, tokenizer = inputs.hugging_face
    tokenizer.padding_side = "right"

    def run() -> SteeringVector:
        return train_steering_vector(model, tokenizer, inputs.pairs, batch_size=batch_size)

    def collect(found: SteeringVector) -> dict[str, Any]:
        vectors = found.layer_activations
        return {"direction": torch.stack([vectors[k] for k in sorted(vectors)])}

    return run, collect


def directions(inputs: Inputs, *, method: str = "pairs") -> Case:
    rows = torch.as_tensor(inputs.arrays["rows"])
    layers = range(rows.shape[2])
    positive = {k: [rows[:, 0, k]] for k in layers}
    negative = {k: [rows[:, 1, k]] for k in layers}
    aggregator = {"pairs": mean_aggregator, "pca": pca_aggregator, "logistic": logistic_aggregator}[method]()

    def run() -> Any:
        return aggregate_activations(positive, negative, aggregator)

    return run, lambda found: {"direction": torch.stack([found[k] for k in layers])}


def steering(inputs: Inputs, *, n_prompts: int = 8, new_tokens: int = 32, alpha: float = 30.0) -> Case:
    run = sweep_of(inputs, [alpha], n_prompts, new_tokens)
    return run, lambda found: {"texts": np.array(found)}


def steering_sweep(inputs: Inputs, *, alphas: list[float], n_prompts: int = 8, new_tokens: int = 16) -> Case:
    """A loop: the library has no sweep."""
    run = sweep_of(inputs, alphas, n_prompts, new_tokens)
    return run, lambda found: {"texts": np.array(found)}


def sweep_of(inputs: Inputs, alphas: list[float], n_prompts: int, new_tokens: int) -> Any:
    model, tokenizer = inputs.hugging_face
    vector = SteeringVector({inputs.settings["layer"]: torch.as_tensor(inputs.arrays["steering"])})

    def run() -> list[str]:
        tokenizer.padding_side = "left"
        batch = tokenizer(
            inputs.settings["prompts"][:n_prompts], padding=True, return_tensors="pt", return_token_type_ids=False
        )
        texts = []
        for alpha in alphas:
            with vector.apply(model, multiplier=alpha):
                output = model.generate(**batch, max_new_tokens=new_tokens, do_sample=False)
            texts += new_texts(tokenizer, output, batch["input_ids"].shape[1])
        return texts

    return run


def gradient(inputs: Inputs) -> dict[str, Any]:
    """Its logistic direction is fitted to centred pairs, without scaling: compared with the same fit's own gradient."""
    from sklearn.linear_model import LogisticRegression

    X, y = scaled(inputs.arrays)
    half = len(X) // 2
    vector = logistic_aggregator()(torch.as_tensor(X[:half]), torch.as_tensor(X[half:]))
    centre = (X[:half] + X[half:]) / 2
    fit = LogisticRegression(fit_intercept=False).fit(np.concatenate([X[:half] - centre, X[half:] - centre]), y)
    return {"called": "logistic_aggregator()", "cosine": cosine(vector, numeric_gradient(fit.decision_function, X))}


def parity(inputs: Inputs) -> dict[str, Any]:
    one, eight = (extraction(inputs, batch_size=size) for size in (1, 8))
    rows = [collect(run())["activations"] for run, collect in (one, eight)]
    _, tokenizer = inputs.hugging_face
    tokenizer.padding_side = "left"
    run, collect = extraction(inputs, batch_size=8)
    tokenizer.padding_side = "left"
    left = collect(run())["activations"]
    return {
        "called": "extract_activations(batch_size=...)",
        "activations, batch 8 against 1": relative_difference(rows[0], rows[1]),
        "activations, left-padding tokenizer": relative_difference(rows[0], left),
    }


CASES = {
    "extraction": extraction,
    "direction_from_texts": direction_from_texts,
    "directions": directions,
    "steering": steering,
    "steering_sweep": steering_sweep,
}
FACTS = {"gradient": gradient, "parity": parity}
