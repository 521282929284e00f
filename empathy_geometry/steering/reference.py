"""What a model writes and expects without steering: made once, shared by every sweep over the same prompts."""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from empathy_geometry.foundation._types import FloatArray, Layer
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.generation.continuations import (
    Continuations,
    continuations,
    prompt_tokens,
    sampling_draws,
)
from empathy_geometry.generation.decoding import decode
from empathy_geometry.generation.likelihood import read_streams
from empathy_geometry.models.attachment import attached
from empathy_geometry.models.behaviour_lengths import BehaviourLengths
from empathy_geometry.models.hooked_model import HookedModel, model_device
from empathy_geometry.models.model_view import own_view
from empathy_geometry.models.rope import rope_arguments
from empathy_geometry.models.tokens import tokenize
from empathy_geometry.steering.coherence import divergence_part
from empathy_geometry.steering.hook import SteeringHook
from empathy_geometry.steering.sweep_design import SweepDesign

_LOGIT_BYTES = 250_000_000


class NeutralTexts:
    """Fixed texts with the model's next-token predictions on them, against which steered predictions are held.

    Args:
        model: The model, unsteered at this moment.
        texts: The texts, at least one.
    """

    def __init__(self, model: HookedModel, texts: Sequence[str]) -> None:
        self._ids = [torch.tensor([t.ids]) for t in tokenize(model, list(texts))]
        with torch.no_grad():
            self._unsteered = [_logits(model, ids) for ids in self._ids]

    def divergence(self, model: HookedModel, hook: SteeringHook, alphas: FloatArray) -> FloatArray:
        """1 - JSD / ln 2 at each alpha, mean over texts, [n_alphas]; 1 where alpha is 0.

        Every token is edited, whatever the hook's positions: neutral texts stand for prompt and answer alike. A
        text is given as one row, and its edit makes a row for each alpha (see `StreamEdit`).
        """
        values = np.ones((len(alphas), len(self._ids)))
        names = hook.names(model)
        steering = hook
        longest = max(ids.shape[1] for ids in self._ids)

        def edit(stream: Tensor, hook: object) -> Tensor:
            return steering.stream_edit()(stream)

        with (
            torch.no_grad(),
            own_view(model, names, longest=longest) as view,
            attached(view, [(name, edit) for name in names]),
        ):
            for t, (ids, unsteered) in enumerate(zip(self._ids, self._unsteered, strict=True)):
                # Position 0 predicts from BOS alone and carries the attention sink; it says nothing about the text.
                counted = torch.ones(ids.shape, dtype=torch.bool, device=unsteered.device)
                counted[:, 0] = False
                most = max(1, _LOGIT_BYTES // (4 * ids.shape[1] * int(model.cfg.d_vocab)))
                edited = np.flatnonzero(alphas)
                for part in (edited[i : i + most] for i in range(0, len(edited), most)):
                    steering = hook.with_alpha(torch.as_tensor(alphas[part], dtype=torch.float32))
                    steered = _logits(view, ids)
                    for row, a in enumerate(part):
                        values[a, t] = divergence_part(steered[row : row + 1], unsteered, counted)[0]
        mean: FloatArray = values.mean(axis=1)
        return mean


def _logits(model: HookedModel, ids: Int[Tensor, "one pos"]) -> Float[Tensor, "row pos vocab"]:
    ids = ids.to(model_device(model))
    everything = torch.ones_like(ids, dtype=torch.bool)
    with own_view(model, longest=ids.shape[1]) as view:
        run: Any = view
        logits: Tensor = run(ids, **rope_arguments(view, BehaviourLengths.of(view), everything, ids.shape[1]))
    return logits


@dataclass(frozen=True, eq=False)
class UnsteeredReference:
    """Unsteered continuations of some prompts, how likely they are, and predictions on neutral text.

    Give it to several sweeps over the same prompts (`steering_sweep(..., reference=...)`), so that it is computed once.

    Attributes:
        prompts: The prompts.
        written: What the model writes after them.
        settings: max_new_tokens, chat, temperature, neutral_texts, date and control_tokens, which a sweep must share.
        draws: What decides sampled tokens, [n_prompts, max_new_tokens], so that steered and unsteered texts differ by
            the steering only; None for greedy decoding.
        neutral: Neutral texts with the unsteered predictions; None without such texts.
    """

    prompts: tuple[str, ...]
    written: Continuations
    settings: dict[str, Any]
    draws: FloatArray | None
    neutral: NeutralTexts | None
    _model: "weakref.ref[Any]" = field(repr=False)
    _read: dict[tuple[Layer, str], tuple[FloatArray, Tensor]] = field(default_factory=dict, repr=False)

    def read(self, model: HookedModel, layer: Layer, site: str) -> tuple[FloatArray, Float[Tensor, "n d_model"]]:
        """Nats per token of the continuations, [n_prompts], and the mean stream of their tokens at a layer."""
        if (layer, site) not in self._read:
            reading, streams = read_streams(model, self.written, layer=layer, site=site)
            self._read[layer, site] = (reading.mean_nll, streams)
        return self._read[layer, site]

    def check(self, model: HookedModel, prompts: Sequence[str], settings: dict[str, Any]) -> None:
        """Raise ValueError, naming what differs, unless the reference is of this model, these prompts and settings."""
        if self._model() is not model:
            raise ValueError("the reference is of another model object; make it anew with unsteered_reference")
        if self.prompts != tuple(prompts):
            raise ValueError("the reference is of other prompts; make it anew with unsteered_reference")
        for name, value in settings.items():
            if self.settings[name] != value:
                raise ValueError(
                    f"the reference was made with {name}={self.settings[name]!r}, the sweep asks for {value!r}; give "
                    f"both the same"
                )


@takes_settings(design=SweepDesign)
def unsteered_reference(
    model: HookedModel,
    prompts: Sequence[str],
    *,
    max_new_tokens: int = 32,
    design: SweepDesign = SweepDesign(),  # noqa: B008 - immutable
    seed: int = 0,
) -> UnsteeredReference:
    """Run a model without steering, once, for any number of sweeps over these prompts.

    Args:
        model: HookedTransformer or TransformerBridge, with no steering attached.
        prompts: As in `steering_sweep`, and so are the others.
        max_new_tokens: Length of the continuations.
        design: How it writes, and on which neutral texts predictions are made.
        seed: Seed of the sampling.

    Raises:
        ValueError: as `generate`.

    Example:
        >>> reference = unsteered_reference(model, prompts)  # doctest: +SKIP
        >>> sweep = steering_sweep(model, direction, prompts, [1, 2], reference=reference)  # doctest: +SKIP
    """
    rows = prompt_tokens(
        model,
        prompts,
        max_new_tokens=max_new_tokens,
        chat=design.chat,
        date=design.date,
        control_tokens=design.control_tokens,
    )
    draws = sampling_draws(design.temperature, seed, len(rows), max_new_tokens)
    with own_view(model, longest=max(map(len, rows)) + max_new_tokens) as view:
        new = decode(view, rows, max_new_tokens=max_new_tokens, temperature=design.temperature, draws=draws)
    return UnsteeredReference(
        tuple(prompts),
        continuations(model, rows, new),
        {"max_new_tokens": max_new_tokens, **design.shared},
        draws,
        NeutralTexts(model, design.neutral_texts) if len(design.neutral_texts) else None,
        weakref.ref(model),
    )
