"""Words carried over: text-only baselines fitted to one set of texts and judged on another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.baselines import CHOSEN, fit_with_chosen_penalty
from empathy_geometry.evaluation.text_features import BASELINES, BaselineName, baseline_inputs, counted, seen_in
from empathy_geometry.foundation._types import FloatArray, LabelsLike
from empathy_geometry.foundation._validation import as_binary, as_groups
from empathy_geometry.foundation.names import as_texts
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.splits import Fold
from empathy_geometry.texts.token_ids import TokenIds, TokenIdsLike, as_token_ids

WORDS: tuple[BaselineName, ...] = tuple(name for name in BASELINES if name != "token_embeddings")
"""What can be carried over; "model_tokens" where the tokens of both sets are given."""


@dataclass(frozen=True, eq=False)
class CarriedWords:
    """Scores of new texts by classifiers of words that were fitted elsewhere.

    Attributes:
        scores: Of the new texts by baseline, [n_new]; "best_in_training" is the one that does best in cross-validation
            on the texts it was fitted to, so that choosing it saw nothing of the new ones.
        chosen: Which one that is.
    """

    scores: dict[str, FloatArray]
    chosen: str


def carried_over(
    texts: LabeledTexts | Sequence[str],
    y: LabelsLike,
    new: LabeledTexts | Sequence[str],
    *,
    groups: LabelsLike | None,
    token_ids: tuple[TokenIdsLike, TokenIdsLike] | None = None,
    which: Sequence[BaselineName] = WORDS,
) -> CarriedWords:
    """What a bag of words learns from some texts, asked of others.

    A direction that was frozen on packaged texts and meets rated replies has its counterpart here: the same texts, the
    same labels, the same replies, and only the words. Vocabulary, weights and penalty come from `texts`.

    Args:
        texts: What is learned from: the responses of `LabeledTexts`, or plain strings.
        y: True for the concept class, one for each text.
        new: What is judged.
        groups: Scenario of each of `texts`, for the choice of penalty and baseline; None takes them as independent.
        token_ids: The model's tokens of `texts` and of `new`; without them "model_tokens" is left out.
        which: Names of baselines; see `baselines.text_baselines`.

    Raises:
        ValueError: lengths differ, or one class only.

    Example:
        >>> texts, y = ["so sorry", "sorry to hear", "the file", "the report"] * 2, [1, 1, 0, 0] * 2
        >>> found = carried_over(texts, y, ["sorry, friend", "the end"], groups=range(8), which=["tfidf"])
        >>> bool(found.scores["tfidf"][0] > found.scores["tfidf"][1]), found.chosen
        (True, 'tfidf')
    """
    first = texts.responses if isinstance(texts, LabeledTexts) else as_texts(texts)
    second = new.responses if isinstance(new, LabeledTexts) else as_texts(new, "new")
    codes = as_binary(y, "y", len(first)).astype(np.int64)
    group = as_groups(list(groups) if groups is not None else None, len(first))
    fold = Fold(np.arange(len(first)), len(first) + np.arange(len(second)))
    # Rows that are judged play no part in the fit; the codes of theirs are never read.
    padded = np.concatenate([codes, np.zeros(len(second), dtype=np.int64)])
    grouped = np.concatenate([group, np.full(len(second), int(group.max()) + 1)])
    scores: dict[str, FloatArray] = {}
    merits: dict[str, tuple[float, float]] = {}
    tokens = None
    if token_ids is not None:
        own, others = as_token_ids(token_ids[0], len(first)), as_token_ids(token_ids[1], len(second))
        assert own is not None
        assert others is not None
        tokens = TokenIds.joined([own, others])
    for name, rows in baseline_inputs([*first, *second], len(padded), None, which, tokens).items():
        seen = seen_in(name, counted(name, rows), fold)
        scores[name], merits[name] = fit_with_chosen_penalty(name, seen, padded, grouped, fold)
    chosen = max(merits, key=lambda name: merits[name])
    scores[CHOSEN] = scores[chosen]
    return CarriedWords(scores, chosen)


def carried_over_rows(source: Activations, y: LabelsLike, target: Activations) -> CarriedWords:
    """`carried_over` from the texts of some activations to those of others, with tokens where both have them.

    Args:
        source: What is learned from, with texts; its scenarios stay whole in the choice.
        y: True for the concept class, one for each row of `source`.
        target: What is judged, with texts.

    Raises:
        ValueError: one of the two has no texts, or one class only.
    """
    if source.texts is None or target.texts is None:
        raise ValueError("both activations need their texts, for words carried over; see Activations(..., texts=)")
    tokens = None
    if source.token_ids is not None and target.token_ids is not None:
        tokens = source.token_ids, target.token_ids
    return carried_over(source.texts, y, target.texts, groups=source.groups, token_ids=tokens)
