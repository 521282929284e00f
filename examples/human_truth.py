"""Do directions from packaged replies follow what people rated?

    python examples/human_truth.py --output results
    python examples/human_truth.py --rated Empathy-Mental-Health --output results

Directions are frozen, with a hash, before they meet the ratings; beside them stand words carried over from the same
replies, and what a probe trained on the ratings themselves would reach. Name the folder of the public set EPITOME for
an answer (https://github.com/behavioral-data/Empathy-Mental-Health). Without it, this example writes small files of its
own in the same layout: replies of the packaged set "rated" by what they were written to do. That shows how the study
runs, and says nothing about people.
"""

import argparse
import csv
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import empathy_geometry as eg
from empathy_geometry.studies import freeze_reading, human_truth, what_labels_mean
from empathy_geometry.texts.several_labels import label_columns

MOVES = {
    "emotional_reactions": {"warmth": 1.0},
    "interpretations": {"own_experience": 2.0, "naming_feelings": 1.0},
    "explorations": {"question": 1.0},
}


def write_own_files(folder: Path, replies: eg.LabeledTexts) -> None:
    """EPITOME's layout: a CSV for each mechanism, a row for each reply; level 2 where a move was written, else 0."""
    columns = label_columns(replies.labels)
    for mechanism, moves in MOVES.items():
        has = np.any([columns[move] for move in moves if move in columns], axis=0)
        path = folder / "dataset" / f"{mechanism.replace('_', '-')}-reddit.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["sp_id", "rp_id", "seeker_post", "response_post", "level"])
            for i, (said, prompt) in enumerate(zip(replies.responses, replies.prompts, strict=True)):
                writer.writerow([replies.groups[i], f"r{i}", prompt.strip(), said, 2 * int(has[i])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m-instruct", help="embedded model, hub name or local folder")
    parser.add_argument("--rated", type=Path, help="folder of EPITOME; without it small files of our own")
    parser.add_argument("--output", type=Path, default=Path("results"))
    parser.add_argument("--scenarios", type=int, default=24, help="of the packaged replies, first so many")
    arguments = parser.parse_args()

    moves = eg.datasets.support_moves()
    scenarios = list(dict.fromkeys(moves.groups.tolist()))
    if arguments.rated is None:
        # Directions come from one hand and some scenarios, the "rated" replies from the other hand and other scenarios.
        packaged = moves.where(group=scenarios[: arguments.scenarios], family="a")
        others = moves.where(group=scenarios[arguments.scenarios : 2 * arguments.scenarios], family="b")
        with tempfile.TemporaryDirectory() as folder:
            write_own_files(Path(folder), others)
            texts = eg.datasets.public.epitome(folder, any_version=True)
        print("THESE RATINGS ARE OUR OWN: they show how the study runs and say nothing about people.\n")
    else:
        packaged, texts = moves, eg.datasets.public.epitome(arguments.rated)

    model = eg.load_model(arguments.model)
    layer = round(0.63 * int(model.cfg.n_layers))
    own, rated = (eg.extract_activations(model, t, layers=[layer], position="response_mean") for t in (packaged, texts))
    readings = [freeze_reading(own, target, weights, layer=layer) for target, weights in MOVES.items()]
    for reading in readings:
        print(f"frozen {reading.target}: {reading.sha256[:16]}")
    result = human_truth(readings, own, rated)
    print(f"\n{result}")

    meanings = what_labels_mean({r.target: r.direction for r in readings}, rated)
    print(f"\n{meanings}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "human_truth.png"
    ax = meanings.plot()
    ax.figure.savefig(path, dpi=150, bbox_inches="tight")
    plt.close(ax.figure)
    print(f"\nfigure: {path}")


if __name__ == "__main__":
    main()
