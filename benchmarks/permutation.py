"""Speed of `permutation_test` against a loop over scikit-learn, same folds, same permutations, in one run.

    python benchmarks/permutation.py                 # ratios at n = 180 in 90 groups, d = 576, 5 folds
    python benchmarks/permutation.py --maxt          # 10,000 permutations, max-T over 30 layers
    python benchmarks/permutation.py --growth        # how the cost grows in n, d, layers and permutations

CPU time of one thread: wall time on a shared machine misleads. What is timed of the loop is what a user would write:
fit, `decision_function` of the test rows, `roc_auc_score`; the training scores that the pooled score is standardised by
are computed outside the timer. Of this library, the whole public call is timed.
"""

import argparse
import os
import platform
import time
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import scipy
import sklearn
import torch
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from empathy_geometry.evaluation.fold_scores import standardise
from empathy_geometry.evaluation.label_permutations import label_permutations
from empathy_geometry.evaluation.permutation import permutation_test
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.texts.splits import grouped_folds

SEED = 0


def planted_rows(n: int, d: int, *, decay: float, layers: int = 0, seed: int = SEED) -> tuple[np.ndarray, ...]:
    """Pairs in n / 2 scenarios: variance of axis k is k^-decay in a random basis, half of it the scenario's."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n // 2), 2)
    y = np.tile([0, 1], n // 2)
    spread = np.arange(1, d + 1) ** (-decay / 2)
    stack = []
    for _ in range(max(layers, 1)):
        rotation = np.linalg.qr(rng.normal(size=(d, d)))[0]
        latent = (rng.normal(size=(n // 2, d))[groups] + rng.normal(size=(n, d))) / np.sqrt(2)
        X = (latent * spread) @ rotation
        X[y == 1] += 0.1 * np.sqrt((spread**2).sum() / d) * rng.normal(size=d)
        stack.append(X)
    return (np.stack(stack, axis=1) if layers else stack[0]), y, groups


def loop(estimator, X, codes, folds) -> tuple[np.ndarray, float]:
    """AUROC under each label vector, and the CPU seconds of the parts that a user would write."""
    seconds, areas = 0.0, []
    for y in codes:
        scores, raw = np.zeros(len(y)), np.zeros(len(y))
        for fold in folds:
            start = time.process_time()
            fitted = estimator.fit(X[fold.train], y[fold.train])
            test = fitted.decision_function(X[fold.test])
            seconds += time.process_time() - start
            raw[fold.test] = test
            scores[fold.test] = standardise(test, fitted.decision_function(X[fold.train]))
        start = time.process_time()
        roc_auc_score(y, raw)
        seconds += time.process_time() - start
        areas.append(roc_auc_score(y, scores))
    return np.array(areas), seconds


def ours(probe, X, y, groups, folds, m: int, repeats: int = 7) -> tuple[np.ndarray, float]:
    """Null distribution, and the median CPU seconds of the public call."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        result = permutation_test(
            probe, X, y, groups=groups, folds=folds, n_permutations=m, seed=SEED, device="cpu", progress=False
        )
        seconds.append(time.process_time() - start)
    return np.r_[result.statistic, result.null_distribution], float(np.median(seconds))


def ratios(m: int, lda_loops: int) -> None:
    print(f"{'probe':<10} {'spectrum':<9} {'ours':>9} {'loop':>10} {'ratio':>8}   max |difference in AUROC|")
    for decay in (1.0, 0.0):
        X, y, groups = planted_rows(180, 576, decay=decay)
        folds = grouped_folds(y, groups=groups, n_splits=5)
        codes = np.r_[y[None], label_permutations(y, groups=groups).draw(m, generator=np.random.default_rng(SEED))]
        cases = {
            "ridge": (Probe("ridge"), RidgeClassifier(alpha=1.0), m),
            "lda": (Probe("lda", shrinkage=0.3), LinearDiscriminantAnalysis("lsqr", shrinkage=0.3), lda_loops),
            "logistic": (Probe("logistic"), LogisticRegression(C=1.0), m),
        }
        for name, (probe, estimator, loops) in cases.items():
            null, fast = ours(probe, X, y, groups, folds, m)
            areas, slow = loop(make_pipeline(StandardScaler(), estimator), X, codes[1 : loops + 1], folds)
            slow *= m / loops
            deviation = f"{np.abs(areas - null[1 : loops + 1]).max():.1e} from the loop"
            if name == "logistic":
                tight = make_pipeline(
                    StandardScaler(), PCA(), LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-10)
                )
                exact, _ = loop(tight, X, codes[1:], folds)
                deviation = (
                    f"{np.abs(exact - null[1:]).max():.1e} from a tight fit "
                    f"(scikit-learn's default: {np.abs(exact - areas).max():.1e})"
                )
            scaled = "" if loops == m else f"  [loop over {loops}, scaled to {m}]"
            print(
                f"{name:<10} k^-{decay:<6} {fast * 1e3:>6.1f} ms {slow:>8.2f} s {slow / fast:>7.0f}x   "
                f"{deviation}{scaled}",
                flush=True,
            )


def maxt(m: int, layers: int) -> None:
    X, y, groups = planted_rows(180, 576, decay=1.0, layers=layers)
    print(f"max-T, {m} permutations, {layers} layers, n = 180, d = 576, 5 folds")
    for probe in (
        Probe("ridge"),
        Probe("lda", shrinkage=0.3),
        Probe("lda"),
        Probe("mean_difference"),
        Probe("logistic"),
    ):
        wall, cpu = time.perf_counter(), time.process_time()
        result = permutation_test(probe, X, y, groups=groups, n_permutations=m, seed=SEED, progress=False)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"{probe!s:<40} {wall:7.1f} s wall {cpu:7.1f} s CPU   p = {result.pvalue:.2g}", flush=True)


def growth(m: int) -> None:
    print(f"CPU seconds of one thread; base: n = 180, d = 576, 1 layer, {m} permutations")
    print(f"{'':<22} {'ridge':>9} {'lda':>9} {'logistic':>9}")
    cases = [("base", 180, 576, 1, m)]
    cases += [(f"n = {n}", n, 576, 1, m) for n in (360, 720)]
    cases += [(f"d = {d}", 180, d, 1, m) for d in (64, 2304, 4608)]
    cases += [("layers = 4", 180, 576, 4, m), (f"permutations = {4 * m}", 180, 576, 1, 4 * m)]
    for label, n, d, layers, count in cases:
        X, y, groups = planted_rows(n, d, decay=1.0, layers=layers)
        folds = grouped_folds(y, groups=groups)
        row = [
            ours(probe, X, y, groups, folds, count, repeats=2)[1]
            for probe in (Probe("ridge"), Probe("lda"), Probe("logistic"))
        ]
        print(f"{label:<22} " + " ".join(f"{seconds:9.3f}" for seconds in row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--permutations", type=int, default=1000)
    parser.add_argument("--lda-loops", type=int, default=20, help="permutations of the slow LDA loop that are run")
    parser.add_argument("--maxt", action="store_true")
    parser.add_argument("--growth", action="store_true")
    arguments = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, torch {torch.__version__}, numpy {np.__version__}, "
        f"scipy {scipy.__version__}, scikit-learn {sklearn.__version__}, seed {SEED}, CPU, one thread"
    )
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    with threadpool_limits(1):
        if arguments.maxt:
            maxt(10 * arguments.permutations, 30)
        elif arguments.growth:
            growth(arguments.permutations)
        else:
            ratios(arguments.permutations, arguments.lda_loops)


if __name__ == "__main__":
    main()
