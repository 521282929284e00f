"""The bare model, plain TransformerLens, and scikit-learn's loops, in our own environment."""

from functools import cache
from typing import Any

import numpy as np
import torch
from common import cosine, flat, new_texts, numeric_gradient, relative_difference, scaled
from serving import Case, Inputs
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict, cross_val_score, permutation_test_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

PACKAGES = ("torch", "transformers", "transformer-lens", "scikit-learn")


@cache
def bridge(inputs: Inputs) -> Any:
    from transformer_lens.model_bridge import TransformerBridge

    hf, tokenizer = inputs.load_hugging_face("eager")
    tokenizer.init_kwargs["add_bos_token"] = True
    return TransformerBridge.boot_transformers(
        inputs.model_folder, hf_model=hf, tokenizer=tokenizer, device="cpu", dtype=torch.float32
    )


def batches(inputs: Inputs, size: int = 8) -> list[dict[str, torch.Tensor]]:
    """Right-padded batches in the given order."""
    _, tokenizer = inputs.hugging_face
    tokenizer.padding_side = "right"
    texts = inputs.texts
    return [tokenizer(texts[i : i + size], padding=True, return_tensors="pt") for i in range(0, len(texts), size)]


def forward(inputs: Inputs, *, body: bool = False) -> Case:
    """Tokenise and run; nothing kept."""
    model, _ = inputs.hugging_face
    module = model.model if body else model

    def run() -> None:
        for batch in batches(inputs):
            module(**batch, use_cache=False)

    return run, lambda found: {}


def hidden_states(inputs: Inputs) -> Case:
    """`output_hidden_states=True`, last token of each text; the last entry comes after the final norm."""
    model, _ = inputs.hugging_face

    def run() -> torch.Tensor:
        kept = []
        for batch in batches(inputs):
            states = model(**batch, use_cache=False, output_hidden_states=True).hidden_states[1:]
            last = batch["attention_mask"].sum(1) - 1
            kept.append(torch.stack([s[torch.arange(len(s)), last] for s in states], dim=1))
        return torch.cat(kept)

    return run, lambda found: {"activations_but_last_layer": found[:, :-1]}


def run_with_cache(inputs: Inputs, *, everything: bool = False) -> Case:
    model = bridge(inputs)
    n_layers = inputs.settings["n_layers"]
    names = [f"blocks.{i}.hook_resid_post" for i in range(n_layers)]

    def run() -> torch.Tensor:
        kept = []
        for batch in batches(inputs):
            _, cache = model.run_with_cache(
                batch["input_ids"],
                attention_mask=batch["attention_mask"],
                names_filter=None if everything else (lambda name: name in names),
            )
            last = batch["attention_mask"].sum(1) - 1
            kept.append(torch.stack([cache[n][torch.arange(len(last)), last] for n in names], dim=1))
        return torch.cat(kept)

    return run, lambda found: {"activations": found}


