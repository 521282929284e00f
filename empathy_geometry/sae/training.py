"""Training a sparse autoencoder on a model's activations, token by token."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from empathy_geometry.activations.reading import ReadingDesign
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.checked_json import content_sha256
from empathy_geometry.foundation.provenance import Provenance, kind_of
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.models.hooked_model import HookedModel, Site
from empathy_geometry.sae.autoencoder import REPORT_FILE, SparseAutoencoder, as_autoencoder, hook_of_place
from empathy_geometry.sae.design import Architecture, SaeDesign
from empathy_geometry.sae.lens import sae_lens
from empathy_geometry.sae.loading import CONFIG_FILE, load_sae
from empathy_geometry.sae.reconstruction import reconstruction
from empathy_geometry.sae.token_activations import TokenActivations, token_activations
from empathy_geometry.sae.training_loop import TrainingLoop
from empathy_geometry.sae.training_report import TrainingReport
from empathy_geometry.texts.labeled_texts import LabeledTexts

TOKENS_PER_FEATURE = 10
"""Fewer different tokens than this for each feature, and features remember texts instead of describing them."""


@takes_settings(
    design=SaeDesign,
    reading=ReadingDesign,
    gone={"resume": "another folder, or train_on_tokens(token_activations(...), resume=False)"},
)
def train_sae(
    model: HookedModel,
    texts: LabeledTexts | Sequence[LabeledTexts] | Sequence[str],
    *,
    layer: Layer,
    site: Site = "resid_post",
    n_tokens: int | None = None,
    design: SaeDesign = SaeDesign(),  # noqa: B008 - immutable
    reading: ReadingDesign = ReadingDesign(),  # noqa: B008 - immutable
    folder: str | Path | None = None,
    seed: int = 0,
    progress: bool = True,
) -> SparseAutoencoder:
    """Train a sparse autoencoder with SAELens on the tokens of texts.

    Args:
        model: HookedTransformer or TransformerBridge.
        texts: One set, several, or plain strings; labels are not used.
        layer: Where to read.
        site: Hook point of the block.
        n_tokens: Train on at most about so many different tokens; None takes all that the texts have.
        design: Size, architecture, steps and learning rate.
        reading: How texts are read: chat template, control tokens.
        folder: Where activations, checkpoints and, at the end, the SAE in SAELens's format go. Called again after a
            kill, training goes on; called again after the end, the SAE is loaded.
        seed: Of weights, order and held-out scenarios.
        progress: Show bars (never when the output is not a terminal).

    Returns:
        The SAE, with its `training` report.

    Raises:
        ImportError: SAELens is not installed.
        ValueError: too few tokens for so many features (says how many are needed), or a folder of another run.

    Example:
        >>> sae = train_sae(model, eg.datasets.empathy_pairs(), layer=17, folder="sae")  # doctest: +SKIP
    """
    sae_lens()
    tokens = token_activations(
        model,
        texts,
        layer=layer,
        site=site,
        n_tokens=n_tokens,
        reading=reading,
        folder=None if folder is None else Path(folder) / "tokens",
        seed=seed,
        progress=progress,
    )
    return train_on_tokens(tokens, design, folder=folder, seed=seed, progress=progress)


@takes_settings(design=SaeDesign)
def train_on_tokens(
    tokens: TokenActivations,
    design: SaeDesign = SaeDesign(),  # noqa: B008 - immutable
    *,
    folder: str | Path | None = None,
    resume: bool = True,
    seed: int = 0,
    progress: bool = True,
) -> SparseAutoencoder:
    """As `train_sae`, on tokens that `token_activations` read: a second seed needs no second forward pass.

    Args:
        tokens: What to train on.
        design: As in `train_sae`, and so are the others.
        folder: Where checkpoints and the SAE go.
        resume: False starts the training anew.
        seed: Of weights, order and held-out scenarios.
        progress: Show bars.

    Raises:
        ValueError: as `train_sae`.
    """
    width = int(tokens.values.shape[1])
    features = design.expansion * width if design.d_sae is None else design.d_sae
    kept_out = _held_out(tokens, design.held_out, seed)
    training = tokens.values[torch.from_numpy(~kept_out)]
    _check_enough(len(training), features, width)
    penalised = design.architecture == "standard"
    settings: dict[str, Any] = {
        "layer": tokens.layer,
        "site": tokens.site,
        "architecture": design.architecture,
        "d_sae": features,
        "k": None if penalised else min(design.k, features),
        "l1_coefficient": design.l1_coefficient if penalised else None,
        "n_steps": design.n_steps,
        "batch_size": design.batch_size,
        "learning_rate": design.learning_rate,
        "held_out": design.held_out,
    }
    run = content_sha256(
        settings
        | {
            "seed": seed,
            "model": {k: v for k, v in tokens.model.items() if k != "device"},
            "texts": list(tokens.hashes),
        }
    )
    target = None if folder is None else Path(folder)
    if resume and target is not None and (target / CONFIG_FILE).is_file() and (target / REPORT_FILE).is_file():
        return _finished(target, run)
    checkpoint = None if target is None else target / "checkpoint.safetensors"
    if checkpoint is not None and not resume:
        checkpoint.unlink(missing_ok=True)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # SAELens notes dtype and scheduler defaults that are as wanted here.
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        loop = TrainingLoop(
            sae=_new_sae(design.architecture, settings, tokens, training),
            rows=training,
            n_steps=design.n_steps,
            batch_size=design.batch_size,
            learning_rate=design.learning_rate,
            dead_window=max(20, design.n_steps // 10),
            seed=seed,
            run=run,
            checkpoint=checkpoint,
            progress=progress,
        )
        loop.fit()
        ready = _inference_form(loop.sae)
    held = tokens.values[torch.from_numpy(kept_out)]
    inside = reconstruction(ready, training)
    outside = reconstruction(ready, held) if len(held) else None
    silent = inside.frequency == 0 if outside is None else (inside.frequency == 0) & (outside.frequency == 0)
    trained = np.unique(tokens.text[~kept_out])
    report = TrainingReport(
        n_texts=len(trained),
        n_tokens=len(training),
        n_held_out=len(held),
        n_massive=tokens.n_massive,
        n_samples=design.n_steps * design.batch_size,
        explained=inside.explained,
        explained_held_out=None if outside is None else outside.explained,
        l0=(inside if outside is None else outside).l0,
        dead=int(silent.sum()),
        seconds=loop.seconds,
        provenance=Provenance(
            kind_of(tokens.model) if tokens.model else "planted",
            model=tokens.model,
            texts=tokens.texts,
            seed=seed,
            settings=settings | {"run": run},
        ),
        text_hashes=tuple(tokens.hashes[i] for i in trained) if tokens.hashes else (),
    )
    done = replace(ready, training=report, name=f"{design.architecture} SAE trained here (seed {seed})")
    if target is not None:
        done.save(target)
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)
    return done


def _held_out(tokens: TokenActivations, share: float, seed: int) -> np.ndarray:
    """Which tokens belong to held-out scenarios, [n_tokens] booleans."""
    groups = np.unique(tokens.groups)
    if share == 0 or len(groups) < 2:
        return np.zeros(len(tokens), dtype=bool)
    chosen = np.random.default_rng(seed).permutation(groups)[: max(1, round(share * len(groups)))]
    held: np.ndarray = np.isin(tokens.groups, chosen)[tokens.text]
    return held


def _check_enough(n_tokens: int, d_sae: int, d_model: int) -> None:
    needed = TOKENS_PER_FEATURE * d_sae
    if n_tokens < needed:
        raise ValueError(
            f"{n_tokens} training tokens do not train {d_sae} features: at least {TOKENS_PER_FEATURE} different tokens "
            f"a feature are needed, {needed} here. Give more texts (the packaged sets have about 145,000 tokens "
            f"together), or try d_sae={max(1, n_tokens // TOKENS_PER_FEATURE)} (width of the model: {d_model})"
        )


def _new_sae(architecture: Architecture, settings: dict[str, Any], tokens: TokenActivations, training: Tensor) -> Any:
    lens = sae_lens()
    shared: dict[str, Any] = {
        "d_in": int(training.shape[1]),
        "d_sae": settings["d_sae"],
        "normalize_activations": "expected_average_only_in",
        "apply_b_dec_to_input": True,
        "metadata": sae_lens("sae_lens.saes.sae").SAEMetadata(
            model_name=str(tokens.model.get("name", "")),
            hook_name=hook_of_place(tokens.layer, tokens.site),
            model_fingerprint=tokens.model.get("fingerprint"),
        ),
    }
    if architecture == "standard":
        config = lens.StandardTrainingSAEConfig(
            l1_coefficient=settings["l1_coefficient"], l1_warm_up_steps=settings["n_steps"] // 20, **shared
        )
        sae = lens.StandardTrainingSAE(config)
    elif architecture == "topk":
        sae = lens.TopKTrainingSAE(lens.TopKTrainingSAEConfig(k=settings["k"], **shared))
    else:
        sae = lens.BatchTopKTrainingSAE(lens.BatchTopKTrainingSAEConfig(k=settings["k"], **shared))
    with torch.no_grad():
        # Starting at the mean, no feature is spent on what all tokens share.
        scale = shared["d_in"] ** 0.5 / float(training.norm(dim=1).mean())
        sae.b_dec.copy_(training.mean(dim=0) * scale)
    return sae


def _inference_form(trained: Any) -> SparseAutoencoder:
    """The form that is saved and used: decoder norms folded, batch-top-k as JumpReLU."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        trained.save_inference_model(folder)
        return as_autoencoder(sae_lens().SAE.load_from_disk(folder, device="cpu"))


def _finished(folder: Path, run: str) -> SparseAutoencoder:
    found = load_sae(folder)
    if found.training is None or found.training.provenance.settings.get("run") != run:
        raise ValueError(
            f"{folder} holds an SAE of another run (other texts, settings or seed); use another folder, or "
            f"train_on_tokens(..., resume=False)"
        )
    return replace(
        found,
        name=f"{found.training.provenance.settings['architecture']} SAE trained here "
        f"(seed {found.training.provenance.seed})",
    )
