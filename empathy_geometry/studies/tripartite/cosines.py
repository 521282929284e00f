"""One-vs-rest cosines beside their floor, and what can be said instead."""

from collections.abc import Sequence
from typing import Any

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.pitfalls.simplex_floor import PairSimilarity, SimplexFloor, simplex_floor
from empathy_geometry.similarity import crossnobis, disattenuated_cosine
from empathy_geometry.studies.finding import Finding, Verdict
from empathy_geometry.studies.tripartite.section import Section
from empathy_geometry.studies.tripartite.setup import Setup, smallest
from empathy_geometry.studies.tripartite.subject import Subject, number
from empathy_geometry.studies.verdicts import GREATER, ends, greater

_DRAWS = 20

FLOOR_RULE = (
    "never supported: {} one-vs-rest probes have a mean cosine near -1/{} whatever the classes are; not supported: "
    "within 0.05 of what shuffled labels give; else cannot tell"
)
INDEPENDENT_RULE = (
    "supported: every disattenuated cosine lies within [-0.3, 0.3]; not supported: one lies wholly outside; else "
    "cannot tell (also where there are no neutral {}, or a direction cannot be told from noise)"
)
TWO = "two one-vs-rest probes are one probe and its negative, so their cosine is -1 whatever the classes are"


def cosines(setup: Setup) -> Section:
    """The reference study's cosines, cross-validated distances, and noise-free cosines from neutral texts."""
    acts, subject = setup.source.activations(setup.texts.concept, setup.position), setup.subject
    neutral = "neutral" if setup.texts.has_neutral else None
    numbers: dict[str, Any] = {"layer": setup.at}
    lines: list[Finding] = []
    if len(subject.classes) == 2:
        pairs: tuple[PairSimilarity, ...] = (_only_pair(acts, subject, neutral, setup.at),)
        numbers["pair"] = pairs[0].__dict__
    else:
        demo = simplex_floor(
            acts, classes=subject.classes, neutral=neutral, layer=setup.at, n_draws=_DRAWS, seed=setup.seed
        )
        pairs = demo.pairs
        lines.append(_floor(demo, subject))
        numbers["one_vs_rest"] = demo.to_dict()
    distances: dict[str, Estimate | None] = {" - ".join(p.pair): p.distance for p in pairs}
    embedded: dict[str, Estimate] = {}
    if acts.token_embeddings is not None:
        for p in pairs:
            pair = acts.where(label=p.pair)
            assert pair.token_embeddings is not None
            embedded[" - ".join(p.pair)] = crossnobis(
                pair.token_embeddings, pair.labels == p.pair[0], groups=pair.groups, seed=setup.seed
            )
    closest, distance = smallest(distances)
    lines.append(
        Finding(
            "distances",
            f"{subject.all} lie apart by more than noise",
            "-",
            f"squared distance, cross-validated ({closest})",
            distance,
            f"mean token embedding {embedded[closest]}" if closest in embedded else "-",
            "0",
            greater(distance, 0.0),
            GREATER.format("0") + " (chance, not words: compare with the baseline)",
            f"{subject.which_pair}; unit: variance within a {subject.one}"
            + (f". No cosine of one-vs-rest probes is shown: {TWO}" if len(subject.classes) == 2 else ""),
        )
    )
    lines.append(_independent(pairs, neutral, subject))
    numbers["distances of token embeddings"] = embedded
    return Section("cosines", f"Cosines between the {subject.several}", tuple(lines), numbers)


def _only_pair(acts: Activations, subject: Subject, neutral: str | None, layer: Layer) -> PairSimilarity:
    """What `simplex_floor` says of pairs, where there are not the three classes that it needs."""
    first, second = subject.classes
    a, b = (acts.where(label=name) for name in subject.classes)
    cosine = None
    if neutral is not None:
        base = acts.where(label=neutral)
        cosine = disattenuated_cosine(
            a.layer(layer),
            b.layer(layer),
            groups_a=a.groups,
            groups_b=b.groups,
            baseline=base.layer(layer),
            groups_baseline=base.groups,
        ).value
    both = acts.where(label=subject.classes)
    distance = crossnobis(both.layer(layer), both.labels == first, groups=both.groups)
    # One-vs-rest weights of two classes are w and -w.
    return PairSimilarity((first, second), None, -1.0, cosine, distance)


def _floor(demo: SimplexFloor, subject: Subject) -> Finding:
    mean = sum(p.one_vs_rest for p in demo.pairs) / len(demo.pairs)
    floor, k = demo.floors[0], len(subject.classes)
    verdict: Verdict = "not supported" if abs(mean - floor.null) < 0.05 else "cannot tell"
    return Finding(
        "one-vs-rest cosines",
        f"negative cosines show that the {subject.several} are opposed directions",
        "-",
        "mean cosine of one-vs-rest probes",
        Estimate(mean, method="no interval: the floor, not sampling, decides it"),
        "; ".join(f"{' - '.join(p.pair)} {p.one_vs_rest:.2f}" for p in demo.pairs),
        f"shuffled labels {floor.null:.3f}; no {number(k)} unit vectors lie below {floor.bound:.3f}",
        verdict,
        FLOOR_RULE.format(number(k), k - 1),
    )


def _independent(pairs: Sequence[PairSimilarity], neutral: str | None, subject: Subject) -> Finding:
    found = {" - ".join(p.pair): p.disattenuated for p in pairs}
    known = {name: e for name, e in found.items() if e is not None}
    furthest = max(known, key=lambda name: abs(known[name].value)) if known else ""
    verdict: Verdict = "cannot tell"
    if any(ends(e)[0] > 0.3 or ends(e)[1] < -0.3 for e in known.values()):
        verdict = "not supported"
    elif len(known) == len(found) and all(ends(e)[0] >= -0.3 and ends(e)[1] <= 0.3 for e in known.values()):
        verdict = "supported"
    return Finding(
        "independent directions",
        f"the {subject.several} are independent directions, away from neutral {subject.texts}",
        "-",
        f"cosine without noise ({furthest})" if known else "cosine without noise",
        known.get(furthest),
        "; ".join(f"{name} {e}" for name, e in known.items()) or "-",
        "0 (disjoint scenarios and baselines)",
        verdict,
        INDEPENDENT_RULE.format(subject.texts),
        "" if neutral else f"these texts have no neutral {subject.texts} to measure directions from",
    )
