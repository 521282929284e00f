"""What is compared with what: the same work on both sides, and beside it what our defaults do."""

from dataclasses import dataclass, field
from typing import Any

ALPHAS = [-30.0, -15.0, 15.0, 30.0, 45.0]
FEW_ALPHAS = [-30.0, 10.0, 30.0]

TASKS = {
    "a": "extraction",
    "b": "direction training",
    "c": "probe evaluation",
    "d": "permutation test",
    "e": "steering",
    "f": "save and load",
}
FACTS = {
    "g": ("noise", "Pure noise, 40 pairs, 30 layers, d = 128: what is reported for the chosen layer"),
    "h": (
        "gradient",
        "Direction of a probe against the gradient of its decision function, columns of unequal scale",
    ),
    "i": ("random_labels", "d' under random labels"),
    "j": ("parity", "Padding, KV cache and batch size: does the batch change the result?"),
    "k": ("giveaway", "Texts whose class one word gives away"),
}

# Installed in our own environment (see workers/hugging_face.py), or in one of their own.
WORKERS = {
    "hugging-face": "hugging_face",
    "steering-vectors": "steering_vectors",
    "repeng": "repeng",
    "steerkit": "steerkit",
    "probelab-py": "probelab_py",
    "probekit": "probekit",
    "repsteer": "repsteer",
    "transformerlens-4": "transformerlens_4",
    "sae-probes": "sae_probes",
}


@dataclass(frozen=True)
class Side:
    """One thing that is timed.

    Attributes:
        label: What stands in the table.
        case: Of the worker.
        options: For the case.
        more: What this side does beyond the other, or less; empty for the same work.
    """

    label: str
    case: str
    options: dict[str, Any] = field(default_factory=dict)
    more: str = ""


@dataclass(frozen=True)
class Comparison:
    """A peer's work against ours; `ours[0]` is the same work, the rest are our other ways to it."""

    task: str
    peer: str
    what: str
    theirs: Side
    ours: tuple[Side, ...]
    note: str = ""


def extraction(**options: Any) -> Side:
    return Side("ours, batch of 8", "extraction", {"batch_size": 8, "share_prefixes": False, **options})


OURS_DEFAULT = Side("ours, defaults", "extraction", {"batch_size": "auto", "share_prefixes": "auto"}, "own batches")
QUALITY = "also reliability, scales"
TEXTS = "last token, all layers"


