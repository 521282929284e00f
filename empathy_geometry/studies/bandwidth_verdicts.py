"""The questions that a bandwidth study answers: what came out, what stands beside it, the verdict and its rule."""

from collections.abc import Mapping

from empathy_geometry.evaluation.cross_validation import Evaluation
from empathy_geometry.evaluation.permutation import PermutationTest
from empathy_geometry.evaluation.transfer import TransferMatrix
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.sae.agreement_result import SaeAgreement
from empathy_geometry.studies.bandwidth_factors import BandwidthFactors
from empathy_geometry.studies.finding import Finding
from empathy_geometry.studies.verdicts import (
    ALPHA,
    GREATER,
    LARGER,
    WORDS,
    ends,
    greater,
    larger_than_all,
    words_exceeded,
)


def bandwidth_findings(
    *,
    concept: BandwidthFactors,
    control: BandwidthFactors | None,
    evaluation: Evaluation,
    permutation: PermutationTest,
    random: Mapping[str, Estimate],
    transfer: TransferMatrix | None,
    sae: SaeAgreement | None,
) -> tuple[Finding, ...]:
    """Every question in the order in which it is shown, from the fields of a `Bandwidth`."""
    units = concept.sweep.units.replace("_", " ") + "s"
    found = [
        *_detection(evaluation, permutation),
        _beside("dimensions", "More dimensions than the control?", concept, control, judged=True),
        _beside(
            "range_positive",
            f"Range towards the concept ({units}): larger than the control's?",
            concept,
            control,
            judged=True,
        ),
        *_randoms(concept, random, units),
        _beside("range_negative", f"Range away from the concept ({units})", concept, control),
        _beside("range_in_norms", "Range towards the concept (mean residual norms)", concept, control),
        _beside(
            "bandwidth", f"Bandwidth (dimensions x {units}): larger than the control's?", concept, control, judged=True
        ),
    ]
    if concept.bits is not None:
        bits = concept.bits
        found.append(
            Finding(
                "bits",
                "Bits of alpha that can be read off the text",
                ours=bits,
                null=f"at most {bits.ceiling:.3f}; 95 % point of the null {bits.null_95:.3f}",
                verdict="supported" if bits.pvalue <= ALPHA and ends(bits)[0] > 0 else "cannot tell",
                rule=f"supported: p <= {ALPHA}, alphas permuted within prompts, and the interval lies above 0; else "
                "cannot tell",
            )
        )
    if transfer is not None:
        found.append(
            Finding(
                "transfer",
                "Does it hold in other contexts? (transfer ratio)",
                ours=transfer.ratio,
                null="1 = as well as within",
                verdict=greater(transfer.ratio, 0.5),
                rule=GREATER.format("1/2"),
            )
        )
    if sae is not None:
        agreement = sae.agreement
        found.append(
            Finding(
                "sae",
                f"Do the features of the SAE span it? (mean cos^2 of {agreement.n_features}, layer {sae.layer})",
                ours=agreement.value,
                null=sae.reason,
                verdict=sae.verdict,
                rule="see the table of the SAE agreement",
            )
        )
    return tuple(found)


def _detection(e: Evaluation, test: PermutationTest) -> list[Finding]:
    found = [
        Finding(
            "read",
            "Can it be read? (AUROC, held out)",
            ours=e.auroc,
            null=f"shuffled labels: mean {test.null_distribution.mean():.3f}; p = {test.pvalue:.4f}",
            verdict="supported" if test.pvalue <= ALPHA and ends(e.auroc)[0] > 0.5 else "cannot tell",
            rule=f"supported: p <= {ALPHA}, largest of {len(test.layers)} layers, and the interval lies above 1/2; "
            "else cannot tell",
        )
    ]
    if e.d_prime is not None:
        found.append(Finding("d_prime", "d', held out", ours=e.d_prime, null="0 = not at all"))
    if e.excess is not None and e.best_baseline is not None:
        found.append(
            Finding(
                "words",
                "More than the words give? (AUROC above the baseline)",
                ours=e.excess,
                baseline=f"best text-only baseline ({e.best_baseline}) {e.baselines[e.best_baseline]}",
                verdict=words_exceeded(e.excess, e.baselines[e.best_baseline]),
                rule=WORDS,
            )
        )
    return found


def _randoms(concept: BandwidthFactors, random: Mapping[str, Estimate], units: str) -> list[Finding]:
    if not random:
        return []
    own = concept.range_positive
    return [
        Finding(
            "random_directions",
            f"Range towards the concept ({units}): larger than random directions'?",
            ours=own,
            null="; ".join(f"{name}: {e}" for name, e in random.items()),
            verdict=larger_than_all(own, list(random.values())),
            rule=LARGER,
        )
    ]


def _beside(
    key: str,
    question: str,
    concept: BandwidthFactors,
    control: BandwidthFactors | None,
    *,
    judged: bool = False,
) -> Finding:
    """A quantity of the concept beside the control's, and where it is judged, whether the concept's is larger."""

    def of(factors: BandwidthFactors) -> Estimate:
        found: Estimate = factors.dimensionality.participation_ratio if key == "dimensions" else getattr(factors, key)
        return found

    if control is None:
        return Finding(key, question, ours=of(concept), baseline="no control")
    verdict = larger_than_all(of(concept), [of(control)]) if judged else ""
    baseline = f"{control.name}: {of(control)}"
    return Finding(key, question, ours=of(concept), baseline=baseline, verdict=verdict, rule=LARGER if judged else "")
