"""steerkit: over HookedTransformer, which its own `load` gives for the models that TransformerLens knows by name."""

from functools import cache
from typing import Any

import numpy as np
import torch
from common import cosine, numeric_gradient, relative_difference, scaled
from serving import Case, Inputs
from steerkit import ContrastPair, ModelHandle, Probe, extract_activations, lint_pairs
from steerkit.cache import load_activations_zarr, save_activations_zarr

PACKAGES = ("steerkit", "torch", "transformer-lens", "transformers", "scikit-learn")


@cache
def handle(inputs: Inputs) -> ModelHandle:
    """The folder's Llama as HookedTransformer, weights unprocessed; no chat template, so that it reads plain texts."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_llama_weights

    model, tokenizer = inputs.load_hugging_face("eager")
    tokenizer.chat_template = None
    tokenizer.init_kwargs["add_bos_token"] = True  # else TransformerLens reloads it as one that adds the token
    hf = model.config
    config = HookedTransformerConfig(
        model_name="peer",
        n_layers=hf.num_hidden_layers,
        d_model=hf.hidden_size,
        n_heads=hf.num_attention_heads,
        d_head=hf.hidden_size // hf.num_attention_heads,
        d_mlp=hf.intermediate_size,
        n_ctx=hf.max_position_embeddings,
        d_vocab=hf.vocab_size,
        act_fn=hf.hidden_act,
        eps=hf.rms_norm_eps,
        n_key_value_heads=hf.num_key_value_heads,
        normalization_type="RMS",
        positional_embedding_type="rotary",
        rotary_base=int(hf.rope_parameters["rope_theta"]),
        rotary_dim=hf.hidden_size // hf.num_attention_heads,
        rotary_adjacent_pairs=False,
        gated_mlp=True,
        final_rms=True,
        original_architecture="LlamaForCausalLM",
        default_prepend_bos=False,
        device="cpu",
        dtype=torch.float32,
    )
    hooked = HookedTransformer(config, tokenizer=tokenizer)
    hooked.load_and_process_state_dict(
        convert_llama_weights(model, config),
        fold_ln=False,
        center_writing_weights=False,
        center_unembed=False,
        fold_value_biases=False,
    )
    hooked.tokenizer.chat_template = None
    return ModelHandle(hooked.eval(), "peer")


class NoModel:
    """What `Probe.fit_all` asks of a model when activations are given."""

    model_id = "peer"

    def __init__(self, n_layers: int) -> None:
        self.n_layers = n_layers


def pairs_of(inputs: Inputs) -> list[ContrastPair]:
    first = inputs.settings["first_line"]
    strip = len(first) + 1
    return [ContrastPair(first, p[strip:], n[strip:]) for p, n in inputs.pairs]


def extraction(inputs: Inputs, *, batch_size: int = 8) -> Case:
    model, pairs = handle(inputs), pairs_of(inputs)

    def run() -> Any:
        return extract_activations(pairs, model, include_boundaries=False, batch_size=batch_size)

    return run, lambda found: {"activations": torch.stack([found[k] for k in sorted(found)], dim=2).flatten(0, 1)}


def acts_of(rows: np.ndarray) -> dict[int, torch.Tensor]:
    return {k: torch.as_tensor(rows[:, :, k]) for k in range(rows.shape[2])}


def held_out_probes(inputs: Inputs) -> Case:
    """`Probe.fit_all`: logistic, difference in means and LDA at each layer, one split of the pairs."""
    rows = inputs.arrays["rows"]
    acts, model = acts_of(rows), NoModel(rows.shape[2])

    def run() -> Any:
        return Probe.fit_all(acts, model)

    names = ("auc_test_logistic", "auc_test_diff_of_means", "auc_test_mass_mean")
    return run, lambda found: {"scores": [[found[k].metrics[name] for k in sorted(found)] for name in names]}


def sweep_of(inputs: Inputs, alphas: list[float], n_prompts: int, new_tokens: int) -> Any:
    model, layer = handle(inputs), inputs.settings["layer"]
    probe = Probe(
        directions={"logistic": torch.as_tensor(inputs.arrays["steering"])},
        bias={"logistic": 0.0},
        layer=layer,
        metrics={},
        model_id="peer",
        hook_site="resid_post",
        hook_name=f"blocks.{layer}.hook_resid_post",
        n_total_layers=inputs.settings["n_layers"],
    )

    def run() -> list[str]:
        return [
            probe.steer(model, prompt, alpha, max_new_tokens=new_tokens)
            for alpha in alphas
            for prompt in inputs.settings["prompts"][:n_prompts]
        ]

    return run


def steering(inputs: Inputs, *, n_prompts: int = 8, new_tokens: int = 32, alpha: float = 30.0) -> Case:
    """One prompt after the other: `Probe.steer` takes one."""
    return sweep_of(inputs, [alpha], n_prompts, new_tokens), lambda found: {"texts": np.array(found)}


def steering_sweep(inputs: Inputs, *, alphas: list[float], n_prompts: int = 8, new_tokens: int = 16) -> Case:
    return sweep_of(inputs, alphas, n_prompts, new_tokens), lambda found: {"texts": np.array(found)}


def direction_files(inputs: Inputs) -> Case:
    vectors = torch.as_tensor(inputs.arrays["rows"][0, 0])
    vectors = vectors / vectors.norm(dim=1, keepdim=True)
    made = [
        Probe(
            {"logistic": v}, {"logistic": 0.0}, k, {}, "peer", "resid_post", f"blocks.{k}.hook_resid_post", len(vectors)
        )
        for k, v in enumerate(vectors)
    ]
    folder = inputs.scratch()

    def run() -> Any:
        for k, probe in enumerate(made):
            probe.save(folder / f"{k}.safetensors")
        return torch.stack([Probe.load(folder / f"{k}.safetensors").direction for k in range(len(made))])

    return run, lambda found: {"direction": found}


def activation_files(inputs: Inputs) -> Case:
    """Its zarr cache."""
    acts = acts_of(inputs.arrays["rows"])
    path = inputs.scratch() / "activations.zarr"

    def run() -> Any:
        import shutil

        shutil.rmtree(path, ignore_errors=True)
        save_activations_zarr(acts, path, metadata={})
        return load_activations_zarr(path)[0]

    def collect(found: Any) -> dict[str, Any]:
        rows = torch.stack([found[k] for k in sorted(found)], dim=2)
        return {"activations": torch.cat([rows[:, 0], rows[:, 1]])}

    return run, collect


def fitted(inputs: Inputs) -> list[Any]:
    rows = inputs.arrays["noise"][: inputs.settings["seeds"]]
    return [Probe.fit_all(acts_of(r), NoModel(r.shape[2])) for r in rows]


def noise(inputs: Inputs) -> dict[str, Any]:
    return {
        "called": "Probe.best_layer(Probe.fit_all(activations, model)).auc",
        "reported": "test AUROC of the layer with the best test AUROC",
        "values": [Probe.best_layer(probes).auc for probes in fitted(inputs)],
    }


def random_labels(inputs: Inputs) -> dict[str, Any]:
    found = fitted(inputs)
    anywhere = np.mean([p.metrics["cohens_d_logistic"] for probes in found for p in probes.values()])
    return {
        "called": "Probe.best_layer(Probe.fit_all(activations, model)).metrics['cohens_d_logistic']",
        "reported": f"test Cohen's d of the layer with the best test AUROC (mean over all layers {anywhere:.2f})",
        "values": [Probe.best_layer(probes).metrics["cohens_d_logistic"] for probes in found],
    }


def gradient(inputs: Inputs) -> dict[str, Any]:
    """It does not scale, and keeps no decision function but direction and bias: the direction is the gradient."""
    from sklearn.linear_model import LogisticRegression

    X, y = scaled(inputs.arrays)
    half = len(X) // 2
    acts = {0: torch.stack([torch.as_tensor(X[:half]), torch.as_tensor(X[half:])], dim=1)}
    probe = Probe.fit_all(acts, NoModel(1), test_fraction=0.0)[0]
    fit = LogisticRegression(max_iter=2000).fit(X, y)
    return {
        "called": "Probe.fit_all(...)[0].direction",
        "cosine": cosine(probe.direction, numeric_gradient(fit.decision_function, X)),
    }


def parity(inputs: Inputs) -> dict[str, Any]:
    rows = []
    for size in (1, 8):
        run, collect = extraction(inputs, batch_size=size)
        rows.append(collect(run())["activations"])
    return {
        "called": "extract_activations(batch_size=...), which pads on the right and passes no mask",
        "activations, batch 8 against 1": relative_difference(rows[0], rows[1]),
    }


def giveaway(inputs: Inputs) -> dict[str, Any]:
    report = lint_pairs([ContrastPair(f"Ticket {i}", p, n) for i, (p, n) in enumerate(inputs.settings["giveaway"])])
    return {
        "called": "lint_pairs(pairs)",
        "reported": "findings: " + (", ".join(f.code for f in report.findings) or "none"),
        "text_baseline": False,
    }


CASES = {
    "extraction": extraction,
    "held_out_probes": held_out_probes,
    "steering": steering,
    "steering_sweep": steering_sweep,
    "direction_files": direction_files,
    "activation_files": activation_files,
}
FACTS = {"noise": noise, "random_labels": random_labels, "gradient": gradient, "parity": parity, "giveaway": giveaway}
