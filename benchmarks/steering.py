"""Steering speed on the embedded model: a sweep as one batch against one text at a time, the hook's cost, and peers.

    python benchmarks/steering.py                          # about 12 minutes on one thread
    python benchmarks/steering.py --quick                  # a smaller grid on both sides, 1 to 2 minutes
    python benchmarks/steering.py --peer steering-vectors=/tmp/peers/sv/bin/python --peer repeng=...

One text at a time: `model.generate` under a `SteeringHook`, alpha by alpha and prompt by prompt, all of it run, nothing
extrapolated. The sweep also scores what it wrote (likelihood, damage on neutral text, concept), so it is held against
the loop three times: writing against writing, both written and scored, and, harder than the target asks, the scored
sweep against the loop that only writes.
Peers run in environments of their own (steering-vectors needs transformers < 5) on the same weights, read from the
folder that the embedded model was de-quantised to, for a single alpha and all prompts. CPU time counts on one thread
(others may use the machine), wall time on several.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
import torch
import transformers

import empathy_geometry as eg
from empathy_geometry.generation.continuations import generate, prompt_tokens
from empathy_geometry.generation.likelihood import read_continuations
from empathy_geometry.models.embedded_model import GGUF_SHA256, cache_folder
from empathy_geometry.models.names import EMBEDDED_NAME
from empathy_geometry.models.tokens import pad
from empathy_geometry.steering.reference import NeutralTexts
from empathy_geometry.steering.sweep_design import NEUTRAL_TEXTS

LAYER = 15
PROMPTS = (
    "My sister has not called me for a month.",
    "The bus was late again and I missed the meeting.",
    "I got the job that I had hoped for!",
    "My old dog died on Sunday.",
    "How long should I boil an egg?",
    "I cannot sleep before exams.",
    "We are moving to another town next week.",
    "Tell me what you would do with a free afternoon.",
)
# In mean residual norms: text survives the first and is broken at the last (see steering/search.py).
LARGEST = 0.4

SWEEP_TARGET, HOOK_TARGET, PEER_TARGET = 8.0, 1.05, 1.0

Clock = Callable[[], float]


def made_direction(model: Any) -> eg.ConceptDirection:
    """A direction at LAYER with scales, from a few packaged pairs."""
    texts = eg.datasets.empathy_pairs()
    groups = list(dict.fromkeys(texts.groups.tolist()))[:24]
    acts = eg.extract_activations(model, texts.where(group=groups), layers=[LAYER], position="mean", progress=False)
    return eg.ConceptDirection.from_activations(acts, positive="empathetic", negative="neutral", layer=LAYER)


def one_by_one(model: Any, hook: eg.SteeringHook, alphas: np.ndarray, prompts: tuple[str, ...], new: int) -> list[str]:
    """Every alpha and prompt in a `generate` of its own."""
    texts = []
    for alpha in alphas:
        for prompt in prompts:
            ids = torch.tensor(prompt_tokens(model, [prompt], max_new_tokens=new, chat=True))
            with hook.with_alpha(float(alpha)).attached(model):
                written = model.generate(ids, max_new_tokens=new, do_sample=False, verbose=False, return_type="tokens")
            texts.append(model.tokenizer.decode(written[0, ids.shape[1] :].tolist(), skip_special_tokens=True))
    return texts


def sweeps(model: Any, direction: eg.ConceptDirection, n_alphas: int, n_prompts: int, new: int, clock: Clock) -> dict:
    """The whole grid as one batch, before and after the same grid one by one."""
    prompts = PROMPTS[:n_prompts]
    alphas = np.linspace(-LARGEST, LARGEST, n_alphas)
    hook = eg.SteeringHook(direction, units="residual_norm")

    def sweep() -> tuple[eg.results.SteeringSweep, float]:
        start = clock()
        found = eg.steering_sweep(
            model, direction, prompts, alphas, units="residual_norm", max_new_tokens=new, progress=False
        )
        return found, clock() - start

    def write() -> float:
        rows = [(a, p) for a in alphas for p in prompts]
        strengths = torch.tensor([a for a, _ in rows], dtype=torch.float32)
        start = clock()
        generate(
            model,
            [p for _, p in rows],
            max_new_tokens=new,
            edit=lambda batch: hook.with_alpha(strengths[batch]).attached(model),
        )
        return clock() - start

    def score(continued: eg.results.Continuations) -> float:
        """What the sweep measures, one text and one alpha at a time (after bare prompts: a little less to read)."""
        start = clock()
        neutral = NeutralTexts(model, NEUTRAL_TEXTS)
        for row in range(len(continued)):
            read_continuations(model, continued[[row]], direction=direction)
        for alpha in alphas:
            neutral.divergence(model, hook, np.array([alpha]))
        return clock() - start

    found, first = sweep()
    print(f"  sweep: written and scored            {first:8.1f} s", flush=True)
    start = clock()
    alone = one_by_one(model, hook, alphas, prompts, new)
    loop = clock() - start
    print(f"  one by one with generate, written    {loop:8.1f} s", flush=True)
    together = [text for row in found.texts for text in row]
    scored = score(
        eg.results.Continuations.from_texts(model, [p for _ in alphas for p in prompts], [t or " " for t in together])
    )
    print(f"  one by one, scored                   {scored:8.1f} s", flush=True)
    _, second = sweep()
    print(f"  sweep again: written and scored      {second:8.1f} s", flush=True)
    written = write()
    print(f"  generate(edit=...), written          {written:8.1f} s (one batch, no shared prompts)")
    same = sum(a == b for a, b in zip(together, alone, strict=True))
    print(f"  {same} of {len(alone)} texts are the same, character by character")
    results = {"sweep": [first, second], "loop": loop, "scored": scored, "batch": written, "same": same}
    for name, ours, theirs in (
        ("written, one by one / one batch", [written], loop),
        ("written and scored, one by one / sweep", [first, second], loop + scored),
        ("written one by one, not scored / sweep, scored", [first, second], loop),
    ):
        ratios = sorted(theirs / seconds for seconds in ours)
        verdict = "holds" if ratios[0] >= SWEEP_TARGET else "FAILS"
        shown = " to ".join(f"{r:.2f}" for r in ratios)
        print(f"  {name:<48} {shown}, at least {SWEEP_TARGET:g}: {verdict}")
        results[name] = ratios
    tokens = n_alphas * n_prompts * new
    print(f"  tokens/s: sweep {tokens / second:.0f} (scoring included), one by one {tokens / loop:.1f} (not included)")
    return results


def hook_cost(model: Any, direction: eg.ConceptDirection, repeats: int, new: int, clock: Clock) -> dict:
    """Tokens per second with and without the hook, paired, in turned order."""
    hook = eg.SteeringHook(direction, alpha=0.02, units="residual_norm")
    ids = torch.tensor(prompt_tokens(model, PROMPTS[:1], max_new_tokens=new, chat=True))

    def batch(steered: bool) -> Callable[[], int]:
        def run() -> int:
            edit = (lambda rows: hook.attached(model)) if steered else (lambda rows: nullcontext())
            return sum(map(len, generate(model, PROMPTS, max_new_tokens=new, edit=edit).new_ids))

        return run

    def alone(steered: bool) -> Callable[[], int]:
        def run() -> int:
            with hook.attached(model) if steered else nullcontext():
                written = model.generate(
                    ids, max_new_tokens=new, do_sample=False, verbose=False, return_type="tokens", stop_at_eos=False
                )
            return int(written.shape[1] - ids.shape[1])

        return run

    results = {}
    cases = (("generate, 8 prompts", batch), ("model.generate, 1 prompt", alone))
    for name, make in cases:
        rates: dict[bool, list[float]] = {True: [], False: []}
        make(True)()
        for repeat in range(repeats):
            for steered in (True, False) if repeat % 2 else (False, True):
                start = clock()
                tokens = make(steered)()
                rates[steered].append(tokens / (clock() - start))
        ratios = [plain / steered for plain, steered in zip(rates[False], rates[True], strict=True)]
        middle = statistics.median(ratios)
        verdict = "holds" if middle <= HOOK_TARGET else "FAILS"
        print(
            f"  {name:<25} {statistics.median(rates[False]):6.1f} tokens/s without, "
            f"{statistics.median(rates[True]):6.1f} with the hook; time with / without "
            f"{middle:.3f} ({min(ratios):.3f}-{max(ratios):.3f}), at most {HOOK_TARGET:g}: {verdict}"
        )
        results[name] = {"without": rates[False], "with": rates[True], "ratio": middle}
    return results


PEER_SCRIPT = """
import json, sys, time
import torch, transformers
peer, folder, threads, repeats, given = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
given = json.load(open(given))
torch.set_num_threads(threads)
clock = time.process_time if threads == 1 else time.perf_counter
config = transformers.AutoConfig.from_pretrained(folder)
config.rope_theta = given["rope_theta"]  # transformers 4 does not see it where 5 has written it
model = transformers.AutoModelForCausalLM.from_pretrained(folder, config=config).eval()
batch = {"input_ids": torch.tensor(given["ids"]), "attention_mask": torch.tensor(given["mask"]).long()}
vector = torch.tensor(given["vector"])
options = dict(max_new_tokens=given["new"], do_sample=False, pad_token_id=given["pad"])
if peer == "steering-vectors":
    from steering_vectors import SteeringVector
    steering = SteeringVector(layer_activations={given["layer"]: vector}, layer_type="decoder_block")
    def run():
        with steering.apply(model, multiplier=1.0):
            return model.generate(**batch, **options)
