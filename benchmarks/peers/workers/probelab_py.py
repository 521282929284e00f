"""probelab-py."""

from functools import cache
from typing import Any

import numpy as np
import torch
from common import cosine, flat, numeric_gradient, relative_difference, scaled, split
from probelab.dataset.base import Example, ExampleType, ProbeDataset
from probelab.intervention.base import Intervention
from probelab.intervention.huggingface import HFInterventionBackend
from probelab.model import HFModelHandle
from probelab.train.activation import ActivationDataset, ActivationSpec
from probelab.train.huggingface import HFActivationCollector
from probelab.train.probe import DifferenceOfMeansTrainer, LogisticRegressionTrainer
from probelab.train.sweep import sweep_layers
from probelab.train.token import AllTokenSelector, LastNTokenSelector, MeanReducer
from serving import Case, Inputs

PACKAGES = ("probelab-py", "torch", "transformers", "scikit-learn")


@cache
def handle(inputs: Inputs) -> HFModelHandle:
    """As its `load_hf`, which pads on the left."""
    model, tokenizer = inputs.load_hugging_face()
    tokenizer.padding_side = "left"
    return HFModelHandle(model, tokenizer, "peer")


def dataset(texts: list[str], labels: list[bool]) -> ProbeDataset:
    examples = [Example(i, t, y, ExampleType.STATEMENT) for i, (t, y) in enumerate(zip(texts, labels, strict=True))]
    return ProbeDataset(examples, "concept", "positive", "negative")


def extraction(inputs: Inputs, *, position: str = "last", batch_size: int = 8) -> Case:
    """`HFActivationCollector` keeps all tokens of all texts; selector and reducer then take the last or the mean."""
    data = dataset(inputs.texts, [True, False] * len(inputs.pairs))
    collector = HFActivationCollector(handle(inputs), ActivationSpec("all_transformer"))
    selector = LastNTokenSelector(1) if position == "last" else AllTokenSelector()

    def run() -> Any:
        acts = collector.collect(data, batch_size)
        return MeanReducer().reduce(*selector.select(acts, "all"))[0]

    return run, lambda found: {
        "activations_but_last_layer": torch.stack([found[k] for k in sorted(found)], dim=1)[:, :-1]
    }


def directions(inputs: Inputs, *, method: str = "pairs", C: float = 1.0) -> Case:
    X, y = flat(inputs.arrays["rows"])
    acts = {k: torch.as_tensor(X[:, k]) for k in range(X.shape[1])}
    labels = torch.as_tensor(y == 1)
    trainer = DifferenceOfMeansTrainer() if method == "pairs" else LogisticRegressionTrainer(C=C)

    def run() -> Any:
        return trainer.fit_layers(acts, labels)

    return run, lambda found: {"direction": torch.stack([found[k].direction for k in sorted(found)])}


def as_dataset(rows: np.ndarray) -> ActivationDataset:
    X, y = flat(rows)
    acts = {k: torch.as_tensor(X[:, None, k]) for k in range(X.shape[1])}
    ones = torch.ones(len(X), 1, dtype=torch.long)
    spec = ActivationSpec("all")
    return ActivationDataset(acts, torch.as_tensor(y == 1), ones, ones, list(range(len(X))), "concept", "peer", spec)


def sweep(rows: np.ndarray, *, seed: int = 42, fraction: float = 0.2, C: float = 0.1) -> Any:
    train, held = split(len(rows), fraction, seed)
    data = (as_dataset(rows[train]), as_dataset(rows[held]))
    return sweep_layers(*data, LastNTokenSelector(1), MeanReducer(), LogisticRegressionTrainer(C=C))


def held_out_probes(inputs: Inputs) -> Case:
    """`sweep_layers`: a logistic probe a layer, accuracy on training and development part."""
    rows = inputs.arrays["rows"]

    def run() -> Any:
        return sweep(rows, C=1.0)

    return run, lambda found: {"accuracies": [found.dev_accs[k] for k in sorted(found.dev_accs)]}


