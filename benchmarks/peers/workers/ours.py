"""empathy_geometry: the other side of every comparison. What "same work" means is decided here, case by case."""

from functools import cache
from typing import Any

import numpy as np
import torch
from common import cosine, flat, numeric_gradient, relative_difference, scaled, split
from serving import Case, Inputs
from sklearn.metrics import roc_auc_score

import empathy_geometry as eg
from empathy_geometry.generation.continuations import generate
from empathy_geometry.geometry.direction_methods import fit_vector
from empathy_geometry.models.hooked_transformer import to_hooked_transformer
from empathy_geometry.texts.splits import Fold

PACKAGES = ("empathy-geometry", "torch", "transformer-lens", "transformers", "scikit-learn")


@cache
def model_of(inputs: Inputs, kind: str = "bridge") -> Any:
    hf, tokenizer = inputs.load_hugging_face("eager")
    if kind == "hooked_transformer":
        model = to_hooked_transformer(hf, tokenizer, name="peer", device=torch.device("cpu"), dtype=torch.float32)
    else:
        from transformer_lens.model_bridge import TransformerBridge

        tokenizer.init_kwargs["add_bos_token"] = True  # else TransformerLens reloads it by name
        model = TransformerBridge.boot_transformers(
            inputs.model_folder, hf_model=hf, tokenizer=tokenizer, device="cpu", dtype=torch.float32
        )
    model.eval()
    return model


def labeled(inputs: Inputs) -> eg.LabeledTexts:
    labels = ["positive", "negative"] * len(inputs.pairs)
    return eg.LabeledTexts(inputs.texts, labels, np.repeat(np.arange(len(inputs.pairs)), 2).astype(str))


def extraction(
    inputs: Inputs,
    *,
    position: str = "last",
    layers: Any = "all",
    batch_size: Any = 8,
    share_prefixes: Any = False,
    kind: str = "bridge",
) -> Case:
    model, texts = model_of(inputs, kind), labeled(inputs)

    def run() -> eg.Activations:
        return eg.extract_activations(
            model,
            texts,
            layers=layers,
            position=position,
            batch_size=batch_size,
            share_prefixes=share_prefixes,
            reading=eg.ReadingDesign(prepend_bos=False),
            progress=False,
        )

    return run, lambda found: {"activations": found.values}


def direction_from_texts(
    inputs: Inputs, *, method: str = "pairs", layers: Any = "all", batch_size: Any = 8, share_prefixes: Any = False
) -> Case:
    """Texts to one direction a layer; with its reliability and scales, which is what the library gives."""
    extract, _ = extraction(inputs, layers=layers, batch_size=batch_size, share_prefixes=share_prefixes)

    def run() -> list[eg.ConceptDirection]:
        acts = extract()
        return [
            eg.ConceptDirection.from_activations(
                acts, positive="positive", negative="negative", layer=layer, method=method
            )
            for layer in acts.layers
        ]

    return run, lambda found: {"direction": torch.stack([d.vector for d in found])}


def directions(inputs: Inputs, *, method: str = "pairs", quality: bool = False) -> Case:
    """Activations to directions: the bare vectors, or with reliability and scales (cross-fitted, so many fits)."""
    rows = inputs.arrays["rows"]
    up, down = torch.as_tensor(rows[:, 0]), torch.as_tensor(rows[:, 1])
    n_layers = rows.shape[2]

    def bare() -> np.ndarray:
        vectors = [fit_vector(method, rows[:, 0, k], rows[:, 1, k]) for k in range(n_layers)]
        return np.stack([v / np.linalg.norm(v) for v in vectors])

    def full() -> np.ndarray:
        maker = eg.ConceptDirection.from_pca if method == "pca" else eg.ConceptDirection.from_pairs
        return np.stack([maker(up[:, k], down[:, k], layer=k).vector.numpy() for k in range(n_layers)])

    return (full if quality else bare), lambda found: {"direction": found}


