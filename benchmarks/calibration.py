"""Are the numbers calibrated? Null means, p-values and intervals, by simulation with a known truth.

    python benchmarks/calibration.py                    # all four tables
    python benchmarks/calibration.py --only intervals --simulations 4000

"null": mean AUROC on noise after nested selection over 30 layers. "pvalues": are permutation p-values uniform?
"intervals": do 95 % intervals of metrics cover the truth, given scores? "held_out": do those of `cross_validate` cover
the mean AUROC of the procedure, refitted on new scenarios?
"""

import argparse
import os
import platform
import time
import warnings
from collections.abc import Sequence

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import scipy
import sklearn
import torch
from scipy.stats import kstest, norm

from empathy_geometry.evaluation.cross_validation import cross_validate
from empathy_geometry.evaluation.metrics import accuracy, auroc, auroc_excess, d_prime
from empathy_geometry.evaluation.permutation import permutation_test
from empathy_geometry.geometry.probes import Probe

KINDS = ("logistic", "ridge", "lda", "mean_difference")
DESIGNS = ("paired", "paired x3", "constant x1", "constant x3", "unbalanced x3")


def design(name: str, n_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and groups: pairs within scenarios, or one label per scenario."""
    size = int(name.split("x")[1]) if "x" in name else 1
    if name.startswith("paired"):
        return np.tile(np.repeat([1, 0], size), n_groups), np.repeat(np.arange(n_groups), 2 * size)
    groups = np.repeat(np.arange(n_groups), size)
    positives = n_groups // 2 if name.startswith("constant") else round(0.3 * n_groups)
    return (groups < positives).astype(int), groups


def clustered_noise(rng: np.random.Generator, groups: np.ndarray, share: float, d: int = 1) -> np.ndarray:
    """Standard normal rows [n, d] of whose variance a share belongs to the group."""
    group = rng.normal(size=(groups.max() + 1, d))[groups]
    return np.sqrt(share) * group + np.sqrt(1 - share) * rng.normal(size=(len(groups), d))


def null(seeds: int, d: int = 128, kinds: Sequence[str] = KINDS) -> None:
    print(f"\nMean AUROC on noise, layer chosen among 30 in nested folds, 40 pairs, d = {d}, {seeds} seeds")
    print(f"{'probe':<16} {'mean':>7} {'sd':>7}   best of 30 without nesting")
    for kind in kinds:
        nested, best = [], []
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            y, groups = design("paired", 40)
            X = rng.normal(size=(80, 30, d))
            nested.append(float(cross_validate(Probe(kind), X, y, groups=groups, seed=seed).auroc))
            best.append(
                permutation_test(
                    Probe(kind), X, y, groups=groups, n_permutations=1, seed=seed, progress=False
                ).statistic
            )
        print(f"{kind:<16} {np.mean(nested):7.3f} {np.std(nested):7.3f}   {np.mean(best):.3f}", flush=True)


def pvalues(replicates: int, m: int = 199, d: int = 40, kinds: Sequence[str] = ("ridge", "logistic")) -> None:
    print(
        f"\nPermutation p-values on noise: Kolmogorov-Smirnov against uniform, {replicates} data sets, m = {m}, d = {d}"
    )
    print(f"{'design':<34} {'probe':<16} {'KS p':>7} {'P(p <= 0.05)':>13}   scheme")
    triplets = (np.tile([0, 1, 2], 20), np.repeat(np.arange(20), 3))
    constant_three = (np.repeat(np.arange(24) % 3, 2), np.repeat(np.arange(24), 2))
    mixed = (
        np.r_[np.tile([1, 0], 10), np.tile([1, 1, 0, 0], 8)],
        np.r_[np.repeat(np.arange(10), 2), np.repeat(np.arange(10, 18), 4)],
    )
    sizes = (np.arange(24) % 2, np.r_[np.full(12, 1), np.full(12, 3)])
    cases = {
        "paired, 20 groups": (*design("paired", 20), 1),
        "paired x3, 15 groups": (*design("paired x3", 15), 1),
        "constant x2, 24 groups": (*design("constant x2", 24), 1),
        "unbalanced x3, 20 groups": (*design("unbalanced x3", 20), 1),
        "three classes, 20 triplets": (*triplets, 1),
        "three classes, constant, 24 groups": (*constant_three, 1),
        "mixed sizes, 10 pairs and 8 fours": (*mixed, 1),
        "mixed sizes, constant, 1 and 3 rows": (np.repeat(*sizes), np.repeat(np.arange(24), sizes[1]), 1),
        "rare class, 4 of 44 rows": (np.r_[np.ones(4, dtype=int), np.zeros(40, dtype=int)], np.arange(44), 1),
        "paired, 20 groups, max-T 5 layers": (*design("paired", 20), 5),
        "constant x2, 24 groups, max-T 5": (*design("constant x2", 24), 5),
    }
    for name, (y, groups, layers) in cases.items():
        for kind in kinds:
            reported, smoothed = [], []
            for seed in range(replicates):
                rng = np.random.default_rng(seed)
                X = clustered_noise(rng, groups, 0.5, d * layers).reshape(len(y), layers, d)
                test = permutation_test(Probe(kind), X, y, groups=groups, n_permutations=m, seed=seed, progress=False)
                above = (test.null_distribution > test.statistic + 1e-9).sum()
                equal = (np.abs(test.null_distribution - test.statistic) <= 1e-9).sum()
                smoothed.append((above + rng.uniform() * (equal + 1)) / (m + 1))
                reported.append(test.pvalue)
            share = np.mean(np.array(reported) <= 0.05)
            print(
                f"{name:<34} {kind:<16} {kstest(smoothed, 'uniform').pvalue:7.3f} {share:13.3f}   {test.scheme}",
                flush=True,
            )


def intervals(simulations: int) -> None:
    error = np.sqrt(0.95 * 0.05 / simulations)
    print(f"\nCoverage of 95 % intervals given scores, {simulations} simulations a cell (standard error {error:.3f})")
    truths = (0.5, 0.7, 0.9, 0.97)
    heading = "AUROC " + "/".join(map(str, truths))
    print(f"{'design':<15} {'groups':>6}  {heading:<26} d' {'':<20} accuracy 0.7/0.9  excess")
    for name in DESIGNS:
        for n_groups in (20, 40, 60):
            y, groups = design(name, n_groups)
            rng = np.random.default_rng(n_groups)
            hits = {key: np.zeros(4) for key in ("auroc", "d", "accuracy", "excess")}
            for _ in range(simulations):
                noise = clustered_noise(rng, groups, 0.4, 2)
                for k, truth in enumerate(truths):
                    shift = np.sqrt(2) * norm.ppf(truth)
                    scores = noise[:, 0] + shift * y
                    hits["auroc"][k] += covers(auroc(scores, y, groups=groups), truth)
                    hits["d"][k] += covers(d_prime(scores, y, groups=groups), shift)
                for k, truth in enumerate((0.7, 0.9)):
                    right = noise[:, 0] < norm.ppf(truth)
                    hits["accuracy"][k] += covers(accuracy(right, np.ones(len(y), dtype=bool), groups=groups), truth)
                for k, (first, second) in enumerate(((0.9, 0.75), (0.97, 0.9))):
                    a = noise[:, 0] + np.sqrt(2) * norm.ppf(first) * y
                    b = noise @ [0.5, np.sqrt(0.75)] + np.sqrt(2) * norm.ppf(second) * y
                    hits["excess"][k] += covers(auroc_excess(a, {"b": b}, y, groups=groups)["b"], first - second)
            rate = {key: " ".join(f"{h / simulations:.3f}" for h in value) for key, value in hits.items()}
            print(
                f"{name:<15} {n_groups:>6}  {rate['auroc']:<26} {rate['d']:<23} {rate['accuracy'][:11]:<17} "
                f"{rate['excess'][:11]}",
                flush=True,
            )


def held_out(simulations: int) -> None:
    print(f"\nCoverage of the mean held-out AUROC by `cross_validate`, {simulations} simulations a cell")
    print(
        f"{'design':<13} {'G':>3} {'d':>4} {'layers':>6} {'probe':<16} {'AUROC':>6} {'sd':>6} {'se':>6} {'ours':>6}  "
        f"given scores only"
    )
    for name, n_groups, d, layers, kind in (
        ("paired", 30, 32, 1, "ridge"),
        ("paired", 60, 256, 1, "ridge"),
        ("paired", 40, 128, 1, "logistic"),
        ("paired", 40, 128, 1, "lda"),
        ("paired", 40, 128, 1, "mean_difference"),
        ("constant x2", 40, 64, 1, "ridge"),
        ("constant x2", 60, 256, 1, "logistic"),
        ("paired", 40, 64, 5, "ridge"),
    ):
        for strength in (0.0, 2.0, 4.0):
            y, groups = design(name, n_groups)
            value, low, high, low0, high0 = np.empty((5, simulations))
            for seed in range(simulations):
                rng = np.random.default_rng(seed)
                X = clustered_noise(rng, groups, 0.4, d * layers).reshape(len(y), layers, d)
                X[:, -1, :10] += strength / np.sqrt(10) * (y[:, None] - 0.5)
                found = cross_validate(Probe(kind), X, y, groups=groups, seed=seed)
                given = auroc(found.scores, y, groups=groups)
                value[seed], low[seed], high[seed] = found.auroc.value, found.auroc.low, found.auroc.high
                low0[seed], high0[seed] = given.low, given.high
            truth = value.mean()
            inside = ((low <= truth) & (truth <= high)).mean()
            naive = ((low0 <= truth) & (truth <= high0)).mean()
            print(
                f"{name:<13} {n_groups:>3} {d:>4} {layers:>6} {kind:<16} {truth:6.3f} {value.std():6.3f} "
                f"{((high - low) / 3.92).mean():6.3f} {inside:6.3f}  {naive:6.3f}",
                flush=True,
            )


def covers(estimate, truth: float) -> bool:
    return estimate.low - 1e-12 <= truth <= estimate.high + 1e-12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("null", "pvalues", "intervals", "held_out"))
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--held-out-simulations", type=int, default=300)
    parser.add_argument("--permutations", type=int, default=199)
    parser.add_argument("--d", type=int, help="features of null and pvalues; 128 and 40 by default")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, help="probes of null and pvalues")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{platform.processor() or platform.machine()}, torch {torch.__version__}, numpy {np.__version__}, "
        f"scipy {scipy.__version__}, scikit-learn {sklearn.__version__}, CPU, one thread, seeds 0.."
    )
    warnings.simplefilter("error")
    parts = {
        "null": lambda: null(arguments.seeds, arguments.d or 128, arguments.kinds or KINDS),
        "pvalues": lambda: pvalues(
            arguments.replicates, arguments.permutations, arguments.d or 40, arguments.kinds or ("ridge", "logistic")
        ),
        "intervals": lambda: intervals(arguments.simulations),
        "held_out": lambda: held_out(arguments.held_out_simulations),
    }
    for name, run in parts.items():
        if arguments.only in (None, name):
            start = time.process_time()
            run()
            print(f"({time.process_time() - start:.0f} s CPU)")


if __name__ == "__main__":
    main()
