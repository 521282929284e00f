"""SAE agreement: verdicts on planted truth, p under no concept, selection rules, cost; and the embedded model's run.

OMP_NUM_THREADS=1 python benchmarks/sae.py [--quick]
OMP_NUM_THREADS=2 python benchmarks/sae.py --embedded FOLDER [--tokens N] [--steps N]   (goes on where interrupted)
"""

import argparse
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from empathy_geometry.evaluation.cross_validation import cross_validate
from empathy_geometry.foundation.provenance import package_versions
from empathy_geometry.foundation.result_file import write_result
from empathy_geometry.planted.dictionary import planted_dictionary
from empathy_geometry.sae.agreement import sae_agreement
from empathy_geometry.sae.concept_halves import AgreementData
from empathy_geometry.sae.controls import random_decoder
from empathy_geometry.sae.design import AgreementDesign, SaeDesign
from empathy_geometry.sae.features import pooled_features
from empathy_geometry.sae.sparse_probing import SparseProbe
from empathy_geometry.sae.subspace_agreement import NULLS, agreement_with_concept
from empathy_geometry.sae.token_activations import TokenActivations, token_activations
from empathy_geometry.sae.training import train_on_tokens

EMBEDDED_LAYER = 17  # what most training folds chose in the bandwidth study of empathy_pairs


def verdicts(repeats: int) -> None:
    print("\nVerdicts on planted dictionaries (64 dimensions, 192 features, 40 scenarios, concept of 3 features)")
    cases = {
        "concept in 3 features": {},
        "concept off the features": {"inside": False},
        "no concept": {"strength": 0.0},
    }
    print(f"{'planted':<26}{'mean cos^2':>12}{'largest null':>14}  verdicts of {repeats} seeds")
    for name, options in cases.items():
        values, nulls, counts = [], [], Counter()
        for seed in range(repeats):
            p = planted_dictionary(n_groups=40, seed=seed, **options)
            found = sae_agreement(p.sae, p.activations, design=AgreementDesign(n_draws=99), progress=False, seed=seed)
            values.append(found.agreement.value.value)
            nulls.append(max(null.mean() for null in found.agreement.nulls.values()))
            counts[found.verdict] += 1
        print(f"{name:<26}{np.mean(values):>12.3f}{np.mean(nulls):>14.3f}  {dict(counts)}")
    values = []
    for seed in range(repeats):
        p = planted_dictionary(n_groups=40, seed=seed)
        found = sae_agreement(
            random_decoder(p.sae, seed=seed),
            p.activations,
            design=AgreementDesign(n_draws=99),
            progress=False,
            seed=seed,
        )
        values.append((found.agreement.value.value, found.agreement.nulls["isotropic"].mean(), found.verdict))
    counted = dict(Counter(v for _, _, v in values))
    mean, null = (np.mean([row[i] for row in values]) for i in (0, 1))
    print(f"{'random decoder':<26}{mean:>12.3f}{null:>14.3f}  {counted}")


def false_positives(repeats: int) -> None:
    print(f"\nShare of p <= 0.05 where features, rows and labels have nothing to do with each other, {repeats} draws")
    found: dict[str, list[bool]] = {name: [] for name in NULLS}
    together = []
    for seed in range(repeats):
        rng = np.random.default_rng([seed, 3])
        features = np.maximum(rng.standard_normal((60, 80)) - 1, 0)
        data = AgreementData(
            features,
            rng.standard_normal((80, 48)),
            rng.standard_normal((60, 48)),
            np.arange(60) % 2 == 0,
            np.arange(60) // 2,
            (features > 0).mean(axis=0),
        )
        result = agreement_with_concept(data, n_features=8, n_splits=2, n_draws=99, seed=seed)
        for name in NULLS:
            found[name].append(result.pvalues[name] <= 0.05)
        together.append(result.pvalue <= 0.05)
    print("  ".join(f"{name} {np.mean(v):.3f}" for name, v in found.items()), f" all four {np.mean(together):.3f}")


