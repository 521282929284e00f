"""The coverage atlas: how often the library's 95 % intervals hold the truth, over designs, by simulation.

    python benchmarks/coverage.py --minutes 10                     # a part; run again until nothing is left
    python benchmarks/coverage.py --only "nested*" --simulations 400
    python benchmarks/coverage.py --write                          # docs/coverage.md and docs/coverage.png

Each cell is one interval on one design: its truth is planted, or, for what depends on a fitted procedure, the mean of
the procedure over the same data sets. Finished cells are kept in docs/outputs/coverage.json and are not run again; a
cell that was stopped is. The table shows misses as they are.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache, partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from scipy.stats import norm

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.causal.dose_response import dose_response
from empathy_geometry.dimensionality.participation import participation_ratio
from empathy_geometry.evaluation.cross_validation import cross_validate
from empathy_geometry.evaluation.metrics import accuracy, auroc, auroc_excess, d_prime, forced_choice
from empathy_geometry.evaluation.surviving import surviving_share
from empathy_geometry.evaluation.transfer import transfer_matrix
from empathy_geometry.foundation.durable_file import write_text
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.similarity.disattenuated import disattenuated_cosine
from empathy_geometry.steering.bits import bits_of
from empathy_geometry.steering.range import crossing
from empathy_geometry.studies.bandwidth_interval import Replicates, joint_product
from empathy_geometry.texts.labeled_texts import LabeledTexts

DOCS = Path(__file__).parent.parent / "docs"
KEPT = DOCS / "outputs" / "coverage.json"
LEVEL = 0.95

Draw = Callable[[int], Estimate | None]
"""The interval on the data set with this seed; None where the library gives none."""


@dataclass(frozen=True)
class Cell:
    """One interval on one design; `truth` is None where it is the mean of the procedure."""

    quantity: str
    design: str
    draw: Draw
    truth: float | None


def noise(rng: np.random.Generator, groups: np.ndarray, tail: str, d: int = 1) -> np.ndarray:
    """Rows of variance 1, four tenths of it of their group, [n, d]."""

    def one(n: int) -> np.ndarray:
        if tail == "t5":
            return rng.standard_t(5, size=(n, d)) / np.sqrt(5 / 3)
        if tail == "skewed":
            return rng.exponential(size=(n, d)) - 1
        return rng.normal(size=(n, d))

    return np.sqrt(0.4) * one(groups.max() + 1)[groups] + np.sqrt(0.6) * one(len(groups))


def rows_of(design: str, n_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and groups: pairs within scenarios, one label a scenario, or one scenario in eleven positive."""
    if design == "paired":
        return np.tile([1, 0], n_groups), np.repeat(np.arange(n_groups), 2)
    groups = np.repeat(np.arange(n_groups), 2)
    positives = n_groups // 2 if design == "constant" else max(round(n_groups / 11), 2)
    return (groups < positives).astype(int), groups


@lru_cache(maxsize=64)
def area_of(shift: float, tail: str) -> float:
    """AUROC of two populations a shift apart."""
    if tail == "normal":
        return float(norm.cdf(shift / np.sqrt(2)))
    rng, many = np.random.default_rng(0), np.arange(400_000)
    a, b = noise(rng, many, tail)[:, 0] + shift, np.sort(noise(rng, many, tail)[:, 0])
    return float(np.searchsorted(b, a).mean() / len(many))


def metric_cells() -> Iterator[Cell]:
    for design in ("paired", "constant", "1:10"):
        for n_groups in (8, 20, 48, 96):
            if design == "1:10" and n_groups < 20:
                continue
            for tail in ("normal", "t5", "skewed"):
                for shift in (0.8, 2.6) if tail == "normal" else (0.8,):
                    name = f"{design}, {n_groups} groups, {tail}, AUROC {area_of(shift, tail):.2f}"
                    for quantity, truth in (("AUROC", area_of(shift, tail)), ("d'", shift)):
                        yield Cell(quantity, name, partial(_metric, quantity, design, n_groups, tail, shift), truth)
    for n_groups in (8, 20, 48, 96):
        for share in (0.7, 0.95):
            yield Cell("accuracy", f"{n_groups} groups, {share}", partial(_accuracy, n_groups, share), share)
            difference = np.sqrt(1.2) * norm.ppf(share)
            yield Cell(
                "forced choice", f"{n_groups} pairs, {share}", partial(_forced, n_groups, float(difference)), share
            )
        gap = area_of(1.8, "normal") - area_of(1.0, "normal")
        yield Cell("excess", f"paired, {n_groups} groups", partial(_excess, n_groups), gap)
        left = (area_of(0.9, "normal") - 0.5) / (area_of(1.8, "normal") - 0.5)
        yield Cell("surviving share", f"paired, {n_groups} groups", partial(_surviving, n_groups), left)