def probe_directions(inputs: Inputs, *, kind: str = "logistic", scale: bool = False, C: float = 1.0) -> Case:
    rows = inputs.arrays["rows"]
    X, y = flat(rows)

    def run() -> np.ndarray:
        return np.stack(
            [eg.Probe(kind, scale=scale, C=C).fit(X[:, k], y).directions()[0].numpy() for k in range(X.shape[1])]
        )

    return run, lambda found: {"direction": found}


def held_out_probes(
    inputs: Inputs, *, kinds: tuple[str, ...] = ("logistic",), scale: bool = False, C: float = 1.0
) -> Case:
    """One split, every layer, the probes named, AUROC on both parts: what the peers' sweeps do."""
    rows = inputs.arrays["rows"]
    train, test = split(len(rows))
    X_train, y_train = flat(rows[train])
    X_test, y_test = flat(rows[test])

    def run() -> np.ndarray:
        found = np.empty((len(kinds), rows.shape[2], 2))
        for i, kind in enumerate(kinds):
            for k in range(rows.shape[2]):
                probe = eg.Probe(kind, scale=scale, C=C).fit(X_train[:, k], y_train)
                found[i, k, 0] = roc_auc_score(y_train, probe.decision_function(X_train[:, k]))
                found[i, k, 1] = roc_auc_score(y_test, probe.decision_function(X_test[:, k]))
        return found

    return run, lambda found: {"scores": found[:, :, 1]}


def tuned_probes(inputs: Inputs, *, layers: int = 6) -> Case:
    """Ten penalties, six folds of the training rows, AUROC on the test rows: the same fits with our probe."""
    from sklearn.model_selection import StratifiedKFold

    rows = inputs.arrays["rows"][:, :, :layers]
    layers = rows.shape[2]
    train, test = split(len(rows))
    (X, y), (X_test, y_test) = flat(rows[train]), flat(rows[test])
    inner = list(StratifiedKFold(6, shuffle=True, random_state=1).split(X, y))

    def run() -> np.ndarray:
        found = []
        for k in range(layers):
            means = []
            for C in np.logspace(5, -5, 10):
                aurocs = []
                for a, b in inner:
                    probe = eg.Probe("logistic", scale=False, C=C).fit(X[a, k], y[a])
                    aurocs.append(roc_auc_score(y[b], probe.decision_function(X[b, k])))
                means.append(np.mean(aurocs))
            best = np.logspace(5, -5, 10)[int(np.argmax(means))]
            probe = eg.Probe("logistic", scale=False, C=best).fit(X[:, k], y)
            found.append(roc_auc_score(y_test, probe.decision_function(X_test[:, k])))
        return np.array([found])

    return run, lambda found: {"scores": found}


def folds_of(inputs: Inputs) -> tuple[tuple[Fold, ...], np.ndarray]:
    """The five folds that scikit-learn's worker uses too."""
    from sklearn.model_selection import GroupKFold

    n = len(inputs.arrays["rows"])
    groups = np.tile(np.arange(n), 2)
    splitter = GroupKFold(5)
    return tuple(Fold(a, b) for a, b in splitter.split(groups, groups=groups)), groups


def cross_validation(inputs: Inputs, *, nested: bool = False) -> Case:
    """Five folds at every layer by themselves, or with the layer chosen inside the training folds."""
    X, y = flat(inputs.arrays["rows"])
    folds, groups = folds_of(inputs)

    def each() -> np.ndarray:
        return np.array(
            [
                float(
                    eg.cross_validate(eg.Probe("logistic", scale=False), X[:, k], y, groups=groups, folds=folds).auroc
                )
                for k in range(X.shape[1])
            ]
        )

    def one() -> np.ndarray:
        evaluation = eg.cross_validate(eg.Probe("logistic", scale=False), X, y, groups=groups, folds=folds)
        return np.array([float(evaluation.auroc)])

    return (one if nested else each), lambda found: {"scores": found}


