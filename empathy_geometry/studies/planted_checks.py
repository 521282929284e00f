"""Each part of the analysis on data with a known truth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import norm

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.causal.design import CausalDesign
from empathy_geometry.causal.effects import causal_effects
from empathy_geometry.dimensionality import dimensionality_of_activations
from empathy_geometry.evaluation.cross_validation import cross_validate
from empathy_geometry.evaluation.label_permutations import label_permutations
from empathy_geometry.evaluation.transfer import transfer_matrix
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.planted.dictionary import planted_dictionary
from empathy_geometry.planted.texts import planted_neutral_texts, planted_prompts, planted_texts
from empathy_geometry.planted.transformer import D_MODEL, planted_model
from empathy_geometry.sae.agreement import sae_agreement
from empathy_geometry.sae.design import AgreementDesign
from empathy_geometry.steering.range import DEFAULT_THRESHOLD, steering_range
from empathy_geometry.steering.sweep import SteeringSweep, steering_sweep
from empathy_geometry.steering.sweep_design import SweepDesign
from empathy_geometry.studies.bandwidth_interval import joint_product, leave_out
from empathy_geometry.texts.labeled_texts import LabeledTexts

_N = 100
_SPECTRUM = (9.0, 6.0, 4.0, 3.0, 2.0, 1.5, 1.0, 0.5)
_MEAN = 3.0
_GRID = np.arange(0.5, 16.0, 0.5)


@dataclass(frozen=True)
class Check:
    """One truth and what was found.

    Attributes:
        part: Of the analysis.
        quantity: What was planted.
        truth: Its value; None where it is a statement.
        recovered: The estimate, or the statement that was made.
        statement: The true statement, where `truth` is None.
    """

    part: str
    quantity: str
    truth: float | None
    recovered: Estimate | str
    statement: str = ""

    @property
    def inside(self) -> bool:
        """Whether the interval holds the truth, or the statement is the true one."""
        if not isinstance(self.recovered, Estimate) or self.truth is None:
            return self.recovered == self.statement
        e, slack = self.recovered, 1e-9
        if e.low is None or e.high is None:
            return False
        # An interval of a censored value is open above.
        return e.low - slack <= self.truth and (e.censored == "right" or self.truth <= e.high + slack)

    @property
    def truth_shown(self) -> str:
        """The truth as it is printed."""
        return self.statement if self.truth is None else f"{self.truth:.3f}"

    @property
    def recovered_shown(self) -> str:
        """What was found as it is printed."""
        return str(self.recovered)


def dimensionality_checks(seed: int) -> list[Check]:
    """Paired differences with a known spectrum: participation ratio and share of the mean."""
    acts, ratio, share = _pairs_of_known_spectrum(seed)
    found = dimensionality_of_activations(acts, positive="felt", negative="plain", layer=0, null=None, seed=seed)
    return [
        Check("dimensionality", "participation ratio", ratio, found.participation_ratio),
        Check("dimensionality", "share of the mean difference", share, found.mean_share),
    ]


def steering_checks(seed: int) -> list[Check]:
    """A direction that ends the text at a known alpha, and one that never does."""
    sweep, truth = _sweep(seed, "breaks", _GRID.tolist())
    never, _ = _sweep(seed, "read_only", [4.0, 8.0])
    censored = steering_range(never, seed=seed).censored
    return [
        Check("steering", "steering range", truth, steering_range(sweep, seed=seed)),
        Check(
            "steering",
            "a direction that breaks nothing",
            None,
            "not reached" if censored == "right" else "reached",
            "not reached",
        ),
    ]


def bandwidth_checks(seed: int) -> list[Check]:
    """Known dimensionality times known range, with the joint interval."""
    acts, ratio, _ = _pairs_of_known_spectrum(seed)
    sweep, reach = _sweep(seed, "breaks", _GRID.tolist())
    direction = planted_model(seed=seed)[1].directions["breaks"]
    names = list(dict.fromkeys(acts.groups.tolist()))[: len(sweep.prompts)]
    replicates = leave_out(
        acts,
        direction,
        sweep,
        positive="felt",
        negative="plain",
        layer=0,
        prompt_names=names,
        threshold=DEFAULT_THRESHOLD,
        seed=seed,
    )
    measured = dimensionality_of_activations(acts, positive="felt", negative="plain", layer=0, null=None, seed=seed)
    product = joint_product(measured.participation_ratio, steering_range(sweep, seed=seed), replicates)
    return [Check("bandwidth", "dimensionality x steering range", ratio * reach, product)]


def detection_checks(seed: int) -> list[Check]:
    """Two Gaussian classes a known distance apart; the same under shuffled labels."""
    rng = np.random.default_rng([seed, 1])
    distance, d = 1.5, 6
    values = rng.standard_normal((2 * 3 * _N, 1, d))
    labels, groups = np.tile(["felt", "plain"], 3 * _N), np.repeat(np.arange(3 * _N), 2).astype(str)
    values[labels == "felt", 0, 0] += distance
    acts = Activations(torch.as_tensor(values, dtype=torch.float32), (0,), labels, groups)
    found = cross_validate(Probe("lda"), acts, positive="felt", negative="plain", seed=seed)
    mixed = np.unique(labels)[label_permutations(labels, groups=groups).draw(1, generator=rng)[0]]
    null = cross_validate(
        Probe("lda"), Activations(acts.values, (0,), mixed, groups), positive="felt", negative="plain", seed=seed
    )
    assert found.d_prime is not None  # two classes that vary
    return [
        Check("detection", "AUROC", float(norm.cdf(distance / np.sqrt(2))), found.auroc),
        Check("detection", "d'", distance, found.d_prime),
        Check("detection", "AUROC, shuffled labels", 0.5, null.auroc),
    ]


def transfer_checks(seed: int) -> list[Check]:
    """Contexts that share the concept's direction, and contexts that have one each."""
    return [
        Check("transfer", "ratio, one direction for all contexts", 1.0, _transfer_ratio(seed, shared=True)),
        Check("transfer", "ratio, a direction for each context", 0.0, _transfer_ratio(seed, shared=False)),
    ]


