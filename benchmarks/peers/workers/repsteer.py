"""repsteer."""

from functools import cache
from typing import Any

import numpy as np
import repsteer as rs
import torch
from common import cosine, flat, new_texts, numeric_gradient, relative_difference, scaled
from repsteer.learners.actadd import paired_difference_mean
from repsteer.learners.probe import fit_logistic_probe
from serving import Case, Inputs

PACKAGES = ("repsteer", "torch", "transformers")


@cache
def model_of(inputs: Inputs) -> Any:
    model, tokenizer = inputs.load_hugging_face()
    tokenizer.padding_side = "right"
    return rs.models.from_model(model, tokenizer, model_id="peer", revision="local")


def extraction(inputs: Inputs, *, position: str = "last", batch_size: int = 8) -> Case:
    """One layer: a capture names one site, so all layers would be as many passes as there are layers."""
    model, layer = model_of(inputs), inputs.settings["layer"]
    last = position == "last"

    def run() -> Any:
        return rs.capture.capture_activations(
            model,
            inputs=inputs.texts,
            site=rs.sites.resid_post(layer),
            positions=rs.positions.LastNonPaddingToken() if last else rs.positions.PromptTokens(),
            pooling="identity" if last else "mean",
            batch_size=batch_size,
        )

    return run, lambda found: {"activations": found.activations.reshape(len(inputs.texts), 1, -1)}


def direction_from_texts(inputs: Inputs, *, batch_size: int = 8) -> Case:
    model = model_of(inputs)
    data = rs.data.ContrastivePairs.from_records([{"positive": p, "negative": n} for p, n in inputs.pairs])
    learner = rs.learners.DiffMean(
        site=rs.sites.resid_post(inputs.settings["layer"]),
        positions=rs.positions.LastNonPaddingToken(),
        batch_size=batch_size,
    )

    def run() -> Any:
        return learner.fit(model, data)

    return run, lambda found: {"direction": found.direction[None]}


def directions(inputs: Inputs, *, method: str = "pairs") -> Case:
    rows = inputs.arrays["rows"]
    X, y = flat(rows)
    x, labels = torch.as_tensor(X), torch.as_tensor(y)
    up, down = torch.as_tensor(rows[:, 0]), torch.as_tensor(rows[:, 1])

    def run() -> torch.Tensor:
        if method == "pairs":
            return torch.stack([paired_difference_mean(up[:, k], down[:, k]) for k in range(x.shape[1])])
        l2 = 1.0 / len(x)  # scikit-learn's C = 1
        return torch.stack([fit_logistic_probe(x[:, k], labels, l2=l2)[0] for k in range(x.shape[1])])

    return run, lambda found: {"direction": found}


def control(inputs: Inputs, alpha: float) -> Any:
    layer = inputs.settings["layer"]
    site = rs.sites.resid_post(layer)
    return rs.Intervention(
        artifact=artifact(inputs.arrays["steering"], layer),
        operator=rs.operators.Add(),
        positions=rs.positions.AllTokens(),
        strength=rs.schedules.Constant(alpha),
        site=site,
        phase="both",
    )


def artifact(vector: np.ndarray, layer: int) -> Any:
    metadata = rs.ArtifactMetadata(
        artifact_type="direction",
        model_id="peer",
        model_revision="local",
        site=rs.sites.resid_post(layer),
        hidden_size=len(vector),
    )
    return rs.DirectionArtifact(metadata=metadata, direction=torch.as_tensor(vector))


def sweep_of(inputs: Inputs, alphas: list[float], n_prompts: int, new_tokens: int) -> Any:
    model = model_of(inputs)
    _, tokenizer = inputs.hugging_face

    def run() -> list[str]:
        tokenizer.padding_side = "left"
        batch = dict(
            tokenizer(
                inputs.settings["prompts"][:n_prompts], padding=True, return_tensors="pt", return_token_type_ids=False
            )
        )
        texts = []
        for alpha in alphas:
            with model.steer(control(inputs, alpha)):
                result = model.generate(**batch, max_new_tokens=new_tokens, do_sample=False)
            texts += new_texts(tokenizer, result.token_ids, batch["input_ids"].shape[1])
        return texts

    return run