def cross_validation(inputs: Inputs) -> Case:
    X, y = flat(inputs.arrays["rows"])
    groups = np.tile(np.arange(len(X) // 2), 2)

    def run() -> np.ndarray:
        return np.array(
            [
                cross_val_score(
                    LogisticRegression(max_iter=2000), X[:, k], y, groups=groups, cv=GroupKFold(5), scoring="roc_auc"
                ).mean()
                for k in range(X.shape[1])
            ]
        )

    return run, lambda found: {"scores": found}


def permutations(inputs: Inputs, *, n: int = 50) -> Case:
    X, y = flat(inputs.arrays["rows"])
    groups = np.tile(np.arange(len(X) // 2), 2)

    def run() -> Any:
        return permutation_test_score(
            LogisticRegression(max_iter=2000),
            X[:, 0],
            y,
            groups=groups,
            cv=GroupKFold(5),
            scoring="roc_auc",
            n_permutations=n,
            random_state=0,
        )

    return run, lambda found: {"p": found[2], "statistic": found[0]}


def steering(inputs: Inputs, *, n_prompts: int = 8, new_tokens: int = 32, alpha: float = 30.0) -> Case:
    """`model.hooks` of TransformerBridge around the bridged model's own `generate`, left-padded, with mask."""
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


def noise(inputs: Inputs) -> dict[str, Any]:
    found = []
    for rows in inputs.arrays["noise"][: inputs.settings["seeds"]]:
        X, y = flat(rows)
        groups = np.tile(np.arange(len(rows)), 2)
        scores = [
            cross_val_score(
                make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
                X[:, k],
                y,
                groups=groups,
                cv=GroupKFold(5),
                scoring="roc_auc",
            ).mean()
            for k in range(X.shape[1])
        ]
        found.append(max(scores))
    return {
        "called": "cross_val_score(..., cv=GroupKFold(5)) at each layer, then max() by the user",
        "reported": "AUROC of the best layer (scikit-learn itself knows no layers)",
        "values": found,
    }


def gradient(inputs: Inputs) -> dict[str, Any]:
    X, y = scaled(inputs.arrays)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    return {
        "called": "make_pipeline(StandardScaler(), LogisticRegression())[-1].coef_",
        "note": "documented as coefficients of the scaled columns",
        "cosine": cosine(pipeline[-1].coef_, numeric_gradient(pipeline.decision_function, X)),
    }


def random_labels(inputs: Inputs) -> dict[str, Any]:
    """What a user gets by scoring the rows that a direction was made from, and held out at one fixed layer."""
    held, seen = [], []
    for rows in inputs.arrays["noise"][: inputs.settings["seeds"]]:
        X, y = flat(rows)
        X, groups = X[:, 0], np.tile(np.arange(len(rows)), 2)
        scores = cross_val_predict(
            LogisticRegression(max_iter=2000), X, y, groups=groups, cv=GroupKFold(5), method="decision_function"
        )
        held.append(d_prime(scores, y))
        seen.append(d_prime(LogisticRegression(max_iter=2000).fit(X, y).decision_function(X), y))
    return {
        "called": "cross_val_predict(LogisticRegression()) at layer 0, d' computed by hand",
        "reported": f"d' of held-out scores; on the training rows themselves it would be {np.mean(seen):.2f}",
        "values": held,
    }


def d_prime(scores: np.ndarray, y: np.ndarray) -> float:
    a, b = scores[y == 1], scores[y == 0]
    return float((a.mean() - b.mean()) / np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2))


def parity(inputs: Inputs) -> dict[str, Any]:
    """Right and left padding, with and without mask, against one text at a time; cached against uncached decoding."""
    model = bridge(inputs)
    _, tokenizer = inputs.hugging_face
    name = f"blocks.{inputs.settings['layer']}.hook_resid_post"
    texts = inputs.texts[:1] + inputs.texts[-7:]
    alone = [
        model.run_with_cache(tokenizer(t, return_tensors="pt")["input_ids"], names_filter=name)[1][name][0, -1]
        for t in texts
    ]
    found: dict[str, Any] = {"called": "TransformerBridge.run_with_cache, TransformerBridge.generate"}
    for side in ("right", "left"):
        tokenizer.padding_side = side
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        last = batch["attention_mask"].sum(1) - 1 if side == "right" else torch.full((len(texts),), -1)
        for masked in (True, False):
            extra = {"attention_mask": batch["attention_mask"]} if masked else {}
            cache = model.run_with_cache(batch["input_ids"], names_filter=name, **extra)[1]
            rows = cache[name][torch.arange(len(texts)), last]
            found[f"activations, {side} padding, {'mask' if masked else 'no mask'}"] = relative_difference(
                torch.stack(alone), rows
            )
    ids = tokenizer(inputs.settings["prompts"][0], return_tensors="pt")["input_ids"]
    options = {"max_new_tokens": 12, "do_sample": False, "verbose": False, "return_type": "tokens"}
    cached, plain = (model.generate(ids, use_past_kv_cache=use, **options) for use in (True, False))
    found["tokens, with and without KV cache equal"] = bool(torch.equal(cached, plain))
    return found


CASES = {
    "forward": forward,
    "hidden_states": hidden_states,
    "run_with_cache": run_with_cache,
    "cross_validation": cross_validation,
    "permutations": permutations,
    "steering": steering,
}
FACTS = {"noise": noise, "gradient": gradient, "random_labels": random_labels, "parity": parity}
