"""Why does a cosine between two concept directions say so little? Planted data, no model needed.

    python examples/cosine_misleads.py --output results

One-vs-rest probes of K classes have a mean cosine near -1/(K-1) whatever the classes are, and the closest pair looks
most opposed. Differences from one shared baseline have a null of +1/2. Beside each: what to report instead.
"""

import argparse
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import empathy_geometry as eg


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("results"))
    arguments = parser.parse_args()

    floor, shared = eg.pitfalls.simplex_floor(), eg.pitfalls.shared_baseline()
    print(f"{floor}\n\n{shared}\n")

    # The library warns where it can know: two differences from the same neutral rows.
    rows = torch.randn(3, 60, 128, generator=torch.Generator().manual_seed(0))
    a = eg.ConceptDirection.from_mean_difference(rows[0], rows[2])
    b = eg.ConceptDirection.from_mean_difference(rows[1], rows[2])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        print(f"cosine of two directions made of pure noise: {a.cosine(b):.2f}")
    print(f"{caught[0].category.__name__}: {caught[0].message}")

    figure, axes = plt.subplots(2, 1, figsize=(8.5, 8), layout="constrained")
    floor.plot(axes[0])
    shared.plot(axes[1])
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "cosine_misleads.png"
    figure.savefig(path, dpi=150)
    print(f"figure: {path}")


if __name__ == "__main__":
    main()
