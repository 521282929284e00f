"""Bandwidth of a concept in a model: how many dimensions it takes x how far it can be steered, with controls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from empathy_geometry.activations.extraction import extract_activations
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.activations.positions import Position, position_name
from empathy_geometry.evaluation.cross_validation import Evaluation, cross_validate
from empathy_geometry.evaluation.permutation import PermutationTest, permutation_test
from empathy_geometry.evaluation.transfer import TransferMatrix, transfer_matrix
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.html_table import html_table
from empathy_geometry.foundation.json_codec import to_json
from empathy_geometry.foundation.provenance import Provenance, kind_of, package_versions
from empathy_geometry.foundation.result_file import title
from empathy_geometry.foundation.terminal import printable
from empathy_geometry.geometry.control_directions import random_controls
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.models.hooked_model import HookedModel
from empathy_geometry.models.identity import model_identity
from empathy_geometry.models.loading import check_model
from empathy_geometry.sae.agreement_result import SaeAgreement
from empathy_geometry.steering.range import steering_range
from empathy_geometry.steering.reference import unsteered_reference
from empathy_geometry.steering.search import SearchDesign, search_sweep
from empathy_geometry.steering.sweep import SteeringSweep
from empathy_geometry.studies.bandwidth_factors import BandwidthFactors, measure_factors
from empathy_geometry.studies.bandwidth_texts import (
    check_pairs,
    fewest_scenarios,
    most_chosen,
    steering_prompts,
    two_classes,
)
from empathy_geometry.studies.sae_step import agreement_step, check_sae
from empathy_geometry.studies.step_store import StepStore
from empathy_geometry.texts.labeled_texts import LabeledTexts

_FEWEST_FOR_TRANSFER = 4


@dataclass(frozen=True, eq=False)
class Bandwidth:
    """Result of `measure_bandwidth`.

    Attributes:
        concept: Dimensionality, steering ranges and their product for the concept.
        control: The same for the control concept; None without one, or where it has no direction (see `notes`).
        evaluation: Held-out probe with text-only baselines.
        permutation: Permutation test of the probe, corrected for the choice of the layer.
        transfer: Contexts x contexts; None where there are not two contexts of four scenarios at least.
        random: Steering range (positive side) of random directions of equal length, by name: "isotropic ...",
            "covariance-matched ..." and "shuffled labels ...", in the concept's units.
        layer: Where dimensionality and steering were measured.
        layer_choice: "nested" or "given".
        sae: SAE agreement; None where no SAE was given.
        notes: Which parts could not be measured, and why.
        scenarios: Names of the scenarios, in the order of the evaluation's group indices.
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
    sae: SaeAgreement | None
    notes: tuple[str, ...]
    scenarios: tuple[str, ...]
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
            ("bits of alpha in the text", _bits(c), "no control" if k is None else f"{k.name}: {_bits(k)}"),
        ]
        if self.random:
            table.append((f"range + of random directions, {c.sweep.units}", "", randoms))
        if self.transfer is not None:
            table.append(("transfer ratio between contexts", str(self.transfer.ratio), "1 = as good as within"))
        table.append(_sae_row(self.sae))
        return table

    @property
    def heading(self) -> str:
        """Title with concept, model and layer, marked where the data is planted."""
        model = self.provenance.model.get("name", "?")
        control = "" if self.control is None else f"; control: {self.control.name}"
        text = f"Bandwidth of {self.concept.name} in {model}, layer {self.layer} ({self.layer_choice}){control}"
        return title(text, self.provenance.kind)

    @printable
    def __str__(self) -> str:
        rows = self.rows()
        first, second = (max(len(r[i]) for r in rows) for i in (0, 1))
        body = [f"  {a:<{first}}  {b:<{second}}  {c}".rstrip() for a, b, c in rows]
        return "\n".join([self.heading, f"  {'':<{first}}  {'concept':<{second}}  control / null", *body])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [dict(zip(("quantity", "concept", "control / null"), row, strict=True)) for row in self.rows()]
        return html_table(self.heading, rows, notes=self.notes)

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        described: dict[str, Any] = to_json(
            {
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
                "sae": None if self.sae is None else self.sae.to_dict(),
                "notes": list(self.notes),
                "scenarios": list(self.scenarios),
            }
        )
        return described

    @staticmethod
    def json_fields(content: Mapping[str, Any]) -> dict[str, Any]:
        """The fields from what `to_dict` gave."""
        return {**content, "random": content.get("random_directions", content.get("random"))}

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
    search: SearchDesign = SearchDesign(),  # noqa: B008 - immutable
    n_permutations: int = 500,
    n_random: int = 1,
    sae: object | None = None,
    folder: str | Path | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Bandwidth:
    """Measure the bandwidth of a concept, as the reference study defines it, with everything held out.

    Steps: (1) held-out probe AUROC beside text-only baselines, and its permutation test; (2) dimensionality of the
    paired differences within scenarios; (3) steering range of the mean difference, on prompts from scenarios that did
    not enter the direction; (4) the same for a control concept and the range of random directions; (5) transfer between
    contexts; (6) with `sae`, agreement of the concept with the SAE's features. Bandwidth is dimensionality x steering
    range, both reported.

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
        search: Unit of alpha, threshold, prompts (neutral messages from held-out scenarios spread over the contexts)
            and length of the steered texts.
        n_permutations: Of the permutation test.
        n_random: Random directions of each kind.
        sae: A sparse autoencoder of this model, from `load_sae`, `train_sae` or SAELens; agreement is measured at its
            own layer. None leaves the step out.
        folder: Where activations and finished steps (probe, permutation test, each sweep, ...) are kept. A call with
            the same arguments takes up what is there, after an interruption too; one with other arguments, texts or
            weights is refused.
        seed: Of every random choice.
        progress: Show bars (never when the output is not a terminal).

    Returns:
        A `Bandwidth`; print it for the table, `.save(folder)` for JSON, Markdown and figures.

    Raises:
        ValueError: not exactly two classes, a scenario that lacks one, too few scenarios, an SAE of another model, or a
            folder that holds another run.

    Source: Santarcangelo (2026) for the quantity; docs/methods.md for each estimator.
    """
    check_model(model)
    if not isinstance(search, SearchDesign):
        raise TypeError(f"search must be a SearchDesign, got {type(search).__name__}; try SearchDesign(n_prompts=4)")
    autoencoder = None if sae is None else check_sae(sae, model)
    positive, negative = two_classes(texts, positive, negative)
    check_pairs(texts, positive, negative)
    if control is not None:
        check_pairs(control, *two_classes(control, None, None))
    prompts, held_out = steering_prompts(texts, negative, search.n_prompts, seed)
    probe = Probe("logistic") if probe is None else probe
    settings = {
        "position": position_name(position),
        "probe": " ".join(str(probe).split()),
        **search.to_dict(),
        "n_permutations": n_permutations,
        "n_random": n_random,
        "layers": layers if layers == "all" else list(layers),
    }
    identity = model_identity(model)
    kind = kind_of(identity)
    hashes = {texts.name: texts.sha256} | ({} if control is None else {control.name: control.sha256})
    place = None if folder is None else Path(folder)
    steps = StepStore(
        place,
        {
            "kind": kind,
            # What changes the last bits at most does not keep a run from being taken up.
            "model": {k: v for k, v in identity.items() if k != "device"},
            "texts": texts.sha256,
            "control": None if control is None else control.sha256,
            "classes": [positive, negative],
            "layer": layer,
            "settings": settings,
            "sae": None if autoencoder is None else autoencoder.sha256,
            "seed": seed,
            "versions": package_versions(),
        },
    )
    acts = _activations(model, texts, layers, position, place, "activations", progress)
    evaluation = steps.keep(
        "evaluation",
        Evaluation,
        lambda: cross_validate(probe, acts, positive=positive, negative=negative, seed=seed),
    )
    test = steps.keep(
        "permutation test",
        PermutationTest,
        lambda: permutation_test(
            probe,
            acts,
            seed=seed,
            n_permutations=n_permutations,
            positive=positive,
            negative=negative,
            progress=progress,
        ),
    )
    at = most_chosen(evaluation.chosen_layers) if layer == "nested" else layer
    agreement = None
    if autoencoder is not None:
        agreement = steps.keep(
            "SAE agreement",
            SaeAgreement,
            lambda: agreement_step(
                autoencoder,
                model,
                texts,
                acts,
                positive=positive,
                negative=negative,
                layer=at,
                position=position,
                seed=seed,
                progress=progress,
            ),
        )
    # The unsteered model writes once for all directions.
    reference = unsteered_reference(model, prompts, max_new_tokens=search.max_new_tokens)
    options = {"progress": progress, "reference": reference}

    def factors(name: str, read: Activations, up: str, down: str) -> BandwidthFactors:
        return measure_factors(
            model,
            read,
            positive=up,
            negative=down,
            layer=at,
            prompts=prompts,
            prompt_names=held_out,
            search=search,
            options=options,
            seed=seed,
            keep=lambda step, kind, make: steps.keep(f"{name}, {step}", kind, make),
        )

    concept = factors("concept", acts, positive, negative)
    controlled = None
    notes: list[str] = []
    if control is not None:
        control_acts = _activations(model, control, [at], position, place, "control activations", progress)
        try:
            controlled = factors("control", control_acts, *two_classes(control, None, None))
        except ValueError as error:  # the layer was chosen for the concept; the control may have no direction there
            notes.append(f"no control: {error}")
    training = acts[np.flatnonzero(~np.isin(acts.groups, held_out))]
    randoms = {}
    for name, direction in random_controls(
        concept.direction, training, positive=positive, negative=negative, layer=at, n_each=n_random, seed=seed
    ).items():
        sweep = search_sweep(
            model,
            direction,
            prompts,
            design=search,
            signs=(1,),
            options=options,
            keep=lambda step, make, name=name: steps.keep(f"{name}, {step}", SteeringSweep, make),  # type: ignore[misc]
        )
        randoms[name] = steering_range(sweep, threshold=search.threshold, seed=seed)
    transfer = None
    fewest = fewest_scenarios(texts)
    if fewest >= _FEWEST_FOR_TRANSFER:
        single = acts.only(at)
        try:
            transfer = steps.keep(
                "transfer",
                TransferMatrix,
                lambda: transfer_matrix(
                    probe, single, positive=positive, negative=negative, n_splits=min(5, fewest), seed=seed
                ),
            )
        except ValueError as error:  # where nothing is read, as in a model with random weights, nothing transfers
            notes.append(f"no transfer: {error}")
    return Bandwidth(
        concept=concept,
        control=controlled,
        evaluation=evaluation,
        permutation=test,
        transfer=transfer,
        random=randoms,
        layer=at,
        layer_choice="nested" if layer == "nested" else "given",
        sae=agreement,
        notes=tuple(notes),
        scenarios=tuple(np.unique(acts.groups[np.isin(acts.labels, [positive, negative])]).tolist()),
        provenance=Provenance(
            kind,
            model=identity,
            texts=hashes,
            seed=seed,
            settings=settings | {"torch_threads": torch.get_num_threads()},
        ),
    )


