"""Does the separation rest on another concept? That concept is erased as other texts show it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.baselines import CHOSEN
from empathy_geometry.evaluation.carried_over import carried_over_rows
from empathy_geometry.evaluation.cross_validation import Evaluation, cross_validate
from empathy_geometry.evaluation.erasers import leace
from empathy_geometry.evaluation.metrics import auroc
from empathy_geometry.evaluation.surviving import surviving_share
from empathy_geometry.foundation._types import FloatArray
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.studies.finding import Finding
from empathy_geometry.studies.tripartite.section import Section
from empathy_geometry.studies.tripartite.setup import Setup, rows_of, smallest
from empathy_geometry.studies.verdicts import NOT_READ, SURVIVAL, not_read, survival


@dataclass(frozen=True)
class ErasedElsewhere:
    """How the classes fare without a concept that other texts define.

    Attributes:
        concept: AUROC of the concept in its own texts, held out.
        control: The same in scenarios that the eraser has not seen, erased: how much of it the eraser takes away.
        surviving: Share of each pair's AUROC above chance that is left; None where there was none.
        before: AUROC of each pair, as it is.
        after: AUROC of each pair in the erased rows.
        transferred: AUROC of the concept's own probe on each pair, whatever its direction.
        words: The same of the text-only baseline that does best on the other texts.
    """

    concept: Estimate
    control: Estimate
    surviving: dict[str, Estimate | None]
    before: dict[str, Estimate]
    after: dict[str, Estimate]
    transferred: dict[str, Estimate]
    words: dict[str, Estimate]

    @property
    def controls_hold(self) -> bool:
        """Whether the concept can be read to begin with, and hardly any more where the eraser was not fitted."""
        readable = self.concept.low is not None and self.concept.low > 0.5
        return readable and (self.control.value - 0.5) < 0.5 * (self.concept.value - 0.5)


def formality(setup: Setup) -> Section:
    """The classes without formality, as formality pairs show it."""
    assert setup.texts.formality is not None  # else the section is left out
    other = setup.source.activations(setup.texts.formality, setup.position)
    return _section(setup, other, "formality", ("formal", "casual"), "Formality")


def valence(setup: Setup) -> Section:
    """The three types without valence, as statements of joy and of sadness show it."""
    other = setup.source.activations(setup.empathy.emotion, setup.position)
    return _section(setup, other, "valence", ("joy", "sadness"), "Valence")


def _section(setup: Setup, other: Activations, name: str, poles: tuple[str, str], title: str) -> Section:
    chosen = other.where(label=poles)
    subject = setup.subject
    found = erase_elsewhere(setup, chosen, chosen.labels == poles[0])
    worst, share = smallest(found.surviving)
    furthest = max(found.transferred, key=lambda pair: abs(found.transferred[pair].value - 0.5))
    lines = (
        Finding(
            f"{name} erased",
            f"{subject.all} do not rest on {name}",
            "-",
            f"share surviving ({worst})",
            share,
            f"{name} itself: AUROC {found.concept}",
            f"positive control: {name} erased in scenarios that the eraser has not seen {found.control}",
            survival(share, controls_hold=found.controls_hold),
            SURVIVAL + f"; the control holds where erasure takes more than half of {name} in unseen scenarios",
            subject.which_pair,
        ),
        Finding(
            f"{name} probe on {subject.several}",
            f"a probe of {name} does not tell {subject.all} apart",
            "-",
            f"AUROC of a {name} probe ({furthest})",
            found.transferred[furthest],
            f"words, transferred alike, {found.words[furthest]}" if found.words else "-",
            "0.5",
            not_read(list(found.transferred.values())),
            NOT_READ,
            ("the pair furthest from chance" if len(subject.pairs) > 1 else subject.which_pair)
            + "; direction does not matter",
        ),
    )
    return Section(name, f"{title}: do {subject.all} rest on it?", lines, {"erased": found.__dict__})


def erase_elsewhere(setup: Setup, other: Activations, positive: np.ndarray) -> ErasedElsewhere:
    """LEACE fitted to other texts, applied to the classes; the eraser is judged in half of its own scenarios."""
    x, y = rows_of(other, setup.at), positive.astype(int)
    names = np.random.default_rng(setup.seed).permutation(np.unique(other.groups))
    halves = [np.isin(other.groups, names[i::2]) for i in (0, 1)]
    erased = x.copy()
    for teach, judge in (halves, halves[::-1]):
        erased[judge] = leace(x[teach], y[teach].astype(float))(x[judge])
    # Each half is judged on its own: the two erasers leave different means behind, which would tell halves apart.
    parts = [_read(erased[half], y[half], other.groups[half], setup) for half in halves]
    control = _pooled(parts, [y[half] for half in halves], [other.groups[half] for half in halves])
    eraser, reader = leace(x, y.astype(float)), Probe("lda").fit(x, y)
    classes = setup.studied()
    surviving: dict[str, Estimate | None] = {}
    before, after, transferred, words = {}, {}, {}, {}
    for a, b in setup.subject.pairs:
        pair, key = classes.where(label=[a, b]), f"{a} - {b}"
        rows, of = rows_of(pair, setup.at), pair.labels == a
        first, second = (_read(r, of.astype(int), pair.groups, setup) for r in (rows, eraser(rows)))
        index = np.unique(pair.groups, return_inverse=True)[1]
        inflation = max(first.variance_inflation, second.variance_inflation)
        surviving[key] = surviving_share(
            first.scores, second.scores, of, index, level=0.95, seed=setup.seed, inflation=inflation
        )
        before[key], after[key] = first.auroc, second.auroc
        transferred[key] = auroc(reader.decision_function(rows), of, groups=pair.groups)
        if pair.texts is not None and other.texts is not None:
            told = carried_over_rows(other, positive, pair)
            words[key] = auroc(told.scores[CHOSEN], of, groups=pair.groups)
    return ErasedElsewhere(
        _read(x, y, other.groups, setup).auroc, control, surviving, before, after, transferred, words
    )


def _read(x: FloatArray, y: np.ndarray, groups: Any, setup: Setup) -> Evaluation:
    return cross_validate(Probe("lda"), x, y, groups=groups, seed=setup.seed)


def _pooled(parts: list[Evaluation], y: list[np.ndarray], groups: list[Any]) -> Estimate:
    scores = np.concatenate([p.scores for p in parts])
    return auroc(scores, np.concatenate(y).astype(bool), groups=np.concatenate(groups))
