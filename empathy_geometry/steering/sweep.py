"""A whole grid of alpha x prompts as one batch: texts, coherence, damage on neutral text, and the concept read back."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from empathy_geometry.foundation._types import FloatArray, IntArray, Layer
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.foundation.table import Table
from empathy_geometry.generation.continuations import (
    Continuations,
    continuations,
    prompt_tokens,
    sampling_draws,
)
from empathy_geometry.generation.decoding import decode
from empathy_geometry.generation.edited_prompts import PromptEdit
from empathy_geometry.generation.likelihood import Reading, read_streams
from empathy_geometry.geometry.direction_units import Units
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.models.hooked_model import HookedModel
from empathy_geometry.models.loading import check_model
from empathy_geometry.models.model_view import own_view
from empathy_geometry.steering.coherence import coherence_of
from empathy_geometry.steering.hook import SteeringHook
from empathy_geometry.steering.reference import NeutralTexts, UnsteeredReference
from empathy_geometry.steering.stream_edit import StreamEdit
from empathy_geometry.steering.sweep_design import SweepDesign
from empathy_geometry.steering.token_tracking import check_spans, row_spans

_HOOK_OPTIONS = ("operation", "target", "layers", "positions")


@dataclass(frozen=True, eq=False)
class SteeringSweep(Result):
    """What a model wrote at every strength of a steering direction.

    Attributes:
        alphas: Strengths in `units`, ascending, 0 among them, [n_alphas].
        prompts: The prompts.
        texts: Continuations, [n_alphas][n_prompts].
        parts: Coherence parts by name, [n_alphas, n_prompts] in [0, 1]: "perplexity", "repetition", "divergence" (on
            neutral text, the same for every prompt), and the user's own.
        nll: Nats per token of the continuations by the unsteered model, [n_alphas, n_prompts].
        concept: Mean projection of the written tokens on the direction when the unsteered model reads them, minus that
            of the unsteered text, in class gaps (activation units where the direction has none), [n_alphas, n_prompts].
        units: Unit of alpha.
        unit_length: Activation units in one unit of alpha.
        layers: Where the direction was added.
        max_new_tokens: Length of the continuations.
        seed: Of the sampling.
    """

    alphas: FloatArray
    prompts: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    parts: Mapping[str, FloatArray]
    nll: FloatArray
    concept: FloatArray
    units: Units
    unit_length: float
    layers: tuple[Layer, ...]
    max_new_tokens: int
    seed: int | None = None

    @property
    def coherence(self) -> FloatArray:
        """The smallest part, [n_alphas, n_prompts]."""
        smallest: FloatArray = np.min(np.stack(list(self.parts.values())), axis=0)
        return smallest

    def __add__(self, other: "SteeringSweep") -> "SteeringSweep":
        """Both grids together; where an alpha occurs in both, the first sweep's rows are kept."""
        if self.prompts != other.prompts or self.unit_length != other.unit_length:
            raise ValueError("sweeps can be joined if they share prompts, direction and units")
        alphas, rows = np.unique(np.concatenate([self.alphas, other.alphas]), return_index=True)

        def join(a: FloatArray, b: FloatArray) -> FloatArray:
            return np.concatenate([a, b])[rows]

        texts = (*self.texts, *other.texts)
        return SteeringSweep(
            alphas,
            self.prompts,
            tuple(texts[r] for r in rows),
            {name: join(part, other.parts[name]) for name, part in self.parts.items()},
            join(self.nll, other.nll),
            join(self.concept, other.concept),
            self.units,
            self.unit_length,
            self.layers,
            self.max_new_tokens,
            self.seed,
        )

    def json_content(self) -> dict[str, Any]:
        """Every field and the smallest part."""
        return super().json_content() | {"coherence": self.coherence}

    def to_frame(self) -> Any:
        """One row per alpha and prompt, as a pandas DataFrame (pandas must be installed)."""
        import pandas as pd

        rows = [
            {
                "alpha": float(alpha),
                "prompt": prompt,
                "text": self.texts[a][p],
                **{name: float(part[a, p]) for name, part in self.parts.items()},
                "coherence": float(self.coherence[a, p]),
                "nll": float(self.nll[a, p]),
                "concept": float(self.concept[a, p]),
            }
            for a, alpha in enumerate(self.alphas)
            for p, prompt in enumerate(self.prompts)
        ]
        return pd.DataFrame(rows)

    def tables(self) -> tuple[Table, ...]:
        """Means over prompts at every alpha, and the first prompt's text."""
        low, high = self.alphas[0], self.alphas[-1]
        title = (
            f"{len(self.alphas)} alphas from {low:g} to {high:g} {self.units}, {len(self.prompts)} prompts, "
            f"{self.max_new_tokens} tokens"
        )
        rows = [
            {
                "alpha": f"{alpha:g}",
                **{name: float(part[a].mean()) for name, part in self.parts.items()},
                "coherence": float(self.coherence[a].mean()),
                "concept": float(self.concept[a].mean()),
                "first text": self.texts[a][0],
            }
            for a, alpha in enumerate(self.alphas.tolist())
        ]
        return (Table.of(title, rows, notes=[f"means over {len(self.prompts)} prompts; alpha in {self.units}"]),)


