"""Are there three kinds of empathy in the model, and is any of it more than words?

    python examples/tripartite.py --output results/tripartite

Every claim of the study beside what a bag of words gives, what shuffled labels and random weights give, and a verdict.
Texts of your own in the layout {"triplets": [{"id", "scenario", "cognitive", "affective", "instrumental"}, ...]} go
in with --texts. Activations and finished parts are kept in the output folder: stop it and start it again.
"""

import argparse
import time
from pathlib import Path

import empathy_geometry as eg


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m-instruct", help="embedded model, hub name or local folder")
    parser.add_argument("--texts", help="JSON of triplets (default: the packaged ones)")
    parser.add_argument("--output", default="results/tripartite")
    parser.add_argument("--no-causal", action="store_true", help="leave out the longest part")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.perf_counter()

    # 1. A hooked model, and the texts: one scenario, three kinds of response.
    model = eg.load_model(arguments.model)
    texts = eg.LabeledTexts.from_json(arguments.texts) if arguments.texts else eg.datasets.empathy_triplets()

    # 2. Every test, each with its baseline, null and interval; what is in the folder already is not done again.
    folder = Path(arguments.output)
    design = eg.ConceptDesign(without=["causal"] if arguments.no_causal else [])
    result = eg.tripartite(model, texts, design=design, folder=folder / "run", seed=arguments.seed)

    # 3. A table to read, and files to keep.
    print(result)
    result.save(folder)
    print(f"\n{time.perf_counter() - started:.0f} s; tripartite.json and its report are in {folder}/")


if __name__ == "__main__":
    main()
