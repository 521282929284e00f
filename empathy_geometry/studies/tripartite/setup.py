"""What every section gets: the texts, their activations, and the settings of the run."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.activations.positions import Position, position_name
from empathy_geometry.causal.design import CausalDesign
from empathy_geometry.evaluation.cross_validation import Evaluation, cross_validate
from empathy_geometry.evaluation.permutation import PermutationTest, permutation_test
from empathy_geometry.foundation._types import FloatArray, Layer, StrArray
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.studies.finding import Finding
from empathy_geometry.studies.step_store import StepStore
from empathy_geometry.studies.tripartite.sets import EmpathyTexts, StudyTexts
from empathy_geometry.studies.tripartite.source import Source
from empathy_geometry.studies.tripartite.subject import Subject
from empathy_geometry.studies.verdicts import DETECTION, ceiling_note, detection


@dataclass
class Setup:
    """A run's texts, activations and settings.

    Attributes:
        source: Where activations come from.
        texts: All sets of texts.
        position: Which tokens are read where a section does not say.
        n_permutations: Of every permutation test.
        seed: Of everything random.
        progress: Whether to show bars.
        layer: Where single-layer analyses read; set by the first section, or given.
        causal_design: How the causal section tests, where there is one.
        steps: Where finished parts are kept.
    """

    source: Source
    texts: StudyTexts
    position: Position
    n_permutations: int
    seed: int
    progress: bool
    layer: Layer | None = None
    causal_design: CausalDesign | None = None
    steps: StepStore = field(default_factory=lambda: StepStore(None, {}))
    _detected: "dict[tuple[str, bool], Detection]" = field(default_factory=dict)

    @property
    def probe(self) -> Probe:
        """The probe of every evaluation that does not say otherwise."""
        return Probe("logistic")

    @property
    def subject(self) -> Subject:
        """The classes that are studied, and what they are called."""
        return self.texts.subject

    @property
    def empathy(self) -> EmpathyTexts:
        """What only the study of empathy has."""
        assert self.texts.empathy is not None  # sections that need it are left out of other studies
        return self.texts.empathy

    @property
    def at(self) -> Layer:
        """The layer of single-layer analyses."""
        assert self.layer is not None  # the first section sets it
        return self.layer

    def studied(self, *, position: Position | None = None, random: bool = False) -> Activations:
        """Activations of the classes that are studied."""
        acts = self.source.activations(self.texts.concept, position or self.position, random=random)
        return acts.where(label=self.subject.classes)

    def detect_all(self, *, position: Position | None = None, random: bool = False) -> "Detection":
        """All classes at once, which several sections compare with; computed once, also over interruptions."""
        key = (position_name(position or self.position), random)
        if key not in self._detected:
            self._detected[key] = self.steps.keep(
                f"all classes, {key[0]}{', random weights' if random else ''}",
                Detection,
                lambda: self.detect(self.studied(position=position, random=random), self.subject.classes),
            )
        return self._detected[key]

    def detect(
        self, acts: Activations, classes: Sequence[str], *, layers: Sequence[Layer] | None = None
    ) -> "Detection":
        """Held-out evaluation and permutation test of two classes, or more, on the same folds."""
        two: dict[str, Any] = {"positive": classes[0], "negative": classes[1]} if len(classes) == 2 else {}
        chosen = acts.where(label=classes)
        evaluation = cross_validate(self.probe, chosen, layers=layers, seed=self.seed, **two)
        test = permutation_test(
            self.probe,
            chosen,
            layers=layers,
            seed=self.seed,
            n_permutations=self.n_permutations,
            progress=self.progress,
            **two,
        )
        return Detection(evaluation, test)


@dataclass(frozen=True, eq=False)
class Detection:
    """A probe held out, its text-only baselines, and its permutation test."""

    evaluation: Evaluation
    test: PermutationTest

    def finding(self, key: str, claim: str, *, reference: str = "-", note: str = "") -> Finding:
        """The line of the table."""
        e, t = self.evaluation, self.test
        words = words_of(e)
        verdict = detection(e.auroc, e.excess, t.pvalue, words)
        return Finding(
            key,
            claim,
            reference,
            "AUROC",
            e.auroc,
            best_baseline(e),
            f"mean {t.null_distribution.mean():.2f}, 95 % point {t.critical_value():.2f}, p = {t.pvalue:.3g} "
            f"(max over {len(t.layers)} layers)",
            verdict,
            DETECTION,
            "; ".join(part for part in (note, ceiling_note(words) if verdict == "cannot tell" else "") if part),
        )

    def numbers(self) -> dict[str, Any]:
        """Evaluation and test, ready for JSON."""
        return {"evaluation": evaluation_numbers(self.evaluation), "permutation": self.test.to_dict()}


def words_of(e: Evaluation) -> Estimate | None:
    """AUROC of the text-only baseline that is compared with."""
    return None if e.best_baseline is None else e.baselines[e.best_baseline]


def best_baseline(e: Evaluation) -> str:
    """The best text-only baseline and the excess over all of them, in words."""
    if e.best_baseline is None:
        return "no texts"
    missing = "" if "model_tokens" in e.baselines else "; the baseline model_tokens is missing"
    return f"{e.best_baseline} {e.baselines[e.best_baseline]}; excess {e.excess}{missing}"


def evaluation_numbers(e: Evaluation) -> dict[str, Any]:
    """What a reader may want of an evaluation, without its scores."""
    return {
        "classes": list(e.classes),
        "n": len(e.labels),
        "n_groups": e.auroc.n_groups,
        "auroc": e.auroc.to_dict(),
        "accuracy": e.accuracy.to_dict(),
        "d_prime": None if e.d_prime is None else e.d_prime.to_dict(),
        "forced_choice": None if e.forced_choice is None else e.forced_choice.to_dict(),
        "baselines": {name: value.to_dict() for name, value in e.baselines.items()},
        "excess": None if e.excess is None else e.excess.to_dict(),
        "excesses": {name: value.to_dict() for name, value in e.excesses.items()},
        "best_baseline": e.best_baseline,
        "chosen_layers": list(e.chosen_layers),
        "notes": list(e.notes),
        "probe": e.probe,
    }


def named_by(scores: FloatArray, classes: Sequence[str]) -> StrArray:
    """The class that each row's scores name, [n] for two classes or [n, n_classes].

    Example:
        >>> named_by(np.array([-1.0, 2.0]), ("plain", "warm")).tolist()
        ['plain', 'warm']
    """
    codes = scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0).astype(int)
    named: StrArray = np.array(classes)[codes]
    return named


def rows_of(acts: Activations, layer: Layer) -> FloatArray:
    """The rows at one layer, float64 [n, d_model]."""
    return acts.layer(layer).double().numpy()


def smallest(estimates: dict[str, Estimate | None]) -> tuple[str, Estimate | None]:
    """The entry with the lowest lower end; an undefined one comes first, because it supports nothing."""

    def order(name: str) -> float:
        e = estimates[name]
        return -np.inf if e is None or e.low is None else e.low

    name = min(estimates, key=order)
    return name, estimates[name]
