"""Tokens a second of bare Hugging Face, this library and vLLM, side by side: same texts, threads and dtype.

Run it where vLLM is installed (`make test-vllm` makes such an environment):

    .venv-vllm/bin/python benchmarks/engines.py --threads 1 --texts 200

Each round runs the three after one another, so that a busy machine slows all of them. All layers are read at the
last token; what is timed is the pass over the texts, not loading.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any


def hugging_face(name: Path, texts: Any, table: Any, threads: int) -> Any:
    """A run with transformers: batches of at most 512 tokens, every layer's last token kept."""
    import numpy as np
    import torch
    from transformers import AutoModelForCausalLM

    from empathy_geometry.activations.batching import batches, by_length
    from empathy_geometry.models.tokens import pad

    model = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32).eval()

    def run() -> None:
        order = by_length(table, np.arange(len(table)))
        with torch.no_grad():
            for part in batches(table.lengths[order], "auto", 512):
                rows = [table.row_ids(int(row)).tolist() for row in order[part]]
                ids, mask = pad(rows)
                states = model.model(ids, attention_mask=mask.long(), use_cache=False, output_hidden_states=True)
                last = torch.tensor([len(row) - 1 for row in rows])
                torch.stack([s[torch.arange(len(rows)), last] for s in states.hidden_states])

    return run


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--texts", type=int, default=200)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--output", type=Path)
    given = arguments.parse_args()
    cores = sorted(os.sched_getaffinity(0))[: given.threads]
    os.environ["OMP_NUM_THREADS"] = str(given.threads)
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = ",".join(map(str, cores))

    import torch

    import empathy_geometry as eg
    from empathy_geometry.activations.token_table import TokenTable
    from empathy_geometry.models.embedded_model import embedded_folder

    torch.set_num_threads(given.threads)
    texts = eg.datasets.empathy_triplets()
    texts = texts[: given.texts]
    model = eg.load_model()
    table = TokenTable.build(model, texts, "last")
    tokens = int(table.lengths.sum())
    options = {"position": "last", "progress": False, "share_prefixes": False}
    with eg.load_engine("vllm", max_model_len=1024) as engine:
        ways = {
            "Hugging Face": hugging_face(embedded_folder(), texts, table, given.threads),
            "ours": lambda: eg.extract_activations(model, texts, **options),
            "vLLM": lambda: eg.extract_activations(engine, texts, **options),
        }
        rates: dict[str, list[float]] = {way: [] for way in ways}
        for round_ in range(given.rounds + 1):
            for way, run in ways.items():
                start = time.perf_counter()
                run()
                if round_:  # the first warms up
                    rates[way].append(tokens / (time.perf_counter() - start))
    result = {
        "texts": len(texts),
        "tokens": tokens,
        "threads": given.threads,
        "dtype": "float32",
        "machine": platform.processor() or platform.machine(),
        "load_average": os.getloadavg()[0],
        "tokens_per_second": {way: [round(r, 1) for r in found] for way, found in rates.items()},
        "median": {way: round(statistics.median(found), 1) for way, found in rates.items()},
        "versions": {"vllm": engine.settings["version"], "torch": torch.__version__},
    }
    text = json.dumps(result, indent=1)
    if given.output:
        given.output.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
