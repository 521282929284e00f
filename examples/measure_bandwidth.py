"""How large is the empathy bandwidth of a model, and is it more than an artefact?

    python examples/measure_bandwidth.py --output results

Read the table from left to right: the concept, then what a control concept, text-only baselines, shuffled labels and
random directions give. Every number is measured in this run; other texts give other numbers.
"""

import argparse
import time

import empathy_geometry as eg


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m-instruct", help="embedded model, hub name or local folder")
    parser.add_argument("--texts", help="JSON of labeled pairs (default: the packaged empathy pairs)")
    parser.add_argument("--output", default="results")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.perf_counter()

    # 1. A hooked model. Any name that TransformerBridge can boot works the same way.
    model = eg.load_model(arguments.model)

    # 2. The concept: one need, said with and without emotion; the scenario is the unit of replication.
    texts = eg.LabeledTexts.from_json(arguments.texts) if arguments.texts else eg.datasets.empathy_pairs()

    # 3. A control concept that has nothing to do with empathy, to be measured in the same way.
    control = eg.datasets.formality_pairs()

    # 4. Probe, dimensionality, steering range, control, transfer: held out, with intervals and nulls.
    result = eg.measure_bandwidth(model, texts, control=control, seed=arguments.seed)

    # 5. A table to read, and files to keep.
    print(result)
    if result.transfer is not None:
        print(f"\nTransfer between contexts (AUROC)\n{result.transfer}")
    folder = result.save(arguments.output)
    print(f"\n{time.perf_counter() - started:.0f} s; bandwidth.json and its report are in {folder}/")


if __name__ == "__main__":
    main()