def comparisons() -> list[Comparison]:
    """In the order in which they run: peer by peer, so that each worker is started once."""
    hooked = Side(
        "ours, HookedTransformer",
        "extraction",
        {"batch_size": 8, "share_prefixes": False, "kind": "hooked_transformer"},
    )
    sweep = Side("ours, written as one batch", "steering_sweep", {"alphas": ALPHAS, "scored": False})
    scored = Side("ours, steering_sweep", "steering_sweep", {"alphas": ALPHAS}, "also scores coherence and concept")
    few = {"alphas": FEW_ALPHAS, "n_prompts": 2, "new_tokens": 8}
    one = Side("ours", "steering")
    short = {"n_prompts": 2, "new_tokens": 8}
    bare = {
        method: Side("ours, vectors only", "directions", {"method": method}) for method in ("pairs", "pca", "logistic")
    }
    full = {
        method: Side("ours, ConceptDirection", "directions", {"method": method, "quality": True}, QUALITY)
        for method in ("pairs", "pca")
    }
    probes = Side("ours, Probe", "probe_directions", {"kind": "logistic"})
    return [
        Comparison(
            "a", "hugging-face", "bare forward with unembedding, nothing kept", Side("Hugging Face forward", "forward"),
            (extraction(), OURS_DEFAULT),
        ),
        Comparison(
            "a", "hugging-face", "bare body (no unembedding), nothing kept",
            Side("Hugging Face body", "forward", {"body": True}),
            (extraction(),), "ours also keeps what it reads",
        ),
        Comparison(
            "a", "hugging-face", TEXTS, Side("output_hidden_states", "hidden_states"), (extraction(),),
            "its last layer comes after the final norm; the others are compared",
        ),
        Comparison(
            "a", "hugging-face", TEXTS, Side("run_with_cache, resid_post (TransformerLens 3.9)", "run_with_cache"),
            (extraction(),),
        ),
        Comparison(
            "a", "hugging-face", TEXTS, Side("run_with_cache, everything", "run_with_cache", {"everything": True}),
            (extraction(),),
        ),
        Comparison(
            "c", "hugging-face", "logistic, five folds at each of 30 layers",
            Side("scikit-learn cross_val_score", "cross_validation"),
            (
                Side("ours, cross_validate at each layer", "cross_validation", {}, "also intervals, d', forced choice"),
                Side("ours, nested choice of the layer", "cross_validation", {"nested": True}, "one honest AUROC"),
            ),
            "scikit-learn averages AUROC over folds, ours ranks the scores within each fold",
        ),
        Comparison(
            "d", "hugging-face", "logistic, five folds, 50 permutations, one layer",
            Side("scikit-learn permutation_test_score", "permutations"),
            (Side("ours, permutation_test", "permutations"),),
            "scikit-learn shuffles labels within groups, as ours does",
        ),
        Comparison(
            "e", "hugging-face", "one alpha x 8 prompts x 32 tokens",
            Side("TransformerBridge.hooks + generate (3.9)", "steering"), (one,),
        ),
        Comparison(
            "a", "steering-vectors", TEXTS, Side("extract_activations, batch of 8 pairs", "extraction"),
            (extraction(),), "pairs: two batches of eight texts at a time",
        ),
        Comparison(
            "b", "steering-vectors", "from texts, mean of pair differences, all layers",
            Side("train_steering_vector", "direction_from_texts"),
            (Side("ours, extract + from_activations", "direction_from_texts", {"method": "pairs"}, QUALITY),),
        ),
        *(
            Comparison(
                "b", "steering-vectors", f"from activations, {name}, 30 layers",
                Side(f"aggregate_activations, {method}", "directions", {"method": method}),
                (bare[method], full[method]),
            )
            for method, name in (("pairs", "mean of pair differences"), ("pca", "uncentred first component"))
        ),
        Comparison(
            "e", "steering-vectors", "one alpha x 8 prompts x 32 tokens", Side("apply + generate", "steering"), (one,)
        ),
        Comparison(
            "e", "steering-vectors", "5 alphas x 8 prompts x 16 tokens",
            Side("a loop of apply + generate", "steering_sweep", {"alphas": ALPHAS}), (sweep, scored),
        ),
        Comparison(
            "a", "repeng", TEXTS, Side("batched_get_hiddens, batch of 8", "extraction"), (extraction(),),
            "hidden_states: its last layer comes after the final norm; the others are compared",
        ),
        Comparison(
            "b", "repeng", "from texts, first component of pair differences, all layers but the first",
            Side("read_representations", "direction_from_texts"),
            (Side("ours, extract + from_activations", "direction_from_texts", {"method": "pca"}, QUALITY),),
            "repeng centres the differences, ours does not, so the directions may differ",
        ),
        Comparison(
            "e", "repeng", "one alpha x 8 prompts x 32 tokens", Side("set_control + generate", "steering"), (one,)
        ),
        Comparison(
            "f", "repeng", "30 directions", Side("export_gguf + import_gguf, one file", "direction_files"),
            (Side("ours, a folder each", "direction_files"),), "one file of 30 vectors against 30 results with record",
        ),
        Comparison(
            "a", "steerkit", TEXTS, Side("extract_activations, batch of 8", "extraction"),
            (hooked, extraction()), "HookedTransformer on its side",
        ),
        Comparison(
            "c", "steerkit", "logistic, difference in means and LDA at each of 30 layers, one split",
            Side("Probe.fit_all", "held_out_probes"),
            (Side("ours, the same loop", "held_out_probes", {"kinds": ["logistic", "mean_difference", "lda"]}),),
            "shrinkage differs: ours is estimated from all rows whatever their label",
        ),
        Comparison(
            "e", "steerkit", "one alpha x 2 prompts x 8 tokens",
            Side("Probe.steer", "steering", short),
            (
                Side("ours", "steering", short),
                Side("ours, HookedTransformer", "steering", {**short, "kind": "hooked_transformer"}),
            ),
            "a smaller grid: HookedTransformer writes a few tokens a second",
        ),
        Comparison(
            "e", "steerkit", "3 alphas x 2 prompts x 8 tokens", Side("a loop of Probe.steer", "steering_sweep", few),
            (
                Side("ours, written as one batch", "steering_sweep", {**few, "scored": False}),
                Side("ours, steering_sweep", "steering_sweep", few, "also scores coherence and concept"),
            ),
        ),
        Comparison(
            "f", "steerkit", "30 directions", Side("Probe.save + load", "direction_files"),
            (Side("ours, a folder each", "direction_files"),),
        ),
        Comparison(
            "f", "steerkit", "activations, 120 texts x 30 layers", Side("zarr cache", "activation_files"),
            (Side("ours, safetensors", "activation_files"),),
        ),
        Comparison(
            "a", "probelab-py", TEXTS, Side("HFActivationCollector, batch of 8", "extraction"),
            (extraction(),), "keeps every token of every text before it takes the last",
        ),
        Comparison(
            "a", "probelab-py", "mean over tokens, all layers",
            Side("HFActivationCollector, MeanReducer", "extraction", {"position": "mean"}),
            (extraction(position="mean"),),
            "its mean contains the first token, ours leaves it out (docs/methods.md), so the values differ",
        ),
        Comparison(
            "b", "probelab-py", "from activations, difference in means, 30 layers",
            Side("DifferenceOfMeansTrainer", "directions", {"method": "pairs"}), (bare["pairs"], full["pairs"]),
        ),
        Comparison(
            "b", "probelab-py", "from activations, logistic (C = 1, unscaled), 30 layers",
            Side("LogisticRegressionTrainer", "directions", {"method": "logistic"}), (probes,),
        ),
        Comparison(
            "c", "probelab-py", "logistic at each of 30 layers, one split", Side("sweep_layers", "held_out_probes"),
            (Side("ours, the same loop", "held_out_probes"),), "it reports accuracy, ours AUROC",
        ),
        Comparison(
            "e", "probelab-py", "one alpha x 8 prompts x 32 tokens", Side("collect_responses", "steering"), (one,)
        ),
        Comparison(
            "f", "probelab-py", "activations, 120 texts x 30 layers",
            Side("ActivationDataset.save + load", "activation_files"), (Side("ours, safetensors", "activation_files"),),
        ),
        Comparison(
            "b", "probekit", "from activations, difference in means, 30 layers",
            Side("dim_probe, one batch", "directions", {"method": "pairs"}), (bare["pairs"], full["pairs"]),
        ),
        Comparison(
            "b", "probekit", "from activations, logistic (C = 1, unscaled), 30 layers",
            Side("logistic_probe, one batch", "directions", {"method": "logistic"}), (probes,),
        ),
        Comparison(
            "c", "probekit", "logistic at each of 30 layers, one split",
            Side("logistic_probe, one batch", "held_out_probes"), (Side("ours, the same loop", "held_out_probes"),),
        ),
        Comparison(
            "a", "repsteer", "last token, one layer", Side("capture_activations, batch of 8", "extraction"),
            (extraction(layers="LAYER"),), "ours stops after the layer",
        ),
        Comparison(
            "b", "repsteer", "from texts, difference in means, one layer", Side("DiffMean.fit", "direction_from_texts"),
            (
                Side(
                    "ours, extract + from_activations", "direction_from_texts", {"method": "pairs", "layers": "LAYER"},
                    QUALITY,
                ),
            ),
        ),
        Comparison(
            "b", "repsteer", "from activations, mean of pair differences, 30 layers",
            Side("paired_difference_mean", "directions", {"method": "pairs"}), (bare["pairs"], full["pairs"]),
        ),
        Comparison(
            "b", "repsteer", "from activations, logistic (C = 1, unscaled), 30 layers",
            Side("fit_logistic_probe", "directions", {"method": "logistic"}), (probes,), "float64 on its side",
        ),
        Comparison("e", "repsteer", "one alpha x 8 prompts x 32 tokens", Side("steer + generate", "steering"), (one,)),
        Comparison(
            "e", "repsteer", "3 alphas x 2 prompts x 8 tokens", Side("evaluation.sweep", "own_sweep", few),
            (
                Side("ours, written as one batch", "steering_sweep", {**few, "scored": False}),
                Side("ours, steering_sweep", "steering_sweep", few, "also scores coherence and concept"),
            ),
        ),
        Comparison(
            "f", "repsteer", "30 directions", Side("artifact.save + load_artifact", "direction_files"),
            (Side("ours, a folder each", "direction_files"),),
        ),
        Comparison(
            "a", "transformerlens-4", TEXTS, Side("run_with_cache, resid_post (TransformerLens 4.3)", "run_with_cache"),
            (extraction(),), "ours runs on TransformerLens 3.9 here",
        ),
        Comparison(
            "c", "transformerlens-4", "logistic on all columns at each of 30 layers, one grouped split",
            Side("fit_sparse_probe, k = d", "held_out_probes"), (Side("ours, the same loop", "held_out_probes"),),
            "its own split, float64 and Newton refinement to 1e-12",
        ),
        Comparison(
            "e", "transformerlens-4", "one alpha x 8 prompts x 32 tokens",
            Side("TransformerBridge.hooks + generate (4.3)", "steering"), (one,),
        ),
        Comparison(
            "c", "sae-probes", "logistic, ten penalties x six folds, test AUROC, 6 layers",
            Side("find_best_reg", "tuned_probes"), (Side("ours, the same loop", "tuned_probes"),),
        ),
    ]  # fmt: skip
