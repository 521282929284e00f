"""What `sae_agreement` returns: numbers, controls and a verdict in one object."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.result_file import title
from empathy_geometry.foundation.table import Table
from empathy_geometry.sae.reconstruction import Reconstruction
from empathy_geometry.sae.reference_counts import ReferenceCounts
from empathy_geometry.sae.sparse_probing import SparseProbing
from empathy_geometry.sae.stability import FeatureStability
from empathy_geometry.sae.subspace_agreement import SubspaceAgreement
from empathy_geometry.sae.training_report import TrainingReport

Verdict = Literal["supported", "not supported", "cannot tell"]
ALPHA = 0.05
LEAST_EXPLAINED = 0.5


def few(n_features: int) -> int:
    """With how many features the SAE has to read the concept better than an untrained dictionary.

    Example:
        >>> few(16), few(2)
        (4, 1)
    """
    return max(1, n_features // 4)


def judge(
    agreement: SubspaceAgreement,
    probing: SparseProbing | None,
    over_untrained: Mapping[int, Estimate],
    quality: Reconstruction | None,
) -> tuple[Verdict, str]:
    """The verdict on "features of this SAE, found in other scenarios, span the concept's subspace", and why.

    - supported: the agreement with the mean difference beats every null (largest p at most 0.05), and the sparse probe
      on a quarter as many features reads the concept better than that of an untrained dictionary (interval above 0).
      A quarter, because with many features any dictionary reads whatever the stream holds.
    - cannot tell: not so, but nothing else could have come out: the SAE explains less than half of the variance of
      these tokens, or the dense probe itself is not above chance, or the nulls that matter could not be drawn.
    - not supported: otherwise.
    """
    k, fewer = agreement.n_features, few(agreement.n_features)
    beaten = agreement.pvalue <= ALPHA
    lost = [f"{name} (p {p:.3f})" for name, p in agreement.pvalues.items() if p > ALPHA]
    if probing is None or quality is None:
        if not beaten:
            return "not supported", f"the best-aligned features do not beat {', '.join(lost)}"
        return "cannot tell", (
            "the best-aligned features beat random directions, which any dictionary of anisotropic activations does; "
            "pass labeled activations for the nulls that matter"
        )
    excess = over_untrained[min(over_untrained, key=lambda size: abs(size - fewer))]
    learned = excess.low is not None and excess.low > 0
    if beaten and learned:
        return "supported", (
            f"{k} features beat every null (largest p {agreement.pvalue:.3f}), and the {fewer}-sparse probe beats that "
            f"of an untrained dictionary by {excess}"
        )
    if quality.explained < LEAST_EXPLAINED:
        return "cannot tell", (
            f"the SAE explains {quality.explained:.2f} of the variance of these tokens; a better one might agree"
        )
    if probing.dense.auroc.low is None or probing.dense.auroc.low <= 0.5:
        return "cannot tell", f"the dense probe itself is not above chance here ({probing.dense.auroc})"
    reasons = [f"the agreement does not beat {', '.join(lost)}"] if lost else []
    if not learned:
        reasons.append(f"{fewer} features read the concept no better than those of an untrained dictionary ({excess})")
    return "not supported", "; ".join(reasons)


if TYPE_CHECKING:
    pass

HEADLINE = "mean difference"
COLUMNS = ("quantity", "value", "null or control")


@dataclass(frozen=True, eq=False)
class SaeAgreement(Result):
    """Do a sparse autoencoder's features agree with a concept's subspace?

    Attributes:
        sae: Name, architecture, sizes and hook of the SAE.
        positive: The concept's class; empty where a subspace was given.
        negative: The class that it was compared with.
        layer: Where.
        agreements: Subspace agreement by concept: "mean difference" (the headline) and "pairs", or "given subspace".
        controls: The headline agreement of SAEs that learned nothing: "random decoder" and "untrained".
        probing: k-sparse probes beside the dense one; None where a subspace was given.
        untrained_probing: The same with the features of an untrained dictionary.
        over_untrained: AUROC of the k-sparse probe minus that of the untrained dictionary's, paired, by k.
        quality: How well the SAE reconstructs these texts' tokens.
        training: How the SAE was trained, where it was trained here.
        stability: Matching with an SAE of another seed; None without one.
        reference: The reference study's own numbers, in sample.
        verdict: "supported", "not supported" or "cannot tell"; see `judge` for the rule.
        reason: Why, in words.
        notes: What a reader must know about this run.
        provenance: Where every number came from.
    """

    sae: Mapping[str, Any]
    positive: str
    negative: str
    layer: Layer | None
    agreements: Mapping[str, SubspaceAgreement]
    controls: Mapping[str, SubspaceAgreement]
    probing: SparseProbing | None
    untrained_probing: SparseProbing | None
    over_untrained: Mapping[int, Estimate]
    quality: Reconstruction | None
    training: TrainingReport | None
    stability: FeatureStability | None
    reference: ReferenceCounts | None
    verdict: Verdict
    reason: str
    notes: tuple[str, ...]
    provenance: Provenance

    @property
    def agreement(self) -> SubspaceAgreement:
        """The headline: features against the difference of the class means, or against the given subspace."""
        return self.agreements.get(HEADLINE) or next(iter(self.agreements.values()))

    def rows(self) -> list[tuple[str, str, str]]:
        """The table: quantity, value, null or control."""
        table = []
        for a in self.agreements.values():
            nulls = ", ".join(f"{n} {null.mean():.3f} (p {a.pvalues[n]:.3f})" for n, null in a.nulls.items())
            table.append(
                (
                    f"mean cos^2: {a.n_features} features, {a.concept} (rank {a.rank})",
                    str(a.value),
                    f"{nulls}; ceiling {a.ceiling:.3f}"
                    + ("" if a.corrected is None else f"; corrected for noise {a.corrected}"),
                )
            )
        head = self.agreement
        curve = ", ".join(f"{k}: {v:.3f}" for k, v in head.curve.items())
        chance = ", ".join(f"{k}: {v:.3f}" for k, v in head.isotropic.items())
        table.append(("mean cos^2 by number of features", curve, f"isotropic {chance}"))
        table += [
            (f"mean cos^2, {name}", str(c.value), f"largest p {c.pvalue:.3f}") for name, c in self.controls.items()
        ]
        if self.probing is not None:
            p = self.probing
            baseline = "no text-only baseline"
            if p.dense.best_baseline is not None:
                baseline = (
                    f"best text-only baseline ({p.dense.best_baseline}) {p.dense.baselines[p.dense.best_baseline]}"
                )
            table.append(("dense probe AUROC, held out", str(p.dense.auroc), baseline))
            for k, evaluation in p.sparse.items():
                beside = f"dense minus this {p.shortfall[k]}"
                if self.untrained_probing is not None and k in self.over_untrained:
                    beside += f"; untrained {self.untrained_probing.sparse[k].auroc}; excess {self.over_untrained[k]}"
                table.append((f"{k}-sparse probe AUROC, held out", str(evaluation.auroc), beside))
        if self.quality is not None:
            table.append(("reconstruction of these tokens", self.quality.summary, ""))
        if self.stability is not None:
            s = self.stability
            asked = "" if s.selected_share is None else f"; of the concept's features {s.selected_share:.0%}"
            random = "; ".join(f"{name} {mean:.2f} ({share:.0%})" for name, (mean, share) in s.nulls.items())
            table.append(
                (
                    f"stability: cosine of matched features (share >= {s.threshold:g})",
                    f"{s.mean:.2f} ({s.share:.0%})",
                    f"random decoders: {random}{asked}",
                )
            )
        if self.reference is not None:
            table += self.reference.rows()
        return table

    def tables(self) -> tuple[Table, ...]:
        """Quantity, value, null or control; the verdict is in the title and its reason below."""
        what = f" with {self.positive} - {self.negative}" if self.positive else ""
        heading = f"Agreement of {self.sae['name']}{what}, layer {self.layer}: {self.verdict}"
        notes = (self.reason, *(f"note: {note}" for note in self.notes))
        return (Table(title(heading, self.provenance.kind), COLUMNS, tuple(self.rows()), notes),)

    def json_content(self) -> dict[str, Any]:
        """Every field; of the training, not the hashes of its texts."""
        training = None
        if self.training is not None:
            training = {k: v for k, v in self.training.to_dict().items() if k != "text_hashes"}
        return {"study": "sae_agreement"} | super().json_content() | {"training": training}
