"""Text-only baselines beside the probe, for every packaged set, on the embedded model.

    python benchmarks/text_baselines.py [--sets empathy_pairs ...] [--seed 0] [--save FOLDER] [--audit-only]

First what the audit finds, worst pair of classes for each check. Then, for each contrast: AUROC on the same grouped
folds of length, first word, bag of words (TF-IDF) and mean token embedding; of a logistic probe at the layer that is
best inside the training folds, read at the last token and as the mean over the response; its excess over the best
baseline with a 95 % interval over scenarios; and the same probe trained on one phrasing family and tested on the
other. Prints Markdown.
"""

import argparse
import platform
import sys
import time
from itertools import combinations
from pathlib import Path

import torch

import empathy_geometry as eg
from empathy_geometry.audit.text_audit import AuditLimits, audit_texts
from empathy_geometry.evaluation.cross_validation import Evaluation, cross_validate
from empathy_geometry.foundation.provenance import package_versions
from empathy_geometry.texts.families import family_folds

POSITIONS = ("last", "response_mean")
CHECKS = {
    "characters": "length, characters",
    "words": "length, words",
    "sentences": "number of sentences",
    "first word": "first word",
    "best word": "single most revealing word",
    "TF-IDF": "words (TF-IDF)",
    "punctuation": "punctuation",
    "final mark": "final mark",
    "prompt words": "words shared with the prompt",
}
HEADER = (
    "| set | contrast | groups | length | first word | TF-IDF | embeddings | probe, last | excess | probe, pooled "
    "| excess | pooled, other family |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=list(eg.datasets.ALL), default=list(eg.datasets.ALL))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="keep the activations here, and use those that are there")
    parser.add_argument("--audit-only", action="store_true")
    options = parser.parse_args()
    print(f"command: python {' '.join(sys.argv)}")
    print(f"seed {options.seed}, {platform.platform()}, {torch.get_num_threads()} thread(s), CPU, float32")
    print(", ".join(f"{name} {version}" for name, version in package_versions().items()) + "\n")
    print(f"| set | {' | '.join(CHECKS)} | verdict |\n|{' --- |' * (len(CHECKS) + 2)}")
    for name in options.sets:
        print(audited(name, options.seed), flush=True)
    if options.audit_only:
        return
    model = eg.load_model()
    print("\n" + HEADER, flush=True)
    start = time.perf_counter()
    for name in options.sets:
        acts = {position: activations(model, name, position, options.save) for position in POSITIONS}
        for contrast in contrasts(acts["last"]):
            print(
                row(name, contrast, {p: a.where(label=list(contrast)) for p, a in acts.items()}, options.seed),
                flush=True,
            )
    print(f"\n{time.perf_counter() - start:.0f} s")


def audited(name: str, seed: int) -> str:
    limits = AuditLimits.matched() if name.startswith("matched") else AuditLimits()
    audit = audit_texts(eg.datasets.ALL[name](), limits=limits, seed=seed)
    present = {check.name for check in audit.checks}
    values = [f"{audit.worst(check).value:.2f}" if check in present else "-" for check in CHECKS.values()]
    return "| " + " | ".join([name, *values, audit.verdict]) + " |"


def activations(model: object, name: str, position: str, folder: Path | None) -> eg.Activations:
    texts = eg.datasets.ALL[name]()
    path = None if folder is None else folder / f"{name}.{position}.{texts.sha256[:12]}.safetensors"
    if path is not None and path.exists():
        return eg.Activations.load(path)
    acts = eg.extract_activations(model, texts, position=position)
    if path is not None:
        acts.save(path)
    return acts


def contrasts(acts: eg.Activations) -> list[tuple[str, ...]]:
    """Every pair of classes, and all classes at once where there are more than two; five classes only at once."""
    classes = tuple(dict.fromkeys(acts.labels.tolist()))
    if len(classes) == 2:
        return [classes]
    return [classes] if len(classes) > 4 else [classes, *combinations(classes, 2)]


def row(name: str, contrast: tuple[str, ...], acts: dict[str, eg.Activations], seed: int) -> str:
    binary = {"positive": contrast[0], "negative": contrast[1]} if len(contrast) == 2 else {}
    probe = eg.Probe("logistic")
    last, pooled = (cross_validate(probe, acts[p], seed=seed, **binary) for p in POSITIONS)
    across = cross_validate(
        probe, acts["response_mean"], folds=family_folds(acts["response_mean"]), seed=seed, **binary
    )
    words = [f"{pooled.baselines[b].value:.2f}" for b in ("length", "first_word", "tfidf", "token_embeddings")]
    shown = " vs ".join(contrast) if binary else f"all {len(contrast)} (macro)"
    cells = [name, shown, str(pooled.auroc.n_groups), *words, *judged(last), *judged(pooled), interval(across.auroc)]
    return "| " + " | ".join(cells) + " |"


def judged(evaluation: Evaluation) -> tuple[str, str]:
    layers = sorted(evaluation.chosen_layers)
    excess = "-" if evaluation.excess is None else interval(evaluation.excess, sign="+")
    return f"{interval(evaluation.auroc)} (layer {layers[len(layers) // 2]})", excess


def interval(estimate: eg.Estimate, sign: str = "") -> str:
    value = f"{estimate.value:{sign}.2f}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{estimate.low:{sign}.2f}, {estimate.high:{sign}.2f}]"


if __name__ == "__main__":
    main()
