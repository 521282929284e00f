"""Bias, coverage, false counts and cost of the dimensionality estimators, on planted spectra.

OMP_NUM_THREADS=1 python benchmarks/dimensionality.py [--quick]
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from empathy_geometry.dimensionality import dimensionality, participation_ratio
from empathy_geometry.dimensionality.participation import corrected_participation, naive_participation
from empathy_geometry.foundation.provenance import package_versions

LAWS = ("gaussian", "student t, 5 df", "exponential")


def draw(law: str, n: int, spectrum: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    z = rng.standard_normal((n, len(spectrum)))
    if law.startswith("student"):
        z *= np.sqrt(3 / rng.chisquare(5, (n, 1)))
    if law == "exponential":
        z = rng.exponential(size=z.shape) - 1
    return z * np.sqrt(spectrum)


def gaussian_formula(x: np.ndarray) -> float:
    """The correction that is unbiased for Gaussian rows only."""
    n = len(x) - 1
    c = x - x.mean(axis=0)
    g = c @ c.T / n
    trace, squares = np.trace(g), (g**2).sum()
    return (n * (n + 1) * (trace**2 - 2 * squares / (n + 1))) / (n**2 * (squares - trace**2 / n))


def bias(repeats: int) -> None:
    print("\nMean of the participation ratio estimators (centred), spectrum 1/k")
    # This file has the name of the package by Chun et al., and its folder comes first on the path.
    sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).resolve().parent]
    try:
        from dimensionality import participation_ratio as chun
    except ImportError:
        chun = None
    print(f"{'rows':<18}{'d':>6}{'n':>5}{'truth':>8}{'naive':>8}{'Gaussian':>10}{'ours':>8}{'Chun et al.':>13}")
    for law in LAWS:
        for d, n in ((576, 30), (576, 50), (576, 100), (2048, 50)):
            spectrum = 1 / np.arange(1, d + 1)
            rng, found = np.random.default_rng(0), []
            for _ in range(repeats):
                x = draw(law, n, spectrum, rng)
                g = x @ x.T
                theirs = chun(x, return_all=True)["row"] if chun and d < 1000 else np.nan
                found.append(
                    (
                        naive_participation(g, center=True),
                        gaussian_formula(x),
                        corrected_participation(g, center=True),
                        theirs,
                    )
                )
            naive, gauss, ours, theirs = np.mean(found, axis=0)
            truth = spectrum.sum() ** 2 / (spectrum**2).sum()
            print(f"{law:<18}{d:>6}{n:>5}{truth:>8.1f}{naive:>8.1f}{gauss:>10.1f}{ours:>8.1f}{theirs:>13.1f}")


def coverage(repeats: int) -> None:
    print("\nCoverage of 95 % intervals of the participation ratio (uncentred), d = 300")
    print(f"{'rows':<18}{'spectrum':>10}{'n':>5}{'jackknife':>11}{'bootstrap':>11}{'median width':>14}")
    for law in LAWS:
        for power in (1.0, 0.5):
            for n in (30, 100):
                spectrum = np.arange(1, 301) ** -power
                truth = spectrum.sum() ** 2 / (spectrum**2).sum()
                rng, inside, boot, widths = np.random.default_rng(1), [], [], []
                for _ in range(repeats):
                    x = draw(law, n, spectrum, rng)
                    e = participation_ratio(x, seed=int(rng.integers(2**31)))
                    inside.append(e.low is not None and e.low <= truth <= e.high)
                    widths.append(np.nan if e.low is None else e.high / e.low)
                    g, draws = x @ x.T, []
                    for _ in range(100):
                        rows = rng.integers(0, n, n)
                        draws.append(corrected_participation(g[np.ix_(rows, rows)], center=False))
                    low, high = np.quantile(draws, [0.025, 0.975])
                    boot.append(low <= truth <= high)
                print(
                    f"{law:<18}{f'k^-{power}':>10}{n:>5}{np.mean(inside):>11.3f}{np.mean(boot):>11.3f}"
                    f"{np.nanmedian(widths):>13.2f}x"
                )


def false_counts(repeats: int) -> None:
    print("\nMean number of components counted where the truth is 0 (noise 1/k, d = 300), and 3 planted ones")
    print(f"{'n':>5}{'m':>5}{'planted':>9}  {'null':<6}{'parallel':>10}{'threshold':>11}{'replicable':>12}")
    spectrum = np.arange(1, 301) ** -1.0
    spectrum *= 300 / spectrum.sum()
    for n, m in ((30, 30), (100, 100)):
        for rank in (0, 3):
            for given in (False, True):
                rng, found = np.random.default_rng(0), []
                for _ in range(repeats):
                    x = draw("gaussian", n, spectrum, rng)
                    basis = np.linalg.qr(rng.standard_normal((300, 3)))[0].T[:rank]
                    x = x + 6 * np.sqrt(np.sqrt(300 / n)) * rng.standard_normal((n, rank)) @ basis
                    z = draw("gaussian", m, spectrum, rng) if given else None
                    r = dimensionality(x, null_differences=z, n_resamples=10, sizes=[n], seed=int(rng.integers(2**31)))
                    found.append([float(e) for e in (r.parallel_analysis, r.hard_threshold, r.replicable)])
                counts = np.mean(found, axis=0)
                print(
                    f"{n:>5}{m:>5}{rank:>9}  {'given' if given else 'none':<6}{counts[0]:>10.2f}{counts[1]:>11.2f}"
                    f"{counts[2]:>12.2f}"
                )


def cost() -> None:
    print("\nCPU seconds of dimensionality(), without and with a null of the same n")
    print(f"{'n':>5}{'d':>6}{'alone':>9}{'with null':>11}")
    for n, d in ((30, 576), (100, 576), (100, 4096), (200, 2048), (500, 576), (500, 4096)):
        x, z = np.random.default_rng(0).standard_normal((2, n, d))
        start = time.process_time()
        dimensionality(x)
        middle = time.process_time()
        dimensionality(x, null_differences=z)
        print(f"{n:>5}{d:>6}{middle - start:>9.2f}{time.process_time() - middle:>11.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the repeats")
    repeats = 20 if parser.parse_args().quick else 200
    print(", ".join(f"{k} {v}" for k, v in package_versions().items()))
    bias(repeats)
    coverage(repeats)
    false_counts(max(repeats // 5, 4))
    cost()


if __name__ == "__main__":
    main()
