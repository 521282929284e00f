"""Bandwidth of a concept in a model: how many dimensions it takes x how far it can be steered, with controls."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.activations.positions import Position, position_name
from empathy_geometry.evaluation.cross_validation import Evaluation, cross_validate
from empathy_geometry.evaluation.permutation import PermutationTest, permutation_test
from empathy_geometry.evaluation.transfer import TransferMatrix, transfer_matrix
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.layers import most_chosen
from empathy_geometry.foundation.provenance import Provenance, kind_of, package_versions
from empathy_geometry.foundation.result_file import title
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.foundation.table import Table
from empathy_geometry.geometry.control_directions import random_controls
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.models.hooked_model import HookedModel
from empathy_geometry.models.identity import model_identity
from empathy_geometry.models.loading import check_model
from empathy_geometry.reports.study import Study
from empathy_geometry.sae.agreement_result import SaeAgreement
from empathy_geometry.steering.range import steering_range
from empathy_geometry.steering.reference import unsteered_reference
from empathy_geometry.steering.search import search_sweep
from empathy_geometry.steering.sweep import SteeringSweep
from empathy_geometry.steering.sweep_design import SweepDesign
from empathy_geometry.studies.bandwidth_design import BandwidthDesign
from empathy_geometry.studies.bandwidth_factors import BandwidthFactors, measure_factors
from empathy_geometry.studies.bandwidth_texts import (
    check_pairs,
    fewest_scenarios,
    steering_prompts,
    stored_activations,
    two_classes,
)
from empathy_geometry.studies.bandwidth_verdicts import bandwidth_findings
from empathy_geometry.studies.finding import Finding, findings_table, rules_table
from empathy_geometry.studies.sae_step import agreement_step, check_sae
from empathy_geometry.studies.step_store import StepStore
from empathy_geometry.texts.labeled_texts import LabeledTexts

_FEWEST_FOR_TRANSFER = 4


@dataclass(frozen=True, eq=False)
class Bandwidth(Study):
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

    @property
    def study(self) -> str:
        """Name of the study; its file is called after it."""
        return "bandwidth"

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every question with its numbers, verdict and rule."""
        return bandwidth_findings(
            concept=self.concept,
            control=self.control,
            evaluation=self.evaluation,
            permutation=self.permutation,
            random=self.random,
            transfer=self.transfer,
            sae=self.sae,
        )

    @property
    def heading(self) -> str:
        """Title with concept, model and layer, marked where the data is planted."""
        model = self.provenance.model.get("name", "?")
        control = "" if self.control is None else f"; control: {self.control.name}"
        text = f"Bandwidth of {self.concept.name} in {model}, layer {self.layer} ({self.layer_choice}){control}"
        return title(text, self.provenance.kind)

    def tables(self) -> tuple[Table, ...]:
        """The questions, how their verdicts follow, and the SAE agreement where there is one."""
        found = (findings_table(self.heading, self.findings, notes=self.notes), rules_table(self.findings))
        return found if self.sae is None else (*found, *self.sae.tables())

    def json_content(self) -> dict[str, Any]:
        """Every field and the verdicts."""
        fields = super().json_content()
        return fields | {"random_directions": fields.pop("random"), "verdicts": self.findings}

    @staticmethod
    def json_fields(content: Mapping[str, Any]) -> dict[str, Any]:
        """The fields from what `to_dict` gave."""
        return {**content, "random": content.get("random_directions", content.get("random"))}


@takes_settings(design=BandwidthDesign)
def measure_bandwidth(
    model: HookedModel,
    texts: LabeledTexts,
    control: LabeledTexts | None = None,
    *,
    layer: Layer | Literal["nested"] = "nested",
    position: Position = "response_mean",
    design: BandwidthDesign = BandwidthDesign(),  # noqa: B008 - immutable
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
        layer: Where to measure dimensionality and steering; "nested" takes the layer that most training folds chose.
        position: Which tokens are read.
        design: Which class is the concept, layers that compete, probe, search, permutations, random directions.
        sae: A sparse autoencoder of this model, from `load_sae`, `train_sae` or SAELens; agreement is measured at its
            own layer. None leaves the step out.
        folder: Where activations and finished steps (probe, permutation test, each sweep, ...) are kept. A call with
            the same arguments takes up what is there, after an interruption too; one with other arguments, texts or
            weights is refused.
        seed: Of every random choice.
        progress: Show bars (never when the output is not a terminal).

    Returns:
        A `Bandwidth`; print it for the table, `.save(folder)` for JSON and a report.

    Raises:
        ValueError: not exactly two classes, a scenario that lacks one, too few scenarios, an SAE of another model, or a
            folder that holds another run.

    Source: Santarcangelo (2026) for the quantity; docs/methods.md for each estimator.
    """
    check_model(model)
    search = design.search
    autoencoder = None if sae is None else check_sae(sae, model)
    positive, negative = two_classes(texts, design.positive, design.negative)
    check_pairs(texts, positive, negative)
    if control is not None:
        check_pairs(control, *two_classes(control, None, None))
    prompts, held_out = steering_prompts(texts, negative, search.n_prompts, seed)
    probe = Probe("logistic") if design.probe is None else design.probe
    settings = {"position": position_name(position), **design.record()}
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
    acts = stored_activations(model, texts, design.layers, position, place, "activations", progress)
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
            n_permutations=design.n_permutations,
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
    reference = unsteered_reference(
        model, prompts, max_new_tokens=search.max_new_tokens, design=SweepDesign(date=search.date)
    )

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
            reference=reference,
            seed=seed,
            progress=progress,
            keep=lambda step, kind, make: steps.keep(f"{name}, {step}", kind, make),
        )

    concept = factors("concept", acts, positive, negative)
    controlled = None
    notes: list[str] = []
    if control is not None:
        control_acts = stored_activations(model, control, [at], position, place, "control activations", progress)
        try:
            controlled = factors("control", control_acts, *two_classes(control, None, None))
        except ValueError as error:  # the layer was chosen for the concept; the control may have no direction there
            notes.append(f"no control: {error}")
    training = acts[np.flatnonzero(~np.isin(acts.groups, held_out))]
    randoms = {}
    for name, direction in random_controls(
        concept.direction, training, positive=positive, negative=negative, layer=at, n_each=design.n_random, seed=seed
    ).items():
        sweep = search_sweep(
            model,
            direction,
            prompts,
            design=search,
            signs=(1,),
            reference=reference,
            progress=progress,
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
