"""TransformerLens 4's own tools, and transformerlens-fdr."""

from functools import cache
from typing import Any

import numpy as np
import torch
from common import cosine, flat, new_texts, numeric_gradient, scaled
from serving import Case, Inputs
from transformer_lens.tools.analysis.sparse_probing import fit_sparse_probe, sweep_sparse_probe

PACKAGES = ("transformer-lens", "transformerlens-fdr", "torch", "transformers", "scikit-learn")


@cache
def bridge(inputs: Inputs) -> Any:
    from transformer_lens.model_bridge import TransformerBridge

    hf, tokenizer = inputs.load_hugging_face("eager")
    tokenizer.init_kwargs["add_bos_token"] = True
    return TransformerBridge.boot_transformers(
        inputs.model_folder, hf_model=hf, tokenizer=tokenizer, device="cpu", dtype=torch.float32
    )


def run_with_cache(inputs: Inputs) -> Case:
    """What its users write: right-padded batches of eight with mask, the resid_post of all layers."""
    model = bridge(inputs)
    _, tokenizer = inputs.hugging_face
    tokenizer.padding_side = "right"
    names = [f"blocks.{i}.hook_resid_post" for i in range(inputs.settings["n_layers"])]

    def run() -> torch.Tensor:
        kept = []
        texts = inputs.texts
        for i in range(0, len(texts), 8):
            batch = tokenizer(texts[i : i + 8], padding=True, return_tensors="pt")
            _, cache = model.run_with_cache(
                batch["input_ids"],
                attention_mask=batch["attention_mask"],
                names_filter=lambda name: name in names,
            )
            last = batch["attention_mask"].sum(1) - 1
            kept.append(torch.stack([cache[n][torch.arange(len(last)), last] for n in names], dim=1))
        return torch.cat(kept)

    return run, lambda found: {"activations": found}


def steering(inputs: Inputs, *, n_prompts: int = 8, new_tokens: int = 32, alpha: float = 30.0) -> Case:
    model, prompts = bridge(inputs), inputs.settings["prompts"][:n_prompts]
    _, tokenizer = inputs.hugging_face
    vector = alpha * torch.as_tensor(inputs.arrays["steering"])
    name = f"blocks.{inputs.settings['layer']}.hook_resid_post"

    def run() -> list[str]:
        tokenizer.padding_side = "left"
        batch = tokenizer(prompts, padding=True, return_tensors="pt")
        with model.hooks(fwd_hooks=[(name, lambda stream, hook: stream + vector)]):
            output = model.generate(
                batch["input_ids"],
                attention_mask=batch["attention_mask"],
                max_new_tokens=new_tokens,
                do_sample=False,
                verbose=False,
                return_type="tokens",
            )
        return new_texts(tokenizer, output, batch["input_ids"].shape[1])

    return run, lambda found: {"texts": np.array(found)}


def held_out_probes(inputs: Inputs) -> Case:
    """`fit_sparse_probe` at each layer on all columns (k = d), pairs held out by `groups`."""
    X, y = flat(inputs.arrays["rows"])
    x, labels = torch.as_tensor(X), torch.as_tensor(y)
    groups = torch.as_tensor(np.tile(np.arange(len(X) // 2), 2))

    def run() -> list[Any]:
        return [
            fit_sparse_probe(
                x[:, k].contiguous(), labels, k=x.shape[2], groups=groups, test_fraction=0.2, l2_strength=1 / len(x)
            )
            for k in range(x.shape[1])
        ]

    return run, lambda found: {"scores_of_its_own_split": [[r.metrics.roc_auc for r in found]]}


def noise(inputs: Inputs) -> dict[str, Any]:
    found = []
    for seed, rows in enumerate(inputs.arrays["noise"][: inputs.settings["seeds"]]):
        X, y = flat(rows)
        groups = torch.as_tensor(np.tile(np.arange(len(rows)), 2))
        found.append(
            max(
                fit_sparse_probe(
                    torch.as_tensor(X[:, k]).contiguous(), torch.as_tensor(y), k=16, groups=groups, seed=seed
                ).metrics.roc_auc
                for k in range(X.shape[1])
            )
        )
    return {
        "called": "fit_sparse_probe(x, y, k=16, groups=groups) at each layer, then max() by the user",
        "reported": "held-out AUROC of the best layer (the tool itself knows no layers)",
        "values": found,
    }


def gradient(inputs: Inputs) -> dict[str, Any]:
    X, y = scaled(inputs.arrays)
    result = fit_sparse_probe(torch.as_tensor(X), torch.as_tensor(y), k=X.shape[1], preprocess="standardize")
    weight = np.zeros(X.shape[1])
    weight[result.selected_features] = result.coefficients

    def score(rows: np.ndarray) -> Any:
        chosen = torch.as_tensor(rows, dtype=torch.float64)[:, result.selected_features]
        return ((chosen - result.preprocess_mean) / result.preprocess_scale) @ result.coefficients + result.intercept

    return {
        "called": "fit_sparse_probe(x, y, k=d, preprocess='standardize').coefficients",
        "note": "coefficients of the standardised columns; mean and scale are returned beside them",
        "cosine": cosine(weight, numeric_gradient(score, X)),
    }


def random_labels(inputs: Inputs) -> dict[str, Any]:
    """It has no d', but a label-shuffle control: what that reports on noise."""
    rows = inputs.arrays["noise"][0]
    X, y = flat(rows)
    groups = torch.as_tensor(np.tile(np.arange(len(rows)), 2))
    sweep = sweep_sparse_probe(
        torch.as_tensor(X[:, 0]).contiguous(), torch.as_tensor(y), ks=[16], groups=groups, n_label_shuffles=20
    )
    control = sweep.label_shuffle_controls[0].roc_auc
    return {
        "called": "sweep_sparse_probe(..., n_label_shuffles=20)",
        "reported": f"no d'; its shuffle control gives AUROC {float(control.mean()):.2f} "
        f"({float(control.min()):.2f} to {float(control.max()):.2f})",
        "values": [],
    }


CASES = {"run_with_cache": run_with_cache, "steering": steering, "held_out_probes": held_out_probes}
FACTS = {"noise": noise, "gradient": gradient, "random_labels": random_labels}