def _metric(quantity: str, design: str, n_groups: int, tail: str, shift: float, seed: int) -> Estimate:
    y, groups = rows_of(design, n_groups)
    scores = noise(np.random.default_rng(seed), groups, tail)[:, 0] + shift * y
    return (auroc if quantity == "AUROC" else d_prime)(scores, y, groups=groups)


def _accuracy(n_groups: int, share: float, seed: int) -> Estimate:
    _, groups = rows_of("paired", n_groups)
    right = noise(np.random.default_rng(seed), groups, "normal")[:, 0] < norm.ppf(share)
    return accuracy(right, np.ones(len(groups), dtype=bool), groups=groups)


def _forced(n_groups: int, difference: float, seed: int) -> Estimate:
    y, groups = rows_of("paired", n_groups)
    return forced_choice(noise(np.random.default_rng(seed), groups, "normal")[:, 0] + difference * y, y, groups=groups)


def _two_scores(n_groups: int, first: float, second: float, seed: int) -> tuple[np.ndarray, ...]:
    y, groups = rows_of("paired", n_groups)
    z = noise(np.random.default_rng(seed), groups, "normal", 2)
    return z[:, 0] + first * y, z @ [0.5, np.sqrt(0.75)] + second * y, y, groups


def _excess(n_groups: int, seed: int) -> Estimate:
    a, b, y, groups = _two_scores(n_groups, 1.8, 1.0, seed)
    return auroc_excess(a, {"b": b}, y, groups=groups)["b"]


def _surviving(n_groups: int, seed: int) -> Estimate | None:
    a, b, y, groups = _two_scores(n_groups, 1.8, 0.9, seed)
    return surviving_share(a, b, y == 1, groups, level=LEVEL, seed=0, inflation=1.0)


def nested_cells() -> Iterator[Cell]:
    for kind in ("ridge", "logistic"):
        for n_groups in (20, 40):
            for strength in (0.0, 1.0, 2.0):
                for choice in ("one layer", "4 layers", "3 penalties", "2 positions"):
                    design = f"{choice}, {kind}, {n_groups} pairs, d = 8, signal {strength}"
                    yield Cell("nested AUROC", design, partial(_nested, kind, n_groups, strength, choice), None)


def _nested(kind: str, n_groups: int, strength: float, choice: str, seed: int) -> Estimate:
    y, groups = rows_of("paired", n_groups)
    positions, layers = {"4 layers": (1, 4), "2 positions": (2, 1)}.get(choice, (1, 1))
    X = noise(np.random.default_rng(seed), groups, "normal", positions * layers * 8)
    X = X.reshape(len(y), positions, layers, 8)
    X[:, -1, -1, 0] += strength * y
    name = "C" if kind == "logistic" else "alpha"
    grid = {name: [0.01, 1.0, 100.0]} if choice == "3 penalties" else None
    return cross_validate(Probe(kind), X, y, groups=groups, grid=grid, seed=seed).auroc  # type: ignore[arg-type]


def geometry_cells() -> Iterator[Cell]:
    spectrum = 1 / np.arange(1, 65)
    ratio = float(spectrum.sum() ** 2 / (spectrum**2).sum())
    for n in (16, 32, 96):
        for tail in ("normal", "t5"):
            design = f"{n} scenarios, {tail}, 1/k spectrum"
            yield Cell("participation ratio", design, partial(_participation, n, tail), ratio)
        for cosine in (0.0, 0.5, 0.9):
            yield Cell("disattenuated cosine", f"{n} scenarios, truth {cosine}", partial(_cosine, n, cosine), cosine)
    for n in (12, 24):
        for shared in (True, False):
            design = f"{n} scenarios a context, {'one direction' if shared else 'separate directions'}"
            yield Cell("transfer ratio", design, partial(_transfer, n, shared), 1.0 if shared else 0.0)


