"""How do I study a concept of my own?

    python examples/your_own_texts.py --texts mine.jsonl --positive humorous --negative plain --output results

Each line of the file is one scenario with a text of each class: {"id": "1", "humorous": "...", "plain": "..."}. Without
--texts the packaged humour pairs are written to the output folder in this layout and read from there.
"""

import argparse
import json
from pathlib import Path

import empathy_geometry as eg


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m-instruct", help="embedded model, hub name or local folder")
    parser.add_argument("--output", type=Path, default=Path("results"))
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--positive", default="humorous")
    parser.add_argument("--negative", default="plain")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    positive, negative = arguments.positive, arguments.negative

    path = arguments.texts
    if path is None:
        path = arguments.output / "humor.jsonl"
        pairs: dict[str, dict[str, str]] = {}
        for text in eg.datasets.humor_pairs():
            pairs.setdefault(text.group, {"id": text.group})[text.label] = text.text
        path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs.values()), encoding="utf-8")
    texts = eg.LabeledTexts.from_jsonl(path, classes=[positive, negative])

    # 1. What do the texts give away before any model has seen them?
    print(eg.audit_texts(texts).verdict)

    # 2. Can the model's stream tell the classes apart, and better than words can?
    model = eg.load_model(arguments.model)
    acts = eg.extract_activations(model, texts, layers="all", position="response_mean")
    evaluation = eg.cross_validate(eg.Probe("logistic"), acts, positive=positive, negative=negative)
    print(evaluation)

    # 3. A direction to steer with, and how far it can be trusted.
    layer = max(set(evaluation.chosen_layers), key=evaluation.chosen_layers.count)
    direction = eg.ConceptDirection.from_activations(acts, positive=positive, negative=negative, layer=layer)
    print(f"{direction}\n{direction.quality}")
    direction.save(arguments.output / "direction.safetensors")
    test = eg.permutation_test(eg.Probe("ridge", alpha=100.0), acts, positive=positive, n_permutations=200, seed=0)
    figure = arguments.output / "your_own_texts.png"
    eg.plots.null_distribution(test).figure.savefig(figure, dpi=150)
    print(f"{test}\nfigure: {figure}")


if __name__ == "__main__":
    main()
