"""Does what a probe learns in one context hold in another?

    python examples/transfer_between_contexts.py --output results

Trained on crisis messages, tested on technical ones, and so on for every pair of contexts. The diagonal is
cross-validated within the context. A transfer ratio of 1 means: as good across as within.
"""

import argparse
from pathlib import Path

import empathy_geometry as eg


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m-instruct", help="embedded model, hub name or local folder")
    parser.add_argument("--output", type=Path, default=Path("results"))
    parser.add_argument("--scenarios", type=int, default=50, help="of the 50 in each of the five contexts")
    arguments = parser.parse_args()
    model = eg.load_model(arguments.model)
    layer = int(model.cfg.n_layers) * 17 // 30

    texts, chosen = eg.datasets.empathy_pairs(), []
    for context in dict.fromkeys(texts.contexts.tolist()):
        chosen += list(dict.fromkeys(texts.where(context=context).groups.tolist()))[: arguments.scenarios]
    acts = eg.extract_activations(model, texts.where(group=chosen), layers=[layer], position="response_mean")

    matrix = eg.transfer_matrix(eg.Probe("logistic"), acts, positive="empathetic", negative="neutral")
    print(f"held-out AUROC at layer {layer}\n{matrix}")
    off = {
        (trained, tested): matrix.auroc[i][j]
        for i, trained in enumerate(matrix.names)
        for j, tested in enumerate(matrix.names)
        if i != j
    }
    (trained, tested), hardest = min(off.items(), key=lambda entry: float(entry[1]))
    print(f"hardest: trained on {trained}, tested on {tested}: {hardest}")

    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "transfer_between_contexts.png"
    eg.plots.transfer_heatmap(matrix).figure.savefig(path, dpi=150)
    print(f"figure: {path}")


if __name__ == "__main__":
    main()
