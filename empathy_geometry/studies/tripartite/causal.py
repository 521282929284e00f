"""Do the directions of the classes drive the model, and each its own class?"""

from collections.abc import Mapping

import numpy as np

from empathy_geometry.causal.design import CausalDesign
from empathy_geometry.causal.effects import causal_effects
from empathy_geometry.causal.result import CausalEffect, CausalEffects
from empathy_geometry.studies.finding import Finding, Verdict
from empathy_geometry.studies.tripartite.section import Section
from empathy_geometry.studies.tripartite.setup import Setup
from empathy_geometry.studies.tripartite.subject import Subject
from empathy_geometry.studies.verdicts import ALPHA, ends

TITLE = "Causal effects"
FEWEST = 20
"""Scenarios below which directions, readouts and tests cannot each have their own."""

VERDICTS: Mapping[str, Verdict] = {
    "causal": "supported",
    "not causal": "not supported",
    "weakly causal": "cannot tell",
    "cannot tell": "cannot tell",
}
CAUSAL_RULE = (
    "causal.verdicts.combine over sufficiency (adding) and necessity (removing), each against isotropic and "
    "shuffled-label directions of the same length; cannot tell where it moves less than half of the classes' distance"
)
OWN_RULE = (
    "supported: the mean effect on the own {} exceeds that on the others, interval above 0 and p <= 0.05; not "
    "supported: the interval lies at or below 0, or p > 0.05; else cannot tell"
)


def causal(setup: Setup, design: CausalDesign) -> Section:
    """Each class against the others: sufficiency, necessity, and direction by target.

    Of two classes one direction is enough, from the second to the first: the other is its negative.
    """
    model = setup.source.model
    assert model is not None  # planted data has no forward pass to edit; the study leaves this section out
    subject = setup.subject
    contrasts = causal_contrasts(subject)
    n_scenarios = len(np.unique(setup.texts.concept.groups))
    if n_scenarios < FEWEST:
        return Section("causal", TITLE, tuple(_too_few(name, n_scenarios) for name in contrasts))
    layer = 0 if setup.at == "embed" else min(int(setup.at), int(model.cfg.n_layers) - 2)
    found = causal_effects(
        model,
        contrasts,
        setup.texts.concept.where(label=subject.classes),
        layer=layer,
        seed=setup.seed,
        progress=setup.progress,
        design=design,
    )
    lines = [_driven(found, name) for name in contrasts]
    lines += [_own(found, readout, subject) for readout in found.specificity]
    return Section("causal", TITLE, tuple(lines), found.to_dict())


def causal_contrasts(subject: Subject) -> dict[str, tuple[str, str]]:
    """A direction for each class; of two classes, one for both."""
    if len(subject.classes) == 2:
        first, second = subject.classes
        return {first: (first, second)}
    return {name: (name, "rest") for name in subject.classes}


def _too_few(name: str, n_scenarios: int) -> Finding:
    return Finding(
        f"causal {name}",
        f"the {name} direction drives the model",
        "-",
        "largest effect of adding it, sd",
        None,
        "-",
        "-",
        "cannot tell",
        CAUSAL_RULE,
        f"{n_scenarios} scenarios are too few: directions, readouts and tests each take their own, {FEWEST} in all",
    )


def _driven(found: CausalEffects, name: str) -> Finding:
    rows = [row for row in found.of(name) if row.test == "sufficiency"]
    shown = max(rows, key=lambda row: abs(row.effect.value)) if rows else None
    prompts = [row for row in found.of(name) if row.test == "prompt baseline"]
    verdict = found.verdicts[name]
    return Finding(
        f"causal {name}",
        f"the {name} direction drives the model",
        "-",
        "largest effect of adding it, sd" + (f" ({shown.readout})" if shown else ""),
        None if shown is None else shown.effect,
        "; ".join(f"prompt instead: {row.readout} {row.effect}" for row in prompts) or "-",
        "-" if shown is None else _controls(shown),
        VERDICTS[verdict.verdict],
        CAUSAL_RULE,
        verdict.reason,
    )


def _controls(row: CausalEffect) -> str:
    medians = "; ".join(
        f"{kind} median {np.median(values):.2f}" for kind, values in row.controls.items() if len(values)
    )
    return medians + ("" if row.pvalue is None else f"; p = {row.pvalue:.3g}")


def _own(found: CausalEffects, readout: str, subject: Subject) -> Finding:
    matrix = found.specificity[readout]
    low, high = ends(matrix.dominance)
    verdict: Verdict = "cannot tell"
    if low > 0 and matrix.pvalue <= ALPHA:
        verdict = "supported"
    elif high <= 0 or matrix.pvalue > ALPHA:
        verdict = "not supported"
    return Finding(
        f"causal specificity, {readout}",
        f"each direction moves its own {subject.one} most ({readout})",
        "-",
        f"mean effect on the own {subject.one} - on the others, sd",
        matrix.dominance,
        "-",
        f"directions exchanged within scenarios: p = {matrix.pvalue:.3g}",
        verdict,
        OWN_RULE.format(subject.one),
    )
