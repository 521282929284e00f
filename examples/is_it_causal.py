"""Does the model use a direction, or can it only be read there?

    python examples/is_it_causal.py --output results

Adding it must move what comes later (sufficiency), and without it the classes must come closer (necessity): at marker
tokens and in probes at later layers, never at the edited layer, and more than random directions of the same length do.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt

import empathy_geometry as eg


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m-instruct", help="embedded model, hub name or local folder")
    parser.add_argument("--output", type=Path, default=Path("results"))
    parser.add_argument("--scenarios", type=int, default=60, help="so many of the 100 formality pairs")
    parser.add_argument("--tested", type=int, default=6, help="held-out scenarios on which edits run")
    arguments = parser.parse_args()
    model = eg.load_model(arguments.model)

    texts = eg.datasets.formality_pairs()
    texts = texts.where(group=list(dict.fromkeys(texts.groups.tolist()))[: arguments.scenarios])
    found = eg.causal_effects(
        model,
        {"formality": ("formal", "casual")},
        texts,
        layer=int(model.cfg.n_layers) // 2,
        design=eg.CausalDesign(n_scenarios=arguments.tested, n_prompts=0),  # writes no text, to be quick
    )
    print(found)

    rows = [row for row in found.of("formality") if row.test in ("sufficiency", "necessity") and row.controls]
    ax = plt.subplots(figsize=(8, 1 + 0.6 * len(rows)), layout="constrained")[1]
    for y, row in enumerate(reversed(rows)):
        for colour, (kind, values) in zip(("0.6", "C1", "C2"), row.controls.items(), strict=False):
            ax.plot(values, [y] * len(values), "|", color=colour, markersize=12, label=kind if y == 0 else None)
        ax.plot(float(row.effect), y, "o", color="C0", label="the direction" if y == 0 else None)
    ax.set_yticks(range(len(rows)), [f"{r.test}, {r.readout}\n({r.operation})" for r in reversed(rows)], fontsize=8)
    ax.axvline(0, color="black", linewidth=0.6)
    ax.set(
        xlabel="effect (sd of the readout within classes)", title=f"formality: {found.verdicts['formality'].verdict}"
    )
    ax.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    path = arguments.output / "is_it_causal.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    ax.figure.savefig(path, dpi=150)
    print(f"figure: {path}")


if __name__ == "__main__":
    main()
