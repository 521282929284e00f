"""Everything that is fixed before the first edit: who is tested, on what, read how, against which directions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from sklearn.base import clone
from torch import Tensor
from tqdm.auto import tqdm

from empathy_geometry.activations.extraction import extract_activations
from empathy_geometry.activations.outlier_tokens import mean_norm
from empathy_geometry.activations.pairing import paired_differences
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.causal.design import CausalDesign
from empathy_geometry.causal.edited_model import EditedModel
from empathy_geometry.causal.markers import (
    MarkerTokens,
    choose_markers,
    given_markers,
    marker_positions,
    response_tokens,
    token_ids_of,
    word_ids,
)
from empathy_geometry.causal.readouts import LaterLayers, fit_later_layers
from empathy_geometry.causal.scenario_split import REST, ScenarioSplit, negatives_of, split_scenarios
from empathy_geometry.foundation._types import FloatArray, Layer
from empathy_geometry.geometry.direction_units import Units, unit_scale, units_of
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.geometry.random_vectors import class_swapped, draw_directions
from empathy_geometry.models.hooked_model import HookedModel
from empathy_geometry.models.tokens import tokenize
from empathy_geometry.steering.hook import SteeringHook
from empathy_geometry.steering.stream_edit import StreamEdit
from empathy_geometry.texts.labeled_texts import LabeledTexts

Contrast = tuple[str, str]
"""A positive and a negative class of the texts; "rest" as the negative class means all other classes."""


@dataclass(frozen=True, eq=False)
class Target:
    """One direction and what it should move.

    Attributes:
        name: Of the direction.
        direction: What is written.
        positive: The concept's class.
        negatives: The classes it is compared with.
        length: Activation units of one unit of alpha.
        negative_mean: Mean projection of the negative classes, to which mean ablation sets the projection.
        later: Probes at later layers.
        markers: Marker tokens.
    """

    name: str
    direction: ConceptDirection
    positive: str
    negatives: tuple[str, ...]
    length: float
    negative_mean: float
    later: LaterLayers
    markers: MarkerTokens


@dataclass(frozen=True, eq=False)
class Preparation:
    """What `causal_effects` runs.

    Attributes:
        layer: Where edits happen.
        readout_layers: Where probes read.
        targets: Directions with their readouts.
        split: Texts by use.
        nulls: Unit directions that mean nothing, by kind, [n, d_model].
        notes: What a reader must know.
    """

    layer: Layer
    readout_layers: tuple[int, ...]
    targets: tuple[Target, ...]
    split: ScenarioSplit
    nulls: Mapping[str, Float[Tensor, "_ d_model"]]
    notes: tuple[str, ...]
    units: Units


def prepare(
    model: HookedModel,
    directions: Mapping[str, ConceptDirection | Contrast],
    texts: LabeledTexts,
    *,
    layer: Layer,
    readout_layers: tuple[int, ...],
    direction_texts: LabeledTexts | None,
    design: CausalDesign,
    seed: int,
    progress: bool,
) -> Preparation:
    """Divide the texts, fit what is to be fitted, choose markers and draw controls."""
    contrasts = {
        name: (d.positive, d.negative) if isinstance(d, ConceptDirection) else d for name, d in directions.items()
    }
    fitted_here = any(not isinstance(d, ConceptDirection) for d in directions.values())
    split = split_scenarios(texts, contrasts, for_directions=fitted_here, direction_texts=direction_texts, seed=seed)
    found_markers = _given_markers(model, design.markers, texts, split, direction_texts)
    acts, likely = _read_unedited(
        model, split.readouts, (layer, *readout_layers), logits=not set(found_markers) >= set(contrasts), bar=progress
    )
    source = acts
    if split.directions is not None:
        source = extract_activations(
            model, split.directions, layers=[layer], position="response_mean", progress=progress
        )
    notes = list(split.notes)
    found: dict[str, ConceptDirection] = {}
    negatives = {name: tuple(negatives_of(acts.labels, *contrast)) for name, contrast in contrasts.items()}
    for name, given in directions.items():
        if isinstance(given, ConceptDirection):
            found[name] = given
            continue
        positive = contrasts[name][0]
        rows = _two_classes(source, positive, negatives[name])
        found[name] = ConceptDirection.from_activations(
            rows, positive=positive, negative=_negative_name(negatives[name]), layer=layer
        )
    for direction in found.values():
        SteeringHook(direction, layers=[layer]).check_fits(model)
    shared = _shared_units(found, design.dose_units)
    norm = mean_norm(acts.layer(layer))
    forbidden, unknown = _forbidden(model, texts, split, direction_texts)
    if unknown:
        notes.append("the directions' texts are unknown, so marker tokens occur in none of the texts given")
    allowed = [] if likely is None else [i for i in word_ids(model) if i not in forbidden]
    for name, (positive, _) in contrasts.items():
        if name not in found_markers:
            assert likely is not None
            found_markers[name] = choose_markers(
                likely,
                acts.labels,
                acts.groups,
                positive=positive,
                negatives=negatives[name],
                allowed=allowed,
                n=design.n_markers,
                tokenizer=model.tokenizer,
            )
    targets = []
    for name, direction in found.items():
        positive, negative = contrasts[name][0], negatives[name]
        projected = direction.project(acts.layer(layer)).double().numpy()
        targets.append(
            Target(
                name,
                direction,
                positive,
                negative,
                norm if shared == "residual_norm" else unit_scale(direction, shared),
                float(projected[np.isin(acts.labels, list(negative))].mean()),
                fit_later_layers(
                    acts,
                    direction.vector,
                    positive=positive,
                    negatives=negative,
                    layers=readout_layers,
                    probe=Probe("logistic") if design.probe is None else clone(design.probe),
                ),
                found_markers[name],
            )
        )
    rng = np.random.default_rng(seed)
    d_model = int(model.cfg.d_model)
    nulls = {"isotropic": draw_directions(design.n_random, d_model=d_model, generator=rng)}
    if design.n_shuffled:
        tested = np.stack([d.vector.double().numpy() for d in found.values()])
        nulls["shuffled labels"] = _shuffled(source, layer, contrasts, negatives, tested, design.n_shuffled, rng)
    return Preparation(layer, readout_layers, tuple(targets), split, nulls, tuple(notes), shared)


def _two_classes(acts: Activations, positive: str, negatives: Sequence[str]) -> Activations:
    """The rows of a contrast, several negative classes under one name."""
    rows = acts[np.flatnonzero(np.isin(acts.labels, [positive, *negatives]))]
    return replace(rows, labels=np.where(rows.labels == positive, positive, _negative_name(negatives)))


def _negative_name(negatives: Sequence[str]) -> str:
    return negatives[0] if len(negatives) == 1 else REST


def _shared_units(directions: Mapping[str, ConceptDirection], units: Units | None) -> Units:
    """The one unit of all directions, so that a result can name it.

    Raises:
        ValueError: no unit was asked for and only some have a class gap, or one does not know the unit asked for.
    """
    own = {name: units_of(direction, units) for name, direction in directions.items()}
    if len(set(own.values())) > 1:
        without = sorted(name for name, unit in own.items() if unit == "raw")
        raise ValueError(
            f"{', '.join(without)}: no class gap that is positive on held-out scenarios, which the other directions "
            f"have; alpha would be of two units. Say one: units='residual_norm', or 'raw'"
        )
    return next(iter(own.values()))


def _forbidden(
    model: HookedModel, texts: LabeledTexts, split: ScenarioSplit, direction_texts: LabeledTexts | None
) -> tuple[frozenset[int], bool]:
    """Tokens that no marker may be, and whether that had to be guessed."""
    sources = [part for part in (split.directions, direction_texts) if part is not None]
    if not sources:
        return token_ids_of(model, texts.texts), True
    return frozenset().union(*(token_ids_of(model, part.texts) for part in sources)), False


def _given_markers(
    model: HookedModel,
    given: Mapping[str, tuple[Sequence[str], Sequence[str]]],
    texts: LabeledTexts,
    split: ScenarioSplit,
    direction_texts: LabeledTexts | None,
) -> dict[str, MarkerTokens]:
    if not given:
        return {}
    forbidden, _ = _forbidden(model, texts, split, direction_texts)
    return {name: given_markers(model, up, down, forbidden=forbidden, name=name) for name, (up, down) in given.items()}


def _read_unedited(
    model: HookedModel, texts: LabeledTexts, layers: tuple[Layer, ...], *, logits: bool, bar: bool
) -> tuple[Activations, Float[Tensor, "n vocabulary"] | None]:
    """Response means at the layers and, in the same passes, mean next-token log-probabilities of the responses."""
    streams, likely = [], []
    nothing = [StreamEdit.nothing(int(model.cfg.d_model))]
    tokenized = tokenize(model, texts)
    # The edit does nothing, so where it happens makes no difference to what is read.
    runner = EditedModel(model, "embed", layers)
    runner.check_logits(tokenized[0].ids)
    for text in tqdm(tokenized, "readouts", unit="text", delay=2, disable=None if bar else True):
        read = runner.read(
            text.ids,
            nothing,
            tokens=response_tokens(text),
            positions=marker_positions(text) if logits else (),
        )
        streams.append(read.computed[0])
        if logits:
            likely.append(read.logits[0].log_softmax(dim=-1).mean(dim=0))
    acts = Activations(torch.stack(streams), layers, texts.labels, texts.groups, position="response_mean", texts=texts)
    return acts, torch.stack(likely) if likely else None


def _shuffled(
    acts: Activations,
    layer: Layer,
    contrasts: Mapping[str, Contrast],
    negatives: Mapping[str, tuple[str, ...]],
    tested: FloatArray,
    n: int,
    generator: np.random.Generator,
) -> Float[Tensor, "n d_model"]:
    """Mean differences with the classes swapped in a random half of the scenarios, each contrast in turn.

    What they have of the tested directions is taken out. Where scenarios show a concept with unequal strength, swapping
    leaves some of it, in either sense; a control that contains what it is a control for would refute any concept.
    """
    _, singular, rows_of_space = np.linalg.svd(tested, full_matrices=False)
    space = rows_of_space[singular > 1e-6 * singular[0]]
    differences = []
    for name, (positive, _) in contrasts.items():
        rows = _two_classes(acts, positive, negatives[name])
        values, _ = paired_differences(
            rows.layer(layer), rows.labels, rows.groups, positive=positive, negative=_negative_name(negatives[name])
        )
        differences.append(values)
    drawn = []
    for i in range(n):
        vector = class_swapped(differences[i % len(differences)], generator)
        vector = vector - (vector @ space.T) @ space
        drawn.append(vector / np.linalg.norm(vector))
    return torch.as_tensor(np.stack(drawn), dtype=torch.float32)
