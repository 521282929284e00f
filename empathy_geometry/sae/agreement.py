"""SAE agreement: the study of one concept and one sparse autoencoder, put together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.metrics import auroc_excess
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation._validation import as_groups, class_name
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.provenance import Provenance, kind_of
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.geometry.subspaces import Subspace
from empathy_geometry.models.hooked_model import HookedModel
from empathy_geometry.models.identity import identity_differences
from empathy_geometry.sae.agreement_result import HEADLINE, SaeAgreement, few, judge
from empathy_geometry.sae.aligned import aligned_agreement
from empathy_geometry.sae.autoencoder import SparseAutoencoder, as_autoencoder, hook_of_place, layer_of
from empathy_geometry.sae.concept_halves import AgreementData, is_paired
from empathy_geometry.sae.controls import random_decoder, untrained
from empathy_geometry.sae.design import AgreementDesign
from empathy_geometry.sae.features import PooledFeatures, pooled_features
from empathy_geometry.sae.reference_counts import reference_counts
from empathy_geometry.sae.sparse_probing import SparseProbing, sparse_probing
from empathy_geometry.sae.stability import FeatureStability, feature_stability
from empathy_geometry.sae.subspace_agreement import SubspaceAgreement, agreement_with_concept
from empathy_geometry.texts.content_order import content_order

_CONTROL_DRAWS = 99


@takes_settings(
    design=AgreementDesign,
    gone={
        "labels": "sae_agreement(sae, Activations.from_arrays(rows, labels, groups, layers=...))",
        "dense": "nothing: the dense probe is computed on the same folds",
        "groups": "sae_agreement(sae, Activations.from_arrays(rows, labels, groups, layers=...))",
    },
)
def sae_agreement(
    sae: object,
    activations: Activations | Subspace,
    *,
    model: HookedModel | None = None,
    positive: str | None = None,
    negative: str | None = None,
    layer: Layer | None = None,
    other: object | None = None,
    design: AgreementDesign = AgreementDesign(),  # noqa: B008 - immutable
    seed: int = 0,
    progress: bool = True,
) -> SaeAgreement:
    """Do the features of a sparse autoencoder agree with a concept's subspace?

    Subspaces are compared, not counts: features that tell the classes apart in some scenarios are held against the
    concept's subspace in others, beside four nulls; k-sparse probes (features chosen in-fold) beside the dense probe on
    the same folds; the same for a random decoder and for an untrained dictionary; matching with a second seed; and the
    reference study's own counts, as what they are.

    Args:
        sae: From `load_sae`, `train_sae` or SAELens.
        activations: Labeled activations at the SAE's layer, from a model or from plain rows
            (`Activations.from_arrays`), which are taken as single tokens; or a `Subspace`, which is held against the
            closest features (fewer nulls, no probing).
        model: The model behind the activations. With it, each token is encoded and the features are averaged; without,
            the pooled vectors are encoded, which for means over tokens is a substitute, noted in the result.
        positive: The concept's class; None takes the class that comes first.
        negative: The class to compare with; None takes the other one.
        layer: Which layer of the activations; None takes the SAE's own.
        other: An SAE of another seed, for the stability of features.
        design: Numbers of features, folds and draws.
        seed: Of folds, halves, nulls and controls.
        progress: Show bars (never when the output is not a terminal).

    Raises:
        TypeError: neither an SAE nor activations.
        ValueError: an SAE of another width, layer or site, fewer than eight scenarios, or more than two classes
            without `positive` and `negative`.

    Example:
        >>> sae = load_sae("sae/")  # doctest: +SKIP
        >>> print(sae_agreement(sae, acts, model=model, positive="empathetic", negative="neutral"))  # doctest: +SKIP
    """
    own = as_autoencoder(sae)
    if isinstance(activations, Subspace):
        return _of_subspace(own, activations, design, seed)
    if not isinstance(activations, Activations):
        raise TypeError(
            f"activations must be Activations or a Subspace, got {type(activations).__name__}; try "
            f"extract_activations(model, texts, layers=[...]) or Activations.from_arrays(rows, labels, groups, ...)"
        )
    acts = activations
    positive, negative = _classes(acts, positive, negative)
    at = _layer(own, acts, layer)
    own.check_fits(acts.d_model, (at, acts.site))
    second = None if other is None else as_autoencoder(other)
    if second is not None:
        second.check_fits(acts.d_model, (at, acts.site))
    acts = acts.where(label=[positive, negative])
    stream = acts.layer(at).float()
    empty = untrained(own, l0=_l0(own, stream), center=stream.mean(dim=0), seed=seed)
    encoded = pooled_features(
        [own, empty, *([] if second is None else [second])], acts, layer=at, model=model, progress=progress
    )
    rows, is_positive = stream.double().numpy(), acts.labels == positive
    group = content_order(as_groups(acts.groups, len(acts)), [rows, is_positive]).groups

    def data(features: PooledFeatures, of: SparseAutoencoder) -> AgreementData:
        values, frequency = features.values.double().numpy(), features.quality.frequency.numpy()
        return AgreementData(values, of.decoder.double().numpy(), rows, is_positive, group, frequency)

    options: dict[str, Any] = {
        "n_features": design.n_features,
        "n_splits": design.n_splits,
        "n_draws": design.n_draws,
        "seed": seed,
    }
    agreements = {HEADLINE: agreement_with_concept(data(encoded[0], own), **options)}
    paired = is_paired(is_positive, group)
    if paired:
        agreements["pairs"] = agreement_with_concept(
            data(encoded[0], own), concept="pairs", rank=design.rank, **options
        )
    controls = {
        name: agreement_with_concept(data(features, of), **options | {"n_draws": min(design.n_draws, _CONTROL_DRAWS)})
        for name, features, of in (
            ("random decoder", encoded[0], random_decoder(own, seed=seed)),
            ("untrained", encoded[1], empty),
        )
    }
    folds: dict[str, Any] = {
        "layer": at,
        "positive": positive,
        "negative": negative,
        "n_splits": design.n_splits,
        "seed": seed,
    }
    sizes = sorted({*design.ks, design.n_features, few(design.n_features)})
    probing = sparse_probing(encoded[0].values, acts, ks=sizes, **folds)
    without = sparse_probing(encoded[1].values, acts, ks=list(probing.sparse), dense=probing.dense, **folds)
    over = _over_untrained(probing, without, positive)
    verdict, reason = judge(agreements[HEADLINE], probing, over, encoded[0].quality)
    return SaeAgreement(
        sae=_described(own),
        positive=positive,
        negative=negative,
        layer=at,
        agreements=agreements,
        controls=controls,
        probing=probing,
        untrained_probing=without,
        over_untrained=over,
        quality=encoded[0].quality,
        training=own.training,
        stability=_stability(own, second, encoded, rows, agreements[HEADLINE], seed),
        reference=reference_counts(
            encoded[0].values.double().numpy(),
            rows,
            is_positive,
            group,
            untrained=encoded[1].values.double().numpy(),
            seed=seed,
        ),
        verdict=verdict,
        reason=reason,
        notes=_notes(own, acts, encoded[0], paired),
        provenance=_provenance(own, acts, seed, {"rank": design.rank, "ks": list(sizes), "layer": at, **options}),
    )


def _of_subspace(sae: SparseAutoencoder, subspace: Subspace, design: AgreementDesign, seed: int) -> SaeAgreement:
    found = aligned_agreement(sae, subspace, n_features=design.n_features, n_draws=design.n_draws, seed=seed)
    verdict, reason = judge(found, None, {}, None)
    return SaeAgreement(
        sae=_described(sae),
        positive="",
        negative="",
        layer=layer_of(sae) if subspace.layer is None else subspace.layer,
        agreements={"given subspace": found},
        controls={},
        probing=None,
        untrained_probing=None,
        over_untrained={},
        quality=None,
        training=sae.training,
        stability=None,
        reference=None,
        verdict=verdict,
        reason=reason,
        notes=("features were chosen by their alignment with the subspace; the null chose likewise",),
        provenance=Provenance(
            "planted" if sae.is_planted else kind_of(subspace.model),
            model=subspace.model,
            seed=seed,
            settings={"subspace": subspace.method},
        ),
    )


def _classes(acts: Activations, positive: str | None, negative: str | None) -> tuple[str, str]:
    order = list(dict.fromkeys(acts.labels.tolist()))
    if len(order) != 2 and (positive is None or negative is None):
        raise ValueError(f"the activations have the classes {order}; say which two with positive=... and negative=...")
    given = {"positive": positive, "negative": negative}
    named = {k: class_name(acts.labels, v, k, "the labels") for k, v in given.items() if v is not None}
    up = named["positive"] if "positive" in named else next(c for c in order if c != named.get("negative"))
    down = named["negative"] if "negative" in named else next(c for c in order if c != up)
    if up == down:
        raise ValueError(f"positive and negative must differ, both are {up!r}")
    return up, down


def _layer(sae: SparseAutoencoder, acts: Activations, layer: Layer | None) -> Layer:
    if layer is not None:
        return layer
    own = layer_of(sae)
    if len(acts.layers) == 1:
        return acts.layers[0]
    if own in acts.layers and own is not None:
        return own
    where = "an unknown hook" if sae.place is None else hook_of_place(*sae.place)
    raise ValueError(
        f"{sae.name} reads {where}; the activations have layers {list(acts.layers)}: extract that layer too, or say "
        f"layer=..."
    )


def _l0(sae: SparseAutoencoder, rows: Tensor) -> float:
    if sae.training is not None:
        return sae.training.l0
    return float((sae.encode(rows[:256]) > 0).sum(dim=1).float().mean())


def _over_untrained(probing: SparseProbing, without: SparseProbing, positive: str) -> dict[int, Estimate]:
    name = "the untrained dictionary's"
    return {
        k: auroc_excess(
            own.scores,
            {name: without.sparse[k].scores},
            own.labels == positive,
            groups=own.groups,
            inflation=own.variance_inflation,
            baseline_inflation={name: without.sparse[k].variance_inflation},
        )[name]
        for k, own in probing.sparse.items()
        if k in without.sparse
    }


def _stability(
    own: SparseAutoencoder,
    second: SparseAutoencoder | None,
    encoded: Sequence[PooledFeatures],
    rows: np.ndarray,
    agreement: SubspaceAgreement,
    seed: int,
) -> FeatureStability | None:
    if second is None:
        return None
    live = tuple(e.quality.frequency.numpy() > 0 for e in (encoded[0], encoded[2]))
    # The most often selected features, which carry the headline.
    selected = [i for i, _ in agreement.selected]
    return feature_stability(own, second, live=(live[0], live[1]), rows=rows, selected=selected, seed=seed)


def _notes(sae: SparseAutoencoder, acts: Activations, features: PooledFeatures, paired: bool) -> tuple[str, ...]:
    notes = []
    if not features.by_token:
        notes.append(
            f"the pooled vectors ({acts.position}) were encoded, not the tokens, which is not what the SAE was trained "
            f"on; pass model=... to encode tokens"
        )
    if sae.place is None:
        notes.append("the SAE does not say which hook it reads; that layer and site fit is taken on trust")
    name = "" if acts.provenance is None else str(acts.provenance.model.get("name", ""))
    if sae.model_name and name and sae.model_name != name:
        notes.append(f"the SAE says that it was trained on {sae.model_name!r}, the activations come from {name!r}")
    if sae.training is not None and acts.provenance is not None:
        differing = identity_differences(sae.training.provenance.model, acts.provenance.model)
        if differing:
            notes.append(f"the SAE was trained on a model that differs from this one ({'; '.join(differing)})")
    if sae.training is not None and sae.training.text_hashes and acts.texts is not None:
        share = sae.training.share_seen(acts.texts)
        notes.append(f"the SAE's training saw {share:.0%} of these texts (their tokens, never their labels)")
    if not paired:
        notes.append("not every scenario has both classes, so that there is no subspace of paired differences")
    notes.append(
        "intervals of sparse probes take the largest variance inflation, 2, since the dependence between folds is not "
        "computed for them"
    )
    return tuple(notes)


def _described(sae: SparseAutoencoder) -> dict[str, Any]:
    return {
        "name": sae.name,
        "architecture": sae.architecture,
        "d_sae": sae.d_sae,
        "d_model": sae.d_model,
        "hook": None if sae.place is None else hook_of_place(*sae.place),
        "model": sae.model_name,
    }


def _provenance(sae: SparseAutoencoder, acts: Activations, seed: int, settings: dict[str, Any]) -> Provenance:
    given = acts.provenance
    planted = sae.is_planted or kind_of(given, None if given is None else given.model) == "planted"
    return Provenance(
        "planted" if planted else "measured",
        model={} if given is None else given.model,
        texts={} if given is None else given.texts,
        seed=seed,
        settings=settings,
    )
