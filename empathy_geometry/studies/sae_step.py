"""SAE agreement as a step of a study: at the SAE's own layer, whatever the study's."""

from empathy_geometry.activations.extraction import extract_activations
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.activations.positions import Position
from empathy_geometry.foundation._types import Layer
from empathy_geometry.models.hooked_model import HookedModel, hook_names
from empathy_geometry.sae.agreement import sae_agreement
from empathy_geometry.sae.agreement_result import SaeAgreement
from empathy_geometry.sae.autoencoder import SparseAutoencoder, as_autoencoder, same_place
from empathy_geometry.texts.labeled_texts import LabeledTexts


def check_sae(sae: object, model: HookedModel) -> SparseAutoencoder:
    """The SAE, if the model has its width and hook; so that a study fails before it computes, not after.

    Raises:
        TypeError: it is none.
        ValueError: another width, or a hook that the model lacks.
    """
    own = as_autoencoder(sae)
    own.check_fits(int(model.cfg.d_model), None)
    if own.place is not None:
        hook_names(model, [own.place[0]], own.place[1])
    return own


def agreement_step(
    sae: SparseAutoencoder,
    model: HookedModel,
    texts: LabeledTexts,
    acts: Activations,
    *,
    positive: str,
    negative: str,
    layer: Layer,
    position: Position,
    seed: int,
    progress: bool,
) -> SaeAgreement:
    """Agreement at the SAE's layer; at the study's where the SAE does not say which it reads.

    Args:
        sae: From `check_sae`.
        model: The model.
        texts: What is read.
        acts: The study's activations of these texts, used where they hold the SAE's layer.
        positive: The concept's class.
        negative: The neutral class.
        layer: The study's layer.
        position: Which tokens the study reads.
        seed: Of every random choice.
        progress: Show bars.
    """
    at = layer if sae.place is None else sae.place[0]
    if sae.place is not None and (at not in acts.layers or sae.place != same_place(at, acts.site)):
        acts = extract_activations(
            model,
            texts,
            layers=[at],
            position=position,
            site=sae.place[1],
            progress=progress,
        )
    return sae_agreement(
        sae, acts, model=model, positive=positive, negative=negative, layer=at, seed=seed, progress=progress
    )
