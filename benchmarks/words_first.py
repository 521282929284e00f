"""Words first: how far a bag of words gets on 113 public probing sets, beside published probes of large models.

The sets come with the package `sae-probes` (`pip download --no-deps sae-probes`), the published results with the
repository JoshEngels/SAE-Probes (folder `results`). Neither is part of this library. The run can be interrupted: each
set and split is one line of a file, and is not done twice.

    python benchmarks/words_first.py --sets sae_probes-0.4.2-py3-none-any.whl --published SAE-Probes
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from scipy.stats import binomtest
from scipy.stats import t as student
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

import empathy_geometry as eg

TRAINING = 1024
"""Rows that a classifier is fitted to, as in the published runs."""

TESTED = 2000
"""Rows that it is judged on, at most."""

PENALTIES = (1.0, 10.0, 100.0)
CLOSE = 0.02
"""What counts as words being enough: an AUROC at most this far below the probe's."""


def words_auroc(texts: eg.LabeledTexts, seed: int) -> float:
    """AUROC of words and marks, penalty chosen on a quarter of the training rows."""
    y = (texts.labels == texts.classes[1]).astype(int)
    rows = np.arange(len(texts))
    train, test = train_test_split(rows, train_size=min(TRAINING, len(texts) * 4 // 5), stratify=y, random_state=seed)
    test = test[:TESTED]
    vectors = TfidfVectorizer(ngram_range=(1, 2), lowercase=False, token_pattern=r"\w+|[^\w\s]", sublinear_tf=True)
    seen = vectors.fit_transform([texts.responses[i] for i in train])
    fit, held = train_test_split(np.arange(len(train)), test_size=0.25, stratify=y[train], random_state=seed)

    def scores(C: float, inside: np.ndarray, X: object) -> np.ndarray:
        classifier = LogisticRegression(C=C, solver="liblinear").fit(seen[inside], y[train][inside])
        return np.asarray(classifier.decision_function(X))

    merits = {C: roc_auc_score(y[train][held], scores(C, fit, seen[held])) for C in PENALTIES}
    best = max(merits, key=lambda C: merits[C])
    judged = vectors.transform([texts.responses[i] for i in test])
    return float(roc_auc_score(y[test], scores(best, np.arange(len(train)), judged)))


def measured(sets: dict[str, eg.LabeledTexts], seeds: list[int], path: Path) -> dict[str, list[float]]:
    """AUROC of each set under each split; what the file holds already is not computed again."""
    done = {}
    if path.is_file():
        for line in path.read_text().splitlines():
            found = json.loads(line)
            done[found["set"], found["seed"]] = found["auroc"]
    with path.open("a") as file:
        for name, texts in sets.items():
            for seed in seeds:
                if (name, seed) not in done:
                    done[name, seed] = words_auroc(texts, seed)
                    file.write(json.dumps({"set": name, "seed": seed, "auroc": done[name, seed]}) + "\n")
                    file.flush()
    return {name: [done[name, seed] for seed in seeds] for name in sets}


def published(folder: Path) -> dict[str, dict[str, float]]:
    """Test AUROC of each model's logistic probe by set, at the layer with the best validation AUROC."""
    found: dict[str, dict[str, float]] = {}
    for model in sorted((folder / "results").glob("baseline_probes_*")):
        best: dict[str, tuple[float, float]] = {}
        for path in sorted((model / "normal_settings").glob("layer*_results.csv")):
            with path.open(newline="") as file:
                for row in csv.DictReader(file):
                    if row["method"] == "logreg":
                        merit = float(row["val_auc"]), float(row["test_auc"])
                        best[row["dataset"]] = max(best.get(row["dataset"], merit), merit, key=lambda m: m[0])
        found[model.name.removeprefix("baseline_probes_")] = {name: test for name, (_, test) in best.items()}
    return found


def compared(words: dict[str, list[float]], probes: dict[str, float]) -> dict[str, object]:
    """Probe minus words over sets: mean with interval, how often words are enough, sign test."""
    names = sorted(set(words) & set(probes))
    excess = np.array([probes[name] - np.mean(words[name]) for name in names])
    half = student.ppf(0.975, len(excess) - 1) * excess.std(ddof=1) / np.sqrt(len(excess))
    ahead, behind = int((excess > 0).sum()), int((excess < 0).sum())
    return {
        "sets": len(names),
        "probe": round(float(np.mean([probes[name] for name in names])), 4),
        "excess": round(float(excess.mean()), 4),
        "low": round(float(excess.mean() - half), 4),
        "high": round(float(excess.mean() + half), 4),
        "words_ahead_or_equal": len(names) - ahead,
        "words_enough": int((excess <= CLOSE).sum()),
        "sign_test_p": float(binomtest(ahead, ahead + behind).pvalue),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=Path, help="wheel or folder of sae-probes; the installed package otherwise")
    parser.add_argument("--published", type=Path, help="the repository SAE-Probes, for its results")
    parser.add_argument("--names", nargs="*", help="some sets only")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=Path("words_first"))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    sets = eg.datasets.public.sae_probes_sets(args.sets, names=args.names)
    words = measured(sets, args.seeds, args.output / "words.jsonl")
    by_seed = np.array(list(words.values())).mean(axis=0)
    means = np.array([np.mean(values) for values in words.values()])
    print(f"{len(words)} sets, words and marks: mean AUROC {means.mean():.4f}, median {np.median(means):.4f}")
    print("  mean by split seed: " + ", ".join(f"{seed}: {x:.4f}" for seed, x in zip(args.seeds, by_seed, strict=True)))
    for model, probes in ({} if args.published is None else published(args.published)).items():
        print(f"  {model}: {json.dumps(compared(words, probes))}")


if __name__ == "__main__":
    main()
