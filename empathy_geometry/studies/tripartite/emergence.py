"""At which layer do the classes emerge? Last token and mean over the response, the embedding included."""

import numpy as np

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.cross_validation import Evaluation, cross_validate
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.layers import depth
from empathy_geometry.studies.finding import Finding, Verdict
from empathy_geometry.studies.tripartite.section import Section
from empathy_geometry.studies.tripartite.setup import Detection, Setup
from empathy_geometry.studies.tripartite.subject import Subject
from empathy_geometry.studies.verdicts import ALPHA

_CURVE = 12
"""Layers at most at which the excess over words is measured one by one."""

RULE = (
    "supported: at the mean over the response neither the embedding nor block 0 tells the types apart (corrected "
    "p > 0.05) and block 1 does; not supported: the embedding does already (words are enough, and a later layer at the "
    "last token is where attention brings them there); else cannot tell"
)
ANY_RULE = (
    "supported: at the mean over the text the embedding does not tell the classes apart (corrected p > 0.05) and some "
    "block does; not supported: the embedding does already (words are enough); else cannot tell"
)


def emergence(setup: Setup) -> Section:
    """Significant layers at both positions, and where the excess over words begins."""
    last = setup.detect_all(position="last")
    pooled = setup.detect_all(position="response_mean")
    curves = {
        "last": _curve(setup, setup.studied(position="last")),
        "response_mean": _curve(setup, setup.studied(position="response_mean")),
    }
    subject = setup.subject
    lines = (
        _first_layer(last, pooled, subject),
        _beyond_words(curves["response_mean"], subject),
        last.finding("last token", f"{subject.all} are told apart at the last token, beyond words"),
    )
    numbers = {
        "last": last.numbers(),
        "response_mean": pooled.numbers(),
        "excess": {
            name: [
                {"layer": layer, "auroc": e.auroc, "excess": e.excess, "best_baseline": e.best_baseline}
                for layer, e in curve.items()
            ]
            for name, curve in curves.items()
        },
    }
    return Section("emergence", "Emergence over layers", lines, numbers)


def _curve(setup: Setup, acts: Activations) -> dict[Layer, Evaluation]:
    """Evaluation at some layers one by one, intervals corrected for their number."""
    index = np.unique(np.linspace(0, len(acts.layers) - 1, _CURVE).round().astype(int))
    level = 1 - ALPHA / len(index)
    return {
        acts.layers[i]: cross_validate(setup.probe, acts, layers=[acts.layers[i]], seed=setup.seed, level=level)
        for i in index
    }


def _first_layer(last: Detection, pooled: Detection, subject: Subject) -> Finding:
    first = {name: _first(d) for name, d in (("last", last), ("pooled", pooled))}
    significant = set(pooled.test.significant_layers(ALPHA))
    verdict: Verdict = "cannot tell"
    if "embed" in significant:
        verdict = "not supported"
    elif (1 in significant and 0 not in significant) if subject.is_empathy else significant:
        verdict = "supported"
    at = first["last"]
    shown = None if at is None else Estimate(depth(at), n=last.test.n, n_groups=last.test.n_groups, method="max-T")
    return Finding(
        "emergence",
        "the types emerge at layer 1" if subject.is_empathy else "the classes emerge inside the model",
        "layer 1" if subject.is_empathy else "-",
        "first significant block at the last token (-1: the embedding)",
        shown,
        f"mean over the {subject.text}: first significant at {_named(first['pooled'])}",
        f"max-T over {len(last.test.layers)} layers",
        verdict,
        RULE if subject.is_empathy else ANY_RULE,
    )


def _first(d: Detection) -> Layer | None:
    found = sorted(d.test.significant_layers(ALPHA), key=depth)
    return found[0] if found else None


def _beyond_words(curve: dict[Layer, Evaluation], subject: Subject) -> Finding:
    above = [layer for layer, e in curve.items() if e.excess is not None and e.excess.low is not None]
    above = [layer for layer in above if float(curve[layer].excess.low or 0) > 0]  # type: ignore[union-attr]
    best = max(curve, key=lambda layer: curve[layer].auroc.value)
    words = curve[best]
    shown = ", ".join(str(layer) for layer in curve)
    return Finding(
        "emergence beyond words",
        f"some layer tells the {subject.several} apart beyond words",
        "-",
        f"excess at the best layer ({best})",
        words.excess,
        f"first layer above words: {_named(above[0] if above else None)}",
        f"of layers {shown}; intervals corrected for their number",
        "supported" if above else "not supported" if _all_below(curve) else "cannot tell",
        "supported: the excess lies above 0 at one of these layers (Bonferroni); not supported: at or below 0 at all "
        "of them; else cannot tell",
    )


def _all_below(curve: dict[Layer, Evaluation]) -> bool:
    return all(e.excess is not None and e.excess.high is not None and e.excess.high <= 0 for e in curve.values())


def _named(layer: Layer | None) -> str:
    return "none" if layer is None else "the embedding" if layer == "embed" else f"block {layer}"
