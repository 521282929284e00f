"""sae-probes: its baseline probes; its activations come from data sets and models that it fetches from a hub."""

from typing import Any

import numpy as np
from common import flat, split
from sae_probes.utils_training import find_best_reg
from serving import Case, Inputs

PACKAGES = ("sae-probes", "torch", "transformer-lens", "scikit-learn")


def tuned(rows: np.ndarray, seed: int, fraction: float) -> list[Any]:
    train, test = split(len(rows), fraction, seed)
    (X, y), (X_test, y_test) = flat(rows[train]), flat(rows[test])
    return [find_best_reg(X[:, k], y, X_test[:, k], y_test).metrics for k in range(rows.shape[2])]


def tuned_probes(inputs: Inputs, *, layers: int = 6) -> Case:
    """`find_best_reg`: ten penalties, chosen by cross-validation of the training rows, then AUROC on the test rows."""
    rows = inputs.arrays["rows"][:, :, :layers]

    def run() -> Any:
        return tuned(rows, 42, 0.2)

    return run, lambda found: {"scores": [[m.test_auc for m in found]]}


def noise(inputs: Inputs) -> dict[str, Any]:
    found = []
    for seed, rows in enumerate(inputs.arrays["noise"][:3]):
        found.append(max(m.test_auc for m in tuned(rows, seed, 0.25)))
    return {
        "called": "find_best_reg(X, y, X_test, y_test) at each layer, then max() by the user (3 seeds: it is slow)",
        "reported": "test AUROC of the best layer (it takes one hook name at a time)",
        "values": found,
    }


CASES = {"tuned_probes": tuned_probes}
FACTS = {"noise": noise}
