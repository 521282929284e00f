"""Whether agreement with an SAE is shown: one documented rule."""

from collections.abc import Mapping
from typing import Literal

from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.sae.reconstruction import Reconstruction
from empathy_geometry.sae.sparse_probing import SparseProbing
from empathy_geometry.sae.subspace_agreement import SubspaceAgreement

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
