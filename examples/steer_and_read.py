"""What does the model write when a direction is added to its residual stream, and when does the text break?

    python examples/steer_and_read.py --output results

The direction is the mean difference of empathetic and neutral user messages. Alpha is counted in residual norms: 0.1
adds a vector a tenth as long as the stream is at that layer, which serves any model; class gaps are printed beside it.
"""

import argparse
from pathlib import Path

import numpy as np

import empathy_geometry as eg


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m-instruct", help="embedded model, hub name or local folder")
    parser.add_argument("--output", type=Path, default=Path("results"))
    parser.add_argument("--scenarios", type=int, default=100, help="so many of the 250 empathy pairs")
    parser.add_argument("--alphas", type=float, nargs="+", default=[-0.3, -0.2, -0.1, 0.1, 0.2, 0.3])
    arguments = parser.parse_args()
    model = eg.load_model(arguments.model)
    layer = int(model.cfg.n_layers) * 17 // 30

    texts = eg.datasets.empathy_pairs()
    scenarios = list(dict.fromkeys(texts.groups.tolist()))
    training = texts.where(group=scenarios[:: max(1, len(scenarios) // arguments.scenarios)])
    acts = eg.extract_activations(model, training, layers=[layer], position="response_mean")
    direction = eg.ConceptDirection.from_activations(acts, positive="empathetic", negative="neutral", layer=layer)
    print(direction)
    print("lengths in activation units: " + ", ".join(f"{k} {v:.2f}" for k, v in direction.scales.items()) + "\n")

    # Prompts of our own: nothing that made the direction.
    prompts = ["I lost my job today.", "My sister is moving abroad.", "How do I reset my router?"]
    sweep = eg.steering_sweep(model, direction, prompts, arguments.alphas, units="residual_norm")
    for a in np.flatnonzero(np.isin(sweep.alphas, [min(sweep.alphas), 0, max(sweep.alphas)])):
        print(f"alpha {sweep.alphas[a]:+.2f}   " + " ".join(sweep.texts[a][0].split()))
    print(f"\n{sweep}")
    print(f"\nsteering range, residual norms: + {eg.steering_range(sweep)}; - {eg.steering_range(sweep, sign=-1)}")

    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "steer_and_read.png"
    eg.plots.coherence_curve(sweep).figure.savefig(path, dpi=150)
    print(f"figure: {path}")


if __name__ == "__main__":
    main()
