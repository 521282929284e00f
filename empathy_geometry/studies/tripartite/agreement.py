"""Do different probes, and different folds, say the same of the same responses? Beside probes of shuffled labels."""

from itertools import combinations

import numpy as np

from empathy_geometry.evaluation.cross_validation import Evaluation, cross_validate
from empathy_geometry.evaluation.metrics import accuracy
from empathy_geometry.evaluation.nulls import shuffled_labels
from empathy_geometry.foundation._types import StrArray
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.geometry.probes import PROBE_KINDS, Probe
from empathy_geometry.studies.finding import Finding, Verdict
from empathy_geometry.studies.tripartite.section import Section
from empathy_geometry.studies.tripartite.setup import Setup, named_by, rows_of, smallest
from empathy_geometry.studies.verdicts import ends

_SHUFFLES = 20
_SEEDS = 4

RULE = (
    "supported: the interval lies above what probes of shuffled labels agree on in 95 of 100 draws; not supported: it "
    "lies below the mean of those; else cannot tell. Agreement says nothing about words: see the baseline"
)


def agreement(setup: Setup) -> Section:
    """Share of held-out responses that two probes call alike: between kinds of probe, and between seeds of folds."""
    acts = setup.studied()
    x = rows_of(acts, setup.at)
    labels, groups, texts = acts.labels, acts.groups, None if acts.texts is None else acts.texts.responses
    by_kind: dict[str, Evaluation] = {
        k: cross_validate(Probe(k), x, labels, groups=groups, texts=texts, token_ids=acts.token_ids, seed=setup.seed)
        for k in PROBE_KINDS
    }
    by_seed = {
        f"seed {setup.seed + i}": cross_validate(setup.probe, x, labels, groups=groups, seed=setup.seed + i)
        for i in range(_SEEDS)
    }
    shuffled = shuffled_labels(labels, groups=groups, n=_SHUFFLES, seed=setup.seed)
    null: dict[str, list[float]] = {"kinds": [], "seeds": []}
    for y in shuffled:
        kinds: dict[str, Evaluation] = {
            k: cross_validate(Probe(k), x, y, groups=groups, seed=setup.seed) for k in PROBE_KINDS
        }
        null["kinds"].append(_lowest(kinds, groups)[1])
        other = cross_validate(setup.probe, x, y, groups=groups, seed=setup.seed + 1)
        null["seeds"].append(_lowest({"first": kinds["logistic"], "second": other}, groups)[1])
    words, said = _words(by_kind["logistic"], groups), setup.subject.texts
    lines = (
        _line("kinds", f"probes of four kinds agree on held-out {said}", by_kind, groups, null["kinds"], words),
        _line("seeds", f"probes of different folds agree on held-out {said}", by_seed, groups, null["seeds"], words),
    )
    numbers = {
        "layer": setup.at,
        "auroc": {name: e.auroc for name, e in {**by_kind, **by_seed}.items()},
        "agreement": {name: share for part in (by_kind, by_seed) for name, share in _pairs(part, groups).items()},
        "shuffled": null,
    }
    return Section("agreement", "Agreement of probes", lines, numbers)


def _line(
    name: str, claim: str, found: dict[str, Evaluation], groups: StrArray, null: list[float], words: str
) -> Finding:
    pair, share = smallest(_pairs(found, groups))
    low, high = ends(share)
    drawn = np.asarray(null)
    verdict: Verdict = "cannot tell"
    if low > np.quantile(drawn, 0.95):
        verdict = "supported"
    elif high < drawn.mean():
        verdict = "not supported"
    return Finding(
        f"agreement of {name}",
        claim,
        "-",
        f"share called alike ({pair})",
        share,
        words,
        f"shuffled labels: mean {drawn.mean():.2f}, 95 % point {np.quantile(drawn, 0.95):.2f} ({len(drawn)} shuffles)",
        verdict,
        RULE,
        "the pair that agrees least",
    )


def _pairs(found: dict[str, Evaluation], groups: StrArray) -> dict[str, Estimate | None]:
    return {
        f"{a}, {b}": accuracy(found[a].predicted, found[b].predicted, groups=groups) for a, b in combinations(found, 2)
    }


def _lowest(found: dict[str, Evaluation], groups: StrArray) -> tuple[str, float]:
    name, share = smallest(_pairs(found, groups))
    assert share is not None
    return name, share.value


def _words(e: Evaluation, groups: StrArray) -> str:
    """How far the bag of words and the probe agree."""
    if "tfidf" not in e.baseline_scores:
        return "no texts"
    told = named_by(e.baseline_scores["tfidf"], e.classes)
    return f"logistic probe and tfidf {accuracy(told, e.predicted, groups=groups)}"
