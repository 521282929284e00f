"""What `sae_agreement` returns: numbers, controls and a verdict in one object."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.html_table import html_table
from empathy_geometry.foundation.json_codec import to_json
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.foundation.terminal import printable
from empathy_geometry.sae.reconstruction import Reconstruction
from empathy_geometry.sae.reference_counts import ReferenceCounts
from empathy_geometry.sae.sparse_probing import SparseProbing
from empathy_geometry.sae.stability import FeatureStability
from empathy_geometry.sae.subspace_agreement import SubspaceAgreement
from empathy_geometry.sae.training_report import TrainingReport
from empathy_geometry.sae.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

HEADLINE = "mean difference"


@dataclass(frozen=True, eq=False)
class SaeAgreement:
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
        verdict: "supported", "not supported" or "cannot tell"; see `verdict.judge` for the rule.
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
            table.append(("reconstruction of these tokens", str(self.quality), ""))
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
            table += _reference_rows(self.reference)
        return table

    @printable
    def __str__(self) -> str:
        table = self.rows()
        first, second = (max(len(row[i]) for row in table) for i in (0, 1))
        planted = "PLANTED DATA, NOT A MEASUREMENT: " if self.provenance.kind == "planted" else ""
        what = f" with {self.positive} - {self.negative}" if self.positive else ""
        title = f"{planted}Agreement of {self.sae['name']}{what}, layer {self.layer}: {self.verdict}"
        body = [f"  {a:<{first}}  {b:<{second}}  {c}".rstrip() for a, b, c in table]
        return "\n".join([title, f"  {self.reason}", *body, *(f"  note: {note}" for note in self.notes)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [{"quantity": a, "value": b, "null or control": c} for a, b, c in self.rows()]
        return html_table("\n".join(str(self).splitlines()[:2]), rows, notes=self.notes)

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        training = None
        if self.training is not None:
            training = {k: v for k, v in self.training.to_dict().items() if k != "text_hashes"}
        described: dict[str, Any] = to_json(
            {
                "study": "sae_agreement",
                "provenance": self.provenance.to_dict(),
                "sae": dict(self.sae),
                "positive": self.positive,
                "negative": self.negative,
                "layer": self.layer,
                "agreements": {name: a.to_dict() for name, a in self.agreements.items()},
                "controls": {name: a.to_dict() for name, a in self.controls.items()},
                "probing": None if self.probing is None else self.probing.to_dict(),
                "untrained_probing": None if self.untrained_probing is None else self.untrained_probing.to_dict(),
                "over_untrained": {str(k): e.to_dict() for k, e in self.over_untrained.items()},
                "quality": None if self.quality is None else self.quality.to_dict(),
                "training": training,
                "stability": None if self.stability is None else self.stability.to_dict(),
                "reference": None if self.reference is None else self.reference.to_dict(),
                "verdict": self.verdict,
                "reason": self.reason,
                "notes": list(self.notes),
            }
        )
        return described

    def to_frame(self) -> "pd.DataFrame":
        """The table as a pandas DataFrame (pandas must be installed)."""
        import pandas as pd

        return pd.DataFrame(self.rows(), columns=["quantity", "value", "null or control"])


def _reference_rows(r: ReferenceCounts) -> list[tuple[str, str, str]]:
    untrained = "" if r.features_untrained is None else f", untrained dictionary {r.features_untrained}"
    return [
        (
            "reference: features above 0.01 (in sample)",
            str(r.features),
            f"other class {r.features_negative}{untrained}; components for 90 %: {r.components}, within 20 %: "
            f"{'yes' if r.within else 'no'}",
        ),
        (
            f"reference: purity of {r.clusters} clusters (in sample)",
            str(r.purity),
            f"shuffled labels {r.purity_null.null_distribution.mean():.3f} (p {r.purity_null.pvalue:.3f}); silhouette "
            f"{r.silhouette:.3f}; adjusted Rand {r.adjusted_rand}",
        ),
    ]
