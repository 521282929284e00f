"""Bandwidth of a concept in a model: how many dimensions it takes x how far it can be steered, with controls."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from empathy_geometry.activations.extraction import extract_activations
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.activations.positions import Position, position_name
from empathy_geometry.dimensionality import dimensionality_of_activations
from empathy_geometry.evaluation.cross_validation import Evaluation, cross_validate
from empathy_geometry.evaluation.permutation import PermutationTest, permutation_test
from empathy_geometry.evaluation.transfer import TransferMatrix, transfer_matrix
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.models.loading import HookedModel, check_model, model_identity
from empathy_geometry.steering.hook import Units
from empathy_geometry.steering.random_directions import random_controls
from empathy_geometry.steering.range import DEFAULT_THRESHOLD, steering_range
from empathy_geometry.steering.search import search_sweep
from empathy_geometry.studies.bandwidth_factors import BandwidthFactors, product
from empathy_geometry.studies.sae import sae_agreement
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.text_records import RESPONSE_SEPARATOR

_FEWEST_SCENARIOS = 12
_FEWEST_FOR_TRANSFER = 4


@dataclass(frozen=True, eq=False)
class Bandwidth:
    """Result of `measure_bandwidth`.

    Attributes:
        concept: Dimensionality, steering ranges and their product for the concept.
        control: The same for the control concept; None without one.
        evaluation: Held-out probe with text-only baselines.
        permutation: Permutation test of the probe, corrected for the choice of the layer.
        transfer: Contexts x contexts; None where there are not two contexts of four scenarios at least.
        random: Steering range (positive side) of random directions of equal length, by name: "isotropic ..." and
            "shuffled labels ...", in the concept's units.
        layer: Where dimensionality and steering were measured.
        layer_choice: "nested" or "given".
        sae: SAE agreement; None, because that step is not part of this run.
        provenance: Where every number came from.
    """

    concept: BandwidthFactors
    control: BandwidthFactors | None
    evaluation: Evaluation
    permutation: PermutationTest
    transfer: TransferMatrix | None
    random: dict[str, Estimate]
    layer: Layer
    layer_choice: str
    sae: None
    provenance: Provenance

    @property
    def bandwidth(self) -> Estimate:
        """Dimensionality (corrected participation ratio) x steering range of the positive side."""
        return self.concept.bandwidth

    def rows(self) -> list[tuple[str, str, str]]:
        """The headline table: quantity, concept, control or null."""
        c, k = self.concept, self.control
        test = self.permutation
        null = f"null mean {test.null_distribution.mean():.3f}, 95 % point {test.critical_value():.3f}"
        baseline = "no texts"
        if self.evaluation.best_baseline is not None:
            name = self.evaluation.best_baseline
            baseline = f"best text-only baseline ({name}) {self.evaluation.baselines[name]}"
        randoms = "; ".join(f"{name} {e}" for name, e in self.random.items())
        table = [
            ("probe AUROC, held out", str(self.evaluation.auroc), baseline),
            ("excess over baseline", str(self.evaluation.excess), "0 would be words alone"),
            ("probe d', held out", str(self.evaluation.d_prime), ""),
            (f"permutation p (max over {len(test.layers)} layers)", f"{test.pvalue:.4f}", null),
            (
                "dimensionality (participation ratio)",
                str(c.dimensionality.participation_ratio),
                _of(k, "dimensionality"),
            ),
            (f"steering range +, {c.sweep.units}", str(c.range_positive), _of(k, "range_positive")),
            (f"steering range -, {c.sweep.units}", str(c.range_negative), _of(k, "range_negative")),
            ("steering range +, residual norms", str(c.range_in_norms), _of(k, "range_in_norms")),
            ("bandwidth = dimensionality x range +", str(c.bandwidth), _of(k, "bandwidth")),
        ]
        if self.random:
            table.append((f"range + of random directions, {c.sweep.units}", "", randoms))
        if self.transfer is not None:
            table.append(("transfer ratio between contexts", str(self.transfer.ratio), "1 = as good as within"))
        table.append(("SAE agreement", "not part of this run", ""))
        return table

    def __str__(self) -> str:
        rows = self.rows()
        first, second = (max(len(r[i]) for r in rows) for i in (0, 1))
        model = self.provenance.model.get("name", "?")
        control = "" if self.control is None else f"; control: {self.control.name}"
        title = f"Bandwidth of {self.concept.name} in {model}, layer {self.layer} ({self.layer_choice}){control}"
        body = [f"  {a:<{first}}  {b:<{second}}  {c}".rstrip() for a, b, c in rows]
        return "\n".join([title, f"  {'':<{first}}  {'concept':<{second}}  control / null", *body])

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "study": "bandwidth",
            "provenance": self.provenance.to_dict(),
            "layer": self.layer,
            "layer_choice": self.layer_choice,
            "concept": self.concept.to_dict(),
            "control": None if self.control is None else self.control.to_dict(),
            "evaluation": self.evaluation.to_dict(),
            "permutation": self.permutation.to_dict(),
            "transfer": None if self.transfer is None else self.transfer.to_dict(),
            "random_directions": {name: e.to_dict() for name, e in self.random.items()},
            "sae": None,
        }

    def save(self, folder: str | Path) -> Path:
        """Write bandwidth.json, bandwidth.md and figures as PNG to a folder (matplotlib is needed for figures)."""
        from empathy_geometry.studies.bandwidth_files import save_bandwidth

        return save_bandwidth(self, folder)


def measure_bandwidth(
    model: HookedModel,
    texts: LabeledTexts,
    control: LabeledTexts | None = None,
    *,
    positive: str | None = None,
    negative: str | None = None,
    layer: Layer | Literal["nested"] = "nested",
    layers: Literal["all"] | Sequence[Layer] = "all",
    position: Position = "response_mean",
    probe: Probe | None = None,
    units: Units = "class_gap",
    threshold: float = DEFAULT_THRESHOLD,
    n_prompts: int = 8,
    max_new_tokens: int = 24,
    n_permutations: int = 500,
    n_random: int = 1,
    sae: object | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Bandwidth:
    """Measure the bandwidth of a concept, as the reference study defines it, with everything held out.

    Steps: (1) held-out probe AUROC beside text-only baselines, and its permutation test; (2) dimensionality of the
    paired differences within scenarios; (3) steering range of the mean difference, on prompts from scenarios that did
    not enter the direction; (4) the same for a control concept and the range of random directions; (5) transfer between
    contexts; (6) SAE agreement, which is not built yet. Bandwidth is dimensionality x steering range, both reported.

    Args:
        model: HookedTransformer or TransformerBridge.
        texts: The concept's texts, two classes paired within scenarios.
        control: Texts of a control concept, paired likewise.
        positive: The concept's class; None takes the class that comes first in `texts`.
        negative: The neutral class; None takes the other one.
        layer: Where to measure dimensionality and steering; "nested" takes the layer that most training folds chose.
        layers: Layers that compete.
        position: Which tokens are read.
        probe: None is `Probe("logistic")`.
        units: Unit of alpha.
        threshold: Coherence below which text counts as broken.
        n_prompts: Prompts to steer, neutral messages from held-out scenarios spread over the contexts.
        max_new_tokens: Length of the steered continuations.
        n_permutations: Of the permutation test.
        n_random: Random directions of each kind.
        sae: Anything but None asks for the SAE step, which raises NotImplementedError.
        seed: Of every random choice.
        progress: Show bars (never when the output is not a terminal).

    Returns:
        A `Bandwidth`; print it for the table, `.save(folder)` for JSON, Markdown and figures.

    Raises:
        ValueError: not exactly two classes, a scenario that lacks one, or too few scenarios.
        NotImplementedError: `sae` was given.

    Source: Santarcangelo (2026) for the quantity; docs/methods.md for each estimator.
    """
    check_model(model)
    if sae is not None:
        sae_agreement(sae)
    positive, negative = _classes(texts, positive, negative)
    _check_pairs(texts, positive, negative)
    if control is not None:
        _check_pairs(control, *_classes(control, None, None))
    prompts, held_out = _steering_prompts(texts, negative, n_prompts, seed)
    acts = extract_activations(model, texts, layers=layers, position=position, progress=progress)
    probe = Probe("logistic") if probe is None else probe
    evaluation = cross_validate(probe, acts, positive=positive, negative=negative, seed=seed)
    test = permutation_test(
        probe,
        acts,
        rng=seed,
        n_permutations=n_permutations,
        positive=positive,
        negative=negative,
        fold_seed=seed,
        progress=progress,
    )
    at = _most_chosen(evaluation.chosen_layers) if layer == "nested" else layer
    options = {"max_new_tokens": max_new_tokens, "progress": progress}
    concept = _factors(model, acts, positive, negative, at, prompts, held_out, units, threshold, options, seed)
    controlled = None
    if control is not None:
        up, down = _classes(control, None, None)
        control_acts = extract_activations(model, control, layers=[at], position=position, progress=progress)
        none: list[str] = []
        controlled = _factors(model, control_acts, up, down, at, prompts, none, units, threshold, options, seed)
    training = acts[np.flatnonzero(~np.isin(acts.groups, held_out))]
    randoms = {}
    for name, direction in random_controls(
        concept.direction, training, positive=positive, negative=negative, layer=at, n_each=n_random, seed=seed
    ).items():
        sweep = search_sweep(model, direction, prompts, units=units, signs=(1,), threshold=threshold, options=options)
        randoms[name] = steering_range(sweep, threshold=threshold, rng=seed)
    transfer = None
    fewest = _fewest_scenarios(texts)
    if fewest >= _FEWEST_FOR_TRANSFER:
        single = replace(acts, values=acts.values[..., [acts.layers.index(at)], :], layers=(at,))
        transfer = transfer_matrix(
            probe, single, positive=positive, negative=negative, n_splits=min(5, fewest), seed=seed
        )
    settings = {
        "position": position_name(position),
        "probe": " ".join(str(probe).split()),
        "units": units,
        "threshold": threshold,
        "n_prompts": n_prompts,
        "max_new_tokens": max_new_tokens,
        "n_permutations": n_permutations,
        "n_random": n_random,
        "layers": layers if layers == "all" else list(layers),
        "torch_threads": torch.get_num_threads(),
    }
    hashes = {texts.name: texts.sha256} | ({} if control is None else {control.name: control.sha256})
    return Bandwidth(
        concept=concept,
        control=controlled,
        evaluation=evaluation,
        permutation=test,
        transfer=transfer,
        random=randoms,
        layer=at,
        layer_choice="nested" if layer == "nested" else "given",
        sae=None,
        provenance=Provenance("measured", model=model_identity(model), texts=hashes, seed=seed, settings=settings),
    )


def _factors(
    model: HookedModel,
    acts: Activations,
    positive: str,
    negative: str,
    layer: Layer,
    prompts: Sequence[str],
    held_out: Sequence[str],
    units: Units,
    threshold: float,
    options: dict[str, Any],
    seed: int,
) -> BandwidthFactors:
    # The null of neutral-minus-neutral differences takes two neutral rows for each difference.
    null: Literal["neutral"] | None = "neutral" if (acts.labels == negative).sum() >= 2 * _FEWEST_SCENARIOS else None
    measured = dimensionality_of_activations(
        acts, positive=positive, negative=negative, layer=layer, null=null, rng=seed
    )
    training = acts[np.flatnonzero(~np.isin(acts.groups, list(held_out)))]
    direction = ConceptDirection.from_activations(training, positive=positive, negative=negative, layer=layer)
    if units not in direction.scales:
        raise ValueError(
            f"the direction of {positive} - {negative} at layer {layer} has no {units}: its class gap on held-out "
            f"scenarios is not positive, so the concept has no direction here. Try another layer, or "
            f"units='residual_norm'"
        )
    sweep = search_sweep(model, direction, prompts, units=units, threshold=threshold, options=options)
    up = steering_range(sweep, threshold=threshold, sign=1, rng=seed)
    down = steering_range(sweep, threshold=threshold, sign=-1, rng=seed)
    return BandwidthFactors(
        f"{positive} - {negative}",
        measured,
        direction,
        sweep,
        threshold,
        up,
        down,
        product(measured.participation_ratio, up),
    )


def _classes(texts: LabeledTexts, positive: str | None, negative: str | None) -> tuple[str, str]:
    order = list(dict.fromkeys(texts.labels.tolist()))
    if len(order) != 2 and (positive is None or negative is None):
        raise ValueError(f"texts have the classes {order}; say which two with positive=... and negative=...")
    if positive is None:
        positive = next(c for c in order if c != negative)
    if negative is None:
        negative = next(c for c in order if c != positive)
    return positive, negative


def _check_pairs(texts: LabeledTexts, positive: str, negative: str) -> None:
    """Raise before anything is computed if dimensionality could not be measured on these texts."""
    chosen = [set(texts.groups[texts.labels == c].tolist()) for c in (positive, negative)]
    lonely = sorted(chosen[0] ^ chosen[1])
    if lonely:
        raise ValueError(
            f"{texts.name}: every scenario needs both {positive!r} and {negative!r}; {len(lonely)} have only one, "
            f"such as {lonely[0]!r}. Drop them with texts.where(group=[...])"
        )
    if len(chosen[0]) < _FEWEST_SCENARIOS:
        raise ValueError(
            f"{texts.name}: bandwidth needs at least {_FEWEST_SCENARIOS} scenarios, got {len(chosen[0])}; write more"
        )


def _fewest_scenarios(texts: LabeledTexts) -> int:
    """Scenarios of the smallest context; 0 where there are not two contexts to transfer between."""
    if texts.contexts is None or len(np.unique(texts.contexts)) < 2:
        return 0
    return min(len(np.unique(texts.groups[texts.contexts == c])) for c in np.unique(texts.contexts))


def _steering_prompts(texts: LabeledTexts, negative: str, n_prompts: int, seed: int) -> tuple[list[str], list[str]]:
    """Neutral messages of scenarios spread over the contexts, and those scenarios, which the direction must not see."""
    neutral = texts.where(label=negative)
    if n_prompts < 2 or n_prompts > len(np.unique(neutral.groups)) // 2:
        most = len(np.unique(neutral.groups)) // 2
        raise ValueError(f"n_prompts must be from 2 to half the number of scenarios ({most}), got {n_prompts}")
    contexts = np.full(len(neutral), "") if neutral.contexts is None else neutral.contexts
    order = np.random.default_rng(seed).permutation(len(neutral))
    names = np.unique(contexts)
    queues = {c: [int(i) for i in order if contexts[i] == c] for c in names.tolist()}
    chosen: list[int] = []
    seen: set[str] = set()
    while len(chosen) < n_prompts:
        for c in names.tolist():
            while queues[c] and str(neutral.groups[queues[c][0]]) in seen:
                queues[c].pop(0)
            if queues[c] and len(chosen) < n_prompts:
                chosen.append(queues[c].pop(0))
                seen.add(str(neutral.groups[chosen[-1]]))
    return [_user_message(neutral, i) for i in chosen], sorted(seen)


def _user_message(texts: LabeledTexts, row: int) -> str:
    """What the user says: the prompt of a prompt + response text, else the text itself."""
    prompt = "" if texts.prompts is None else texts.prompts[row].removesuffix(RESPONSE_SEPARATOR).strip()
    return prompt or texts.texts[row]


def _most_chosen(layers: Sequence[Layer]) -> Layer:
    """The layer that most folds chose; among equals the middle one of their order."""
    counts = {layer: list(layers).count(layer) for layer in layers}
    best = [layer for layer, count in counts.items() if count == max(counts.values())]
    numeric = sorted(best, key=lambda item: -1 if item == "embed" else int(item))
    return numeric[len(numeric) // 2]


def _of(control: BandwidthFactors | None, name: str) -> str:
    if control is None:
        return "no control"
    value = control.dimensionality.participation_ratio if name == "dimensionality" else getattr(control, name)
    return f"{control.name}: {value}"