def _hook_of_before(given: dict[str, Any], old: dict[str, Any]) -> None:
    """Options of a hook, as they were keywords of a sweep, put into a hook."""
    own = {name: old.pop(name) for name in _HOOK_OPTIONS if name in old}
    if own:
        units = given.pop("units", None)
        fraction = own.get("operation", "add") != "add" and units in (None, "raw")
        given["direction"] = SteeringHook(given["direction"], units=None if fraction else units, **own)


@takes_settings(
    design=SweepDesign,
    gone={name: f"SteeringHook(direction, {name}=...) in the direction's place" for name in _HOOK_OPTIONS},
    adapt=_hook_of_before,
)
def steering_sweep(
    model: HookedModel,
    direction: ConceptDirection | SteeringHook,
    prompts: Sequence[str],
    alphas: Sequence[float] | float,
    *,
    units: Units | None = None,
    max_new_tokens: int = 32,
    design: SweepDesign = SweepDesign(),  # noqa: B008 - immutable
    reference: UnsteeredReference | None = None,
    seed: int = 0,
    progress: bool = True,
) -> SteeringSweep:
    """Continue every prompt at every alpha, in as few batches as memory allows, and measure the result.

    Steered text is scored by the same model without steering. alpha = 0 is always part of the grid. Sampled texts of
    one prompt share their draws over all alphas, so that they differ by the steering only.

    Args:
        model: HookedTransformer or TransformerBridge.
        direction: What to steer along. For another operation than "add", other layers or positions, the `SteeringHook`
            of a `ConceptDirection`, whose alpha the grid takes the place of. Several spans are one per prompt; neutral
            texts are edited at all tokens.
        prompts: User messages; with `SweepDesign(chat=False)` plain texts to continue.
        alphas: Strengths, either sign; one number is a list of one.
        units: Unit of alpha, as in `SteeringHook`: None is the direction's own class gap where it has one, else "raw".
            A hook has its own.
        max_new_tokens: Length of the continuations.
        design: How texts are written, neutral texts, further coherence parts.
        reference: What `unsteered_reference` made for this model, these prompts and these settings; saves running the
            unsteered model again. Its draws are used for sampling.
        seed: Seed of the sampling.
        progress: Show a bar (never when the output is not a terminal).

    Raises:
        TypeError: neither a `ConceptDirection` nor the hook of one.
        ValueError: empty or not finite alphas, units beside a hook, a reference that does not fit, or what
            `SteeringHook` and `generate` raise; before anything runs.
    """
    if isinstance(alphas, str):
        raise TypeError(f"alphas must be numbers, got the string {alphas!r}; try [float({alphas!r})]")
    given = np.atleast_1d(np.asarray(alphas, dtype=float))
    grid = np.unique(np.append(given, 0.0))
    if not given.size or not np.isfinite(grid).all():
        raise ValueError(f"alphas must be finite numbers, at least one, got {given.tolist()}")
    check_model(model)
    hook, direction = as_hook(direction, units)
    hook.check_fits(model)
    if hook.positions == "response":
        hook = hook.with_positions("generated")
    prompt_ids = prompt_tokens(
        model,
        prompts,
        max_new_tokens=max_new_tokens,
        chat=design.chat,
        date=design.date,
        control_tokens=design.control_tokens,
    )
    n_prompts = len(prompt_ids)
    check_spans(hook.positions, [len(ids) for ids in prompt_ids])
    draws = sampling_draws(design.temperature, seed, n_prompts, max_new_tokens)
    if reference is not None:
        reference.check(model, prompts, {"max_new_tokens": max_new_tokens, **design.shared})
        draws = reference.draws
    # The rows to write: one block of prompts per alpha, without alpha = 0 where it is known.
    blocks = grid if reference is None else grid[grid != 0]
    written = _write(model, hook, blocks, prompt_ids, max_new_tokens, design.temperature, draws, progress)
    layer, site = hook.layers[-1] if direction.layer is None else direction.layer, direction.site
    nll, streams = np.empty(0), torch.empty(0, direction.d_model)
    if len(written):
        reading, streams = read_streams(model, written, layer=layer, site=site)
        nll = reading.mean_nll
    if reference is not None:
        nll_unsteered, streams_unsteered = reference.read(model, layer, site)
        nll, streams = np.append(nll, nll_unsteered), torch.cat([streams, streams_unsteered])
        written, blocks = written + reference.written, np.append(blocks, 0.0)
    order = (np.argsort(blocks)[:, None] * n_prompts + np.arange(n_prompts)).ravel()
    written, nll, streams = written[order], nll[order], streams[torch.as_tensor(order)]
    n_alphas, zero = len(grid), int(np.flatnonzero(grid == 0)[0])
    unsteered = np.tile(np.arange(zero * n_prompts, (zero + 1) * n_prompts), n_alphas)
    found = {
        name: values.reshape(n_alphas, n_prompts)
        for name, values in coherence_of(
            written, written[unsteered], _as_reading(nll), _as_reading(nll[unsteered]), parts=design.parts
        ).parts.items()
    }
    if reference is not None:
        neutral = reference.neutral
    else:
        neutral = NeutralTexts(model, design.neutral_texts) if len(design.neutral_texts) else None
    if neutral is not None:
        found["divergence"] = np.repeat(neutral.divergence(model, hook, grid)[:, None], n_prompts, axis=1)
    concept = direction.project(streams).double().numpy().reshape(n_alphas, n_prompts)
    return SteeringSweep(
        grid,
        tuple(prompts),
        tuple(tuple(written.texts[a * n_prompts : (a + 1) * n_prompts]) for a in range(n_alphas)),
        found,
        nll.reshape(n_alphas, n_prompts),
        (concept - concept[zero]) / direction.scales.get("class_gap", 1.0),
        hook.units,
        hook.unit_length,
        hook.layers,
        max_new_tokens,
        seed,
    )


