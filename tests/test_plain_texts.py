"""Texts given as plain strings: one rule at every door."""

import numpy as np
import pytest
from tiny_models import tiny_bridge

import empathy_geometry as eg
from empathy_geometry.audit.near_duplicates import near_duplicates
from empathy_geometry.evaluation.baselines import baseline_scores, text_baselines
from empathy_geometry.evaluation.covariates import length_covariates
from empathy_geometry.foundation.names import as_texts
from empathy_geometry.models.tokens import tokenize, tokenize_messages
from empathy_geometry.texts.splits import grouped_folds

Y, GROUPS = [0, 1, 0, 1], [0, 0, 1, 1]
FOLDS = grouped_folds(Y, groups=GROUPS, n_splits=2)
ROWS = np.arange(8.0).reshape(4, 2)


def sheet(texts):
    return eg.ratings.export_rating_sheet(texts, "/nowhere/sheet", seed=1, scale=(0, 4), raters=["a"])


DOORS = {
    "near_duplicates": near_duplicates,
    "length_covariates": length_covariates,
    "text_baselines": lambda t: text_baselines(t, Y, groups=GROUPS, folds=FOLDS, which=["first_word"]),
    "baseline_scores": lambda t: baseline_scores(t, Y, folds=FOLDS, which=["first_word"]),
    "cross_validate": lambda t: eg.cross_validate(eg.Probe(), ROWS, Y, groups=GROUPS, n_splits=2, texts=t),
    "LabeledTexts": lambda t: eg.LabeledTexts(t, Y, GROUPS),
    "prompts": lambda t: eg.LabeledTexts(["a a", "b b", "c c", "d d"], Y, GROUPS, prompts=t),
    "tokenize": lambda t: tokenize(tiny_bridge("llama"), t),
    "tokenize_messages": lambda t: tokenize_messages(tiny_bridge("llama"), t),
    "rating_sheet": sheet,
    "as_texts": as_texts,
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        ("four", TypeError, "sequence of strings, got str"),
        (7, TypeError, "sequence of strings, got int"),
        (["a", None, "c", "d"], TypeError, r"\[1\] must be a string, got NoneType"),
        (["a", "b", float("nan"), "d"], TypeError, r"\[2\] must be a string, got float"),
        (["a", "b", "c", "cut \ud83d"], ValueError, r"\[3\] holds half a surrogate pair"),
    ],
    ids=["one string", "a number", "None", "nan", "half an emoji"],
)
def test_what_is_no_sequence_of_texts_is_refused_by_name(door, texts, error, message):
    with pytest.raises(error, match=message):
        DOORS[door](texts)
