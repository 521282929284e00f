"""Is empathy more than emotion? A crossed design, linear erasure with its controls, an emotion probe transferred."""

import numpy as np

from empathy_geometry.evaluation.baselines import CHOSEN
from empathy_geometry.evaluation.carried_over import carried_over_rows
from empathy_geometry.evaluation.cross_validation import cross_validate
from empathy_geometry.evaluation.erasing import Erasure, erasure
from empathy_geometry.evaluation.metrics import auroc
from empathy_geometry.foundation._types import StrArray
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.studies.finding import Finding
from empathy_geometry.studies.tripartite.section import Section
from empathy_geometry.studies.tripartite.setup import Setup, best_baseline, evaluation_numbers, rows_of
from empathy_geometry.studies.verdicts import NOT_READ, SURVIVAL, not_read, survival
from empathy_geometry.texts.token_ids import TokenIds

EMOTIONS = ("joy", "sadness", "anger", "fear")

DESIGN = (
    "cells: affective responses (empathy, emotion), cognitive responses (empathy, none), joy/sadness/anger/fear "
    "statements (none, emotion), {} and calm statements (none, none). Statements and responses differ in more than "
    "these two labels, so the two are never alone in either row or column"
)

FRESH = "; the controls hold where erasure takes more than half of the erased concept in scenarios it was not fitted to"


def emotion(setup: Setup) -> Section:
    """Empathy after the erasure of emotion and the reverse, and what a probe of emotion says of the three types."""
    sets, triplets = setup.empathy, setup.texts.concept
    cells = [
        (triplets, ("affective",), True, True),
        (triplets, ("cognitive",), True, False),
        (sets.emotion, EMOTIONS, False, True),
        (sets.emotion, ("calm",), False, False),
    ]
    plain = "neutral responses" if setup.texts.has_neutral else f"{sets.valence_stripped.classes[0]} responses"
    if setup.texts.has_neutral:
        cells.append((triplets, ("neutral",), False, False))
    else:
        cells.append((sets.valence_stripped, (sets.valence_stripped.classes[0],), False, False))
    rows, empathic, emotional, groups, texts = [], [], [], [], []
    tokens: list[TokenIds] = []
    for chosen, labels, has_empathy, has_emotion in cells:
        acts = setup.source.activations(chosen, setup.position).where(label=labels)
        rows.append(rows_of(acts, setup.at))
        tokens += [] if acts.token_ids is None else [acts.token_ids]
        empathic += [has_empathy] * len(acts)
        emotional += [has_emotion] * len(acts)
        part = chosen.where(label=labels)
        groups += _scenarios(part.prompts, part.groups, chosen.name)
        texts += list(part.responses)
    x, e, m, g = np.concatenate(rows), np.array(empathic), np.array(emotional), np.array(groups)
    found = erasure(x, e, m, groups=g, seed=setup.seed)
    reverse = erasure(x, m, e, groups=g, seed=setup.seed)
    told = TokenIds.joined(tokens) if len(tokens) == len(rows) else None
    words = cross_validate(Probe("lda"), x, e.astype(int), groups=g, texts=texts, token_ids=told, seed=setup.seed)
    note = DESIGN.format(plain) + ("; " + "; ".join(found.notes) if found.notes else "")
    control = (
        f"positive control: emotion erased {found.concept_without_concept}, in fresh scenarios {found.fresh_control}"
    )
    lines = (
        Finding(
            "empathy without emotion",
            "empathy survives the erasure of emotion",
            "-",
            "share surviving",
            found.surviving,
            f"AUROC before {found.target}, after {found.target_without_concept}; words alone {best_baseline(words)}",
            control,
            survival(found.surviving, controls_hold=_controls_hold(found)),
            SURVIVAL + FRESH,
            note,
        ),
        Finding(
            "emotion without empathy",
            "emotion survives the erasure of empathy",
            "-",
            "share surviving",
            reverse.surviving,
            f"AUROC before {reverse.target}, after {reverse.target_without_concept}",
            f"positive control: empathy erased {reverse.concept_without_concept}, in fresh scenarios "
            f"{reverse.fresh_control}",
            survival(reverse.surviving, controls_hold=_controls_hold(reverse)),
            SURVIVAL + FRESH,
        ),
        _transfer(setup),
    )
    numbers = {"erasure": found.to_dict(), "reverse": reverse.to_dict(), "words": evaluation_numbers(words)}
    return Section("emotion", "Empathy against emotion", lines, numbers)


def _controls_hold(found: Erasure) -> bool:
    """Held-out AUROC after erasure is 1/2 by theorem; fresh scenarios show whether the concept is really gone."""
    left, there = found.fresh_control.value - 0.5, found.concept.value - 0.5
    return found.conclusive and left < 0.5 * there


def _scenarios(prompts: tuple[str, ...] | None, groups: StrArray, name: str) -> list[str]:
    """Scenario names that are the same in two sets where the prompt is the same, and never by accident of a name.

    A prompt that several scenarios of a set share ("Answer this message: ", say) is the name of none.

    Example:
        >>> _scenarios(("Rain. ", "Rain. ", "Sun. "), np.array(["1", "1", "2"]), "a")
        ['Rain. ', 'Rain. ', 'Sun. ']
        >>> _scenarios(("Say: ", "Say: "), np.array(["1", "2"]), "a")
        ['a: 1', 'a: 2']
    """
    own = [f"{name}: {g}" for g in groups]
    if prompts is None:
        return own
    users: dict[str, set[str]] = {}
    for prompt, g in zip(prompts, groups.tolist(), strict=True):
        users.setdefault(prompt, set()).add(g)
    return [prompt if prompt and len(users[prompt]) == 1 else mine for prompt, mine in zip(prompts, own, strict=True)]


def _transfer(setup: Setup) -> Finding:
    """A probe of emotion against calm, fitted to the statements, judges affective against cognitive responses."""
    statements = setup.source.activations(setup.empathy.emotion, setup.position)
    responses = setup.studied().where(label=["affective", "cognitive"])
    fitted = Probe("lda").fit(rows_of(statements, setup.at), (statements.labels != "calm").astype(int))
    affective = responses.labels == "affective"
    area = auroc(fitted.decision_function(rows_of(responses, setup.at)), affective, groups=responses.groups)
    baseline = "-"
    if responses.texts is not None:
        told = carried_over_rows(statements, statements.labels != "calm", responses)
        reached = auroc(told.scores[CHOSEN], affective, groups=responses.groups)
        baseline = f"{told.chosen}, transferred alike, {reached}"
    return Finding(
        "emotion probe on empathy",
        "what tells affective from cognitive is not what tells emotion from calm",
        "-",
        "AUROC of an emotion probe",
        area,
        baseline,
        "0.5",
        not_read([area]),
        NOT_READ,
    )