def _spectral(rng: np.random.Generator, n: int, tail: str) -> np.ndarray:
    z = rng.normal(size=(n, 64)) / np.sqrt(np.arange(1, 65))
    # Chi-square with 5 degrees of freedom over 5 under the root: rows of Student's t.
    return z if tail == "normal" else z / np.sqrt(rng.chisquare(5, size=(n, 1)) / 5)


def _participation(n: int, tail: str, seed: int) -> Estimate:
    return participation_ratio(_spectral(np.random.default_rng(seed), n, tail))


def _cosine(n: int, cosine: float, seed: int) -> Estimate | None:
    rng = np.random.default_rng(seed)
    a, b = np.eye(16)[0], cosine * np.eye(16)[0] + np.sqrt(1 - cosine**2) * np.eye(16)[1]
    shared = rng.normal(size=(n, 16))
    rows = [1.5 * u + 0.5 * shared + rng.normal(size=(n, 16)) for u in (a, b)]
    found = disattenuated_cosine(rows[0], rows[1], groups_a=np.arange(n), groups_b=np.arange(n) + n)
    return found.value


def _transfer(n: int, shared: bool, seed: int) -> Estimate | None:
    rng = np.random.default_rng(seed)
    y, groups = np.tile([1, 0], 2 * n), np.repeat(np.arange(2 * n), 2)
    context = np.where(groups < n, "home", "away")
    X = rng.normal(size=(4 * n, 1, 8))
    X[np.arange(4 * n), 0, np.where(shared | (groups < n), 0, 1)] += 1.5 * y
    labels = np.where(y == 1, "p", "q")
    texts = LabeledTexts([f"t{i}" for i in range(4 * n)], labels, groups, contexts=context)
    acts = Activations(torch.tensor(X), (0,), labels, groups, texts=texts)
    try:
        return transfer_matrix(Probe("ridge"), acts, positive="p", negative="q", seed=seed).ratio
    except ValueError:  # the probe is not above chance within the contexts: there is no ratio
        return None


def steering_cells() -> Iterator[Cell]:
    for n in (4, 8, 16):
        yield Cell("steering range", f"{n} prompts, inside the grid", partial(_range, n, 1.1), 1.1)
        yield Cell("steering range", f"{n} prompts, beyond the grid", partial(_range, n, 2.6), 2.6)
        ratio = float((1 / np.arange(1, 65)).sum() ** 2 / (1 / np.arange(1, 65.0) ** 2).sum())
        yield Cell("bandwidth", f"32 scenarios, {n} prompts", partial(_bandwidth, n), ratio * 1.1)
        yield Cell("Spearman", f"{n} scenarios, noisy dose-response", partial(_spearman, n, 1.0), _mean_spearman())
        yield Cell("Spearman", f"{n} scenarios, steep dose-response", partial(_spearman, n, 50.0), 1.0)
    for n in (8, 16, 48):
        for step in (0.0, 1.0, 2.0):
            yield Cell("bits", f"{n} prompts, step {step}", partial(_bits, n, step), channel_bits(step))


