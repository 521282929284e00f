"""I have a run_with_cache already: how do I go on from there?

    python examples/from_your_cache.py --output results

Any TransformerLens cache, or dictionary of hook names and tensors, becomes Activations with classes and scenarios.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import empathy_geometry as eg


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m-instruct", help="embedded model, hub name or local folder")
    parser.add_argument("--output", type=Path, default=Path("results"))
    parser.add_argument("--scenarios", type=int, default=30, help="so many of the 60 humour pairs")
    arguments = parser.parse_args()
    model = eg.load_model(arguments.model)
    layers = [0, int(model.cfg.n_layers) // 2]

    texts = eg.datasets.humor_pairs()
    texts = texts.where(group=list(dict.fromkeys(texts.groups.tolist()))[: arguments.scenarios])

    rows = [model.to_tokens(text)[0] for text in texts.texts]
    tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=model.tokenizer.pad_token_id)
    lengths = torch.tensor([len(row) for row in rows])
    mask = (torch.arange(tokens.shape[1]) < lengths[:, None]).long()
    names = [f"blocks.{layer}.hook_resid_post" for layer in layers]
    with torch.no_grad():
        _, cache = model.run_with_cache(tokens, attention_mask=mask, names_filter=names)

    # So far it is your own code; from here on it is the library's.
    acts = eg.Activations.from_cache(
        cache, texts.labels, texts.groups, layers=layers, position="mean", attention_mask=mask, texts=texts
    )
    print(acts)
    direct = eg.extract_activations(model, texts, layers=layers, position="mean")
    print(f"largest difference to extract_activations: {(acts.values - direct.values).abs().max():.1e}")
    evaluation = eg.cross_validate(eg.Probe("lda"), acts, positive="humorous", layers=layers[1:])
    print(evaluation)

    ax = plt.subplots(layout="constrained")[1]
    for name, colour in (("humorous", "C0"), ("plain", "C1")):
        ax.hist(evaluation.scores[evaluation.labels == name], bins=15, alpha=0.6, color=colour, label=name)
    ax.set(xlabel="out-of-fold score (sd of training scores)", ylabel="texts", title=f"AUROC {evaluation.auroc}")
    ax.legend(frameon=False)
    path = arguments.output / "from_your_cache.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    ax.figure.savefig(path, dpi=150)
    print(f"figure: {path}")


if __name__ == "__main__":
    main()