else:
    from repeng import ControlModel, ControlVector
    wrapped = ControlModel(model, [given["layer"]])
    control = ControlVector(model_type=model.config.model_type, directions={given["layer"]: vector.numpy()})
    def run():
        wrapped.set_control(control, 1.0)
        written = wrapped.generate(**batch, **options)
        wrapped.reset()
        return written
seconds = []
with torch.no_grad():
    run()
    for _ in range(repeats):
        start = clock()
        written = run()
        seconds.append(clock() - start)
ids = written[:, batch["input_ids"].shape[1]:].tolist()
print(json.dumps({"seconds": seconds, "ids": ids, "transformers": transformers.__version__}))
"""


def peers(
    model: Any,
    direction: eg.ConceptDirection,
    pythons: dict[str, str],
    threads: int,
    repeats: int,
    new: int,
    clock: Clock,
) -> dict:
    """A single alpha, all prompts as one batch, by us and by each peer in its environment, in turn."""
    folder = cache_folder() / f"{EMBEDDED_NAME}-{GGUF_SHA256[:12]}"
    length = 0.1 * direction.scales["residual_norm"]
    hook = eg.SteeringHook(direction, alpha=length, units="raw")
    given = cache_folder() / "steering_benchmark.json"
    # Token ids, since transformers 4 cannot read a tokenizer that transformers 5 has written.
    ids, mask = pad(prompt_tokens(model, PROMPTS, max_new_tokens=new, chat=True), side="left")
    vector = (length * direction.vector).tolist()
    rope_theta = json.loads((folder / "config.json").read_text())["rope_parameters"]["rope_theta"]
    made = {
        "rope_theta": rope_theta,
        "ids": ids.tolist(),
        "mask": mask.tolist(),
        "pad": int(model.tokenizer.pad_token_id),
    }
    given.write_text(json.dumps({**made, "vector": vector, "layer": LAYER, "new": new}))

    def ours() -> tuple[float, tuple[str, ...]]:
        start = clock()
        written = generate(model, PROMPTS, max_new_tokens=new, edit=lambda rows: hook.attached(model))
        return clock() - start, written.texts

    results = {}
    ours()
    for peer, python in pythons.items():
        before = [ours() for _ in range(repeats)]
        done = subprocess.run(
            [python, "-c", PEER_SCRIPT, peer, str(folder), str(threads), str(repeats), str(given)],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            print(f"  {peer}: did not run: {done.stderr.strip().splitlines()[-1] if done.stderr else 'no message'}")
            continue
        found = json.loads(done.stdout.strip().splitlines()[-1])
        after = [ours() for _ in range(repeats)]
        mine = [seconds for seconds, _ in (*before, *after)]
        theirs = found["seconds"]
        ratio = statistics.median(mine) / statistics.median(theirs)
        texts = model.tokenizer.batch_decode(found["ids"], skip_special_tokens=True)
        same = sum(a == b for a, b in zip(before[0][1], texts, strict=True))
        verdict = "holds" if ratio <= PEER_TARGET else "FAILS"
        print(
            f"  {peer} (transformers {found['transformers']}): {statistics.median(theirs):.2f} s "
            f"({min(theirs):.2f}-{max(theirs):.2f}), ours {statistics.median(mine):.2f} s "
            f"({min(mine):.2f}-{max(mine):.2f}); ours / theirs {ratio:.3f}, at most {PEER_TARGET:g}: {verdict}; "
            f"{same} of {len(PROMPTS)} texts the same"
        )
        results[peer] = {"ours": mine, "theirs": theirs, "same": same}
    given.unlink()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 alphas, 3 prompts, 12 new tokens, 3 repeats")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=["sweep", "hook", "peers"])
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--json", type=Path, help="write all figures there")
    given = parser.parse_args()
    pythons = dict(entry.split("=", 1) for entry in given.peer)
    torch.set_num_threads(given.threads)
    clock = time.process_time if given.threads == 1 else time.perf_counter
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {given.threads} thread(s), Python "
        f"{platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__}, "
        f"TransformerLens {version('transformer-lens')}, empathy_geometry {eg.__version__}"
    )
    n_alphas, n_prompts, new, repeats = (5, 3, 12, 3) if given.quick else (21, 8, 32, given.repeats)
    model = eg.load_model()
    direction = made_direction(model)
    results: dict[str, Any] = {}
    if given.only in (None, "hook"):
        print(f"\nCost of the hook, {new} new tokens, {repeats} paired repeats")
        results["hook"] = hook_cost(model, direction, repeats, new, clock)
    if pythons and given.only in (None, "peers"):
        print(f"\nA single alpha, {len(PROMPTS)} prompts in one batch, {new} new tokens")
        results["peers"] = peers(model, direction, pythons, given.threads, repeats, new, clock)
    if given.only in (None, "sweep"):
        print(f"\n{n_alphas} alphas x {n_prompts} prompts x {new} new tokens", flush=True)
        results["sweep"] = sweeps(model, direction, n_alphas, n_prompts, new, clock)
    if given.json:
        given.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    sys.exit(main())