def _coherence(n: int, truth: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng, x = np.random.default_rng(seed), np.linspace(0, 2, 9)
    own = truth + 0.25 * rng.normal(size=n)
    mean = 1 / (1 + np.exp(3.0 * (x[:, None] - own - np.log(7 / 3) / 3.0)))
    # Noise that is symmetric on the logit scale would move the mean; on this scale it does so little.
    return x, np.clip(mean + 0.04 * rng.normal(size=mean.shape), 0, 1)


@lru_cache(maxsize=8)
def _offset(truth: float) -> float:
    """Where the mean over very many prompts crosses, less what was aimed at."""
    x = np.linspace(0, 8, 1601)
    own = truth + 0.25 * np.random.default_rng(0).normal(size=4000)
    mean = (1 / (1 + np.exp(3.0 * (x[:, None] - own - np.log(7 / 3) / 3.0)))).mean(axis=1)
    return float(np.interp(-0.7, -mean, x)) - truth


def _range(n: int, truth: float, seed: int) -> Estimate:
    x, y = _coherence(n, truth - _offset(truth), seed)
    return crossing(x, y, n_resamples=400, seed=seed)


def _bandwidth(n: int, seed: int) -> Estimate:
    x, y = _coherence(n, 1.1 - _offset(1.1), seed)
    rows = _spectral(np.random.default_rng([seed, 1]), 32, "normal")
    blocks = [np.arange(32) != k for k in range(32)]
    prompts = [np.arange(n) != k if k < n else np.ones(n, dtype=bool) for k in range(32)]
    sizes = np.array([participation_ratio(rows[k]).value for k in blocks])
    reach = np.array([crossing(x, y[:, k], n_resamples=1).value for k in prompts])
    replicates = Replicates(tuple((str(k),) for k in range(32)), sizes, reach)
    return joint_product(participation_ratio(rows), crossing(x, y, n_resamples=400, seed=seed), replicates)


ALPHAS = np.array([0.0, 0.25, 0.5, 1.0])


def _response(n: int, slope: float, seed: int) -> np.ndarray:
    return slope * ALPHAS[:, None] + np.random.default_rng(seed).normal(size=(len(ALPHAS), n))


def _spearman(n: int, slope: float, seed: int) -> Estimate:
    return dose_response(ALPHAS, _response(n, slope, seed)).spearman


@lru_cache(maxsize=1)
def _mean_spearman() -> float:
    return float(dose_response(ALPHAS, _response(4000, 1.0, 10**6)).spearman)


@lru_cache(maxsize=8)
def channel_bits(step: float) -> float:
    """Mutual information of five equally likely means a step apart and a normal readout of variance 1."""
    y = np.linspace(-9, 9 + 4 * step, 20_001)
    density = norm.pdf(y[:, None], step * np.arange(5)).mean(axis=1)
    entropy = -np.trapezoid(density * np.log2(np.maximum(density, 1e-300)), y)
    return float(entropy - 0.5 * np.log2(2 * np.pi * np.e))


def _bits(n: int, step: float, seed: int) -> Estimate:
    scores = step * np.arange(5)[:, None] + np.random.default_rng(seed).normal(size=(5, n))
    return bits_of(scores, n_permutations=1, seed=seed)


def cells() -> list[Cell]:
    """Every cell of the atlas."""
    return [*metric_cells(), *steering_cells(), *geometry_cells(), *nested_cells()]


def measured(cell: Cell, simulations: int) -> dict[str, object]:
    """Coverage and width of one cell."""
    start, found = time.process_time(), [cell.draw(seed) for seed in range(simulations)]
    known = [e for e in found if e is not None and e.low is not None and e.high is not None]
    values = np.array([e.value for e in known])
    truth = float(values.mean()) if cell.truth is None else cell.truth
    low, high = np.array([[e.low, e.high] for e in known], dtype=float).T if known else np.empty((2, 0))
    inside = (low <= truth + 1e-12) & (truth <= high + 1e-12)
    closed = np.isfinite(high)
    return {
        "quantity": cell.quantity,
        "design": cell.design,
        "coverage": round(float(inside.mean()), 4) if known else None,
        "standard_error": round(float(np.sqrt(0.95 * 0.05 / max(len(known), 1))), 4),
        "truth": round(truth, 4),
        "mean": round(float(values.mean()), 4) if known else None,
        "below": round(float((truth < low).mean()), 4) if known else None,
        "above": round(float((truth > high).mean()), 4) if known else None,
        "width": round(float((high - low)[closed].mean()), 4) if closed.any() else None,
        "open": int((~closed).sum()),
        "none": simulations - len(known),
        "simulations": simulations,
        "seconds": round(time.process_time() - start, 1),
    }


def run(minutes: float, only: str, simulations: int) -> None:
    """Every cell that is not there yet, until the time is over."""
    kept = read()
    end = time.monotonic() + 60 * minutes
    for cell in cells():
        key = f"{cell.quantity}: {cell.design}"
        if not fnmatch(cell.quantity, only) or kept.get(key, {}).get("simulations", 0) >= simulations:
            continue
        if time.monotonic() > end:
            print("time is over; run again for the rest")
            return
        kept[key] = measured(cell, simulations)
        write_text(KEPT, json.dumps(kept, indent=1) + "\n")
        print(f"{kept[key]['coverage']} {kept[key]['seconds']} s  {key}", flush=True)
    print("nothing is left")


def read() -> dict[str, dict]:
    return json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}


