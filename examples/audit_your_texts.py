"""What gives my classes away before any model has seen them? No model needed.

    python examples/audit_your_texts.py --texts mine.json --output results

Length, first word, single most revealing word, bag of words, punctuation, near-duplicates, damage. Without --texts: the
packaged formality pairs, and beside them pairs of empathetic and neutral texts made of the same words.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt

import empathy_geometry as eg


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("results"))
    parser.add_argument("--texts", type=Path, help="JSON of this library's or the reference study's layout, or JSONL")
    arguments = parser.parse_args()

    sets = [eg.datasets.formality_pairs(), eg.datasets.matched_pairs()]
    if arguments.texts is not None:
        read = eg.LabeledTexts.from_jsonl if arguments.texts.suffix == ".jsonl" else eg.LabeledTexts.from_json
        sets = [read(arguments.texts)]

    figure, ax = plt.subplots(figsize=(7.5, 4), layout="constrained")
    for i, texts in enumerate(sets):
        audit = eg.audit_texts(texts)
        print(f"{audit}\n")
        names = list(dict.fromkeys(c.name for c in audit.checks if c.estimate is not None))
        worst = [audit.worst(name) for name in names]
        colour = ("C0", "C1")[i]
        ax.plot([float(c.estimate) for c in worst], names, "o", color=colour, label=texts.name, alpha=0.8)
    ax.axvline(0.5, color="black", linewidth=0.6)
    ax.invert_yaxis()
    ax.set(xlabel="AUROC of a classifier that sees this only (0.5 is chance)", title="What text alone gives away")
    ax.legend(frameon=False)
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "audit_your_texts.png"
    figure.savefig(path, dpi=150)
    print(f"figure: {path}")


if __name__ == "__main__":
    main()
