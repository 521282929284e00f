"""Methods and limitations in words, by what a study holds."""

from collections.abc import Iterable, Mapping
from typing import Any

_METHODS: dict[str, str] = {
    "Evaluation": "Probe: fitted in training scenarios and scored in others; layer and parameters are chosen inside "
    "the training part; intervals count scenarios, not texts; the excess is over the best baseline that sees only the "
    "text.",
    "PermutationTest": "Permutation test: labels are rearranged as the design allows, the probe is fitted again each "
    "time, and the largest value over layers is compared with the largest value observed; p = (b + 1) / (m + 1).",
    "Dimensionality": "Dimensionality: participation ratio of the paired differences within scenarios, corrected for "
    "their finite number; the other estimators describe a sample of this size.",
    "SteeringSweep": "Steering: the direction is added to the residual stream while the model writes; what it wrote is "
    "scored by the same model without steering. Perplexity: exp(-max(0, NLL - NLL of the unsteered text)). Repetition: "
    "share of distinct bigrams against that of the unsteered text. Divergence: 1 - JSD / ln 2 of next-token "
    "distributions on fixed neutral text. The smallest of these is the coherence.",
    "Bandwidth": "Bandwidth: dimensionality times steering range. The range is the |alpha| at which the mean coherence "
    "first falls below the threshold (decreasing isotonic fit); '>=' means that no crossing was found in the grid. "
    "Prompts come from scenarios that the direction has not seen; the control is steered on the same prompts.",
    "TransferMatrix": "Transfer: the probe is trained in one context and tested in another; within a context it is "
    "cross-validated. Ratio: mean excess over chance between contexts, divided by that within.",
    "SpecificityMatrix": "Specificity: effect of every direction on every target; p by exchanging directions in "
    "scenarios.",
    "DoseResponse": "Dose-response: shift of the readout at each strength, scenario by scenario.",
    "SimplexFloor": "Cosines: K one-vs-rest probes have weights that sum to about zero, so that their mean cosine lies "
    "near -1/(K-1); disattenuated cosines use disjoint halves and are corrected for noise.",
}

_LIMITATIONS: dict[str, str] = {
    "Evaluation": "That a concept can be read does not say that the model uses it.",
    "SteeringSweep": "Coherence says whether steered text is still text, not whether it is good, true or empathetic.",
    "Bandwidth": "Bandwidth depends on the unit of alpha: compare models and concepts in one unit only, and look at "
    "the control and the random directions before calling it the concept's own.",
    "Dimensionality": "Dimensionality counts how differences vary, also where scenarios differ in ways that have "
    "nothing to do with the concept; see how many components replicate.",
    "TransferMatrix": "Contexts are those of these texts; others may behave differently.",
}


def methods_of(content: Mapping[str, Any], types: Iterable[str]) -> tuple[str, ...]:
    """What was computed; a study's own words come first."""
    return (*_own(content, "methods"), *(_METHODS[t] for t in _METHODS if t in set(types)))


def limitations_of(content: Mapping[str, Any], types: Iterable[str], *, planted: bool) -> tuple[str, ...]:
    """What the numbers do not say; a study's own words come first."""
    kinds = set(types)
    lines = [*_own(content, "limitations"), *_own(content, "notes")]
    if planted:
        lines.insert(
            0, "These data were made with a truth in them, to test the analysis. They say nothing about a model."
        )
    lines += [_LIMITATIONS[t] for t in _LIMITATIONS if t in kinds]
    lines.append("One model and one set of texts: what holds for them need not hold for others.")
    return tuple(lines)


def _own(content: Mapping[str, Any], key: str) -> list[str]:
    found = content.get(key)
    if isinstance(found, str):
        return [found]
    return [str(line) for line in found if isinstance(line, str)] if isinstance(found, list) else []