def causal_checks(seed: int) -> list[Check]:
    """A direction that drives the model's words, and one that is as good to read and drives nothing."""
    model, truth = planted_model(seed=seed)
    names = ("drives", "read_only")
    found = causal_effects(
        model,
        {name: truth.directions[name] for name in names},
        planted_texts(40, seed=seed),
        design=CausalDesign(
            markers=dict.fromkeys(names, truth.markers["first"]), n_prompts=0, neutral_texts=planted_neutral_texts()
        ),
        seed=seed,
        progress=False,
    )
    return [
        Check(
            "causal",
            f"direction {name!r}",
            None,
            found.verdicts[name].verdict,
            "causal" if truth.causal[name] else "not causal",
        )
        for name in names
    ]


def sae_checks(seed: int) -> list[Check]:
    """A dictionary of which a few features carry the concept: are they found, do they span it?"""
    planted = planted_dictionary(seed=seed)
    k = len(planted.concept_features)
    found = sae_agreement(
        planted.sae,
        planted.activations,
        positive="positive",
        negative="negative",
        design=AgreementDesign(n_features=k, rank=k, n_draws=99),
        seed=seed,
        progress=False,
    )
    chosen = sorted(index for index, _ in found.agreement.selected[:k])
    value, ceiling = found.agreement.value, found.agreement.ceiling
    # The mean difference is known up to noise; its halves agree by the ceiling, so each agrees with the truth by its
    # square root.
    factor = float(np.sqrt(ceiling))
    clean = Estimate(
        value.value / factor,
        None if value.low is None else value.low / factor,
        None if value.high is None else value.high / factor,
        value.level,
        value.n,
        value.n_groups,
        f"{value.method}; noise of the mean difference taken out",
    )
    return [
        Check("SAE", "mean cos^2 of features and concept", 1.0, clean),
        Check("SAE", "features of the concept", None, _listed(chosen), _listed(planted.concept_features.tolist())),
        Check("SAE", "agreement", None, found.verdict, "supported"),
    ]


PARTS: dict[str, Callable[[int], list[Check]]] = {
    "dimensionality": dimensionality_checks,
    "steering": steering_checks,
    "bandwidth": bandwidth_checks,
    "detection": detection_checks,
    "transfer": transfer_checks,
    "causal": causal_checks,
    "sae": sae_checks,
}
"""Every part by name; each takes a seed."""


def _pairs_of_known_spectrum(seed: int) -> tuple[Activations, float, float]:
    """Pairs whose differences have a known second moment: the rows, its participation ratio, the share of the mean."""
    rng = np.random.default_rng([seed, 0])
    plain = 2 * rng.standard_normal((_N, D_MODEL))
    differences = np.zeros((_N, D_MODEL))
    differences[:, : len(_SPECTRUM)] = np.sqrt(_SPECTRUM) * rng.standard_normal((_N, len(_SPECTRUM)))
    differences[:, 0] += _MEAN
    moment = np.array(_SPECTRUM)
    moment[0] += _MEAN**2
    values = np.stack([plain + differences, plain], axis=1).reshape(2 * _N, 1, D_MODEL)
    acts = Activations(
        torch.as_tensor(values, dtype=torch.float32),
        (0,),
        np.tile(["felt", "plain"], _N),
        np.repeat([f"scenario {i:03d}" for i in range(_N)], 2),
    )
    return acts, float(moment.sum() ** 2 / (moment**2).sum()), float(_MEAN**2 / moment.sum())


def _sweep(seed: int, name: str, alphas: Sequence[float]) -> tuple[SteeringSweep, float]:
    """A sweep along one direction, and the alpha at which "breaks" brings the mean coherence below the threshold."""
    model, truth = planted_model(seed=seed)
    prompts = planted_prompts(8)
    sweep = steering_sweep(
        model,
        truth.directions[name],
        prompts,
        alphas,
        units="raw",
        max_new_tokens=12,
        design=SweepDesign(neutral_texts=planted_neutral_texts()),
        progress=False,
    )
    # A quarter of the prompts breaks at each crossing, completely; the mean falls below 0.7 with the second quarter.
    return sweep, float(np.sort(truth.crossing_of(prompts))[len(prompts) // 2 - 1])


def _transfer_ratio(seed: int, *, shared: bool) -> Estimate:
    rng = np.random.default_rng([seed, 2])
    contexts, each, d = ("home", "work", "street"), 100, 6
    n = 2 * each * len(contexts)
    labels = np.tile(["felt", "plain"], n // 2)
    place = np.repeat(contexts, 2 * each)
    values = rng.standard_normal((n, 1, d))
    for k, name in enumerate(contexts):
        values[(place == name) & (labels == "felt"), 0, 0 if shared else k] += 2.0
    groups = np.repeat([f"{name} {i}" for name in contexts for i in range(each)], 2)
    texts = LabeledTexts([f"row {i}" for i in range(n)], labels, groups, contexts=place, name="planted rows")
    acts = Activations(torch.as_tensor(values, dtype=torch.float32), (0,), labels, groups, texts=texts)
    return transfer_matrix(Probe("lda"), acts, positive="felt", negative="plain", seed=seed).ratio


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))
