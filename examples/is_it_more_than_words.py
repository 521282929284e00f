"""Does the model's stream tell a concept apart better than the words alone do?

    python examples/is_it_more_than_words.py --output results

A probe's AUROC means nothing on its own. Here it stands beside classifiers that see only the text: first word, bag of
words, length, token embeddings. First on the empathy pairs, then on pairs in which both classes have the same words.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt

import empathy_geometry as eg


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m-instruct", help="embedded model, hub name or local folder")
    parser.add_argument("--output", type=Path, default=Path("results"))
    parser.add_argument("--scenarios", type=int, default=100, help="first so many scenarios of each set")
    arguments = parser.parse_args()
    model = eg.load_model(arguments.model)
    n = int(model.cfg.n_layers)

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharex=True, layout="constrained")
    for ax, texts in zip(axes, (eg.datasets.empathy_pairs(), eg.datasets.matched_pairs()), strict=True):
        scenarios = list(dict.fromkeys(texts.groups.tolist()))
        chosen = texts.where(group=scenarios[:: max(1, len(scenarios) // arguments.scenarios)])

        # Three layers compete; the choice is made inside the training folds.
        layers = sorted({n // 3, n // 2, (2 * n) // 3})
        acts = eg.extract_activations(model, chosen, layers=layers, position="response_mean")
        evaluation = eg.cross_validate(eg.Probe("logistic"), acts, positive="empathetic", negative="neutral")
        print(f"\n{texts.name}\n{evaluation}")

        rows = {"probe": evaluation.auroc, **evaluation.baselines}
        for y, (name, e) in enumerate(reversed(rows.items())):
            low, high = (e.low, e.high) if e.low is not None else (e.value, e.value)
            ax.plot([low, high], [y, y], color="C0" if name == "probe" else "C1")
            ax.plot(e.value, y, "o", color="C0" if name == "probe" else "C1")
        ax.set_yticks(range(len(rows)), list(reversed(rows)))
        ax.axvline(0.5, color="black", linewidth=0.6)
        ax.set(xlabel="AUROC, held out, with 95 % interval", title=texts.name)
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "is_it_more_than_words.png"
    figure.savefig(path, dpi=150)
    print(f"\nfigure: {path}")


if __name__ == "__main__":
    main()
