"""Do directions from packaged replies follow what people rated?

    python examples/human_truth.py --rated Empathy-Mental-Health --output results

Without --rated it writes small files of its own in that layout: they show how it runs and say nothing about people.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

import empathy_geometry as eg
from empathy_geometry.studies import freeze_reading, human_truth, what_labels_mean
from empathy_geometry.studies.frozen_readings import MAPPING
from empathy_geometry.texts.several_labels import label_columns


def write_own_files(folder: Path, replies: eg.LabeledTexts) -> None:
    columns, header = label_columns(replies.labels), ["sp_id", "rp_id", "seeker_post", "response_post", "level"]
    (folder / "dataset").mkdir(parents=True, exist_ok=True)
    for mechanism, moves in MAPPING.items():
        level = 2 * np.any([columns[move] for move in moves], axis=0).astype(int)  # 2 where it was written, else 0
        with (folder / f"dataset/{mechanism.replace('_', '-')}-reddit.csv").open("w", newline="") as file:
            rows = zip(replies.groups, range(len(replies)), replies.prompts, replies.responses, level, strict=True)
            csv.writer(file).writerows([header, *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m-instruct", help="embedded model, hub name or local folder")
    parser.add_argument("--rated", type=Path, help="folder of EPITOME; without it small files of our own")
    parser.add_argument("--output", type=Path, default=Path("results"))
    parser.add_argument("--scenarios", type=int, default=24, help="of the packaged replies, without --rated")
    arguments = parser.parse_args()
    packaged, n = eg.datasets.support_moves(), arguments.scenarios
    if arguments.rated is None:
        names = list(dict.fromkeys(packaged.groups.tolist()))  # rated: other scenarios, by the other hand
        folder = arguments.output / "own_files"
        write_own_files(folder, packaged.where(group=names[n : 2 * n], family="b"))
        packaged = packaged.where(group=names[:n], family="a")
        texts = eg.datasets.public.epitome(folder, any_version=True)
        print("THESE RATINGS ARE OUR OWN: they show how the study runs and say nothing about people.\n")
    else:
        texts = eg.datasets.public.epitome(arguments.rated)
    model = eg.load_model(arguments.model)
    at = round(0.63 * int(model.cfg.n_layers))
    own, rated = (eg.extract_activations(model, t, layers=at, position="response_mean") for t in (packaged, texts))
    readings = [freeze_reading(own, target, moves, layer=at) for target, moves in MAPPING.items()]
    meanings = what_labels_mean({r.target: r.direction for r in readings}, rated)
    path = arguments.output / "human_truth.png"
    print(human_truth(readings, own, rated), meanings, f"figure: {path}", sep="\n\n")
    arguments.output.mkdir(parents=True, exist_ok=True)
    meanings.plot().figure.savefig(path, dpi=150, bbox_inches="tight")


if __name__ == "__main__":
    main()
