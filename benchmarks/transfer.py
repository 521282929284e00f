"""Coverage of the 95 % interval of the transfer ratio, on planted contexts.

OMP_NUM_THREADS=1 python benchmarks/transfer.py [--quick]
"""

import argparse
import time

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

import empathy_geometry as eg
from empathy_geometry.foundation.provenance import package_versions

SHARED = {"nothing": 0.0, "half": 0.5, "everything": 1.0}
"""Share of the squared class difference that all contexts have in common."""

DESIGNS = (
    # probe, contexts, scenarios in each, d, half the class difference
    ("ridge", 2, 12, 20, 0.75),
    ("ridge", 3, 12, 200, 1.5),
    ("logistic", 3, 20, 60, 1.0),
    ("ridge", 5, 30, 100, 1.0),
    ("mean_difference", 2, 40, 200, 1.0),
    ("lda", 3, 60, 20, 0.75),
    ("scikit-learn", 3, 20, 20, 0.75),
)


def planted(
    transfers: str, contexts: int, scenarios: int, d: int, size: float, seed: int, *, single: bool = False
) -> eg.Activations:
    """Pairs of texts about one topic, each; or one text a topic. The seed is mixed with all that defines the design."""
    rng = np.random.default_rng([seed, 7177, contexts, scenarios, d, list(SHARED).index(transfers)])
    shared, values = SHARED[transfers], []
    for context in range(contexts):
        axis = np.sqrt(shared) * np.eye(d)[0] + np.sqrt(1 - shared) * np.eye(d)[context + 1]
        topic = rng.normal(size=(scenarios, 2 if single else 1, d))
        signs = np.array([1.0, -1.0])[:, None]
        values.append(topic + size * signs * axis + 0.5 * rng.normal(size=(scenarios, 2, d)))
    n = contexts * scenarios
    labels = np.tile(["p", "q"], n)
    groups = np.arange(2 * n) if single else np.repeat(np.arange(n), 2)
    names = np.repeat([f"context {k}" for k in range(contexts)], 2 * scenarios)
    texts = eg.LabeledTexts([f"row {i}" for i in range(2 * n)], labels, groups.astype(str), contexts=names)
    rows = torch.as_tensor(np.concatenate(values).reshape(2 * n, 1, d), dtype=torch.float32)
    return eg.Activations(rows, (0,), labels, groups.astype(str), texts=texts)


def coverage(repeats: int, *, single: bool) -> None:
    print(f"\n{'One text' if single else 'A pair of texts'} per scenario; {repeats} draws")
    print(
        f"{'probe':<17}{'contexts':>9}{'scenarios':>10}{'d':>5}  {'transfers':<11}{'median':>7}{'truth':>7}"
        f"{'covered':>9}{'below':>7}{'above':>7}{'width':>7}{'refused':>8}{'s/call':>8}"
    )
    for kind, contexts, scenarios, d, size in DESIGNS:
        probe = LogisticRegression(C=0.1) if kind == "scikit-learn" else eg.Probe(kind)
        for transfers in SHARED:
            found, refused, start = [], 0, time.process_time()
            for seed in range(repeats):
                acts = planted(transfers, contexts, scenarios, d, size, seed, single=single)
                try:
                    found.append(eg.transfer_matrix(probe, acts, positive="p", negative="q", seed=seed).ratio)
                except ValueError:
                    refused += 1
            seconds = (time.process_time() - start) / repeats
            low, high = (np.array([getattr(e, end) for e in found], dtype=float) for end in ("low", "high"))
            middle = float(np.median([e.value for e in found]))
            # By symmetry where nothing or everything transfers; else the middle of the estimates themselves.
            truth = {"nothing": 0.0, "everything": 1.0}.get(transfers, middle)
            below, above = (high < truth).mean(), (low > truth).mean()
            print(
                f"{kind:<17}{contexts:>9}{scenarios:>10}{d:>5}  {transfers:<11}{middle:>7.2f}{truth:>7.2f}"
                f"{1 - below - above:>9.3f}{below:>7.3f}{above:>7.3f}{np.median(high - low):>7.2f}{refused:>8}"
                f"{seconds:>8.2f}",
                flush=True,
            )


def cost() -> None:
    acts = planted("everything", 5, 50, 576, 2.0, 0)
    print("\nSeconds of one call, 5 contexts of 50 scenarios, d = 576")
    for probe in (eg.Probe("logistic"), eg.Probe("ridge"), LogisticRegression()):
        start = time.process_time()
        ratio = eg.transfer_matrix(probe, acts, positive="p", negative="q").ratio
        print(f"{' '.join(str(probe).split()):<60}{time.process_time() - start:>7.1f}   ratio {ratio}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="40 draws instead of 200")
    repeats = 40 if parser.parse_args().quick else 200
    torch.set_num_threads(1)
    print(f"one thread, CPU time; {package_versions()}")
    cost()
    coverage(repeats, single=False)
    coverage(repeats, single=True)