def permutations(inputs: Inputs, *, n: int = 50) -> Case:
    X, y = flat(inputs.arrays["rows"])
    X = X[:, 0]
    folds, groups = folds_of(inputs)
    probe = eg.Probe("logistic", scale=False)

    def run() -> Any:
        return eg.permutation_test(
            probe, X, y, groups=groups, folds=folds, n_permutations=n, seed=0, device="cpu", progress=False
        )

    return run, lambda found: {"p": float(found.pvalue), "statistic": float(found.statistic)}


def steering(
    inputs: Inputs, *, n_prompts: int = 8, new_tokens: int = 32, alpha: float = 30.0, kind: str = "bridge"
) -> Case:
    model, prompts = model_of(inputs, kind), inputs.settings["plain_prompts"][:n_prompts]
    vector = torch.as_tensor(inputs.arrays["steering"])
    hook = eg.SteeringHook(vector, alpha=alpha, layers=[inputs.settings["layer"]])

    def run() -> Any:
        with hook.attached(model):
            return generate(model, prompts, max_new_tokens=new_tokens, chat=False)

    return run, lambda found: {"texts": np.array(found.texts)}


def steering_sweep(
    inputs: Inputs,
    *,
    alphas: list[float],
    n_prompts: int = 8,
    new_tokens: int = 16,
    scored: bool = True,
    kind: str = "bridge",
) -> Case:
    """The whole grid: written as one batch; `scored` adds coherence and the concept read back (the public function)."""
    model, prompts = model_of(inputs, kind), inputs.settings["plain_prompts"][:n_prompts]
    layer = inputs.settings["layer"]
    direction = eg.ConceptDirection(torch.as_tensor(inputs.arrays["steering"]), layer=layer)
    rows = np.repeat(alphas, len(prompts))

    def public() -> list[str]:
        sweep = eg.steering_sweep(
            model,
            direction,
            prompts,
            alphas,
            units="raw",
            max_new_tokens=new_tokens,
            design=eg.SweepDesign(chat=False, neutral_texts=()),
            progress=False,
        )
        return [
            text for alpha, texts in zip(sweep.alphas, sweep.texts, strict=True) if alpha in alphas for text in texts
        ]

    def written() -> list[str]:
        hook = eg.SteeringHook(direction, units="raw")

        def edit(batch: np.ndarray) -> Any:
            return hook.with_alpha(torch.as_tensor(rows[batch], dtype=torch.float32)).attached(model)

        found = generate(model, list(prompts) * len(alphas), max_new_tokens=new_tokens, chat=False, edit=edit)
        return list(found.texts)

    return (public if scored else written), lambda found: {"texts": np.array(found)}


def direction_files(inputs: Inputs, *, many: int = 30) -> Case:
    vectors = inputs.arrays["rows"][0, 0]
    made = [eg.ConceptDirection(torch.as_tensor(v / np.linalg.norm(v)), layer=k) for k, v in enumerate(vectors[:many])]
    folder = inputs.scratch()

    def run() -> np.ndarray:
        for k, direction in enumerate(made):
            direction.save(folder / f"direction-{k}")
        return np.stack([eg.ConceptDirection.load(folder / f"direction-{k}").vector.numpy() for k in range(len(made))])

    return run, lambda found: {"direction": found}