def sweep_of(inputs: Inputs, alphas: list[float], n_prompts: int, new_tokens: int) -> Any:
    prompts = inputs.settings["prompts"][:n_prompts]
    data = dataset(prompts, [True] * len(prompts))
    backend = HFInterventionBackend(handle(inputs))
    direction, layer = torch.as_tensor(inputs.arrays["steering"]), inputs.settings["layer"]

    def run() -> list[str]:
        texts = []
        for alpha in alphas:
            intervention = Intervention(direction, abs(alpha), "add" if alpha >= 0 else "subtract")
            texts += backend.collect_responses(
                data, layer + 1, AllTokenSelector(), intervention, batch_size=8, max_new_tokens=new_tokens
            ).responses
        return texts

    return run


def steering(inputs: Inputs, *, n_prompts: int = 8, new_tokens: int = 32, alpha: float = 30.0) -> Case:
    return sweep_of(inputs, [alpha], n_prompts, new_tokens), lambda found: {"texts": np.array(found)}


def steering_sweep(inputs: Inputs, *, alphas: list[float], n_prompts: int = 8, new_tokens: int = 16) -> Case:
    return sweep_of(inputs, alphas, n_prompts, new_tokens), lambda found: {"texts": np.array(found)}


def activation_files(inputs: Inputs) -> Case:
    acts = as_dataset(inputs.arrays["rows"])
    path = inputs.scratch() / "activations"

    def run() -> Any:
        acts.save(path)
        return ActivationDataset.load(path)

    return run, lambda found: {
        "activations": torch.stack([found.activations[k][:, 0] for k in sorted(found.activations)], dim=1)
    }


def noise(inputs: Inputs) -> dict[str, Any]:
    found = []
    for seed, rows in enumerate(inputs.arrays["noise"][: inputs.settings["seeds"]]):
        result = sweep(rows, seed=seed, fraction=0.25)
        found.append(result.dev_accs[result.best_layer])
    return {
        "called": "sweep_layers(train, dev, ...).dev_accs[best_layer], a quarter of the pairs for development",
        "reported": "accuracy (it gives no AUROC) on the part that chose the layer; a test part is the user's",
        "values": found,
    }


def gradient(inputs: Inputs) -> dict[str, Any]:
    X, y = scaled(inputs.arrays)
    found = {}
    for scale in (False, True):
        probe = LogisticRegressionTrainer(scale=scale).fit(torch.as_tensor(X), torch.as_tensor(y == 1))
        found[scale] = cosine(
            probe.direction, numeric_gradient(lambda rows, p=probe: p.score(torch.as_tensor(rows)), X)
        )
    return {
        "called": "LogisticRegressionTrainer(scale=True).fit(...).direction",
        "note": f"default scale=False: {found[False]:.3f}",
        "cosine": found[True],
    }


def parity(inputs: Inputs) -> dict[str, Any]:
    rows = []
    for size in (1, 8):
        run, collect = extraction(inputs, batch_size=size)
        rows.append(collect(run())["activations_but_last_layer"])
    together = sweep_of(inputs, [30.0], 8, 12)()
    data = inputs.settings["prompts"]
    backend = HFInterventionBackend(handle(inputs))
    intervention = Intervention(torch.as_tensor(inputs.arrays["steering"]), 30.0, "add")
    alone = [
        backend.collect_responses(
            dataset([p], [True]), inputs.settings["layer"] + 1, AllTokenSelector(), intervention, max_new_tokens=12
        ).responses[0]
        for p in data
    ]
    return {
        "called": "HFActivationCollector.collect(batch_size=...), left padding with mask; HFInterventionBackend",
        "activations, batch 8 against 1": relative_difference(rows[0], rows[1]),
        "texts, batch of 8 equal to one by one": float(np.mean([a == b for a, b in zip(together, alone, strict=True)])),
    }


CASES = {
    "extraction": extraction,
    "directions": directions,
    "held_out_probes": held_out_probes,
    "steering": steering,
    "steering_sweep": steering_sweep,
    "activation_files": activation_files,
}
FACTS = {"noise": noise, "gradient": gradient, "parity": parity}
