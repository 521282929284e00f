"""Where in a text does the concept show, token by token, also while the model writes under steering?

    python examples/watch_tokens.py --output results

The direction is the mean difference of empathetic and neutral user messages; 0 is midway between the classes, 1 one
class gap above. The unsteered model reads what was written, so nothing moves by algebra.
"""

import argparse
from pathlib import Path

import empathy_geometry as eg


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m-instruct", help="embedded model, hub name or local folder")
    parser.add_argument("--output", type=Path, default=Path("results"))
    parser.add_argument("--scenarios", type=int, default=80, help="so many of the 250 empathy pairs")
    arguments = parser.parse_args()
    model = eg.load_model(arguments.model)
    layer = int(model.cfg.n_layers) * 17 // 30

    texts = eg.datasets.empathy_pairs()
    scenarios = list(dict.fromkeys(texts.groups.tolist()))[:: max(1, len(set(texts.groups)) // arguments.scenarios)]
    acts = eg.extract_activations(model, texts.where(group=scenarios[1:]), layers=[layer], position="response_mean")
    direction = eg.ConceptDirection.from_activations(acts, positive="empathetic", negative="neutral", layer=layer)

    # A scenario that did not enter the direction.
    pair = texts.where(group=scenarios[:1])
    scores = eg.token_scores(model, pair.texts, direction)
    print(scores)
    for label, mean in zip(pair.labels, scores.means, strict=True):
        print(f"mean of the {label} text: {mean:+.2f} ({scores.units})")

    for alpha in (0.0, 0.15):
        with eg.SteeringHook(direction, alpha=alpha, units="residual_norm").attached(model):
            written = eg.generate(model, ["I lost my job today."], max_new_tokens=24)
        reading = eg.token_scores(model, written, direction)
        print(f"alpha {alpha:.2f}, read by the unsteered model {reading.means[0]:+.2f}: {written.texts[0]!r}")

    ax = eg.plots.token_scores(scores)
    path = arguments.output / "watch_tokens.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    ax.figure.savefig(path, dpi=150, bbox_inches="tight")
    print(f"figure: {path}")


if __name__ == "__main__":
    main()