def activation_files(inputs: Inputs) -> Case:
    X, y = flat(inputs.arrays["rows"])
    groups = np.tile(np.arange(len(X) // 2), 2).astype(str)
    acts = eg.Activations(
        torch.as_tensor(X), tuple(range(X.shape[1])), np.where(y == 1, "positive", "negative"), groups
    )
    path = inputs.scratch() / "activations"

    def run() -> eg.Activations:
        acts.save(path)
        return eg.Activations.load(path)

    return run, lambda found: {"activations": found.values}


def noise(inputs: Inputs) -> dict[str, Any]:
    found = []
    for rows in inputs.arrays["noise"][: inputs.settings["seeds"]]:
        X, y = flat(rows)
        groups = np.tile(np.arange(len(rows)), 2)
        found.append(float(eg.cross_validate(eg.Probe("logistic"), X, y, groups=groups).auroc))
    return {
        "called": "cross_validate(Probe('logistic'), X, y, groups=groups)",
        "reported": "AUROC, layer chosen inside the training folds",
        "values": found,
    }


def gradient(inputs: Inputs) -> dict[str, Any]:
    X, y = scaled(inputs.arrays)
    probe = eg.Probe("logistic").fit(X, y)
    return {
        "called": "Probe('logistic').directions()[0]",
        "cosine": cosine(probe.directions()[0].numpy(), numeric_gradient(probe.decision_function, X)),
    }


def random_labels(inputs: Inputs) -> dict[str, Any]:
    found = []
    for rows in inputs.arrays["noise"][: inputs.settings["seeds"]]:
        X, y = flat(rows)
        groups = np.tile(np.arange(len(rows)), 2)
        found.append(float(eg.cross_validate(eg.Probe("logistic"), X, y, groups=groups).d_prime))
    return {
        "called": "cross_validate(Probe('logistic'), X, y, groups=groups).d_prime",
        "reported": "d' of out-of-fold scores, layer chosen inside the training folds",
        "values": found,
    }


def parity(inputs: Inputs) -> dict[str, Any]:
    found = {}
    for kind in ("bridge", "hooked_transformer"):
        runs = [extraction(inputs, batch_size=size, kind=kind)[0]().values for size in (1, 8)]
        found[f"activations, batch 8 against 1 ({kind})"] = relative_difference(*runs)
    model, prompts = model_of(inputs), inputs.settings["plain_prompts"]
    together = generate(model, prompts, max_new_tokens=12, chat=False).texts
    alone = [generate(model, [p], max_new_tokens=12, chat=False).texts[0] for p in prompts]
    found["texts, batch of 8 equal to one by one"] = float(
        np.mean([a == b for a, b in zip(together, alone, strict=True)])
    )
    return {"called": "extract_activations, generate", **found}


def giveaway(inputs: Inputs) -> dict[str, Any]:
    pairs = inputs.settings["giveaway"]
    texts = [text for pair in pairs for text in pair]
    rng = np.random.default_rng(0)
    # Activations that see the one word: the text-only baselines stand beside what the probe reports.
    y = np.tile(["positive", "negative"], len(pairs))
    X = rng.normal(size=(len(texts), 16)) + 4.0 * (y == "positive")[:, None] * np.eye(16)[0]
    groups = np.repeat(np.arange(len(pairs)), 2)
    evaluation = eg.cross_validate(
        eg.Probe("logistic"), X, y, groups=groups, texts=texts, positive="positive", negative="negative"
    )
    return {
        "called": "cross_validate(..., texts=texts)",
        "reported": f"AUROC {float(evaluation.auroc):.2f}; "
        + ", ".join(f"{name} {float(e):.2f}" for name, e in evaluation.baselines.items())
        + (f"; excess over {evaluation.best_baseline} {float(evaluation.excess):+.2f}" if evaluation.excess else ""),
        "text_baseline": True,
    }


CASES = {
    "extraction": extraction,
    "direction_from_texts": direction_from_texts,
    "directions": directions,
    "probe_directions": probe_directions,
    "held_out_probes": held_out_probes,
    "tuned_probes": tuned_probes,
    "cross_validation": cross_validation,
    "permutations": permutations,
    "steering": steering,
    "steering_sweep": steering_sweep,
    "direction_files": direction_files,
    "activation_files": activation_files,
}
FACTS = {"noise": noise, "gradient": gradient, "random_labels": random_labels, "parity": parity, "giveaway": giveaway}