def summary(kept: dict[str, dict]) -> list[str]:
    """One line a quantity, then every cell outside 0.93 to 0.98."""
    lines = ["| interval | cells | median | lowest | highest | below 0.90 | within 0.93 to 0.98 |", "|" + " --- |" * 7]
    names = list(dict.fromkeys(c["quantity"] for c in kept.values()))
    for name in [*names, "all"]:
        found = [c["coverage"] for c in kept.values() if name in ("all", c["quantity"]) and c["coverage"] is not None]
        if found:
            f = np.array(found)
            good = int(((f >= 0.93) & (f <= 0.98)).sum())
            lines.append(
                f"| {name} | {len(f)} | {np.median(f):.3f} | {f.min():.3f} | {f.max():.3f} | {int((f < 0.9).sum())} | "
                f"{good} of {len(f)} |"
            )
    return lines


def table(kept: dict[str, dict]) -> list[str]:
    head = "| interval | design | coverage (s.e.) | truth | mean | misses below, above | mean width | open, none of n |"
    lines = [head, "|" + " --- |" * 8]
    for c in kept.values():
        if c["coverage"] is None:
            continue
        mark = " **low**" if c["coverage"] < 0.9 else ""
        width = "-" if c["width"] is None else f"{c['width']:.3g}"
        lines.append(
            f"| {c['quantity']} | {c['design']} | {c['coverage']:.3f} ({c['standard_error']:.3f}){mark} | "
            f"{c['truth']:.3g} | {c['mean']:.3g} | {c['below']:.3f}, {c['above']:.3f} | {width} | "
            f"{c['open']}, {c['none']} of {c['simulations']} |"
        )
    return lines


def write() -> None:
    """The page and the figure, from what was measured."""
    kept, missing = read(), len(cells()) - len(read())
    if not kept:
        raise SystemExit("nothing was measured yet; run without --write first")
    page = [
        "# Coverage",
        "",
        "How often do the library's 95 % intervals hold the truth? Measured by `python benchmarks/coverage.py` on data "
        "whose truth is planted; for what depends on a fitted probe (nested AUROC) the truth is the mean of the "
        "procedure over the same data sets. Each cell is one interval on one design; the standard error of a coverage "
        "of 0.95 stands beside. Misses are shown as they are: where a quantity covers less than it says, read its "
        "intervals as too short." + (f" {missing} of {len(cells())} cells are not measured yet." if missing else ""),
        "",
        "![Coverage of every cell by quantity, with the range from 0.93 to 0.98 shaded](coverage.png)",
        "",
        *summary(kept),
        "",
        "## Every cell",
        "",
        "Misses below: the truth lies below the interval. Open: intervals without an upper end; their width does not "
        "enter the mean. None: data sets in which the library gives no interval, and says so.",
        "",
        *table(kept),
        "",
    ]
    write_text(DOCS / "coverage.md", "\n".join(page))
    draw(kept)


def draw(kept: dict[str, dict]) -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(c["quantity"] for c in kept.values()))
    figure, axes = plt.subplots(figsize=(8, 0.4 * len(names) + 1.2), layout="constrained")
    axes.axvspan(0.93, 0.98, color="0.9")
    axes.axvline(LEVEL, color="0.5", lw=1)
    rng = np.random.default_rng(0)
    for row, name in enumerate(names):
        found = np.array([c["coverage"] for c in kept.values() if c["quantity"] == name and c["coverage"] is not None])
        axes.plot(
            found, row + rng.uniform(-0.2, 0.2, len(found)), "o", ms=4, alpha=0.6, color="C0" if row % 2 else "C1"
        )
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("coverage of 95 % intervals; one point a design")
    figure.savefig(DOCS / "coverage.png", dpi=150, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="stop after this long")
    parser.add_argument("--only", default="*", help="pattern of quantities")
    parser.add_argument("--simulations", type=int, default=200, help="data sets a cell")
    parser.add_argument("--write", action="store_true", help="write the page and the figure from what there is")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.write:
        write()
    else:
        run(arguments.minutes, arguments.only, arguments.simulations)


if __name__ == "__main__":
    main()
