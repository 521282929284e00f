"""A whole grid of alpha x prompts as one batch: texts, coherence, damage on neutral text, and the concept read back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from empathy_geometry.foundation._types import FloatArray, Layer, Seed
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.models.loading import HookedModel, model_device
from empathy_geometry.models.tokens import pad, tokenize
from empathy_geometry.steering.coherence import CoherencePart, coherence_of, divergence_part
from empathy_geometry.steering.generation import generate, read_continuations
from empathy_geometry.steering.hook import Operation, Positions, SteeringHook, Units

NEUTRAL_TEXTS = (
    "The museum on the corner opens at ten and closes at five. On Mondays the lower rooms are shut for cleaning.",
    "Water runs from the reservoir through two pipes to the town, where a pump lifts it into the tower.",
    "To copy a page, lay it face down on the glass, close the lid and press the green button on the left.",
    "Most of the valley is farmland. Wheat grows on the southern side, and the northern side is left to grass.",
)
"""Text without emotion on which steering should change as little as possible."""


@dataclass(frozen=True, eq=False)
class SteeringSweep:
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
        )

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return {
            "alphas": self.alphas.tolist(),
            "prompts": list(self.prompts),
            "texts": [list(row) for row in self.texts],
            "parts": {name: part.tolist() for name, part in self.parts.items()},
            "coherence": self.coherence.tolist(),
            "nll": self.nll.tolist(),
            "concept": self.concept.tolist(),
            "units": self.units,
            "unit_length": self.unit_length,
            "layers": list(self.layers),
            "max_new_tokens": self.max_new_tokens,
        }

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

    def __str__(self) -> str:
        names = list(self.parts)
        lines = ["   alpha  " + "  ".join(f"{n:>11}" for n in [*names, "coherence", "concept"])]
        for a, alpha in enumerate(self.alphas):
            means = [float(self.parts[n][a].mean()) for n in names]
            means += [float(self.coherence[a].mean()), float(self.concept[a].mean())]
            lines.append(f"{alpha:8.3f}  " + "  ".join(f"{m:11.3f}" for m in means))
        return "\n".join([*lines, f"means over {len(self.prompts)} prompts; alpha in {self.units}"])

    def __repr__(self) -> str:
        low, high = self.alphas[0], self.alphas[-1]
        grid = f"{len(self.alphas)} alphas from {low:g} to {high:g} {self.units}"
        return f"SteeringSweep({grid}, {len(self.prompts)} prompts)"


def steering_sweep(
    model: HookedModel,
    direction: ConceptDirection,
    prompts: Sequence[str],
    alphas: Sequence[float],
    *,
    units: Units = "class_gap",
    operation: Operation = "add",
    layers: Layer | Sequence[Layer] | None = None,
    positions: Positions = "all",
    max_new_tokens: int = 32,
    chat: bool = True,
    temperature: float = 0.0,
    rng: Seed = 0,
    neutral_texts: Sequence[str] = NEUTRAL_TEXTS,
    parts: Mapping[str, CoherencePart] = MappingProxyType({}),
    progress: bool = True,
) -> SteeringSweep:
    """Continue every prompt at every alpha, in as few batches as memory allows, and measure the result.

    Steered text is scored by the same model without steering. alpha = 0 is always part of the grid.

    Args:
        model: HookedTransformer or TransformerBridge.
        direction: What to steer along.
        prompts: User messages; with `chat=False` plain texts to continue.
        alphas: Strengths, either sign.
        units: Unit of alpha, as in `SteeringHook`.
        operation: As in `SteeringHook`.
        layers: As in `SteeringHook`.
        positions: As in `SteeringHook`.
        max_new_tokens: Length of the continuations.
        chat: Wrap prompts in the tokenizer's chat template, where it has one.
        temperature: 0 is greedy.
        rng: Seed of the sampling.
        neutral_texts: Fixed texts on which the change of next-token distributions is measured.
        parts: Further coherence parts of the user's own.
        progress: Show a bar (never when the output is not a terminal).

    Raises:
        ValueError: empty or not finite alphas, or what `SteeringHook` and `generate` raise.
    """
    grid = np.unique(np.append(np.asarray(alphas, dtype=float), 0.0))
    if not len(list(alphas)) or not np.isfinite(grid).all():
        raise ValueError(f"alphas must be finite numbers, at least one, got {list(alphas)}")
    hook = SteeringHook(direction, alpha=1.0, operation=operation, layers=layers, positions=positions, units=units)
    hook.check_fits(model)
    rows = [(a, p) for a in grid for p in prompts]
    row_alphas = np.array([a for a, _ in rows])

    def edit(batch: np.ndarray) -> Any:
        return hook.with_alpha(torch.as_tensor(row_alphas[batch], dtype=torch.float32)).attached(model)

    with tqdm(total=len(rows), unit="text", desc="steering", disable=None if progress else True, delay=2) as bar:
        written = generate(
            model,
            [p for _, p in rows],
            max_new_tokens=max_new_tokens,
            chat=chat,
            temperature=temperature,
            rng=rng,
            edit=edit,
            progress=bar.update,
        )
    reading = read_continuations(model, written, direction=_located(direction, hook))
    n_alphas, n_prompts = len(grid), len(prompts)
    zero = int(np.flatnonzero(grid == 0)[0])
    reference = np.tile(np.arange(zero * n_prompts, (zero + 1) * n_prompts), n_alphas)
    unsteered = written[reference]
    reading_unsteered = type(reading)(tuple(reading.nll[i] for i in reference), None)
    found = {
        name: values.reshape(n_alphas, n_prompts)
        for name, values in coherence_of(written, unsteered, reading, reading_unsteered, parts=parts).parts.items()
    }
    if neutral_texts:
        found["divergence"] = np.repeat(_divergence(model, hook, grid, neutral_texts)[:, None], n_prompts, axis=1)
    assert reading.projections is not None
    concept = reading.projections.double().numpy().reshape(n_alphas, n_prompts)
    return SteeringSweep(
        grid,
        tuple(prompts),
        tuple(tuple(written.texts[a * n_prompts : (a + 1) * n_prompts]) for a in range(n_alphas)),
        found,
        reading.mean_nll.reshape(n_alphas, n_prompts),
        (concept - concept[zero]) / direction.scales.get("class_gap", 1.0),
        units,
        hook.unit_length,
        hook.layers,
        max_new_tokens,
    )


def _located(direction: ConceptDirection, hook: SteeringHook) -> ConceptDirection:
    """The direction with a layer to read it at: its own, or the last one that is steered."""
    return direction if direction.layer is not None else replace(direction, layer=hook.layers[-1])


def _divergence(model: HookedModel, hook: SteeringHook, grid: FloatArray, texts: Sequence[str]) -> FloatArray:
    """1 - JSD / ln 2 on fixed text at each alpha, mean over texts, [n_alphas]."""
    ids, mask = pad([t.ids for t in tokenize(model, list(texts))])
    device = model_device(model)
    ids, mask = ids.to(device), mask.to(device)

    def logits() -> Float[Tensor, "batch pos vocab"]:
        with torch.no_grad():
            result: Tensor = model(ids, attention_mask=mask)  # type: ignore[call-arg]
        return result

    unsteered = logits()
    # Position 0 predicts from BOS alone and carries the attention sink; it says nothing about the text.
    counted = mask.clone()
    counted[:, 0] = False
    values = []
    for alpha in grid:
        with hook.with_alpha(float(alpha)).attached(model):
            values.append(float(divergence_part(logits(), unsteered, counted).mean()))
    return np.array(values)