def steering(inputs: Inputs, *, n_prompts: int = 8, new_tokens: int = 32, alpha: float = 30.0) -> Case:
    return sweep_of(inputs, [alpha], n_prompts, new_tokens), lambda found: {"texts": np.array(found)}


def steering_sweep(inputs: Inputs, *, alphas: list[float], n_prompts: int = 8, new_tokens: int = 16) -> Case:
    """Batched by hand; its own `evaluation.sweep` runs prompt by prompt (case `own_sweep`)."""
    return sweep_of(inputs, alphas, n_prompts, new_tokens), lambda found: {"texts": np.array(found)}


def own_sweep(inputs: Inputs, *, alphas: list[float], n_prompts: int = 8, new_tokens: int = 16) -> Case:
    model, layer = model_of(inputs), inputs.settings["layer"]
    prompts = inputs.settings["prompts"][:n_prompts]
    grid = rs.evaluation.Grid([rs.sites.resid_post(layer)], list(alphas), [rs.positions.AllTokens()])
    direction = artifact(inputs.arrays["steering"], layer)

    def run() -> Any:
        return rs.evaluation.sweep(
            model=model,
            artifact=direction,
            data=prompts,
            search=grid,
            metrics=[],
            generate_kwargs={
                "max_new_tokens": new_tokens,
                "do_sample": False,
                "decode_kwargs": {"skip_special_tokens": True},
            },
            include_outputs=True,
        )

    plain = inputs.settings["plain_prompts"][:n_prompts]  # special tokens are left out of the decoded text

    def collect(found: Any) -> dict[str, Any]:
        return {
            "texts": [text[len(p) :] for record in found.records for p, text in zip(plain, record.outputs, strict=True)]
        }

    return run, collect


def direction_files(inputs: Inputs) -> Case:
    import shutil

    vectors = inputs.arrays["rows"][0, 0]
    made = [artifact(v / np.linalg.norm(v), k) for k, v in enumerate(vectors)]
    folder = inputs.scratch()

    def run() -> Any:
        for k, a in enumerate(made):
            shutil.rmtree(folder / f"direction-{k}", ignore_errors=True)
            a.save(folder / f"direction-{k}")
        return torch.stack([rs.load_artifact(folder / f"direction-{k}").direction for k in range(len(made))])

    return run, lambda found: {"direction": found}


def gradient(inputs: Inputs) -> dict[str, Any]:
    """It does not scale; the score is weight and bias."""
    X, y = scaled(inputs.arrays)
    weight, bias = fit_logistic_probe(torch.as_tensor(X), torch.as_tensor(y), l2=1.0 / len(X))
    return {
        "called": "learners.probe.fit_logistic_probe(features, labels)",
        "cosine": cosine(weight, numeric_gradient(lambda rows: torch.as_tensor(rows) @ weight + bias, X)),
    }


def parity(inputs: Inputs) -> dict[str, Any]:
    rows = []
    for size in (1, 8):
        run, collect = extraction(inputs, batch_size=size)
        rows.append(collect(run())["activations"])
    together = sweep_of(inputs, [30.0], 8, 12)()
    model = model_of(inputs)
    _, tokenizer = inputs.hugging_face
    alone = []
    for prompt in inputs.settings["prompts"]:
        single = dict(tokenizer(prompt, return_tensors="pt", return_token_type_ids=False))
        with model.steer(control(inputs, 30.0)):
            result = model.generate(**single, max_new_tokens=12, do_sample=False)
        alone += new_texts(tokenizer, result.token_ids, single["input_ids"].shape[1])
    return {
        "called": "capture_activations(batch_size=...), model.steer + generate",
        "activations, batch 8 against 1": relative_difference(rows[0], rows[1]),
        "texts, batch of 8 equal to one by one": float(np.mean([a == b for a, b in zip(together, alone, strict=True)])),
    }


CASES = {
    "extraction": extraction,
    "direction_from_texts": direction_from_texts,
    "directions": directions,
    "steering": steering,
    "steering_sweep": steering_sweep,
    "own_sweep": own_sweep,
    "direction_files": direction_files,
}
FACTS = {"gradient": gradient, "parity": parity}