def as_hook(direction: ConceptDirection | SteeringHook, units: Units | None) -> tuple[SteeringHook, ConceptDirection]:
    """The hook to steer with, and the direction that the concept is read back along.

    Raises:
        TypeError: neither a `ConceptDirection` nor the hook of one.
        ValueError: units beside a hook, which has its own.
    """
    along = direction.direction if isinstance(direction, SteeringHook) else direction
    if not isinstance(along, ConceptDirection):
        raise TypeError(
            f"the direction must be a ConceptDirection, or the hook of one, along which the effect is measured, got "
            f"{type(along).__name__}; a tensor becomes one by ConceptDirection(tensor, layer=...), and Directions "
            f"steer by SteeringHook"
        )
    if not isinstance(direction, SteeringHook):
        return SteeringHook(direction, units=units), direction
    if units is not None:
        raise ValueError(f"the hook counts alpha in {direction.units!r}; leave units out, or say them in the hook")
    return direction, along


def _write(
    model: HookedModel,
    hook: SteeringHook,
    blocks: FloatArray,
    prompt_ids: list[tuple[int, ...]],
    max_new_tokens: int,
    temperature: float,
    draws: FloatArray | None,
    progress: bool,
) -> Continuations:
    """Continuations of all prompts at the first alpha, then at the second, and so on."""
    n_prompts = len(prompt_ids)
    rows = prompt_ids * len(blocks)
    alphas = np.repeat(blocks, n_prompts)
    spans = row_spans(hook.positions, n_prompts)

    def edit(batch: IntArray) -> Any:
        steering = hook.with_alpha(torch.as_tensor(alphas[batch], dtype=torch.float32))
        if spans is not None:
            steering = steering.with_positions([spans[i % n_prompts] for i in batch])
        return steering.attached(view)

    def stream_edit(batch: IntArray) -> StreamEdit:
        return hook.with_alpha(torch.as_tensor(alphas[batch], dtype=torch.float32)).stream_edit()

    # While a prompt is read, rows of one alpha are edited alike; where only written tokens are edited, all rows are.
    keys: list[Hashable] | None = None
    if hook.positions == "generated":
        keys = [0] * len(rows)
    elif isinstance(hook.positions, str) and hook.positions != "last_prompt":
        keys = list(alphas.tolist())
    longest = max(map(len, rows), default=0) + max_new_tokens
    with (
        own_view(model, hook.names(model), longest=longest) as view,
        tqdm(total=len(rows), unit="text", desc="steering", disable=None if progress else True, delay=2) as bar,
    ):
        new = decode(
            view,
            rows,
            max_new_tokens=max_new_tokens,
            edit=edit,
            edit_keys=keys,
            prompt_edit=PromptEdit(hook.names(model), stream_edit) if hook.positions == "all" else None,
            temperature=temperature,
            draws=None if draws is None else np.tile(draws, (len(blocks), 1)),
            progress=bar.update,
        )
    return continuations(model, rows, new)


def _as_reading(mean_nll: FloatArray) -> Reading:
    return Reading(tuple(torch.tensor([value]) for value in mean_nll), None)
