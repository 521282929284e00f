"""Do directions from packaged texts follow what people rated? Frozen, then scored, with words carried over alike."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.baselines import CHOSEN
from empathy_geometry.evaluation.carried_over import CarriedWords, carried_over_rows
from empathy_geometry.evaluation.classification import MISSING
from empathy_geometry.evaluation.graded import GradedEvaluation, cross_validate_graded
from empathy_geometry.evaluation.metrics import auroc, auroc_excess, excess_over_best
from empathy_geometry.evaluation.rank_correlation import spearman
from empathy_geometry.evaluation.text_features import TOKENS_MISSING
from empathy_geometry.foundation._types import FloatArray, Layer
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.provenance import Provenance, hash_texts, kind_of, package_versions
from empathy_geometry.foundation.table import Table
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.geometry.regression_probe import RegressionProbe
from empathy_geometry.reports.study import Study
from empathy_geometry.studies.finding import Finding, findings_table, rules_table
from empathy_geometry.studies.rated_levels import LevelTruth, level_truths
from empathy_geometry.studies.step_store import StepStore
from empathy_geometry.studies.verdicts import GREATER, WORDS, ceiling_note, greater, words_exceeded
from empathy_geometry.texts.several_labels import label_columns
from empathy_geometry.texts.targets import target_of

MAPPING: Mapping[str, Mapping[str, float]] = {
    "emotional_reactions": {"warmth": 1.0},
    "interpretations": {"own_experience": 2.0, "naming_feelings": 1.0},
    "explorations": {"question": 1.0},
}
"""Which moves of `support_moves` stand for which mechanism that EPITOME's raters looked for, and with what weight.
Chosen on the seekers of even hash; docs/human_truth.md says how."""


@dataclass(frozen=True, eq=False)
class FrozenReading:
    """A direction that was fixed before it met the ratings.

    Attributes:
        target: The rated target that it is asked about.
        moves: Weights of the packaged labels that it is made of.
        direction: Of which projections are the scores.
        sha256: Of vector, layer and moves; whoever has it written down knows that nothing moved afterwards.
    """

    target: str
    moves: Mapping[str, float]
    direction: ConceptDirection
    sha256: str


def freeze_reading(
    packaged: Activations, target: str, moves: Mapping[str, float], *, layer: Layer, alpha: float = 1e4
) -> FrozenReading:
    """A direction from packaged texts for one rated target.

    For each move a ridge regression of "has this move" on the activations of all packaged texts; their weights, in
    units of the spread of the fitted values, are added with the weights of the moves.

    Args:
        packaged: Activations of texts whose labels are moves or mixtures of them.
        target: Name of the rated target.
        moves: Weights by label.
        layer: Where to read.
        alpha: Penalty of the ridge regressions, on scaled features.

    Raises:
        ValueError: a move does not occur, or the layer was not extracted.
    """
    columns = label_columns(packaged.labels)
    if unknown := sorted(set(moves) - set(columns)):
        raise ValueError(f"moves {unknown} are no labels of the packaged texts; there are {sorted(columns)}")
    rows = packaged.layer(layer)
    total = np.zeros(rows.shape[1])
    for move, weight in moves.items():
        probe = RegressionProbe(alpha=alpha).fit(rows, columns[move].astype(float))
        total += weight * probe.coef_ / max(float(np.std(probe.predict(rows))), 1e-12)
    direction = ConceptDirection(
        torch.from_numpy(total), norm=float(np.linalg.norm(total)), method="ridge", layer=layer, positive=target
    )
    digest = hashlib.sha256(f"{target} {layer} {sorted(moves.items())}".encode())
    digest.update(direction.vector.numpy().tobytes())
    return FrozenReading(target, dict(moves), direction, digest.hexdigest())


@dataclass(frozen=True, eq=False)
class HumanTruth(Study):
    """How far frozen directions follow ratings.

    Attributes:
        readings: What was frozen, in words, by target.
        hashes: SHA-256 of each frozen direction by target.
        auroc: Any level above the lowest against the lowest, by target.
        spearman: With the level, by target.
        words: AUROC of the best words carried over (chosen on the packaged texts), by target.
        excess: AUROC minus that of the words; the lower end is the smallest over all baselines.
        word_scores: AUROC of each baseline carried over, by target and baseline.
        n: Rated texts.
        n_groups: Persons.
        rated: Name of the rated texts.
        provenance: Where the activations came from.
        levels: Each level of each target: words, ceiling, and how many labelled texts the direction is worth.
        notes: What a reader must know about this run, in words.
    """

    readings: Mapping[str, str]
    hashes: Mapping[str, str]
    auroc: Mapping[str, Estimate]
    spearman: Mapping[str, Estimate]
    words: Mapping[str, Estimate]
    excess: Mapping[str, Estimate]
    word_scores: Mapping[str, Mapping[str, Estimate]]
    n: int
    n_groups: int
    rated: str
    provenance: Provenance
    levels: tuple[LevelTruth, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def study(self) -> str:
        """Name of the study; its file is called after it."""
        return "human_truth"

    @property
    def findings(self) -> tuple[Finding, ...]:
        """For each target: does the direction follow it, and does it know more than the words carried over?"""
        return tuple(finding for target in self.readings for finding in self._of(target))

    def _of(self, target: str) -> tuple[Finding, Finding]:
        words = self.words[target]
        follows = Finding(
            f"{target} followed",
            f"what was frozen from {self.readings[target]} follows {target}",
            quantity="AUROC",
            ours=self.auroc[target],
            baseline=f"words carried over {words}",
            null="0.5",
            verdict=greater(self.auroc[target], 0.5),
            rule=GREATER.format("1/2"),
        )
        more = Finding(
            f"{target} beyond words",
            f"it follows {target} better than words carried over",
            quantity="excess",
            ours=self.excess[target],
            baseline=f"words carried over {words}",
            verdict=words_exceeded(self.excess[target], words),
            rule=WORDS,
            note=ceiling_note(words),
        )
        return follows, more

    def tables(self) -> tuple[Table, ...]:
        """One row for each target; below, every baseline of words."""
        rows = [
            {
                "target": target,
                "made of": self.readings[target],
                "AUROC": self.auroc[target],
                "words carried over": self.words[target],
                "excess": self.excess[target],
                "Spearman": self.spearman[target],
            }
            for target in self.readings
        ]
        notes = [f"{target}: frozen as {digest[:16]}" for target, digest in self.hashes.items()]
        notes += [f"note: {note}" for note in self.notes]
        told = [
            {"target": target, **{name: estimate for name, estimate in found.items() if name != CHOSEN}}
            for target, found in self.word_scores.items()
        ]
        title = f"Frozen directions on {self.rated}: {self.n} texts of {self.n_groups} persons"
        about = (
            "trained on ratings: a ridge regression on ratings of other persons; worth: how many rated texts such a "
        )
        by_level = [level.cells for level in self.levels]
        return (
            Table.of(title, rows, notes=notes),
            findings_table("Verdicts", self.findings),
            *(
                [Table.of("By level", by_level, notes=[f"{about}regression needs to reach the frozen direction"])]
                if by_level
                else []
            ),
            Table.of("Words carried over, AUROC", told, appendix=True),
            replace(rules_table(self.findings), appendix=True),
        )


def human_truth(
    readings: Sequence[FrozenReading],
    packaged: Activations,
    rated: Activations,
    *,
    in_domain: bool = True,
    folder: str | Path | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> HumanTruth:
    """Score frozen directions on rated texts, beside words that were carried over from the same packaged texts.

    Nothing of the directions is fitted to the rated texts: their intervals are those of scores that are given,
    clustered by person. Beside them, as a ceiling, stands a regression trained on the ratings, persons held apart.

    Args:
        readings: From `freeze_reading`.
        packaged: What they were frozen from, with texts.
        rated: Activations of the rated texts, with texts and targets; groups are persons.
        in_domain: Also train on the ratings, for the ceiling and for how many labelled texts the directions are worth.
        folder: Where finished regressions are kept; a call with the same arguments takes up what is there.
        level: Coverage of the intervals.
        seed: Of folds and draws.

    Raises:
        ValueError: a target is missing or does not vary, or texts are missing.

    Source: Sharma et al. (2020), EMNLP, for the mechanisms; see docs/human_truth.md.
    """
    if packaged.texts is None or rated.texts is None:
        raise ValueError("packaged and rated activations need their texts, for words carried over")
    if not readings:
        raise ValueError("readings is empty; freeze at least one direction")
    columns = label_columns(packaged.labels)
    words: dict[str, CarriedWords] = {}
    areas, ranks, best, excess, each = {}, {}, {}, {}, {}
    levels: list[LevelTruth] = []
    steps = StepStore(None if folder is None else Path(folder), _identity(readings, packaged, rated, level, seed))
    for reading in readings:
        grades = target_of(rated.targets, reading.target)
        above = grades > grades.min()
        layer = _layer(reading)
        rows = np.asarray(rated.layer(layer), dtype=np.float64)
        scores = np.asarray(reading.direction.project(rated.layer(layer)), dtype=np.float64)
        for move in reading.moves:
            if move not in words:
                words[move] = carried_over_rows(packaged, columns[move], rated)
        told = _weighted(words, reading.moves)
        key = reading.target
        areas[key] = auroc(scores, above, groups=rated.groups, level=level)
        ranks[key] = spearman(scores, grades, groups=rated.groups, level=level)
        each[key] = {name: auroc(s, above, groups=rated.groups, level=level) for name, s in told.items()}
        best[key] = each[key][CHOSEN]
        excess[key] = excess_over_best(auroc_excess(scores, told, above, groups=rated.groups, level=level), CHOSEN)
        trained = None
        if in_domain:
            trained = steps.keep(
                f"{key}, trained on ratings",
                GradedEvaluation,
                lambda target=key, layer=layer: cross_validate_graded(  # type: ignore[misc]
                    RegressionProbe(), rated.only(layer), groups=MISSING, target=target, seed=seed, level=level
                ),
            )
        levels += level_truths(key, grades, scores, told, rows, rated.groups, trained, level=level, seed=seed)
    return HumanTruth(
        readings={r.target: " + ".join(f"{w:g} {m}" for m, w in r.moves.items()) for r in readings},
        hashes={r.target: r.sha256 for r in readings},
        auroc=areas,
        spearman=ranks,
        words=best,
        excess=excess,
        word_scores=each,
        n=len(rated),
        n_groups=len(np.unique(rated.groups)),
        rated=rated.texts.name,
        notes=() if "model_tokens" in next(iter(each.values())) else (TOKENS_MISSING,),
        provenance=_origin(packaged, rated, readings, in_domain, seed),
        levels=tuple(levels),
    )


def _identity(
    readings: Sequence[FrozenReading], packaged: Activations, rated: Activations, level: float, seed: int
) -> dict[str, Any]:
    """What a run must share with the one whose regressions it takes up."""
    assert packaged.texts is not None
    assert rated.texts is not None
    return {
        "study": "human_truth",
        "readings": {reading.target: reading.sha256 for reading in readings},
        "texts": {"packaged": packaged.texts.sha256, "rated": rated.texts.sha256},
        "targets": {name: hash_texts([repr(x) for x in column]) for name, column in (rated.targets or {}).items()},
        "level": level,
        "seed": seed,
        "versions": package_versions(),
    }


def _origin(
    packaged: Activations, rated: Activations, readings: Sequence[FrozenReading], in_domain: bool, seed: int
) -> Provenance:
    assert packaged.texts is not None
    assert rated.texts is not None
    texts = {packaged.texts.name: packaged.texts.sha256, rated.texts.name: rated.texts.sha256}
    settings = {
        "layers": {reading.target: _layer(reading) for reading in readings},
        "in_domain": in_domain,
        "position": rated.position,
    }
    model = {} if rated.provenance is None else rated.provenance.model
    kind = kind_of(packaged.provenance, rated.provenance)
    return Provenance(kind, model=model, texts=texts, seed=seed, settings=settings)


def _layer(reading: FrozenReading) -> Layer:
    assert reading.direction.layer is not None
    return reading.direction.layer


def _weighted(words: Mapping[str, CarriedWords], moves: Mapping[str, float]) -> dict[str, FloatArray]:
    """Scores of each baseline, added as the directions were, each in units of its own spread."""
    names = list(words[next(iter(moves))].scores)
    found: dict[str, FloatArray] = {}
    for name in names:
        parts = [(weight, words[move].scores[name]) for move, weight in moves.items()]
        found[name] = sum((w * s / max(float(s.std()), 1e-12) for w, s in parts), start=np.zeros(len(parts[0][1])))
    return found
