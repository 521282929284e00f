"""How many dimensions does a concept take up, and how much of that is merely how scenarios differ?

    python examples/how_many_dimensions.py --output results

Counts of components follow the number of scenarios. Read the corrected participation ratio, beside the same number for
differences without the concept (neutral minus neutral), and the components that replicate on held-out scenarios.
"""

import argparse
from pathlib import Path

import empathy_geometry as eg


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m-instruct", help="embedded model, hub name or local folder")
    parser.add_argument("--output", type=Path, default=Path("results"))
    parser.add_argument("--scenarios", type=int, default=125, help="so many of the 250 empathy pairs")
    arguments = parser.parse_args()
    model = eg.load_model(arguments.model)
    layer = int(model.cfg.n_layers) // 2

    texts = eg.datasets.empathy_pairs()
    scenarios = list(dict.fromkeys(texts.groups.tolist()))
    texts = texts.where(group=scenarios[:: max(1, len(scenarios) // arguments.scenarios)])
    acts = eg.extract_activations(model, texts, layers=[layer], position="response_mean")

    measured = eg.dimensionality.dimensionality_of_activations(
        acts, positive="empathetic", negative="neutral", layer=layer
    )
    print(measured)
    share, replicable = measured.mean_share, measured.replicable
    print(f"\nWhat all scenarios share (their mean difference) carries {share} of the second moment;")
    print(f"{replicable.value:.0f} component(s) hold up on scenarios that did not choose them.")

    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "how_many_dimensions.png"
    eg.plots.rarefaction_curve(measured).figure.savefig(path, dpi=150)
    print(f"figure: {path}")


if __name__ == "__main__":
    main()
