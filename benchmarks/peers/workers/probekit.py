"""probekit: probes only, on activations that the user brings."""

from typing import Any

import numpy as np
import torch
from common import cosine, flat, numeric_gradient, scaled, split
from probekit import dim_probe, logistic_probe
from serving import Case, Inputs
from sklearn.metrics import roc_auc_score

PACKAGES = ("probekit", "torch", "scikit-learn")


def by_layer(rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    X, y = flat(rows)
    return torch.as_tensor(X).transpose(0, 1).contiguous(), torch.as_tensor(y)


def directions(inputs: Inputs, *, method: str = "pairs") -> Case:
    x, y = by_layer(inputs.arrays["rows"])

    def run() -> Any:
        return dim_probe(x, y.float(), normalize=False) if method == "pairs" else logistic_probe(x, y, normalize=False)

    return run, lambda found: {"direction": np.stack([p.direction for p in found])}


def held_out_probes(inputs: Inputs) -> Case:
    """All layers as one batch of logistic probes, accuracy on the held-out pairs kept by it, AUROC computed by us."""
    rows = inputs.arrays["rows"]
    train, test = split(len(rows))
    (x, y), (val_x, val_y) = by_layer(rows[train]), by_layer(rows[test])

    def run() -> np.ndarray:
        probes = logistic_probe(x, y, normalize=False, val_x=val_x, val_y=val_y)
        scores = probes.predict_score(val_x)
        seen = probes.predict_score(x)
        for k in range(len(x)):  # the same two AUROCs a layer that the other side computes
            roc_auc_score(y, seen[k])
        return np.array([[roc_auc_score(val_y, scores[k]) for k in range(len(x))]])

    return run, lambda found: {"scores": found}


def noise(inputs: Inputs) -> dict[str, Any]:
    accuracy, auroc = [], []
    for seed, rows in enumerate(inputs.arrays["noise"][: inputs.settings["seeds"]]):
        train, held = split(len(rows), 0.25, seed)
        (x, y), (val_x, val_y) = by_layer(rows[train]), by_layer(rows[held])
        layer, probe = logistic_probe(x, y, val_x=val_x, val_y=val_y).best_layer("val_accuracy")
        accuracy.append(probe.metadata["val_accuracy"])
        auroc.append(roc_auc_score(val_y, probe.predict_score(val_x[layer])))
    return {
        "called": "logistic_probe(x, y, val_x=..., val_y=...).best_layer('val_accuracy'), a quarter held out",
        "reported": f"accuracy (it gives no AUROC) on the part that chose the layer; AUROC there {np.mean(auroc):.2f}",
        "values": accuracy,
    }


def gradient(inputs: Inputs) -> dict[str, Any]:
    X, y = scaled(inputs.arrays)
    found = {}
    for normalize in (False, True):
        probe = logistic_probe(torch.as_tensor(X), torch.as_tensor(y), normalize=normalize)
        found[normalize] = cosine(probe.direction, numeric_gradient(probe.predict_score, X))
    means = dim_probe(torch.as_tensor(X), torch.as_tensor(y).float())
    by_means = cosine(means.direction, numeric_gradient(means.predict_score, X))
    return {
        "called": "logistic_probe(x, y).direction (normalize=True is the default)",
        "note": f"normalize=False: {found[False]:.3f}; dim_probe, defaults: {by_means:.3f}",
        "cosine": found[True],
    }


CASES = {"directions": directions, "held_out_probes": held_out_probes}
FACTS = {"noise": noise, "gradient": gradient}