class NormalisedDifference(SparseProbe):
    """sae-probes' rule: features divided by their mean non-zero activation, then ranked by the class difference."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> "NormalisedDifference":
        """Choose by that rule, and fit on the chosen ones."""
        X = np.asarray(X, dtype=np.float64)
        self.classes_ = np.unique(y)
        scaled = X / (X.sum(axis=0) / ((X > 0).sum(axis=0) + 1e-6) + 1e-6)
        gap = np.abs(scaled[y == self.classes_[1]].mean(axis=0) - scaled[y == self.classes_[0]].mean(axis=0))
        chosen = np.argsort(-gap, kind="stable")[: self.k]
        only = np.zeros_like(X)
        only[:, chosen] = X[:, chosen]
        super().fit(only, y)
        return self


def selection_rules(repeats: int) -> None:
    print("\nHeld-out AUROC of k-sparse probes by the rule that chooses the features (planted, weak concept)")
    print(f"{'k':>4}{'standardised difference (ours)':>34}{'difference over mean activation (sae-probes)':>48}")
    for k in (1, 4, 16):
        areas: list[list[float]] = [[], []]
        for seed in range(repeats):
            p = planted_dictionary(n_groups=40, strength=0.7, noise=0.15, seed=seed)
            (features,) = pooled_features([p.sae], p.activations, layer=0)
            for i, probe in enumerate((SparseProbe(k), NormalisedDifference(k))):
                found = cross_validate(
                    probe, features.values, p.activations.labels, groups=p.activations.groups, positive="positive"
                )
                areas[i].append(found.auroc.value)
        print(f"{k:>4}{np.mean(areas[0]):>34.3f}{np.mean(areas[1]):>48.3f}")


def training_cost(quick: bool) -> None:
    print("\nTraining: milliseconds a step of 256 tokens, width 576")
    rows = torch.randn(24_000, 576, generator=torch.Generator().manual_seed(0))
    tokens = TokenActivations(rows, np.arange(24_000) // 10, np.arange(2400).astype(str), 0)
    for d_sae in (1152,) if quick else (1152, 2304):
        for architecture in ("topk", "batchtopk", "standard"):
            sae = train_on_tokens(
                tokens,
                SaeDesign(d_sae=d_sae, held_out=0.0, n_steps=30, architecture=architecture),
                progress=False,
            )
            print(f"  {architecture:<10} {d_sae:>5} features  {1000 * sae.training.seconds / 30:>8.1f}")


def embedded(folder: Path, n_tokens: int | None, n_steps: int) -> None:
    import empathy_geometry as eg

    model = eg.load_model()
    languages = [eg.datasets.crosslingual_triplets(code) for code in eg.datasets.LANGUAGES if code != "en"]
    sets = [*(load() for load in eg.datasets.ALL.values()), *languages]
    tokens = token_activations(model, sets, layer=EMBEDDED_LAYER, n_tokens=n_tokens, folder=folder / "tokens")
    print(tokens)
    saes = []
    for seed in (0, 1):
        sae = train_on_tokens(
            tokens, SaeDesign(expansion=2, n_steps=n_steps), seed=seed, folder=folder / f"seed-{seed}"
        )
        print(sae)
        saes.append(sae)
    for texts in (eg.datasets.empathy_pairs(), eg.datasets.formality_pairs()):
        acts = eg.extract_activations(model, texts, layers=[EMBEDDED_LAYER], position="response_mean")
        found = sae_agreement(saes[0], acts, model=model, other=saes[1])
        print(found)
        write_result(folder / f"sae_agreement_{texts.name}.json", found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer seeds")
    parser.add_argument("--embedded", type=Path, help="train on the embedded model and judge; results go here")
    parser.add_argument("--tokens", type=int, help="at most so many training tokens; all by default")
    parser.add_argument("--steps", type=int, default=2000, help="training steps")
    arguments = parser.parse_args()
    print(f"CPU, {torch.get_num_threads()} thread(s); {package_versions()}")
    start = time.perf_counter()
    if arguments.embedded:
        embedded(arguments.embedded, arguments.tokens, arguments.steps)
    else:
        repeats = 3 if arguments.quick else 20
        verdicts(repeats)
        false_positives(10 * repeats)
        selection_rules(repeats)
        training_cost(arguments.quick)
    print(f"\n{time.perf_counter() - start:.0f} s")
