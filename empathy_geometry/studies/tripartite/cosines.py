"""One-vs-rest cosines beside their floor, and what can be said instead."""

from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.pitfalls.simplex_floor import SimplexFloor, simplex_floor
from empathy_geometry.similarity import crossnobis
from empathy_geometry.studies.tripartite.finding import Finding, Section, Verdict
from empathy_geometry.studies.tripartite.sets import TYPES
from empathy_geometry.studies.tripartite.setup import Setup, smallest
from empathy_geometry.studies.tripartite.verdicts import GREATER, ends, greater

_DRAWS = 20

FLOOR_RULE = (
    "never supported: three one-vs-rest probes have a mean cosine near -1/2 whatever the classes are; not supported: "
    "within 0.05 of what shuffled labels give; else cannot tell"
)
INDEPENDENT_RULE = (
    "supported: every disattenuated cosine lies within [-0.3, 0.3]; not supported: one lies wholly outside; else "
    "cannot tell (also where there are no neutral responses, or a direction cannot be told from noise)"
)


def cosines(setup: Setup) -> Section:
    """The reference study's cosines, cross-validated distances, and noise-free cosines from neutral responses."""
    acts = setup.source.activations(setup.texts.triplets, setup.position)
    neutral = "neutral" if setup.texts.has_neutral else None
    demo = simplex_floor(acts, classes=TYPES, neutral=neutral, layer=setup.at, n_draws=_DRAWS, rng=setup.seed)
    distances: dict[str, Estimate | None] = {" - ".join(p.pair): p.distance for p in demo.pairs}
    embedded: dict[str, Estimate] = {}
    if acts.token_embeddings is not None:
        for p in demo.pairs:
            pair = acts.where(label=p.pair)
            assert pair.token_embeddings is not None
            embedded[" - ".join(p.pair)] = crossnobis(
                pair.token_embeddings, pair.labels == p.pair[0], groups=pair.groups, rng=setup.seed
            )
    closest, distance = smallest(distances)
    lines = (
        _floor(demo),
        Finding(
            "distances",
            "the three types lie apart by more than noise",
            "-",
            f"squared distance, cross-validated ({closest})",
            distance,
            f"mean token embedding {embedded[closest]}" if closest in embedded else "-",
            "0",
            greater(distance, 0.0),
            GREATER.format("0") + " (chance, not words: compare with the baseline)",
            "the smallest of three pairs; unit: variance within a type",
        ),
        _independent(demo, neutral),
    )
    numbers = {
        "layer": setup.at,
        "one_vs_rest": demo.to_dict(),
        "distances of token embeddings": embedded,
    }
    return Section("cosines", "Cosines between the types", lines, numbers)


def _floor(demo: SimplexFloor) -> Finding:
    mean = sum(p.one_vs_rest for p in demo.pairs) / len(demo.pairs)
    floor = demo.floors[0]
    verdict: Verdict = "not supported" if abs(mean - floor.null) < 0.05 else "cannot tell"
    return Finding(
        "one-vs-rest cosines",
        "negative cosines show that the types are opposed directions",
        "-",
        "mean cosine of one-vs-rest probes",
        Estimate(mean, method="no interval: the floor, not sampling, decides it"),
        "; ".join(f"{' - '.join(p.pair)} {p.one_vs_rest:.2f}" for p in demo.pairs),
        f"shuffled labels {floor.null:.3f}; no three unit vectors lie below {floor.bound:.3f}",
        verdict,
        FLOOR_RULE,
    )


def _independent(demo: SimplexFloor, neutral: str | None) -> Finding:
    found = {" - ".join(p.pair): p.disattenuated for p in demo.pairs}
    known = {name: e for name, e in found.items() if e is not None}
    furthest = max(known, key=lambda name: abs(known[name].value)) if known else ""
    verdict: Verdict = "cannot tell"
    if any(ends(e)[0] > 0.3 or ends(e)[1] < -0.3 for e in known.values()):
        verdict = "not supported"
    elif len(known) == len(found) and all(ends(e)[0] >= -0.3 and ends(e)[1] <= 0.3 for e in known.values()):
        verdict = "supported"
    return Finding(
        "independent directions",
        "the types are independent directions, away from neutral responses",
        "-",
        f"cosine without noise ({furthest})" if known else "cosine without noise",
        known.get(furthest),
        "; ".join(f"{name} {e}" for name, e in known.items()) or "-",
        "0 (disjoint scenarios and baselines)",
        verdict,
        INDEPENDENT_RULE,
        "" if neutral else "these texts have no neutral responses to measure directions from",
    )
