"""Text-only baselines: how well the classes are told apart without the model's hidden states."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

from empathy_geometry.evaluation.batched_probes import as_onehot
from empathy_geometry.evaluation.fold_dependence import left_out_scores, variance_inflation
from empathy_geometry.evaluation.fold_geometry import FoldGeometry
from empathy_geometry.evaluation.fold_scores import decision_values, standardise, without_rounding
from empathy_geometry.evaluation.selection import merits_of
from empathy_geometry.evaluation.text_features import (
    BASELINES,
    COUNTING,
    BaselineName,
    baseline_inputs,
    counted,
    judged_texts,
    seen_in,
)
from empathy_geometry.foundation._types import ArrayLike, FloatArray, IntArray, LabelsLike
from empathy_geometry.foundation._validation import as_groups, as_names
from empathy_geometry.geometry.newton_logistic import logistic_of_one
from empathy_geometry.geometry.probes import Probe
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.splits import Fold, check_folds, grouped_folds
from empathy_geometry.texts.token_ids import TokenIdsLike

CHOSEN = "best_in_training"
"""Name of the baseline that is the best of the others in each training fold."""

PENALTIES = (0.01, 1.0, 10.0, 100.0)
"""Values of C among which each baseline chooses inside the training rows."""

_INNER_SPLITS = 3
_CHOICE_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class TextBaseline:
    """Out-of-fold scores of a classifier that sees the words only.

    Attributes:
        name: One of `BASELINES`, or `CHOSEN`.
        scores: [n] for two classes (higher means the last sorted class), else [n, n_classes]; standardised per fold as
            those of a probe are.
        inflation: Factor on the variance of their AUROC; see `fold_dependence.variance_inflation`.
    """

    name: str
    scores: FloatArray
    inflation: float


def text_baselines(
    texts: LabeledTexts | Sequence[str],
    y: LabelsLike,
    *,
    groups: LabelsLike | None,
    folds: Sequence[Fold],
    token_embeddings: ArrayLike | None = None,
    token_ids: TokenIdsLike | None = None,
    which: Sequence[BaselineName] = BASELINES,
) -> dict[str, TextBaseline]:
    """Classifiers that see the words only, on the folds of the probe that they are compared with.

    - "first_word": which word the text begins with.
    - "tfidf": bag of words in lower case, 1- and 2-grams.
    - "words_and_marks": bag of words and punctuation marks as they are written, 1- and 2-grams.
    - "characters": runs of 1 to 5 characters as they are written, so that nothing a tokenizer sees is missed.
    - "model_tokens": bag of the model's own tokens, 1- and 2-grams: what the model is given, cut as it is given.
    - "length": numbers of characters, words and sentences, as logarithms.
    - "covariates": length, and how often first person, second person, question and exclamation marks occur.
    - "token_embeddings": mean of the token embeddings, the model's own layer 0 before any context.
    - "best_in_training": in each fold the one of these that does best in cross-validation within the training rows. It
      is the one to compare a probe with: the best one in hindsight is too good by its luck (of four equally good
      baselines by 0.05 of AUROC, simulated).

    Each is an L2-logistic regression; vocabulary, weights and scaling come from the training rows, and so does the
    penalty, by grouped cross-validation within them (1 where a class is in too few groups for that).

    Args:
        texts: What is judged: the responses of `LabeledTexts`, or plain strings.
        y: Class of each text.
        groups: Scenario of each text; None, said by name, takes the texts as independent.
        folds: Such as `grouped_folds` makes.
        token_embeddings: [n, d_model]; without them that baseline is left out.
        token_ids: The model's tokens of each text; without them "model_tokens" is left out.
        which: Names to compute.

    Returns:
        Baselines by name, "best_in_training" last.

    Raises:
        ValueError: lengths differ, or folds that split a group.

    Source: nested selection: Varma & Simon (2006), BMC Bioinformatics 7.

    Example:
        >>> from empathy_geometry.texts.splits import grouped_folds
        >>> texts = ["sorry to hear", "sorry about it", "the report", "the file"] * 3
        >>> y, groups = [1, 1, 0, 0] * 3, [0, 1, 2, 3] * 3
        >>> folds = grouped_folds(y, groups=groups, n_splits=2)
        >>> found = text_baselines(texts, y, groups=groups, folds=folds, which=["first_word"])
        >>> scores = found["first_word"].scores
        >>> bool(scores[:2].min() > scores[2:4].max())
        True
    """
    codes = _codes(texts, y)
    used = check_folds(folds, codes, groups=groups)
    group = as_groups(groups, len(codes))
    inputs = baseline_inputs(texts, len(codes), token_embeddings, which, token_ids)
    return dict(_of(_Request(inputs, codes, group, used)))


class _Request:
    """What baselines are computed from, equal to another of the same content.

    A study asks for the same texts and folds again, layer by layer and probe by probe.
    """

    def __init__(self, inputs: dict[str, Any], codes: IntArray, groups: IntArray, folds: tuple[Fold, ...]) -> None:
        self.inputs, self.codes, self.groups, self.folds = inputs, codes, groups, folds
        digest = hashlib.blake2b()
        for name, rows in inputs.items():
            content = (
                json.dumps(rows.tolist()).encode() if rows.dtype == object else np.ascontiguousarray(rows).tobytes()
            )
            digest.update(f"{name}:{len(content)}:".encode() + content)
        for array in (codes, groups, *(part for fold in folds for part in (fold.train, fold.test))):
            digest.update(f":{len(array)}:".encode() + np.asarray(array, dtype=np.int64).tobytes())
        self._key = digest.digest()

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Request) and self._key == other._key


@lru_cache(maxsize=64)
def _of(request: _Request) -> dict[str, TextBaseline]:
    codes, groups, folds = request.codes, request.groups, request.folds
    folded: dict[str, list[_InFold]] = {}
    for name, rows in request.inputs.items():
        counts = counted(name, rows)
        folded[name] = [_in_fold(name, counts, codes, groups, fold) for fold in folds]
    if folded:
        folded[CHOSEN] = [max(of_fold, key=lambda f: f.merit) for of_fold in zip(*folded.values(), strict=True)]
    return {name: _pooled(name, parts, codes, groups, folds) for name, parts in folded.items()}


def baseline_scores(
    texts: LabeledTexts | Sequence[str],
    y: LabelsLike,
    *,
    folds: Sequence[Fold],
    token_embeddings: ArrayLike | None = None,
    token_ids: TokenIdsLike | None = None,
    which: Sequence[BaselineName] = BASELINES,
) -> dict[str, FloatArray]:
    """Scores of the baselines of `text_baselines` on any folds, each with its usual penalty; untested rows score 0.

    Args:
        texts: As in `text_baselines`.
        y: As in `text_baselines`.
        folds: Training and test rows; whether they split a scenario is the caller's business.
        token_embeddings: As in `text_baselines`.
        token_ids: As in `text_baselines`.
        which: Names to compute.

    Example:
        >>> folds = [Fold(np.arange(4), np.arange(4, 8))]
        >>> texts = ["sorry, no", "sorry, yes", "the file", "the end"] * 2
        >>> found = baseline_scores(texts, [1, 1, 0, 0] * 2, folds=folds, which=["first_word"])
        >>> found["first_word"][4:].round(1).tolist()
        [1.0, 1.0, -1.0, -1.0]
    """
    codes = _codes(texts, y)
    found: dict[str, FloatArray] = {}
    for name, rows in baseline_inputs(texts, len(codes), token_embeddings, which, token_ids).items():
        found[name], counts = _blank(codes), counted(name, rows)
        for fold in folds:
            seen, probe = seen_in(name, counts, fold), _classifier(name)
            found[name][fold.test] = _test_scores(probe, seen, codes, fold)
    return found


def _codes(texts: LabeledTexts | Sequence[str], y: LabelsLike) -> IntArray:
    labels = as_names(y, "y", len(judged_texts(texts)))
    return np.unique(labels, return_inverse=True)[1].reshape(-1)


@dataclass(frozen=True, eq=False)
class _InFold:
    """One baseline in one fold: how well it did within the training rows, and its scores of the test rows.

    Attributes:
        merit: AUROC and d' in cross-validation within the training rows.
        scores: Of the test rows.
        left_out: The same with each group left out of the training rows; None where they are too many.
    """

    merit: tuple[float, float]
    scores: FloatArray
    left_out: FloatArray | None


def _in_fold(name: str, rows: Any, codes: IntArray, groups: IntArray, fold: Fold) -> _InFold:
    seen = seen_in(name, rows, fold)
    probe, merit, spread = _with_chosen_penalty(_classifier(name), seen, codes, groups, fold)
    left_out = left_out_scores(probe, seen, codes, groups, fold, int(codes.max()) + 1)
    scores = without_rounding(_test_scores(probe, seen, codes, fold) / spread)
    return _InFold(merit, scores, None if left_out is None else without_rounding(left_out / spread))


def fit_with_chosen_penalty(
    name: str, seen: FloatArray, codes: IntArray, groups: IntArray, fold: Fold
) -> tuple[FloatArray, tuple[float, float]]:
    """One baseline's test scores, with the penalty that does best within the training rows, and how well it does there.

    Args:
        name: One of `BASELINES`.
        seen: What the baseline makes of all rows.
        codes: Class of each row.
        groups: Group of each row.
        fold: The fold.
    """
    probe, merit, spread = _with_chosen_penalty(_classifier(name), seen, codes, groups, fold)
    return without_rounding(_test_scores(probe, seen, codes, fold) / spread), merit


def _with_chosen_penalty(
    probe: Probe, seen: FloatArray, codes: IntArray, groups: IntArray, fold: Fold
) -> tuple[Probe, tuple[float, float], float]:
    """The probe with the penalty that does best within the training rows, how well it does, and its scores' spread.

    Scores of held-out rows spread less than those of the rows that were fitted, the more so the weaker the penalty. In
    units of their own spread, folds that chose differently can be pooled.
    """
    train, inside = fold.train, codes[fold.train]
    fewest = min(len(np.unique(groups[train][inside == c])) for c in np.unique(inside))
    unchosen = clone(probe).set_params(C=1.0), (0.5, 0.0), 1.0
    if fewest < 2:
        return unchosen
    try:
        inner = grouped_folds(inside, groups=groups[train], n_splits=min(_INNER_SPLITS, fewest), seed=0)
    except ValueError:
        # Groups of very different make-up leave an inner training part without a class: too few to choose by.
        return unchosen
    scores = np.zeros((len(PENALTIES), *_blank(inside).shape))
    for part in inner:
        for i, held_out in enumerate(_scores_by_penalty(probe, seen[train], inside, part)):
            scores[i][part.test] = held_out
    by_class = torch.from_numpy(scores if scores.ndim == 3 else scores[..., None]).movedim(-1, 1)
    merits = merits_of(by_class, inside)
    best = max(range(len(PENALTIES)), key=lambda i: merits[i])
    spread = float(scores[best].std())
    return clone(probe).set_params(C=PENALTIES[best]), merits[best], spread if spread > 1e-6 else 1.0


def _scores_by_penalty(probe: Probe, seen: FloatArray, codes: IntArray, part: Fold) -> Iterator[FloatArray]:
    """Test scores with each of `PENALTIES`, to the accuracy that a choice needs."""
    rows = torch.from_numpy(seen)
    geometry = FoldGeometry.from_rows(rows[part.train], rows[part.test], scale=probe.scale)
    onehot = as_onehot(torch.from_numpy(codes[part.train])[None], int(codes.max()) + 1)[0]
    for C in PENALTIES:
        weights, intercepts = logistic_of_one(geometry.train, onehot, C=C, tolerance=_CHOICE_TOLERANCE)
        train, test = ((x @ weights.T + intercepts).numpy() for x in (geometry.train, geometry.test))
        yield standardise(test[:, 0], train[:, 0]) if len(onehot) == 1 else standardise(test, train)


def _pooled(
    name: str, parts: Sequence[_InFold], codes: IntArray, groups: IntArray, folds: Sequence[Fold]
) -> TextBaseline:
    scores = _blank(codes)
    left_out = np.zeros((int(groups.max()) + 1, *scores.shape))
    known = True
    for part, fold in zip(parts, folds, strict=True):
        scores[fold.test] = part.scores
        known &= part.left_out is not None
        if part.left_out is not None:
            left_out[:, fold.test] = part.left_out
    scores.setflags(write=False)  # kept for the next caller who asks for the same
    return TextBaseline(name, scores, variance_inflation(scores, left_out, codes, groups) if known else 2.0)


def _blank(codes: IntArray) -> FloatArray:
    n_classes = int(codes.max()) + 1
    return np.zeros((len(codes),) if n_classes == 2 else (len(codes), n_classes))


def _test_scores(probe: Probe, seen: FloatArray, codes: IntArray, fold: Fold) -> FloatArray:
    classifier = clone(probe).fit(seen[fold.train], codes[fold.train])
    return standardise(decision_values(classifier, seen[fold.test]), decision_values(classifier, seen[fold.train]))


def _classifier(name: str) -> Probe:
    if name == "first_word":
        return Probe("logistic", scale=False)
    return Probe("logistic", C=10.0, scale=False) if name in COUNTING else Probe("logistic")
