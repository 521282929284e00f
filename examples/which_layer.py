"""At which layer can a concept be read, and what does choosing the best layer cost?

    python examples/which_layer.py --output results

The best of 30 layers looks good on noise. The honest numbers: the layer chosen inside the training folds (nested), and
a p-value from permutations in which the best layer is chosen anew every time.
"""

import argparse
from pathlib import Path

import empathy_geometry as eg


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m-instruct", help="embedded model, hub name or local folder")
    parser.add_argument("--output", type=Path, default=Path("results"))
    parser.add_argument("--scenarios", type=int, default=60, help="so many of the 100 formality pairs")
    parser.add_argument("--permutations", type=int, default=200)
    arguments = parser.parse_args()
    model = eg.load_model(arguments.model)

    texts = eg.datasets.formality_pairs()
    scenarios = list(dict.fromkeys(texts.groups.tolist()))
    texts = texts.where(group=scenarios[: arguments.scenarios])
    acts = eg.extract_activations(model, texts, layers="all", position="response_mean")

    probe, classes = eg.Probe("ridge", alpha=100.0), {"positive": "formal", "negative": "casual"}
    nested = eg.cross_validate(probe, acts, **classes)
    test = eg.permutation_test(probe, acts, n_permutations=arguments.permutations, seed=0, **classes)

    best, null_best = test.statistic, test.null_distribution.mean()
    null_one = test.layer_null.mean()
    print(f"best of {len(acts.layers)} layers (layer {test.layer}), not paid for   AUROC {best:.3f}")
    print(f"the same under shuffled labels: one layer {null_one:.3f}, the best layer {null_best:.3f}")
    print(f"layer chosen inside the training folds           AUROC {nested.auroc}")
    print(f"  layers chosen: {', '.join(map(str, nested.chosen_layers))}; excess over words {nested.excess}")
    print(f"p, best layer against best layers of shuffled labels   {test.pvalue:.3g}")
    print(f"layers significant at 5 %, corrected: {len(test.significant_layers())} of {len(test.layers)}")

    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "which_layer.png"
    eg.plots.layer_emergence(test, evaluation=nested).figure.savefig(path, dpi=150)
    print(f"figure: {path}")


if __name__ == "__main__":
    main()
