"""Are the empathy directions causal in the embedded model? The table of docs/causal.md.

    python benchmarks/causal.py [--layer 15] [--output results/causal]
    python benchmarks/causal.py --planted    # the same on a small transformer with known answers; seconds

Cognitive, affective and instrumental responses against neutral ones, formality as a control concept; the shuffled
labels, random directions and verdict rules are those of `eg.causal_effects`. About five minutes on two cores.
"""

import argparse
import json
import time
from pathlib import Path

import torch

import empathy_geometry as eg
from empathy_geometry.planted.texts import planted_neutral_texts, planted_texts
from empathy_geometry.planted.transformer import planted_model

TYPES = ("cognitive", "affective", "instrumental")


def planted(seed: int) -> eg.results.CausalEffects:
    """What drives, what can only be read, a second concept, and one random direction."""
    model, truth = planted_model(seed=seed)
    directions = {name: truth.directions[name] for name in truth.causal}
    vector = torch.randn(int(model.cfg.d_model), generator=torch.Generator().manual_seed(seed))
    directions["random"] = eg.ConceptDirection(vector, layer=truth.layer, positive="first", negative="neutral")
    return eg.causal_effects(
        model,
        directions,
        planted_texts(40, seed=seed),
        controls={"breaks": truth.directions["breaks"]},
        design=eg.CausalDesign(n_markers=5, neutral_texts=planted_neutral_texts()),
        seed=seed,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", type=int, default=15)
    parser.add_argument("--alpha", type=float, default=0.1, help="largest dose, in mean residual norms")
    parser.add_argument("--scenarios", type=int, default=10)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--random", type=int, default=20, help="random and shuffled-label directions, of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=None)
    parser.add_argument("--planted", action="store_true", help="the planted transformer instead")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.planted:
        print(planted(given.seed))
        return
    model = eg.load_model()
    register = eg.extract_activations(
        model, eg.datasets.formality_pairs(), layers=[given.layer], position="response_mean", progress=False
    )
    formality = eg.ConceptDirection.from_activations(register, positive="formal", negative="casual", layer=given.layer)
    start = time.perf_counter()
    result = eg.causal_effects(
        model,
        {name: (name, "neutral") for name in TYPES},
        eg.datasets.empathy_triplets(),
        layer=given.layer,
        controls={"formality": formality},
        design=eg.CausalDesign(
            alphas=(-given.alpha, -given.alpha / 2, given.alpha / 2, given.alpha),
            units="residual_norm",
            prompt_baselines={name: f"Answer with {name} empathy." for name in TYPES},
            n_random=given.random,
            n_shuffled=given.random,
            n_scenarios=given.scenarios,
            n_prompts=given.prompts,
        ),
        seed=given.seed,
    )
    seconds = time.perf_counter() - start
    lines = [str(result), ""]
    for name in ("unedited", *TYPES, *(f"prompt: {n}" for n in TYPES)):
        for prompt, text in list(zip(result.prompts, result.texts.get(name, ()), strict=False))[:2]:
            lines.append(f"  [{name}] {prompt[:60]!r} -> {text!r}")
    versions = ", ".join(f"{package} {version}" for package, version in result.provenance.versions.items())
    lines.append(f"seed {given.seed}, {given.threads} threads, {seconds:.0f} s in causal_effects; {versions}")
    print("\n".join(lines))
    if given.output is not None:
        given.output.mkdir(parents=True, exist_ok=True)
        (given.output / "causal.json").write_text(json.dumps(result.to_dict(), indent=1))
        (given.output / "causal.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