def _activations(
    model: HookedModel,
    texts: LabeledTexts,
    layers: Literal["all"] | Sequence[Layer],
    position: Position,
    folder: Path | None,
    name: str,
    progress: bool,
) -> Activations:
    if folder is None:
        return extract_activations(model, texts, layers=layers, position=position, progress=progress)
    kept = extract_activations(model, texts, layers=layers, position=position, progress=progress, store=folder / name)
    return kept.activations()


def _bits(factors: BandwidthFactors) -> str:
    """Short: the ceiling is the logarithm of the number of coherent alphas, the null permutes them within prompts."""
    b = factors.bits
    if b is None:
        return "cannot be told"
    return f"{Estimate.__str__(b)} of {b.ceiling:.2f}, 95 % point of the null {b.null_95:.2f}"


def _of(control: BandwidthFactors | None, name: str) -> str:
    if control is None:
        return "no control"
    value = control.dimensionality.participation_ratio if name == "dimensionality" else getattr(control, name)
    return f"{control.name}: {value}"


def _sae_row(sae: SaeAgreement | None) -> tuple[str, str, str]:
    if sae is None:
        return "SAE agreement", "not part of this run", ""
    found = sae.agreement
    return (
        f"SAE agreement, layer {sae.layer}: {found.n_features} features",
        f"mean cos^2 {found.value}",
        f"{sae.verdict}: {sae.reason}",
    )
